//! A VP8 camera, every browser's default, is recorded as H.264, in sync with its sound.

use livekit_stream::{Recorder, Treatment};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vp8_camera_becomes_h264() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
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
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(VideoClip::make(
                VideoOptions::of(VideoCodec::Vp8).seconds(10),
            )),
            PublishOptions::microphone(AudioClip::make(10)),
        ])
        .await;
    tracks[0].sent_at_least(180, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;

    assert_eq!(report.tracks[0].treatment, Treatment::Transcoded);
    assert_eq!(
        (&*report.tracks[0].codec, &*report.tracks[0].written_codec),
        ("VP8", "H.264")
    );
    assert_eq!(report.tracks[1].treatment, Treatment::Copied);
    assert!(report.tracks[0].frames >= 150, "{report:#?}");
    let probe = media::probe(&path);
    probe.assert_monotonic();
    assert_eq!(probe.video().codec, "h264");
    assert_eq!(probe.audio().codec, "opus");
    media::decode_without_errors(&path);
    let offsets = media::flash_and_beep_offsets(&path);
    assert!(offsets.len() >= 4, "{offsets:?}");
    assert!(
        offsets.iter().all(|offset| offset.abs() <= 40_000),
        "{offsets:?} us"
    );
}
