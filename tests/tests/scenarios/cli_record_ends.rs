//! However `livekit-stream record` ends, what it wrote plays.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::VideoOptions;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::{media, process, require};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(40);

async fn publish(server: &LiveKitServer, identity: &str) -> (Publisher, Vec<PublishedTrack>) {
    publish_of(server, identity, VideoOptions::default()).await
}

/// Publishes 14 seconds of such pictures, and sound.
async fn publish_of(
    server: &LiveKitServer,
    identity: &str,
    options: VideoOptions,
) -> (Publisher, Vec<PublishedTrack>) {
    let token = server.publisher_token("room", identity);
    let publisher = Publisher::join(&server.url(), &token).await;
    let options = options.seconds(14);
    let tracks = publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    (publisher, tracks)
}

/// The program, ready to record `room` to the path that comes with it.
async fn record(server: &LiveKitServer, name: &str, more: &[&str]) -> (Program, TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    let mut command = cli::record(server, &path);
    let mut program = Program::start(command.args(more));
    program.says("waiting for", DEADLINE).await;
    (program, folder, path)
}

/// Waits until a pipe takes no more.
async fn filled(pipe: &File) {
    let end = Instant::now() + DEADLINE;
    loop {
        let mut polled = [PollFd::new(pipe, PollFlags::OUT)];
        poll(&mut polled, Some(&Timespec::default())).expect("it can be asked");
        if polled[0].revents().is_empty() {
            return;
        }
        assert!(Instant::now() < end, "the pipe is not full");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// What a file holds of whole fragments (ISO/IEC 14496-12 clauses 4.2 and 8.8).
fn whole_fragments(file: &[u8]) -> &[u8] {
    let (mut at, mut end) = (0, 0);
    while let Some((header, _)) = file.get(at..).and_then(<[u8]>::split_first_chunk::<8>) {
        let (size, name) = header.split_at(4);
        let size = size
            .iter()
            .fold(0, |size, byte| size << 8 | usize::from(*byte));
        at += size.max(header.len());
        if name == b"mdat" && at <= file.len() {
            end = at;
        }
    }
    &file[..end]
}

fn seconds(path: &Path) -> f64 {
    let probe = media::assert_plays(path);
    probe.duration_us.expect("a duration") as f64 / 1e6
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_and_sigterm_close_the_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let (mut first, _folder, interrupted) = record(&server, "interrupted.mp4", &[]).await;
    let (mut second, _folder_2, terminated) = record(&server, "terminated.mp4", &[]).await;
    let (publisher, tracks) = publish(&server, "alice").await;
    tracks[0].sent_at_least(150, DEADLINE).await;
    first.interrupt();
    second.terminate();
    for (program, path) in [(&mut first, &interrupted), (&mut second, &terminated)] {
        let ended = program.ended(DEADLINE).await;
        assert_eq!(ended.code, Some(0), "{}", ended.stderr);
        let (seconds, sent) = (seconds(path), tracks[0].sent().len() as f64 / 30.0);
        assert!(
            (2.0..sent + 0.6).contains(&seconds),
            "{seconds} s of {sent} s"
        );
    }
    publisher.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_ctrl_c_does_not_wait_for_what_holds_up_the_first() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    // A pipe that is read no further: what is to be written at the end cannot be.
    let pipe = folder.path().join("out.mp4");
    let mut make = Command::new("mkfifo");
    process::run_ok(make.arg(&pipe), DEADLINE);
    let mut reader = OpenOptions::new();
    let mut reader = reader.read(true).write(true).open(&pipe).expect("a pipe");
    let mut program = Program::start(&mut cli::record(&server, &pipe));
    // Half a second, a fragment, is half of what a pipe holds.
    let options = VideoOptions::default().kbps(400, 0);
    let (publisher, tracks) = publish_of(&server, "alice", options).await;
    filled(&reader).await;
    program.interrupt();
    program.says("Ctrl-C: ", DEADLINE).await;
    // The recorder gives what is on its way two seconds, and the pipe takes nothing.
    tracks[0]
        .sent_at_least(tracks[0].sent().len() + 120, DEADLINE)
        .await;
    assert!(program.is_running(), "it still waits to write the end");
    program.interrupt();
    // Less than the recorder itself gives to what is on its way.
    let ended = program.ended(Duration::from_secs(2)).await;
    assert_eq!(ended.code, Some(130), "{}", ended.stderr);
    publisher.leave().await;

    // What a pipe holds: 64 KiB, most often the last fragment in part.
    let mut written = vec![0; 1 << 16];
    let length = reader.read(&mut written).expect("the pipe is read");
    let path = folder.path().join("read.mp4");
    fs::write(&path, whole_fragments(&written[..length])).expect("it is kept");
    let seconds = seconds(&path);
    assert!(seconds > 0.3, "{seconds} s in {length} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_deleted_room_ends_the_recording_properly() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let (mut program, _folder, path) = record(&server, "out.mp4", &[]).await;
    let (publisher, tracks) = publish(&server, "alice").await;
    tracks[0].sent_at_least(90, DEADLINE).await;
    server.delete_room("room").await;
    let ended = program.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    assert!(seconds(&path) > 1.5);
    publisher.abort().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_recorder_leaves_a_file_that_plays_to_within_a_second() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let (mut program, _folder, path) = record(&server, "out.mp4", &[]).await;
    let (publisher, tracks) = publish(&server, "alice").await;
    tracks[0].sent_at_least(200, DEADLINE).await;
    let sent = tracks[0].sent_frames();
    program.kill();
    publisher.leave().await;
    assert!(program.ended(DEADLINE).await.code.is_none());
    seconds(&path);
    // How many pictures were sent before the kill after the last one in the file.
    let pictures = media::h264_pictures(&path);
    let last = pictures.last().expect("pictures");
    let missing = sent.iter().rev().position(|sent| sent == last);
    let missing = missing.expect("it was sent") as f64 / 30.0;
    assert!(missing < 1.0, "{missing} s before the kill are missing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_comes_and_nothing_is_left_behind() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let (mut program, _folder, path) = record(&server, "out.mp4", &[]).await;
    program.interrupt();
    let ended = program.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(1), "{}", ended.stderr);
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_takes_everybody() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let (mut program, _folder, path) = record(&server, "everybody", &["--duration", "4"]).await;
    let ((alice, _alices), (bob, _bobs)) =
        tokio::join!(publish(&server, "alice"), publish(&server, "bob"));
    let ended = program.ended(DEADLINE).await;
    alice.leave().await;
    bob.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    for name in ["alice-camera.mp4", "bob-camera.mp4"] {
        let seconds = seconds(&path.join(name));
        assert!((3.8..4.2).contains(&seconds), "{name}: {seconds} s");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn somebody_who_comes_back_goes_on_in_the_same_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let (mut program, _folder, path) =
        record(&server, "out.mp4", &["--participant", "alice"]).await;
    for _ in 0..2 {
        let (publisher, tracks) = publish(&server, "alice").await;
        tracks[0].sent_at_least(90, DEADLINE).await;
        publisher.leave().await;
    }
    program.terminate();
    let ended = program.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let seconds = seconds(&path);
    assert!(seconds > 4.5, "{seconds} s of twice 3 s");
}
