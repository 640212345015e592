//! `livekit-stream restream` publishes to several servers at once; one that refuses disturbs
//! nobody, and no stream key is shown.

use std::time::Duration;

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::nginx::{GOOD_KEY, KEYED, LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::{media, require};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_targets_get_the_same_and_a_third_may_refuse() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let folder = tempfile::tempdir().expect("a folder");
    let report = folder.path().join("report.json");
    let mut command = cli::command_for(&server);
    command.args(["restream", "--room", "room", "--participant", "alice"]);
    command.args(["--to", &nginx.url(LIVE, "first-key")]);
    command.args(["--to", &nginx.url(KEYED, GOOD_KEY)]);
    command.args(["--to", &nginx.url(KEYED, "wrong-key")]);
    command.arg("--report").arg(&report);
    let mut program = Program::start(&mut command);
    program.says("waiting for alice", DEADLINE).await;
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let _tracks = publisher
        .publish_all(PublishOptions::camera_and_microphone(
            VideoOptions::default().seconds(20),
        ))
        .await;
    nginx.published("first-key", DEADLINE).await;
    nginx.published(GOOD_KEY, DEADLINE).await;
    let (mut first, mut second) = tokio::join!(
        nginx.pull(LIVE, "first-key", 4),
        nginx.pull(KEYED, GOOD_KEY, 4)
    );
    for pull in [&mut first, &mut second] {
        let file = pull.finish(DEADLINE).await;
        media::decode_without_errors(file);
        let probe = media::probe(file);
        assert_eq!(
            (&*probe.video().codec, &*probe.audio().codec),
            ("h264", "aac")
        );
        media::assert_in_sync(file, 1);
    }
    program.terminate();
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = std::fs::read_to_string(&report).expect("a report");
    for key in ["first-key", GOOD_KEY, "wrong-key"] {
        assert!(!ended.stderr.contains(key), "{key} in {}", ended.stderr);
        assert!(!report.contains(key), "{key} in {report}");
    }
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["ended_by"], "SIGTERM");
    let targets = &report["recordings"][0]["targets"];
    for (target, state) in [(0, "closed"), (1, "closed"), (2, "failed")] {
        assert_eq!(targets[target]["state"], state, "{targets}");
    }
    let sent = targets[0]["video_frames"].as_u64().expect("a number");
    assert!(sent > 100, "{sent} pictures");
    assert!(
        targets[2]["bytes"]
            .as_u64()
            .is_some_and(|bytes| bytes < 100_000)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_target_that_nobody_serves_is_an_error_without_its_key() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut command = cli::command_for(&server);
    command.args([
        "restream",
        "--room",
        "room",
        "--to",
        "rtmp://127.0.0.1:9/app/secret-key",
    ]);
    let mut program = Program::start(&mut command);
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.error().contains("127.0.0.1:9"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("secret-key"), "{}", ended.stderr);
}
