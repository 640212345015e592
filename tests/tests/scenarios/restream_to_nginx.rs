//! Restreaming to a real RTMP server, and to two of which one dies and comes back.

use futures::StreamExt;
use livekit_stream::{Restreamer, RtmpOutput, Treatment, VideoStream};
use livekit_stream_tests::clip::{VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

fn camera_and_microphone(codec: VideoCodec) -> Vec<PublishOptions> {
    PublishOptions::camera_and_microphone(VideoOptions::of(codec).seconds(20))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_is_copied_and_opus_becomes_aac() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let mut guest = Guest::join(&server, "room", "restreamer").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let restreamer = Restreamer::builder(&alice)
        .target(nginx.url(LIVE, "key"))
        .start()
        .expect("started");
    let options = camera_and_microphone(VideoCodec::H264);
    let tracks = publisher.publish_all(options).await;
    nginx.published("key", DEADLINE).await;
    let mut pull = nginx.pull(LIVE, "key", 8).await;
    let file = pull.finish(DEADLINE).await.to_owned();
    let report = restreamer.stop().await.expect("a restream");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    assert_eq!(report.tracks[0].treatment, Treatment::Copied);
    assert_eq!(report.tracks[1].treatment, Treatment::Transcoded);
    assert_eq!(report.targets[0].video_frames, report.tracks[0].frames);
    let probe = media::probe(&file);
    assert_eq!(
        (&*probe.video().codec, &*probe.audio().codec),
        ("h264", "aac")
    );
    media::decode_without_errors(&file);
    let pictures = media::h264_pictures(&file);
    assert!(pictures.len() > 200, "{} pictures", pictures.len());
    media::assert_run_of(&tracks[0].sent_frames(), &pictures);
    media::assert_in_sync(&file, 6);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_dies_and_comes_back_does_not_disturb_the_other() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let server = LiveKitServer::start().await;
    let (steady, mut dying) = (NginxRtmp::start().await, NginxRtmp::start().await);
    let mut guest = Guest::join(&server, "room", "restreamer").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let restreamer = Restreamer::builder(&alice)
        .target(steady.url(LIVE, "steady"))
        .target(dying.url(LIVE, "dying"))
        .start()
        .expect("started");
    let options = camera_and_microphone(VideoCodec::H264);
    let tracks = publisher.publish_all(options).await;
    steady.published("steady", DEADLINE).await;
    dying.published("dying", DEADLINE).await;
    let mut whole = steady.pull(LIVE, "steady", 10).await;
    dying.kill();
    // The loss is noticed, and some attempts to come back fail.
    eventually("the target is missed", || {
        restreamer.progress().targets[1].state == "reconnecting"
    })
    .await;
    let sent = tracks[0].sent().len();
    tracks[0].sent_at_least(sent + 45, DEADLINE).await;
    dying.start_again().await;
    dying.published("dying", DEADLINE).await;
    let mut again = dying.pull(LIVE, "dying", 3).await;
    let again = again.finish(DEADLINE).await.to_owned();
    let whole = whole.finish(DEADLINE).await.to_owned();
    let report = restreamer.stop().await.expect("a restream");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    for file in [&whole, &again] {
        media::decode_without_errors(file);
        assert!(media::probe(file).packets_of(media::probe(file).video())[0].keyframe);
    }
    assert_eq!(report.targets[0].reconnects, 0);
    assert_eq!(report.targets[0].video_frames, report.tracks[0].frames);
    assert_eq!(report.targets[1].reconnects, 1);
    assert!(report.targets[1].video_frames < report.tracks[0].frames);
    assert!(
        report.targets[1].frames_dropped > 0,
        "what was lost meanwhile is counted"
    );
    let steps = media::probe(&whole).packets_of(media::probe(&whole).video());
    for pair in steps.windows(2) {
        let step = pair[1].dts_us.unwrap_or(0) - pair[0].dts_us.unwrap_or(0);
        assert!(step < 100_000, "a gap of {step} us on the steady target");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_video_stream_forwards_into_an_rtmp_output() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx, Peer::Libvpx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let mut guest = Guest::join(&server, "room", "bridge").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let options = camera_and_microphone(VideoCodec::Vp8);
    let _tracks = publisher.publish_all(options).await;
    let video = VideoStream::new(&guest.video_track().await);
    let rtmp = RtmpOutput::builder(&nginx.url(LIVE, "bridge"))
        .build()
        .expect("an output");
    let bridge = tokio::spawn(video.map(Ok).forward(rtmp));
    nginx.published("bridge", DEADLINE).await;
    let mut pull = nginx.pull(LIVE, "bridge", 9).await;
    let file = pull.finish(DEADLINE).await.to_owned();
    publisher.leave().await;
    let ended = tokio::time::timeout(DEADLINE, bridge)
        .await
        .expect("the bridge ends");
    ended.expect("no panic").expect("no error");
    guest.room.close().await;
    media::decode_without_errors(&file);
    assert_eq!(media::probe(&file).video().codec, "h264");
    assert!(media::decoded_frames(&file) > 90);
}
