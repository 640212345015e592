//! An H.265 camera is recorded as it was sent. No browser here plays H.265; FFmpeg judges it.

use livekit_stream::{Recorder, VideoMode};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::copied::record_copied;
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_access_unit_is_in_the_file_bit_for_bit() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let copied = record_copied(VideoCodec::H265).await;
    assert_eq!(copied.probe.video().codec, "hevc");
    assert_eq!(copied.report.tracks[0].codec, "H.265");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcoding_it_is_refused_with_what_to_do() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::builder(&alice)
        .video(VideoMode::H264)
        .to_file(folder.path().join("alice.mp4"))
        .await
        .expect("recording");
    let clip = VideoClip::make(VideoOptions::of(VideoCodec::H265).seconds(10));
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let finished = tokio::time::timeout(DEADLINE, recorder.finished()).await;
    let error = finished.expect("in time").expect_err("no decoder");
    publisher.leave().await;
    guest.room.close().await;
    let text = error.to_string();
    assert!(text.contains("alice") && text.contains("H.265"), "{text}");
    assert!(text.contains("copied to MP4"), "{text}");
}
