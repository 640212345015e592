//! An H.265 camera is copied; what would need its pictures is refused.

use livekit_stream::{Recorder, VideoMode};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn transcoding_it_is_refused_with_what_to_do() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    if cfg!(feature = "ffmpeg") {
        println!("skipped: with the feature `ffmpeg` it is transcoded");
        return;
    }
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
    assert!(text.contains("feature `ffmpeg`"), "{text}");
    assert!(text.contains("copied to MP4"), "{text}");
}
