//! What ffprobe reads in a file.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::DEADLINE;
use crate::peers::Peer;
use crate::process;

/// A file.
#[derive(Debug, Clone)]
pub struct Probe {
    /// ffprobe's names of the format, `mov,mp4,m4a,3gp,3g2,mj2` or `flv`.
    pub format: String,
    /// The whole file's duration in microseconds, when it is known.
    pub duration_us: Option<i64>,
    /// Its streams in file order.
    pub streams: Vec<Stream>,
    /// The packets of all streams in file order.
    pub packets: Vec<Packet>,
}

/// What a stream holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Anything else.
    Other,
}

/// One stream of a file.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its place in [`Probe::streams`].
    pub index: usize,
    /// Video or audio.
    pub kind: StreamKind,
    /// ffprobe's name of the codec: `h264`, `opus`, `aac`, `vp8`.
    pub codec: String,
    /// Coded width in pixels, 0 for sound.
    pub width: u32,
    /// Coded height in pixels, 0 for sound.
    pub height: u32,
    /// Samples a second, 0 for pictures.
    pub sample_rate: u32,
    /// Channels, 0 for pictures.
    pub channels: u32,
    /// Duration in microseconds, when the file tells.
    pub duration_us: Option<i64>,
}

/// One packet of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet {
    /// The index of its stream.
    pub stream: usize,
    /// Presentation time in microseconds.
    pub pts_us: Option<i64>,
    /// Decoding time in microseconds.
    pub dts_us: Option<i64>,
    /// Duration in microseconds.
    pub duration_us: Option<i64>,
    /// Bytes.
    pub size: usize,
    /// Whether the file says that it is a keyframe.
    pub keyframe: bool,
}

impl Probe {
    /// The first stream of a kind.
    ///
    /// # Panics
    ///
    /// When there is none.
    pub fn first(&self, kind: StreamKind) -> &Stream {
        let stream = self.streams.iter().find(|stream| stream.kind == kind);
        stream.unwrap_or_else(|| panic!("no {kind:?} stream among {:?}", self.streams))
    }

    /// The first video stream.
    pub fn video(&self) -> &Stream {
        self.first(StreamKind::Video)
    }

    /// The first audio stream.
    pub fn audio(&self) -> &Stream {
        self.first(StreamKind::Audio)
    }

    /// The packets of one stream, in file order.
    pub fn packets_of(&self, stream: &Stream) -> Vec<Packet> {
        let packets = self.packets.iter();
        packets
            .filter(|packet| packet.stream == stream.index)
            .copied()
            .collect()
    }

    /// Asserts that each stream's decoding times only grow.
    ///
    /// # Panics
    ///
    /// At the first packet that is not later than the one before it, or that has no time.
    pub fn assert_monotonic(&self) {
        for stream in &self.streams {
            let mut last = i64::MIN;
            for packet in self.packets_of(stream) {
                let dts = packet
                    .dts_us
                    .unwrap_or_else(|| panic!("{packet:?} has no time"));
                assert!(dts > last, "{packet:?} is not later than {last} us");
                last = dts;
            }
        }
    }
}

/// Reads a file's streams and packets. The file may end in the middle of a fragment.
///
/// # Panics
///
/// When ffprobe cannot read it.
pub fn probe(path: &Path) -> Probe {
    let json = ffprobe(path, &["-show_format", "-show_streams", "-show_packets"]);
    let list = |name: &str| json[name].as_array().cloned().unwrap_or_default();
    Probe {
        format: text(&json["format"], "format_name"),
        duration_us: microseconds(&json["format"], "duration"),
        streams: list("streams").iter().map(stream).collect(),
        packets: list("packets").iter().map(packet).collect(),
    }
}

/// How many pictures ffprobe decodes from the first video stream.
pub fn decoded_frames(path: &Path) -> usize {
    let json = ffprobe(
        path,
        &["-count_frames", "-select_streams", "v:0", "-show_streams"],
    );
    number(&json["streams"][0], "nb_read_frames") as usize
}

pub(super) fn ffprobe(path: &Path, what: &[&str]) -> Value {
    let program = Peer::Ffmpeg.path().with_file_name("ffprobe");
    let mut command = Command::new(program);
    command.args(["-hide_banner", "-loglevel", "error", "-of", "json"]);
    let json = process::run_ok(command.args(what).arg(path), DEADLINE);
    serde_json::from_slice(&json).expect("ffprobe writes JSON")
}

fn stream(json: &Value) -> Stream {
    Stream {
        index: number(json, "index") as usize,
        kind: match text(json, "codec_type").as_str() {
            "video" => StreamKind::Video,
            "audio" => StreamKind::Audio,
            _ => StreamKind::Other,
        },
        codec: text(json, "codec_name"),
        width: number(json, "width"),
        height: number(json, "height"),
        sample_rate: number(json, "sample_rate"),
        channels: number(json, "channels"),
        duration_us: microseconds(json, "duration"),
    }
}

fn packet(json: &Value) -> Packet {
    Packet {
        stream: number(json, "stream_index") as usize,
        pts_us: microseconds(json, "pts_time"),
        dts_us: microseconds(json, "dts_time"),
        duration_us: microseconds(json, "duration_time"),
        size: number(json, "size") as usize,
        keyframe: text(json, "flags").starts_with('K'),
    }
}

fn text(json: &Value, key: &str) -> String {
    json[key].as_str().unwrap_or_default().to_owned()
}

/// ffprobe writes some numbers as numbers and others as text.
fn number(json: &Value, key: &str) -> u32 {
    let value = &json[key];
    value
        .as_u64()
        .or_else(|| value.as_str()?.parse().ok())
        .unwrap_or(0) as u32
}

fn microseconds(json: &Value, key: &str) -> Option<i64> {
    let seconds: f64 = json[key].as_str()?.parse().ok()?;
    Some((seconds * 1e6).round() as i64)
}
