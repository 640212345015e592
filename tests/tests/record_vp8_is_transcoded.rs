//! A VP8 camera, every browser's default, is recorded as H.264, in sync with its sound.

use livekit_stream::Treatment;
use livekit_stream_tests::clip::{VideoCodec, VideoOptions};
use livekit_stream_tests::guest::DEADLINE;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::PublishOptions;
use livekit_stream_tests::recording::Recording;
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_vp8_camera_becomes_h264() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
    let recording = Recording::start().await;
    let options = VideoOptions::of(VideoCodec::Vp8).seconds(10);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    tracks[0].sent_at_least(180, DEADLINE).await;
    let recorded = recording.stop().await;

    let [video, audio] = &*recorded.report.tracks else {
        panic!("pictures and sound, no more");
    };
    assert_eq!(video.treatment, Treatment::Transcoded);
    assert_eq!((&*video.codec, &*video.written_codec), ("VP8", "H.264"));
    assert_eq!(audio.treatment, Treatment::Copied);
    assert!(video.frames >= 150, "{} pictures", video.frames);
    let probe = media::assert_plays(&recorded.path);
    assert_eq!(probe.video().codec, "h264");
    assert_eq!(probe.audio().codec, "opus");
    media::assert_in_sync(&recorded.path, 4);
}
