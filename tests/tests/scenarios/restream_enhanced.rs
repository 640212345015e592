//! VP9, AV1 and H.265 cameras and Opus reach a server that announces Enhanced RTMP as they are, and
//! its players, in sync.

use std::process::Command;
use std::time::Duration;

use livekit_stream::input::RtmpListener;
use livekit_stream::{Restreamer, Treatment};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::rtmp_rs::RtmpRs;
use livekit_stream_tests::{process, require};

async fn is_copied(codec: VideoCodec, name: &str, four_cc: &str, in_mp4: &str) {
    let (server, target) = (LiveKitServer::start().await, RtmpRs::start().await);
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let clip = VideoClip::make(VideoOptions::of(codec).seconds(20));
    let sound = AudioClip::make(20);
    let mut guest = Guest::join(&server, "room", "restreamer").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let restreamer = Restreamer::builder(&alice)
        .target(target.url("live", "key"))
        .start()
        .expect("started");
    let _tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(clip),
            PublishOptions::microphone(sound),
        ])
        .await;
    eventually("frames arrive", || target.published().enhanced.len() > 30).await;
    // An FFmpeg that knows Enhanced RTMP is among those who watch.
    let mut player = Command::new(Peer::FfmpegEnhanced.path());
    player.args(["-v", "error", "-i", &target.url("live", "key")]);
    player
        .args(["-t", "3", "-c", "copy"])
        .arg(file("played.mp4"));
    let playing = tokio::task::spawn_blocking(move || process::run_ok(&mut player, DEADLINE));
    playing.await.expect("FFmpeg plays the stream");
    eventually("pictures are sent", || {
        let progress = restreamer.progress();
        progress
            .targets
            .first()
            .is_some_and(|target| target.video_frames >= 150)
    })
    .await;
    let report = restreamer.stop().await.expect("a restream");
    eventually("the stream ends", || target.published().ended == 1).await;
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    assert_eq!(report.tracks[0].codec, name);
    for track in &report.tracks {
        assert_eq!(track.treatment, Treatment::Copied, "{}", track.codec);
    }
    let sent = &report.targets[0];
    assert!(sent.takes.contains(&name));
    let published = target.published();
    let received = |one: &str| published.enhanced.iter().filter(|it| **it == one).count() as u64;
    assert_eq!(
        (received(four_cc), received("Opus")),
        (sent.video_frames, sent.audio_frames)
    );
    std::fs::write(file("received.flv"), published.flv()).expect("written");
    let mut remux = Command::new(Peer::FfmpegEnhanced.path());
    remux
        .args(["-v", "error", "-xerror", "-i"])
        .arg(file("received.flv"));
    remux.args(["-c", "copy"]).arg(file("received.mp4"));
    process::run_ok(&mut remux, DEADLINE);
    for (name, frames, beeps) in [("received.mp4", 100, 3), ("played.mp4", 50, 2)] {
        let mp4 = file(name);
        let probe = media::probe(&mp4);
        assert_eq!(
            (&*probe.video().codec, &*probe.audio().codec),
            (in_mp4, "opus")
        );
        media::decode_without_errors(&mp4);
        assert!(media::decoded_frames(&mp4) > frames, "{name}");
        let offsets = media::flashes_and_beeps(&mp4).offsets();
        assert!(
            offsets.len() >= beeps && offsets.iter().all(|o| o.abs() <= 40_000),
            "{name}: {offsets:?} us"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp9_and_opus_are_copied() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::FfmpegEnhanced);
    is_copied(VideoCodec::Vp9, "VP9", "vp09", "vp9").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn av1_and_opus_are_copied() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::FfmpegEnhanced);
    is_copied(VideoCodec::Av1, "AV1", "av01", "av1").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h265_and_opus_are_copied() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::FfmpegEnhanced);
    is_copied(VideoCodec::H265, "H.265", "hvc1", "hevc").await;
}

/// One target that announces nothing: all get what every server takes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_announces_nothing_makes_all_get_h264() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx, Peer::Libvpx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let listener = RtmpListener::bind("127.0.0.1:0").await.expect("a listener");
    let address = listener.local_addr().expect("an address");
    let mut publishers = listener.publishers(|request| request.is("live", "key"));
    let receiving = tokio::spawn(async move {
        let mut publisher = publishers.next().await.expect("a publisher");
        let mut bodies = Vec::new();
        while let Ok(Some(media)) = publisher.next().await {
            bodies.extend(media.body.first().map(|first| (media.tag_type, *first)));
        }
        bodies
    });
    let clip = VideoClip::make(VideoOptions::of(VideoCodec::Vp9).seconds(20));
    let mut guest = Guest::join(&server, "room", "restreamer").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let restreamer = Restreamer::builder(&alice)
        .target(format!("rtmp://{address}/live/key"))
        .target(nginx.url(LIVE, "key"))
        .duration(Duration::from_secs(2))
        .start()
        .expect("started");
    let _tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(clip),
            PublishOptions::microphone(AudioClip::make(20)),
        ])
        .await;
    let report = tokio::time::timeout(DEADLINE, restreamer.finished());
    let report = report.await.expect("an end").expect("a restream");
    let received = tokio::time::timeout(DEADLINE, receiving).await;
    let received = received.expect("an end").expect("a task");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    for track in &report.tracks {
        assert_eq!(track.treatment, Treatment::Transcoded, "{}", track.codec);
    }
    assert_eq!(report.targets[1].takes, ["H.264", "AAC"]);
    assert!(report.targets.iter().all(|target| target.video_frames > 10));
    // AVC keyframes and others, AAC, as FLV of 2010 has them.
    let legacy = |(kind, first): &(u8, u8)| match kind {
        8 => *first == 0xaf,
        9 => matches!(first, 0x17 | 0x27),
        _ => true,
    };
    assert!(received.len() > 40 && received.iter().all(legacy));
}
