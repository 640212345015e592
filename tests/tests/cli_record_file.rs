//! `livekit-stream record` writes one participant to a file, and ends as it is told to.

use std::path::Path;
use std::time::Duration;

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::{media, require};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(40);

async fn publish(server: &LiveKitServer, identity: &str) -> (Publisher, Vec<PublishedTrack>) {
    let token = server.publisher_token("room", identity);
    let publisher = Publisher::join(&server.url(), &token).await;
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(VideoClip::make(VideoOptions::default().seconds(20))),
            PublishOptions::microphone(AudioClip::make(20)),
        ])
        .await;
    (publisher, tracks)
}

fn assert_plays(path: &Path, seconds: std::ops::Range<f64>) {
    media::decode_without_errors(path);
    let probe = media::probe(path);
    probe.assert_monotonic();
    assert_eq!(
        (probe.video().codec.as_str(), probe.audio().codec.as_str()),
        ("h264", "opus")
    );
    let duration = probe.duration_us.expect("a duration") as f64 / 1e6;
    assert!(seconds.contains(&duration), "{duration} s, not {seconds:?}");
    let offsets = media::flash_and_beep_offsets(path);
    assert!(!offsets.is_empty(), "no flash with its beep");
    assert!(
        offsets.iter().all(|offset| offset.abs() <= 40_000),
        "{offsets:?} us"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_the_participant_and_ends_at_the_duration() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, report) = (
        folder.path().join("out.mp4"),
        folder.path().join("report.json"),
    );
    let mut command = cli::command_for(&server);
    command.args(["record", "--room", "room", "--duration", "4"]);
    command
        .arg("--output")
        .arg(&path)
        .arg("--report")
        .arg(&report);
    let mut program = Program::start(&mut command);
    program
        .says("waiting for somebody with a camera", DEADLINE)
        .await;
    assert!(!path.exists(), "nothing is recorded yet");
    let (publisher, _tracks) = publish(&server, "alice").await;
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_plays(&path, 3.8..4.1);
    // Not a terminal: plain lines, and no escape sequences.
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);

    let report = std::fs::read_to_string(&report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(report["room"], "room");
    assert_eq!(report["ended_by"], "the duration was reached");
    assert_eq!(report["error"], Value::Null);
    let recording = &report["recordings"][0];
    assert_eq!(recording["participant"], "alice");
    assert_eq!(recording["output"], path.to_str().expect("UTF-8"));
    let probe = media::probe(&path);
    for (track, stream) in [(0, probe.video()), (1, probe.audio())] {
        let track = &recording["tracks"][track];
        assert_eq!(track["treatment"], "copied", "{track}");
        assert_eq!(track["frames"], probe.packets_of(stream).len(), "{track}");
        assert_eq!(track["packets_lost"], 0, "{track}");
    }
    let video = &recording["tracks"][0];
    assert_eq!(
        (&video["codec"], &video["source"]),
        (&"H.264".into(), &"camera".into())
    );
    assert_eq!(
        (&video["width"], &video["height"]),
        (&640.into(), &360.into())
    );
    let keyframes = probe
        .packets_of(probe.video())
        .iter()
        .filter(|packet| packet.keyframe)
        .count();
    assert_eq!(video["keyframes"], keyframes);
    let audio = &recording["tracks"][1];
    assert_eq!(
        (&audio["codec"], &audio["source"]),
        (&"Opus".into(), &"microphone".into())
    );
}
