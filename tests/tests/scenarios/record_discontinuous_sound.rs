//! Sound with discontinuous transmission (DTX): what was not sent is silence, and no loss.

use std::path::Path;
use std::time::Duration;

use livekit_stream::{AudioStream, Recorder, RecordingReport, TrackReport, TrackSource};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::recording::Recording;
use livekit_stream_tests::require;

/// The clips' first beep begins with their first picture.
const BEEP_US: i64 = 100_000;

fn microphone(report: &RecordingReport) -> &TrackReport {
    let is_microphone = |track: &&TrackReport| track.source == TrackSource::Microphone;
    report
        .tracks
        .iter()
        .find(is_microphone)
        .expect("a microphone")
}

/// The file's sound goes on from its first packet to its last.
fn assert_without_gap(path: &Path) {
    let probe = media::assert_plays(path);
    let packets = probe.packets_of(probe.audio());
    for pair in packets.windows(2) {
        let times = (pair[0].pts_us, pair[1].pts_us);
        let step = times.1.zip(times.0).map(|(later, earlier)| later - earlier);
        let step = step.expect("every packet has a time");
        assert!((10_000..60_000).contains(&step), "a step of {step} us");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silence_that_was_not_sent_is_put_in_and_beeps_stay_with_their_flashes() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let video = VideoOptions::default().seconds(10);
    let tracks = recording.publisher.publish_all(vec![
        PublishOptions::camera(VideoClip::make(video)),
        PublishOptions::microphone(AudioClip::make(video.seconds)).discontinuous(),
    ]);
    let tracks = tracks.await;
    tracks[0].sent_at_least(180, DEADLINE).await;
    let sent = tracks[1].sent();
    let longest = sent
        .windows(2)
        .map(|pair| pair[1].media_us - pair[0].media_us);
    assert_eq!(longest.max(), Some(400_000), "the kit leaves silence out");
    let recorded = recording.stop().await;

    let sound = microphone(&recorded.report);
    assert_eq!(sound.packets_lost, 0);
    // The first keyframe is large and may come later than the beep at its side, of which the packets
    // before it are left out. A sender report may move the sound over one more.
    let pictures = media::h264_pictures(&recorded.path);
    let first = tracks[0]
        .sent_frames()
        .iter()
        .position(|one| *one == pictures[0]);
    let first = &tracks[0].sent()[first.expect("it was sent")];
    let beep_end_us = first.media_us + BEEP_US;
    let beep = sent.iter().filter(|packet| packet.media_us < beep_end_us);
    let most = beep.count() as u64 + 1;
    assert!(sound.frames_dropped <= most, "{}", sound.frames_dropped);
    let silent = sound.silence_us as f64 / sound.duration_us as f64;
    assert!((0.6..0.95).contains(&silent), "{silent} of it is silence");
    assert_without_gap(&recorded.path);
    media::assert_in_sync(&recorded.path, 4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_keep_their_times_over_silence_that_was_not_sent() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let options = PublishOptions::microphone(AudioClip::make(10)).discontinuous();
    let sent = publisher.publish(options).await;
    let track = guest.audio_track().await;
    let mut sound = AudioStream::new(&track);
    let frames = take(&mut sound, 40).await;
    assert_eq!(sound.errors(), 0, "{:?}", sound.last_error());
    assert_eq!(track.stats().packets_lost, 0);
    let steps: Vec<i64> = frames
        .windows(2)
        .map(|pair| pair[1].timestamp_us - pair[0].timestamp_us)
        .collect();
    let sent_steps: Vec<i64> = sent
        .sent()
        .windows(2)
        .map(|pair| pair[1].media_us - pair[0].media_us)
        .collect();
    let near = |steps: &[i64], others: &[i64]| {
        let mut pairs = steps.iter().zip(others);
        // The clock is corrected by an eighth of a distance at most.
        pairs.all(|(step, other)| (step - other).abs() < other / 8 + 10_000)
    };
    assert!(
        sent_steps
            .windows(steps.len())
            .any(|others| near(&steps, others)),
        "{steps:?} came, {sent_steps:?} were sent"
    );
    assert!(steps.iter().any(|step| *step > 300_000));
    // Nothing is made up for what was not sent.
    assert!(frames.iter().all(|frame| frame.duration_us() == 20_000));
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_silence_of_a_browser_is_no_loss() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let options = BrowserOptions::default().codec(VideoCodec::H264);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let token = server.publisher_token("room", "browser");
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.mp4");
    let recorder = Recorder::builder(&participant)
        .duration(Duration::from_secs(6))
        .to_file(&path)
        .await;
    let finished = recorder.expect("recording").finished();
    let report = tokio::time::timeout(DEADLINE, finished).await;
    let report = report.expect("media come in time").expect("a recording");
    browser.leave().await;
    guest.room.close().await;
    println!("{report:#?}");
    let sound = microphone(&report);
    assert_eq!(sound.packets_lost, 0);
    assert!(sound.silence_us > 0, "the browser sends all of its silence");
    assert_without_gap(&path);
}
