//! `livekit-stream demo` needs no server and writes a file, an RTMP stream and a picture that
//! other programs can read.

use std::path::Path;
use std::time::{Duration, Instant};

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{media, require};

const DEADLINE: Duration = Duration::from_secs(60);

fn assert_plays(path: &Path, audio: &str) {
    let probe = media::assert_plays(path);
    let video = probe.video();
    assert_eq!((&*video.codec, &*probe.audio().codec), ("h264", audio));
    assert_eq!((video.width, video.height), (1280, 720));
    let pictures = probe.packets_of(video);
    assert_eq!(media::decoded_frames(path), pictures.len());
    let span = media::assert_steady(pictures.iter().filter_map(|one| one.pts_us), 33_333);
    assert!(
        (3_930_000..=4_001_000).contains(&span),
        "{}: {span} us",
        path.display()
    );
    media::assert_in_sync(path, 3);
}

#[tokio::test]
async fn the_demo_writes_what_it_says() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let output = folder.path().join("demo");
    let mut command = cli::command();
    command
        .args(["demo", "--duration", "4", "--output"])
        .arg(&output);
    let began = Instant::now();
    let mut program = Program::start(&mut command);
    let ended = program.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(
        began.elapsed() < Duration::from_secs(15),
        "{:?}",
        began.elapsed()
    );
    assert_plays(&output.join("recording.mp4"), "opus");
    assert_plays(&output.join("restream.flv"), "aac");

    let picture = output.join("frame.png");
    let bytes = std::fs::read(&picture).expect("a picture");
    assert!(bytes.starts_with(b"\x89PNG\r\n\x1a\n"));
    let picture = media::picture(&picture, Duration::ZERO);
    assert_eq!((picture.width, picture.height), (1280, 720));
    // The clock: white digits on black.
    let box_of_the_clock = picture.mean(384, 560, 588, 108);
    assert!(
        (40.0..160.0).contains(&box_of_the_clock),
        "{box_of_the_clock}"
    );
}

#[tokio::test]
async fn a_folder_that_cannot_be_written_is_named() {
    let mut command = cli::command();
    command.args(["demo", "--output", "/proc/demo"]);
    let ended = cli::run(&mut command, DEADLINE).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(ended.error().contains("/proc/demo"), "{}", ended.stderr);
}
