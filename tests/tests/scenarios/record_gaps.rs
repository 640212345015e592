//! Mutes, late microphones and missing ones: the file stays continuous and in sync.

use livekit_stream::TrackSource;
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, eventually};
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::PublishOptions;
use livekit_stream_tests::recording::Recording;
use livekit_stream_tests::require;

/// Waits until so much has been recorded, however late the first frame came.
async fn lasts(recording: &Recording, us: i64) {
    eventually("it lasts", || recording.progress().duration_us > us).await;
}

fn pts(packet: &media::Packet) -> i64 {
    packet.pts_us.expect("every packet has a time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_that_comes_late_and_mutes_is_silence_in_between() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let alice = &recording.publisher;
    let clip = VideoClip::make(VideoOptions::default().seconds(10));
    let camera = alice.publish(PublishOptions::camera(clip)).await;
    camera.sent_at_least(90, DEADLINE).await;
    let microphone = alice
        .publish(PublishOptions::microphone(AudioClip::make(10)))
        .await;
    camera.sent_at_least(180, DEADLINE).await;
    alice.set_muted(&microphone, true).await;
    camera.sent_at_least(270, DEADLINE).await;
    alice.set_muted(&microphone, false).await;
    camera.sent_at_least(345, DEADLINE).await;
    let recorded = recording.stop().await;

    let sound = recorded
        .report
        .tracks
        .iter()
        .find(|track| track.source == TrackSource::Microphone);
    let silence = sound.map_or(0, |sound| sound.silence_us);
    let heard = 20_000 * microphone.sent().len() as i64;
    let unheard = recorded.report.duration_us - heard;
    assert!(unheard > 5_000_000, "{heard} us were sent");
    // The server itself sends a second of silence for a track that mutes. What was sent before the
    // track was subscribed to is missing.
    assert!(
        (unheard - 1_500_000..unheard + 1_500_000).contains(&silence),
        "{silence} us of silence, {unheard} us without sound"
    );
    let probe = media::assert_plays(&recorded.path);
    let packets = probe.packets_of(probe.audio());
    for pair in packets.windows(2) {
        let step = pts(&pair[1]) - pts(&pair[0]);
        assert!(
            (10_000..60_000).contains(&step),
            "a step of {step} us in the sound"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_that_mutes_holds_its_picture() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let alice = &recording.publisher;
    let options = VideoOptions::default().seconds(10);
    let tracks = alice
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    tracks[0].sent_at_least(60, DEADLINE).await;
    alice.set_muted(&tracks[0], true).await;
    tracks[1].sent_at_least(300, DEADLINE).await;
    alice.set_muted(&tracks[0], false).await;
    tracks[1].sent_at_least(400, DEADLINE).await;
    lasts(&recording, 7_500_000).await;
    let recorded = recording.stop().await;

    let probe = media::assert_plays(&recorded.path);
    let packets = probe.packets_of(probe.video());
    let longest = packets
        .windows(2)
        .map(|pair| pts(&pair[1]) - pts(&pair[0]))
        .max();
    assert!(
        longest.is_some_and(|longest| longest > 2_000_000),
        "{longest:?} us"
    );
    assert!(recorded.report.duration_us > 7_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_alone_is_recorded_alone() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let options = PublishOptions::microphone(AudioClip::make(4));
    let _microphone = recording.publisher.publish(options).await;
    lasts(&recording, 3_500_000).await;
    let recorded = recording.stop().await;
    let probe = media::assert_plays(&recorded.path);
    assert_eq!(probe.audio().codec, "opus");
    assert_eq!(probe.streams.len(), 1);
    assert!(recorded.report.duration_us > 3_000_000);
}
