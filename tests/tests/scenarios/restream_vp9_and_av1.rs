//! VP9, AV1 and, with the feature `ffmpeg`, H.265 cameras reach an RTMP server as H.264, in sync
//! with their sound.

use livekit_stream::{Restreamer, Treatment};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

async fn becomes_h264(codec: VideoCodec, name: &str) {
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let clip = VideoClip::make(VideoOptions::of(codec).seconds(20));
    let sound = AudioClip::make(20);
    let mut guest = Guest::join(&server, "room", "restreamer").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let restreamer = Restreamer::builder(&alice)
        .target(nginx.url(LIVE, "key"))
        .start()
        .expect("started");
    let _tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(clip),
            PublishOptions::microphone(sound),
        ])
        .await;
    nginx.published("key", DEADLINE).await;
    let mut pull = nginx.pull(LIVE, "key", 10).await;
    let file = pull.finish(DEADLINE).await.to_owned();
    let report = restreamer.stop().await.expect("a restream");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    assert_eq!(report.tracks[0].codec, name);
    assert_eq!(report.tracks[0].treatment, Treatment::Transcoded);
    let probe = media::probe(&file);
    assert_eq!(
        (&*probe.video().codec, &*probe.audio().codec),
        ("h264", "aac")
    );
    media::decode_without_errors(&file);
    assert!(media::decoded_frames(&file) > 120);
    let offsets = media::flashes_and_beeps(&file).offsets();
    assert!(
        offsets.len() >= 4 && offsets.iter().all(|o| o.abs() <= 40_000),
        "{offsets:?} us"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp9_becomes_h264() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx, Peer::Libvpx);
    becomes_h264(VideoCodec::Vp9, "VP9").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn av1_becomes_h264() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    becomes_h264(VideoCodec::Av1, "AV1").await;
}

#[cfg(feature = "ffmpeg")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_becomes_h264() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    becomes_h264(VideoCodec::H265, "H.265").await;
}
