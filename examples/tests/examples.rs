//! Each example does what it says, run as a program against real peers.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media::{self, StreamKind};
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::{process, require};

const DEADLINE: Duration = Duration::from_secs(60);
const ROOM: &str = "room";

/// A room in which alice shows a clip and is heard.
struct Stage {
    server: LiveKitServer,
    _alice: Publisher,
    _tracks: Vec<PublishedTrack>,
}

impl Stage {
    async fn set(codec: VideoCodec) -> Self {
        // Longer than any example runs, so that no seam of the loop is seen: the beep there is late.
        let clip = VideoClip::make(VideoOptions::of(codec).seconds(20));
        let sound = AudioClip::make(20);
        let server = LiveKitServer::start().await;
        let token = server.publisher_token(ROOM, "alice");
        let alice = Publisher::join(&server.url(), &token).await;
        let tracks = alice
            .publish_all(vec![
                PublishOptions::camera(clip),
                PublishOptions::microphone(sound),
            ])
            .await;
        Self {
            server,
            _alice: alice,
            _tracks: tracks,
        }
    }

    /// The lines that an example prints in this room.
    async fn run(&self, program: &str, arguments: &[&str]) -> Vec<String> {
        let mut command = Command::new(program);
        let token = self.server.participant_token(ROOM, "example");
        command.args(["--url", &self.server.url(), "--token", &token]);
        command.args(arguments);
        run(command).await
    }
}

async fn run(mut command: Command) -> Vec<String> {
    let printed = tokio::task::spawn_blocking(move || process::run_ok(&mut command, DEADLINE));
    let printed = printed.await.expect("the example has run");
    let printed = String::from_utf8(printed).expect("the example prints text");
    print!("{printed}");
    printed.lines().map(str::to_owned).collect()
}

/// The number before ` us ` at the start of a line.
fn time_us(line: &str) -> i64 {
    let number = line.split(" us ").next().and_then(|us| us.parse().ok());
    number.unwrap_or_else(|| panic!("no time in {line:?}"))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn frames_prints_the_pictures_of_a_camera() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let stage = Stage::set(VideoCodec::H264).await;
    let lines = stage.run(env!("CARGO_BIN_EXE_frames"), &["40"]).await;
    assert_eq!(lines.len(), 42, "{lines:#?}");
    assert_eq!(lines[0], "alice camera video/H264");
    let pictures = &lines[1..41];
    let size_and_format = "us 640x360 0 degrees I420";
    assert!(pictures.iter().all(|line| line.ends_with(size_and_format)));
    media::assert_steady(pictures.iter().map(|line| time_us(line)), 33_333);
    // What came before the keyframe that reading starts with counts as dropped.
    assert!(lines[41].ends_with(" dropped, 0 errors"), "{}", lines[41]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn record_writes_a_playable_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let stage = Stage::set(VideoCodec::H264).await;
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("alice.mp4");
    let name = path.to_str().expect("the path is text");
    let lines = stage.run(env!("CARGO_BIN_EXE_record"), &[name, "3"]).await;
    assert_eq!(lines.len(), 3, "{lines:#?}");
    assert!(lines[1].starts_with("camera H.264 Copied as H.264: "));
    assert!(lines[2].starts_with("microphone Opus Copied as Opus: "));
    let probe = media::assert_plays(&path);
    assert_eq!((probe.video().width, probe.audio().channels), (640, 2));
    let pictures = probe.packets_of(probe.video());
    assert_eq!(media::decoded_frames(&path), pictures.len());
    let span = media::assert_steady(pictures.iter().filter_map(|one| one.pts_us), 33_333);
    // Three seconds, the last of which the sound may end.
    assert!((2_800_000..=3_001_000).contains(&span), "{span} us");
    media::assert_in_sync(&path, 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn restream_sends_pictures_to_an_rtmp_server() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let stage = Stage::set(VideoCodec::H264).await;
    let nginx = NginxRtmp::start().await;
    let mut pull = nginx.pull(LIVE, "key", 2).await;
    let url = nginx.url(LIVE, "key");
    let lines = stage
        .run(env!("CARGO_BIN_EXE_restream"), &[&url, "9"])
        .await;
    assert!(lines[0].contains(" pictures sent, "), "{lines:#?}");
    assert!(!lines[0].contains("key"), "the stream key is not shown");
    let file = pull.finish(DEADLINE).await;
    media::decode_without_errors(file);
    let probe = media::probe(file);
    assert_eq!(probe.video().codec, "h264");
    let pictures = media::decoded_frames(file);
    assert!(pictures >= 45, "{pictures} pictures in 2 s");
}

/// Runs `fmp4_chunks` for 60 frames, and returns the file that its chunks make together.
async fn chunks(codec: VideoCodec, folder: &Path) -> PathBuf {
    let stage = Stage::set(codec).await;
    let name = folder.to_str().expect("the path is text");
    let program = env!("CARGO_BIN_EXE_fmp4_chunks");
    let lines = stage.run(program, &[name, "60"]).await;
    assert!(lines[0].starts_with("Init "), "{}", lines[0]);
    assert!(lines[1..].iter().all(|line| line.starts_with("Media ")));
    let mut whole = Vec::new();
    for line in &lines {
        let chunk = fs::read(line.rsplit(' ').next().expect("a path")).expect("the chunk");
        let first_box = if line.starts_with("Init") {
            b"ftyp"
        } else {
            b"moof"
        };
        assert_eq!(chunk.get(4..8), Some(&first_box[..]), "{line}");
        whole.extend(chunk);
    }
    let path = folder.join("whole.mp4");
    fs::write(&path, whole).expect("the chunks are put together");
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fmp4_chunks_of_h264_make_a_playable_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = chunks(VideoCodec::H264, folder.path()).await;
    media::decode_without_errors(&path);
    assert_eq!(media::decoded_frames(&path), 60);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn fmp4_chunks_of_vp8_are_h264_and_make_a_playable_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Libvpx);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = chunks(VideoCodec::Vp8, folder.path()).await;
    media::decode_without_errors(&path);
    let probe = media::probe(&path);
    assert_eq!(probe.first(StreamKind::Video).codec, "h264");
    assert_eq!(media::decoded_frames(&path), 60);
}

#[tokio::test]
async fn webrtc_track_reads_pictures_without_livekit() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_webrtc_track"));
    command.arg("30");
    let lines = run(command).await;
    assert_eq!(lines.len(), 30, "{lines:#?}");
    assert!(lines.iter().all(|line| line.contains(" us 320x240 luma ")));
    media::assert_steady(lines.iter().map(|line| time_us(line)), 20_000);
    let luma = |line: &String| {
        line.rsplit(' ')
            .next()
            .and_then(|luma| luma.parse::<i32>().ok())
    };
    let (first, last) = (luma(&lines[0]), luma(&lines[29]));
    let gain = last.expect("a number") - first.expect("a number");
    assert!(
        (26..=32).contains(&gain),
        "brightened by {gain} in 29 pictures"
    );
}

#[tokio::test]
async fn mkv_to_fmp4_copies_pictures_and_sound() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (input, output) = (path("in.mkv"), path("out.mp4"));
    let mut ffmpeg = Command::new(Peer::Ffmpeg.path());
    ffmpeg.args("-v error -f lavfi -i testsrc2=r=25 -f lavfi -i sine=r=48000 -t 5".split(' '));
    ffmpeg.args("-c:v libx264 -preset veryfast -c:a aac".split(' '));
    run({
        ffmpeg.arg(&input);
        ffmpeg
    })
    .await;
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkv_to_fmp4"));
    command.args([&input, &output, "3"]);
    let lines = run(command).await;
    assert!(
        lines[0].starts_with("video/mp4; codecs=\"avc1."),
        "{lines:#?}"
    );
    assert!(lines[1].starts_with("75 pictures and 14"), "{lines:#?}");
    let probe = media::assert_plays(Path::new(&output));
    assert_eq!(
        (probe.video().codec.as_str(), probe.audio().codec.as_str()),
        ("h264", "aac")
    );
    assert_eq!(media::decoded_frames(Path::new(&output)), 75);
}
