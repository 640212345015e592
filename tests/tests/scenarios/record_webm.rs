//! WebM and Matroska: what browsers send by default, VP8 and Opus, is recorded untouched.

use std::time::Duration;

use futures::StreamExt;
use livekit_stream::codec::MediaKind;
use livekit_stream::{EncodedVideoStream, Recorder, RoomOptions, TrackSource, Treatment};
use livekit_stream_tests::chromium::{self, BrowserOptions, BrowserPublisher};
use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::{VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::recording::{Recorded, Recording};
use livekit_stream_tests::{media, require};

/// A player of WebM that is appended in pieces, as a page would that downloads it.
async fn assert_plays_in_a_browser(path: &std::path::Path, seconds: f64, frames: u32) {
    let file = std::fs::read(path).expect("the file is read");
    let pieces = file.chunks(100_000).map(|piece| piece.to_vec().into());
    let mime = "video/webm; codecs=\"vp8,opus\"";
    let played = chromium::play(mime, pieces.collect(), DEADLINE).await;
    assert_eq!(played.error, None);
    assert!(played.current_time > seconds, "{played:?}");
    assert!(played.decoded_frames >= frames, "{played:?}");
}

/// Some seconds of a clip in a file of this name: bit for bit, in sync, and as it is decoded.
async fn record_clip(name: &str, codec: VideoCodec) -> Recorded {
    let recording = Recording::start_to(name, RoomOptions::default()).await;
    let options = VideoOptions::of(codec).seconds(10);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    let is_recorded = || {
        let progress = recording.progress();
        progress
            .tracks
            .first()
            .is_some_and(|video| video.frames >= 150)
    };
    eventually("five seconds are recorded", is_recorded).await;
    let recorded = recording.stop().await;
    let video = &recorded.report.tracks[0];
    assert_eq!(video.treatment, Treatment::Copied);
    assert!(video.frames >= 130, "{} pictures", video.frames);
    let probe = media::assert_plays(&recorded.path);
    assert_eq!(probe.format, "matroska,webm");
    assert_eq!(probe.packets_of(probe.video()).len() as u64, video.frames);
    let pictures = media::copied_pictures(&recorded.path, codec);
    media::assert_run_of(&tracks[0].sent_frames(), &pictures);
    let sound = media::opus_without_silence(&recorded.path);
    media::assert_run_of(&tracks[1].sent_frames(), &sound);
    media::assert_in_sync(&recorded.path, 3);
    recorded
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_clip_of_vp8_is_in_the_file_bit_for_bit_and_plays_in_a_browser() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Chromium);
    let recorded = record_clip("alice.webm", VideoCodec::Vp8).await;
    let frames = recorded.report.tracks[0].frames as u32;
    assert_eq!(recorded.report.tracks[0].codec, "VP8");
    assert_plays_in_a_browser(&recorded.path, 4.0, frames - 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn matroska_takes_h264_as_well() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recorded = record_clip("alice.mkv", VideoCodec::H264).await;
    assert_eq!(recorded.report.tracks[0].codec, "H.264");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_vp8_is_recorded_as_a_subscriber_gets_it() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default();
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let camera = (&participant, TrackSource::Camera);
    let mut frames = EncodedVideoStream::with_capacity(camera, MediaKind::Video, 0);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.webm");
    let recorder = Recorder::builder(&participant)
        .duration(Duration::from_secs(6))
        .to_file(&path)
        .await
        .expect("recording");
    let received = tokio::spawn(async move {
        let mut received = Vec::new();
        while let Some(frame) = frames.next().await {
            received.push(frame.data);
        }
        received
    });
    let report = tokio::time::timeout(2 * DEADLINE, recorder.finished()).await;
    let report = report.expect("media come in time").expect("a recording");
    browser.leave().await;
    guest.room.close().await;
    let received = received.await.expect("frames");

    let video = &report.tracks[0];
    assert_eq!((&*video.codec, video.treatment), ("VP8", Treatment::Copied));
    assert!(video.frames > 60, "{} pictures", video.frames);
    let probe = media::assert_plays(&path);
    assert_eq!(
        (&*probe.video().codec, &*probe.audio().codec),
        ("vp8", "opus")
    );
    let pictures = media::copied_pictures(&path, VideoCodec::Vp8);
    assert_eq!(pictures.len() as u64, video.frames);
    assert_eq!(media::frame_checksums(&path).len() as u64, video.frames);
    // The subscriber may have come second, and then it begins with a later keyframe.
    let first = pictures.iter().position(|picture| *picture == received[0]);
    let shared = &pictures[first.unwrap_or(0)..];
    assert!(shared.len() > 60, "{} pictures of both", shared.len());
    media::assert_run_of(&received, shared);
    assert_plays_in_a_browser(&path, 5.0, pictures.len() as u32 - 5).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_records_webm_by_the_files_name_and_says_what_does_not_go_into_it() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    for (codec, works) in [(VideoCodec::Vp8, true), (VideoCodec::H264, false)] {
        let token = server.publisher_token("room", "alice");
        let publisher = Publisher::join(&server.url(), &token).await;
        let options = VideoOptions::of(codec).seconds(20);
        let _tracks = publisher
            .publish_all(PublishOptions::camera_and_microphone(options))
            .await;
        let path = folder.path().join(format!("{works}.webm"));
        let mut command = cli::record(&server, &path);
        command.args(["--duration", "4"]);
        let ended = Program::start(&mut command).ended(DEADLINE).await;
        publisher.leave().await;
        if works {
            assert_eq!(ended.code, Some(0), "{}", ended.stderr);
            let probe = media::assert_plays(&path);
            assert_eq!(
                (&*probe.video().codec, &*probe.audio().codec),
                ("vp8", "opus")
            );
            media::assert_in_sync(&path, 2);
        } else {
            assert_eq!(ended.code, Some(1), "{}", ended.stderr);
            let message = "cannot copy H.264 of alice's camera to";
            assert!(ended.stderr.contains(message), "{}", ended.stderr);
            assert!(ended.stderr.contains(".mkv holds all"), "{}", ended.stderr);
        }
    }
    let mut command = cli::record(&server, &folder.path().join("other.webm"));
    command.args(["--audio", "aac"]);
    let ended = cli::run(&mut command, DEADLINE).await;
    assert_ne!(ended.code, Some(0));
}
