//! Mutes, late microphones and missing ones: the file stays continuous and in sync.

use livekit_stream::{Recorder, TrackSource};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

fn pts(packet: &media::Packet) -> i64 {
    packet.pts_us.expect("every packet has a time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_that_comes_late_and_mutes_is_silence_in_between() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice)
        .to_file(&path)
        .await
        .expect("recording");
    let clip = VideoClip::make(VideoOptions::default().seconds(10));
    let camera = publisher.publish(PublishOptions::camera(clip)).await;
    camera.sent_at_least(90, DEADLINE).await;
    let microphone = publisher
        .publish(PublishOptions::microphone(AudioClip::make(10)))
        .await;
    camera.sent_at_least(180, DEADLINE).await;
    publisher.set_muted(&microphone, true).await;
    camera.sent_at_least(270, DEADLINE).await;
    publisher.set_muted(&microphone, false).await;
    camera.sent_at_least(345, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    let sound = report
        .tracks
        .iter()
        .find(|track| track.source == TrackSource::Microphone);
    let silence = sound.map_or(0, |sound| sound.silence_us);
    assert!(
        (4_000_000..7_500_000).contains(&silence),
        "{silence} us of silence"
    );
    let probe = media::probe(&path);
    probe.assert_monotonic();
    media::decode_without_errors(&path);
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
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice)
        .to_file(&path)
        .await
        .expect("recording");
    let clip = VideoClip::make(VideoOptions::default().seconds(10));
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(clip),
            PublishOptions::microphone(AudioClip::make(10)),
        ])
        .await;
    tracks[0].sent_at_least(60, DEADLINE).await;
    publisher.set_muted(&tracks[0], true).await;
    tracks[1].sent_at_least(250, DEADLINE).await;
    publisher.set_muted(&tracks[0], false).await;
    tracks[1].sent_at_least(400, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    let probe = media::probe(&path);
    probe.assert_monotonic();
    media::decode_without_errors(&path);
    let packets = probe.packets_of(probe.video());
    let longest = packets
        .windows(2)
        .map(|pair| pts(&pair[1]) - pts(&pair[0]))
        .max();
    assert!(
        longest.is_some_and(|longest| longest > 2_000_000),
        "{longest:?} us"
    );
    assert!(report.duration_us > 7_000_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_microphone_alone_is_recorded_alone() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice)
        .to_file(&path)
        .await
        .expect("recording");
    let microphone = publisher
        .publish(PublishOptions::microphone(AudioClip::make(4)))
        .await;
    microphone.sent_at_least(200, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;
    let probe = media::probe(&path);
    media::decode_without_errors(&path);
    assert_eq!(probe.audio().codec, "opus");
    assert_eq!(probe.streams.len(), 1);
    assert!(report.duration_us > 3_000_000, "{report:#?}");
}
