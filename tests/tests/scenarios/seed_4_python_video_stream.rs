//! `VideoStream` beside that of LiveKit's Python SDK, on the same track at the same time: the same
//! pictures, as many of them, at the same distances, turned alike.

use std::fs::File;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;

use futures::StreamExt;
use livekit_stream::{RoomEvent, TrackSource, VideoFormat, VideoFrameEvent, VideoStream};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::process::Process;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::{python, require};
use serde_json::Value;

/// Pictures that each of the two takes.
const COUNT: usize = 120;
/// Pictures that a busy machine may cost one of them.
const SLACK: usize = 30;

/// The formats that theirs converts I420 to.
const PACKED: [(&str, VideoFormat); 5] = [
    ("RGBA", VideoFormat::Rgba),
    ("ABGR", VideoFormat::Abgr),
    ("ARGB", VideoFormat::Argb),
    ("BGRA", VideoFormat::Bgra),
    ("RGB24", VideoFormat::Rgb24),
];

/// The script at work.
struct Theirs {
    process: Process,
    pictures: PathBuf,
    lines: PathBuf,
}

impl Theirs {
    fn start(server: &LiveKitServer, format: &str, folder: &Path) -> Self {
        let (pictures, lines) = (folder.join("pictures"), folder.join("lines"));
        let mut command = python::script("video_stream.py", python::LIVEKIT);
        command.arg(server.url());
        command.arg(server.participant_token("room", "python"));
        command.arg(&pictures).arg(COUNT.to_string()).arg(format);
        command.stdout(File::create(&lines).expect("a file for its output"));
        command.stderr(Stdio::inherit());
        Self {
            process: Process::spawn(&mut command),
            pictures,
            lines,
        }
    }

    /// The whole lines it has said.
    fn said(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(&self.lines).expect("its output is read");
        let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
        let lines = whole.lines();
        lines
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }

    /// What it says of each picture, and the pictures' samples.
    async fn end(mut self) -> Vec<(Value, Vec<u8>)> {
        let status = self.process.wait(DEADLINE).await;
        assert!(status.is_some_and(|it| it.success()), "{status:?}");
        let samples = std::fs::read(&self.pictures).expect("its pictures are read");
        let said = &self.said()[1..];
        assert_eq!(said.len(), COUNT);
        let pictures = samples.chunks_exact(samples.len() / COUNT);
        said.iter()
            .cloned()
            .zip(pictures.map(<[u8]>::to_vec))
            .collect()
    }
}

/// Whether two pictures are the same but for rounding. Most that are not differ in a few samples
/// already.
fn alike(a: &[u8], b: &[u8]) -> bool {
    let some = |samples: &[u8]| -> Vec<u8> { samples.iter().step_by(61).copied().collect() };
    media::psnr(&some(a), &some(b)) > 35.0 && media::psnr(a, b) > 40.0
}

/// The first of our pictures that is the one given, among some.
fn find(ours: &[VideoFrameEvent], among: Range<usize>, samples: &[u8]) -> Option<usize> {
    let mut candidates = among.take_while(|index| *index < ours.len());
    candidates.find(|index| alike(ours[*index].frame.data(), samples))
}

async fn agree(codec: VideoCodec, format_of_stream: VideoFormat, name: &str) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let folder = tempfile::tempdir().expect("a folder");
    let theirs = Theirs::start(&server, name, folder.path());
    eventually("the Python SDK has joined", || !theirs.said().is_empty()).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let mut options = VideoOptions::of(codec);
    // No picture comes twice.
    options.seconds = 10;
    let clip = VideoClip::make(options);
    // Ours reads from the first picture on, however late the test's own thread is.
    let alice = guest
        .until(|event| match event {
            RoomEvent::ParticipantConnected(one) if one.identity() == "alice" => Some(one),
            _ => None,
        })
        .await;
    let mut video = VideoStream::builder((&alice, TrackSource::Camera))
        .capacity(0)
        .format(format_of_stream)
        .build();
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let pictures_file = theirs.pictures.clone();
    let mut ours = Vec::new();
    let mut theirs = pin!(theirs.end());
    let theirs = loop {
        tokio::select! {
            theirs = &mut theirs => break theirs,
            picture = video.next() => ours.push(picture.expect("the track goes on")),
        }
    };
    publisher.leave().await;
    guest.room.close().await;

    let time = |said: &Value| said["timestamp_us"].as_i64().expect("a time");
    // Theirs may have begun before ours.
    let first_shared = theirs
        .iter()
        .position(|(_, samples)| find(&ours, 0..ours.len(), samples).is_some())
        .expect("a picture that both have");
    let mut matches: Vec<(usize, &Value)> = Vec::new();
    for (said, samples) in &theirs[first_shared..] {
        let from = matches.last().map_or(0, |(last, _)| last + 1);
        let found = find(&ours, from..ours.len(), samples);
        let index = found.unwrap_or_else(|| panic!("none from {from} on is like theirs"));
        let event = &ours[index];
        assert_eq!(said["width"], event.frame.width());
        assert_eq!(said["height"], event.frame.height());
        assert_eq!(said["rotation"], event.rotation.degrees());
        matches.push((index, said));
    }
    let (first, last) = (matches[0], matches[matches.len() - 1]);
    let spanned = last.0 - first.0 + 1;
    let packed = PACKED
        .iter()
        .filter(|_| format_of_stream == VideoFormat::I420);
    for &(name, format) in packed {
        let picture = pictures_file.with_extension(name);
        let theirs = std::fs::read(picture).expect("their conversion is read");
        let ours = ours[last.0].frame.convert(format, false).expect("a format");
        let psnr = media::psnr(ours.data(), &theirs);
        assert!(psnr > 40.0, "{name}: {psnr} dB");
    }
    println!("{} of {spanned} pictures are theirs too", matches.len());
    // Theirs leaves pictures out where the machine is too busy, ours does not.
    assert_eq!(video.dropped_frames(), 0);
    assert!(10 * matches.len() >= 8 * spanned);
    assert!(matches.len() >= COUNT - SLACK);

    // Theirs are times of showing: later by a delay that is the same for all, but on a busy machine.
    let delay = |(index, said): (usize, &Value)| time(said) - ours[index].timestamp_us;
    let mut delays: Vec<i64> = matches.iter().copied().map(delay).collect();
    delays.sort_unstable();
    let (early, late) = (delays[delays.len() / 4], delays[delays.len() * 3 / 4]);
    assert!(
        late - early < 20_000,
        "half of them within 20 ms: {delays:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_5_the_python_sdk_sees_the_same_h264_and_converts_it_alike() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::LiveKitPython);
    agree(VideoCodec::H264, VideoFormat::I420, "I420").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_4_6_the_python_sdk_sees_the_same_vp8_in_rgb() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::LiveKitPython,
        Peer::Libvpx
    );
    agree(VideoCodec::Vp8, VideoFormat::Rgb24, "RGB24").await;
}
