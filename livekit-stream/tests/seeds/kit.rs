//! Files by ffmpeg, the pipeline on them, and what ffprobe reads in what comes out.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use bytes::Bytes;
use futures::executor::block_on;
use futures::{Stream, StreamExt, stream};
use livekit_stream::pipeline::mkv::{
    TranscodeError, TranscodeOptions, TranscodeStats, transcode_mkv,
};
use serde_json::Value;
use tempfile::TempDir;

/// A picture that moves, 25 a second.
pub const PICTURES: &str = "testsrc2=size=320x180:rate=25";
/// A tone.
pub const TONE: &str = "sine=frequency=440:sample_rate=48000";

/// Whether ffmpeg is there; where the environment says `PEERS=required` it has to be.
pub fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok();
    let required = std::env::var("PEERS").is_ok_and(|value| value == "required");
    assert!(
        found || !required,
        "PEERS=required, but ffmpeg is not installed"
    );
    if !found {
        println!("skipped: ffmpeg is not installed (apt-get install ffmpeg)");
    }
    found
}

/// A folder for a test's files.
pub struct Folder(TempDir);

impl Folder {
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// A file by ffmpeg, of pictures and a tone of so many seconds, encoded as asked.
    pub fn film(&self, name: &str, seconds: u32, options: &str) -> PathBuf {
        let sources = format!("-f lavfi -i {PICTURES} -f lavfi -i {TONE} -t {seconds}");
        self.ffmpeg(name, &format!("{sources} {options}"))
    }

    /// A file by ffmpeg.
    pub fn ffmpeg(&self, name: &str, arguments: &str) -> PathBuf {
        let path = self.path(name);
        let mut command = Command::new("ffmpeg");
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
        command.args(arguments.split_whitespace()).arg(&path);
        let output = command.stdin(Stdio::null()).output().unwrap();
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "ffmpeg {arguments}: {complaint}");
        path
    }

    /// A file of these bytes.
    pub fn write(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.path(name);
        fs::write(&path, bytes).unwrap();
        path
    }

    /// The file as MP4 by the pipeline.
    pub fn transcode(&self, source: &Path) -> PathBuf {
        let (pieces, _) =
            transcode(&fs::read(source).unwrap(), TranscodeOptions::default()).unwrap();
        self.write("out.mp4", &pieces.concat())
    }
}

/// Bytes as a network might bring them.
pub fn source(bytes: &[u8]) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    let pieces: Vec<_> = bytes
        .chunks(10_007)
        .map(Bytes::copy_from_slice)
        .map(Ok)
        .collect();
    stream::iter(pieces)
}

/// All items of a stream up to its first error.
pub fn collect<S>(stream: &mut S) -> Result<Vec<Bytes>, (Vec<Bytes>, TranscodeError)>
where
    S: Stream<Item = Result<Bytes, TranscodeError>> + Unpin,
{
    let mut pieces = Vec::new();
    while let Some(item) = block_on(stream.next()) {
        match item {
            Ok(piece) => pieces.push(piece),
            Err(error) => {
                assert!(
                    block_on(stream.next()).is_none(),
                    "an error is the last item"
                );
                return Err((pieces, error));
            }
        }
    }
    Ok(pieces)
}

pub fn transcode(
    file: &[u8],
    options: TranscodeOptions,
) -> Result<(Vec<Bytes>, TranscodeStats), TranscodeError> {
    let mut mp4 = transcode_mkv(source(file), options)?;
    let pieces = collect(&mut mp4).map_err(|(_, error)| error)?;
    Ok((pieces, mp4.stats()))
}

/// The names of a byte string's boxes; the last has to end where the bytes do.
pub fn boxes(mut bytes: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while !bytes.is_empty() {
        let size = u32::from_be_bytes(bytes[..4].try_into().unwrap()) as usize;
        names.push(String::from_utf8(bytes[4..8].to_vec()).unwrap());
        bytes = &bytes[size..];
    }
    names
}

/// What ffprobe reads of a packet; times in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    pub pts: Option<i64>,
    pub dts: Option<i64>,
    pub duration: Option<i64>,
    pub keyframe: bool,
    pub hash: String,
}

/// The packets of one stream, `v` or `a`, in the file's order.
pub fn packets(path: &Path, stream: &str) -> Vec<Packet> {
    let arguments = [
        "-show_packets",
        "-show_data_hash",
        "md5",
        "-select_streams",
        stream,
    ];
    let json = ffprobe(path, &arguments);
    let us = |packet: &Value, key: &str| {
        let seconds: f64 = packet[key].as_str()?.parse().ok()?;
        Some((seconds * 1e6).round() as i64)
    };
    let packets = json["packets"].as_array().cloned().unwrap_or_default();
    packets
        .iter()
        .map(|packet| Packet {
            pts: us(packet, "pts_time"),
            dts: us(packet, "dts_time"),
            duration: us(packet, "duration_time"),
            keyframe: packet["flags"].as_str().unwrap().starts_with('K'),
            hash: packet["data_hash"].as_str().unwrap().to_owned(),
        })
        .collect()
}

/// What ffprobe says of one stream.
pub fn stream_of(path: &Path, stream: &str) -> Value {
    ffprobe(path, &["-show_streams", "-select_streams", stream])["streams"][0].clone()
}

fn ffprobe(path: &Path, arguments: &[&str]) -> Value {
    let mut command = Command::new("ffprobe");
    command.args(["-hide_banner", "-loglevel", "error", "-of", "json"]);
    let output = command.args(arguments).arg(path).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "ffprobe {}: {complaint}",
        path.display()
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Decodes all of a file; the checksums of its pictures in the order in which they are shown.
pub fn decoded(path: &Path) -> Vec<String> {
    let mut command = Command::new("ffmpeg");
    command.args([
        "-hide_banner",
        "-nostdin",
        "-loglevel",
        "error",
        "-xerror",
        "-i",
    ]);
    command.arg(path).args([
        "-map",
        "0",
        "-fps_mode",
        "passthrough",
        "-f",
        "framehash",
        "-",
    ]);
    let output = command.output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaint.is_empty(),
        "{} does not decode: {complaint}",
        path.display()
    );
    let text = String::from_utf8(output.stdout).unwrap();
    let video = text.lines().filter(|line| line.starts_with("0,"));
    video
        .map(|line| line.rsplit(',').next().unwrap().trim().to_owned())
        .collect()
}

pub fn hashes(packets: &[Packet]) -> Vec<&str> {
    packets.iter().map(|packet| packet.hash.as_str()).collect()
}

/// Asserts that decoding times grow and no picture is shown before it is decoded.
pub fn assert_times_are_sound(packets: &[Packet]) {
    for pair in packets.windows(2) {
        assert!(pair[0].dts < pair[1].dts, "{pair:?}");
    }
    for packet in packets {
        assert!(packet.dts <= packet.pts, "{packet:?}");
    }
}
