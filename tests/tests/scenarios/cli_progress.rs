//! What `livekit-stream record` shows while it runs: lines that change in place on a terminal,
//! plain lines elsewhere.

use std::time::Duration;

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::VideoOptions;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::{media, require};

const DEADLINE: Duration = Duration::from_secs(40);

/// What comes before the first keyframe is dropped, so the last figure differs.
const LOSS_AND_DROPS: &str = ", lost 0, recovered 0, dropped ";

async fn publish(server: &LiveKitServer) -> (Publisher, Vec<PublishedTrack>) {
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let options = VideoOptions::default().seconds(30);
    let tracks = publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    (publisher, tracks)
}

/// The lines of a screen's text without the sequences that move and colour (ECMA-48 section 5.4).
fn lines(screen: &str) -> Vec<String> {
    let mut plain = String::new();
    let mut characters = screen.chars();
    while let Some(character) = characters.next() {
        match character {
            // A control sequence ends with a character from @ to ~.
            '\u{1b}' => {
                characters.next();
                let _ = characters.find(|end| ('@'..='~').contains(end));
                plain.push('\n');
            }
            '\r' => plain.push('\n'),
            other => plain.push(other),
        }
    }
    // A line that lives is filled up to the screen's edge, and the next one follows there.
    let plain = plain.replace("   ", "\n");
    let lines = plain.lines().map(str::trim).filter(|line| !line.is_empty());
    lines.map(str::to_owned).collect()
}

/// The number before ` unit` in a line.
fn figure(line: &str, unit: &str) -> Option<f64> {
    let before = line.split(&format!(" {unit}")).next()?;
    let number = before.rsplit([' ', ',']).next()?;
    if before.len() == line.len() {
        return None;
    }
    number.parse().ok()
}

/// Whether a line tells alice's camera: its codec, its rates within reason, loss and drops.
fn tells_the_camera(line: &str) -> bool {
    let bit_rate = figure(line, "kb/s").or(figure(line, "Mb/s").map(|mega| mega * 1000.0));
    line.contains("alice camera: ")
        && line.contains("H.264 copied, 640x360, ")
        && bit_rate.is_some_and(|bit_rate| (300.0..2000.0).contains(&bit_rate))
        && figure(line, "fps").is_some_and(|fps| (24.0..36.0).contains(&fps))
        && line.contains(LOSS_AND_DROPS)
}

fn tells_the_microphone(line: &str) -> bool {
    line.contains("alice microphone: ")
        && line.contains("Opus copied, ")
        && figure(line, "kb/s").is_some_and(|bit_rate| (1.0..200.0).contains(&bit_rate))
        && line.contains(LOSS_AND_DROPS)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_terminal_shows_lines_that_live_until_ctrl_c() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.mp4");
    let mut program = Program::start_on_terminal(&cli::record(&server, &path));
    program.says("waiting for", DEADLINE).await;
    let (publisher, tracks) = publish(&server).await;
    let shown = program.shows("figures of both tracks", DEADLINE, |screen| {
        let lines = lines(screen);
        let camera = lines.iter().filter(|line| tells_the_camera(line)).count();
        camera >= 3 && lines.iter().any(|line| tells_the_microphone(line))
    });
    shown.await;
    // Plain lines would come every five seconds.
    assert!(tracks[0].sent().len() < 15 * 30, "a new line each second");
    program.press_ctrl_c();
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    media::assert_plays(&path);
    // The lines that lived are gone: after the last of them the summary is written.
    let lines = lines(&ended.stderr);
    let summary = lines.last().map(String::as_str).unwrap_or_default();
    assert!(
        summary.contains("out.mp4: ") && summary.ends_with("stopped"),
        "{lines:#?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_terminal_plain_lines_come_more_seldom() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.mp4");
    let mut program = Program::start(&mut cli::record(&server, &path));
    program.says("waiting for", DEADLINE).await;
    let (publisher, _tracks) = publish(&server).await;
    let shown = program.shows("figures of both tracks", DEADLINE, |text| {
        text.lines().any(tells_the_camera) && text.lines().any(tells_the_microphone)
    });
    shown.await;
    program.terminate();
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(!ended.stderr.contains(['\u{1b}', '\r']), "{}", ended.stderr);
    let lines = ended.stderr.lines();
    let progress = lines
        .filter(|line| line.starts_with("alice camera: "))
        .count();
    assert!(
        (2..=4).contains(&progress),
        "{progress} lines: {}",
        ended.stderr
    );
}
