//! `livekit-stream record` writes one participant to a file, and ends as it is told to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::{VideoCodec, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::{media, require};
use serde_json::Value;

const DEADLINE: Duration = Duration::from_secs(40);

/// Alice, with a camera in this codec and a microphone.
async fn publish(server: &LiveKitServer, codec: VideoCodec) -> (Publisher, Vec<PublishedTrack>) {
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let options = VideoOptions::of(codec).seconds(20);
    let tracks = publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    (publisher, tracks)
}

/// A recording and its report.
fn outputs(folder: &Path) -> (PathBuf, PathBuf) {
    (folder.join("out.mp4"), folder.join("report.json"))
}

/// What is in a file that plays so long, in sync, with sound in this codec.
fn assert_plays(path: &Path, seconds: std::ops::Range<f64>, sound: &str) -> media::Probe {
    let probe = media::assert_plays(path);
    let codecs = (&*probe.video().codec, &*probe.audio().codec);
    assert_eq!(codecs, ("h264", sound));
    let duration = probe.duration_us.expect("a duration") as f64 / 1e6;
    assert!(seconds.contains(&duration), "{duration} s, not {seconds:?}");
    media::assert_in_sync(path, 2);
    probe
}

fn read_report(path: &Path) -> Value {
    let json = std::fs::read_to_string(path).expect("a report");
    serde_json::from_str(&json).expect("JSON")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_that_are_not_copied_are_encoded_as_asked_for() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, report) = outputs(folder.path());
    let mut command = cli::record(&server, &path);
    command.args(["--bit-rate", "200000", "--preset", "fast"]);
    command.args(["--duration", "6", "--report"]).arg(&report);
    let mut program = Program::start(&mut command);
    program.says("waiting for", DEADLINE).await;
    let (publisher, _tracks) = publish(&server, VideoCodec::Vp8).await;
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert_plays(&path, 5.0..7.0, "opus");
    let report = read_report(&report);
    let video = &report["recordings"][0]["tracks"][0];
    assert_eq!(video["treatment"], "transcoded", "{video}");
    let number = |name: &str| video[name].as_f64().expect("a number");
    // Without being asked it would be 760 kb/s.
    let rate = number("bytes") * 8e6 / number("duration_us");
    assert!(
        (100_000.0..300_000.0).contains(&rate),
        "{rate} bits a second"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_waits_for_the_participant_and_ends_at_the_duration() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, report) = outputs(folder.path());
    let mut command = cli::record(&server, &path);
    command.args(["--duration", "4", "--report"]).arg(&report);
    let mut program = Program::start(&mut command);
    program
        .says("waiting for somebody with a camera", DEADLINE)
        .await;
    assert!(!path.exists(), "nothing is recorded yet");
    let (publisher, _tracks) = publish(&server, VideoCodec::H264).await;
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let probe = assert_plays(&path, 3.8..4.1, "opus");
    // Not a terminal: plain lines, and no escape sequences.
    assert!(!ended.stderr.contains('\u{1b}'), "{}", ended.stderr);

    let report = read_report(&report);
    assert_eq!(report["room"], "room");
    assert_eq!(report["ended_by"], "the duration was reached");
    assert_eq!(report["error"], Value::Null);
    let recording = &report["recordings"][0];
    assert_eq!(recording["participant"], "alice");
    assert_eq!(recording["output"], path.to_str().expect("UTF-8"));
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

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound_becomes_aac_when_asked_for_and_pictures_stay_as_they_are() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, report) = outputs(folder.path());
    let mut command = cli::record(&server, &path);
    command.args(["--audio", "aac", "--duration", "5", "--report"]);
    let mut program = Program::start(command.arg(&report));
    let (publisher, tracks) = publish(&server, VideoCodec::H264).await;
    let ended = program.ended(DEADLINE).await;
    let sent = tracks[0].sent_frames();
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);

    let probe = assert_plays(&path, 4.8..5.2, "aac");
    assert_eq!(
        (probe.audio().sample_rate, probe.audio().channels),
        (48_000, 2)
    );
    media::assert_run_of(&sent, &media::h264_pictures(&path));
    let report = read_report(&report);
    let tracks = &report["recordings"][0]["tracks"];
    assert_eq!(tracks[0]["treatment"], "copied", "{tracks}");
    assert_eq!(tracks[1]["treatment"], "transcoded", "{tracks}");
    let codecs = (&tracks[1]["codec"], &tracks[1]["written_codec"]);
    assert_eq!(codecs, (&"Opus".into(), &"AAC".into()));
}
