//! `whep_viewer` at a WHEP server: what it sends is in the file bit for bit, the session is deleted
//! at the end, and what cannot be done is told.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use livekit_stream_tests::clip::{VideoCodec, VideoOptions};
use livekit_stream_tests::media::{self, Probe};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, WhepServer};
use livekit_stream_tests::{process, require};

const DEADLINE: Duration = Duration::from_secs(60);
const TOKEN: &str = "a-token";

/// A server that shows a clip longer than what is recorded, as the loop's seam is out of sync.
async fn server(codec: VideoCodec) -> WhepServer {
    let options = VideoOptions::of(codec).seconds(20);
    WhepServer::start(PublishOptions::camera_and_microphone(options), TOKEN).await
}

fn viewer(url: &str, token: &str, path: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_whep_viewer"));
    command.arg(url).arg(path).arg("5");
    command.env("WHEP_TOKEN", token);
    command.env("NO_PROXY", "127.0.0.1");
    command
}

async fn view(url: String, token: &'static str, path: PathBuf) -> process::Output {
    let run = move || process::run(&mut viewer(&url, token, &path), DEADLINE);
    tokio::task::spawn_blocking(run).await.expect("it has run")
}

/// Views five seconds, and asserts that the file has what was sent.
async fn assert_copied(codec: VideoCodec) -> Probe {
    let server = server(codec).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("viewed.mp4");
    let output = view(server.url(), TOKEN, path.clone()).await;
    assert!(output.success(), "{}", output.stderr);
    let printed = String::from_utf8_lossy(&output.stdout);
    println!("{printed}");
    assert!(printed.contains(",opus\n"), "the codecs are told");
    assert_eq!(server.sessions(), 1);
    assert!(server.all_deleted(), "the session is deleted");

    let probe = media::assert_plays(&path);
    assert_eq!((probe.video().width, probe.video().height), (640, 360));
    assert_eq!(
        (probe.audio().codec.as_str(), probe.audio().channels),
        ("opus", 2)
    );
    let packets = probe.packets_of(probe.video());
    assert!(packets[0].keyframe, "the file begins with a keyframe");
    let pictures = media::copied_pictures(&path, codec);
    // A picture at the very end may be a microsecond early or late.
    let span = media::assert_steady(packets.iter().filter_map(|one| one.pts_us), 33_333);
    assert!((4_930_000..=5_001_000).contains(&span), "{span} us");
    assert_eq!(media::decoded_frames(&path), pictures.len());
    media::assert_run_of(&server.sent_frames(0), &pictures);
    let sound = media::opus_without_silence(&path);
    media::assert_run_of(&server.sent_frames(1), &sound);
    assert!(
        (245..=255).contains(&sound.len()),
        "{} packets",
        sound.len()
    );
    media::assert_in_sync(&path, 4);
    probe
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h264_and_opus_are_copied() {
    require!(Peer::Ffmpeg);
    let probe = assert_copied(VideoCodec::H264).await;
    assert_eq!(probe.video().codec, "h264");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp9_and_opus_are_copied() {
    require!(Peer::Ffmpeg);
    let probe = assert_copied(VideoCodec::Vp9).await;
    assert_eq!(probe.video().codec, "vp9");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_mp4_does_not_take_is_told_and_the_session_is_deleted() {
    require!(Peer::Ffmpeg);
    let server = server(VideoCodec::Vp8).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("viewed.mp4");
    let output = view(server.url(), TOKEN, path.clone()).await;
    assert!(!output.success());
    assert!(
        output.stderr.contains("VP8 cannot go into MP4"),
        "{}",
        output.stderr
    );
    assert!(server.sessions() == 1 && server.all_deleted());
    assert!(!path.exists(), "no file is begun");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refusal_is_told_without_credentials() {
    require!(Peer::Ffmpeg);
    let server = server(VideoCodec::H264).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let url = server.url().replace("http://", "http://user:password@") + "?key=secret";
    let output = view(url, "a-wrong-token", folder.path().join("viewed.mp4")).await;
    assert!(!output.success());
    let told = format!("401 Unauthorized from {}", server.url());
    assert!(output.stderr.contains(&told), "{}", output.stderr);
    for secret in ["user", "password", "secret", "a-wrong-token"] {
        assert!(!output.stderr.contains(secret), "{}", output.stderr);
    }
    assert_eq!(server.sessions(), 0);
}
