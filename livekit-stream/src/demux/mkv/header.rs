//! What stands before the first cluster: `Info` and `Tracks` (RFC 9559 section 5.1).

use bytes::Bytes;

use super::ebml::{children, float, text, unsigned};
use super::{MkvError, id};

/// Nanoseconds a tick where `Info` does not say.
const DEFAULT_TIMESTAMP_SCALE: u64 = 1_000_000;
/// More tracks than any file has.
const MAX_TRACKS: usize = 1_024;

/// A segment's description.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Header {
    /// `matroska` or `webm`.
    pub doc_type: String,
    /// Nanoseconds a tick: how exact the timestamps are. A million where nothing is said.
    pub timestamp_scale_ns: u64,
    /// How long the segment lasts, where it says so.
    pub duration_ns: Option<u64>,
    /// The tracks in their order.
    pub tracks: Vec<Track>,
}

/// What a track carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TrackKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Subtitles.
    Subtitle,
    /// Any other `TrackType`.
    Other(u8),
}

/// A `TrackEntry`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Track {
    /// What blocks name it by; never zero.
    pub number: u64,
    /// What it carries.
    pub kind: TrackKind,
    /// The codec, such as `V_MPEG4/ISO/AVC` or `A_OPUS`.
    pub codec_id: String,
    /// What the codec's decoder starts with; may be empty.
    pub codec_private: Bytes,
    /// How long each frame lasts, where all last the same.
    pub default_duration_ns: Option<u64>,
    /// What is in the timestamps of the codec's own delay, and has to be taken off them.
    pub codec_delay_ns: u64,
    /// The track may be used.
    pub enabled: bool,
    /// The track is to be chosen where the viewer has no wish.
    pub default: bool,
    /// The language, such as `eng` or `en-US`.
    pub language: String,
    /// A name for people; may be empty.
    pub name: String,
    /// What is said of pictures.
    pub video: Option<VideoSettings>,
    /// What is said of sound.
    pub audio: Option<AudioSettings>,
    /// What was done to its frames.
    pub encoding: Encoding,
}

/// What a track of pictures says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct VideoSettings {
    /// Columns of the encoded pictures.
    pub width: u32,
    /// Rows of the encoded pictures.
    pub height: u32,
}

/// What a track of sound says.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct AudioSettings {
    /// Samples a second; 8000 where nothing is said. Any number may stand here.
    pub sample_rate: f64,
    /// Samples a second that come out of the decoder, where they differ (HE-AAC).
    pub output_sample_rate: Option<f64>,
    /// Channels.
    pub channels: u32,
    /// Bits a sample of PCM, where it is said.
    pub bit_depth: Option<u32>,
}

impl Default for AudioSettings {
    fn default() -> Self {
        Self {
            sample_rate: 8_000.0,
            output_sample_rate: None,
            channels: 1,
            bit_depth: None,
        }
    }
}

/// What was done to a track's frames before they were put into blocks.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Encoding {
    /// Nothing.
    #[default]
    None,
    /// These bytes, with which all of them begin, were taken off. [`Reader`](super::Reader) puts
    /// them back.
    HeaderStripping(Bytes),
    /// What is not undone here; its name. The frames are as the file has them.
    Unsupported(&'static str),
}

/// The document's type.
pub(super) fn doc_type(ebml: &Bytes) -> Result<String, MkvError> {
    let mut doc_type = "matroska".to_owned();
    for child in children("EBML header", ebml) {
        let (id, data) = child?;
        if id == id::DOC_TYPE {
            doc_type = text(&data);
        }
    }
    if matches!(doc_type.as_str(), "matroska" | "webm") {
        Ok(doc_type)
    } else {
        Err(MkvError::DocType {
            doc_type: doc_type.chars().take(32).collect(),
        })
    }
}

/// Nanoseconds a tick, and how long the segment lasts.
pub(super) fn info(info: &Bytes) -> Result<(u64, Option<u64>), MkvError> {
    let mut scale = DEFAULT_TIMESTAMP_SCALE;
    let mut ticks = None;
    for child in children("Info", info) {
        let (id, data) = child?;
        match id {
            id::TIMESTAMP_SCALE => scale = unsigned(&data),
            id::DURATION => ticks = Some(float(&data)),
            _ => {}
        }
    }
    if scale == 0 {
        return Err(MkvError::Header {
            element: "Info",
            reason: "its timestamp scale is zero",
        });
    }
    let duration = ticks
        .filter(|ticks| ticks.is_finite() && *ticks > 0.0)
        .map(|ticks| (ticks * scale as f64) as u64);
    Ok((scale, duration))
}

/// The tracks; those without a number are left out, for nothing can belong to them.
pub(super) fn tracks(data: &Bytes) -> Result<Vec<Track>, MkvError> {
    let mut tracks: Vec<Track> = Vec::new();
    for child in children("Tracks", data) {
        let (id, data) = child?;
        if id != id::TRACK_ENTRY {
            continue;
        }
        let track = track(&data)?;
        if tracks.len() == MAX_TRACKS {
            return Err(MkvError::Header {
                element: "Tracks",
                reason: "more than 1024 tracks",
            });
        }
        if track.number != 0 && tracks.iter().all(|other| other.number != track.number) {
            tracks.push(track);
        }
    }
    Ok(tracks)
}

fn track(entry: &Bytes) -> Result<Track, MkvError> {
    let mut track = Track {
        number: 0,
        kind: TrackKind::Other(0),
        codec_id: String::new(),
        codec_private: Bytes::new(),
        default_duration_ns: None,
        codec_delay_ns: 0,
        enabled: true,
        default: true,
        language: "eng".to_owned(),
        name: String::new(),
        video: None,
        audio: None,
        encoding: Encoding::None,
    };
    for child in children("TrackEntry", entry) {
        let (id, data) = child?;
        match id {
            id::TRACK_NUMBER => track.number = unsigned(&data),
            id::TRACK_TYPE => {
                track.kind = match unsigned(&data) {
                    1 => TrackKind::Video,
                    2 => TrackKind::Audio,
                    17 => TrackKind::Subtitle,
                    other => TrackKind::Other(other.min(255) as u8),
                }
            }
            id::FLAG_ENABLED => track.enabled = unsigned(&data) != 0,
            id::FLAG_DEFAULT => track.default = unsigned(&data) != 0,
            id::DEFAULT_DURATION => {
                track.default_duration_ns = Some(unsigned(&data)).filter(|ns| *ns > 0);
            }
            id::CODEC_DELAY => track.codec_delay_ns = unsigned(&data),
            id::NAME => track.name = text(&data),
            id::LANGUAGE | id::LANGUAGE_BCP47 => track.language = text(&data),
            id::CODEC_ID => track.codec_id = text(&data),
            id::CODEC_PRIVATE => track.codec_private = data,
            id::VIDEO => track.video = Some(video(&data)?),
            id::AUDIO => track.audio = Some(audio(&data)?),
            id::CONTENT_ENCODINGS => track.encoding = encodings(&data)?,
            _ => {}
        }
    }
    Ok(track)
}

fn video(data: &Bytes) -> Result<VideoSettings, MkvError> {
    let mut video = VideoSettings::default();
    for child in children("Video", data) {
        let (id, data) = child?;
        let side = u32::try_from(unsigned(&data)).unwrap_or(u32::MAX);
        match id {
            id::PIXEL_WIDTH => video.width = side,
            id::PIXEL_HEIGHT => video.height = side,
            _ => {}
        }
    }
    Ok(video)
}

fn audio(data: &Bytes) -> Result<AudioSettings, MkvError> {
    let mut audio = AudioSettings::default();
    for child in children("Audio", data) {
        let (id, data) = child?;
        let number = u32::try_from(unsigned(&data)).unwrap_or(u32::MAX);
        match id {
            id::SAMPLING_FREQUENCY => audio.sample_rate = float(&data),
            id::OUTPUT_SAMPLING_FREQUENCY => audio.output_sample_rate = Some(float(&data)),
            id::CHANNELS => audio.channels = number,
            id::BIT_DEPTH => audio.bit_depth = Some(number),
            _ => {}
        }
    }
    Ok(audio)
}

fn encodings(data: &Bytes) -> Result<Encoding, MkvError> {
    let mut encoding = Encoding::None;
    for child in children("ContentEncodings", data) {
        let (id, data) = child?;
        if id != id::CONTENT_ENCODING {
            continue;
        }
        encoding = match (encoding, self::encoding(&data)?) {
            (Encoding::None, one) | (one, Encoding::None) => one,
            _ => Encoding::Unsupported("several encodings one after the other"),
        };
    }
    Ok(encoding)
}

/// RFC 9559 section 5.1.4.1.31.
fn encoding(data: &Bytes) -> Result<Encoding, MkvError> {
    let (mut scope, mut kind, mut algorithm, mut settings) = (1, 0, 0, Bytes::new());
    for child in children("ContentEncoding", data) {
        let (id, data) = child?;
        match id {
            id::CONTENT_ENCODING_SCOPE => scope = unsigned(&data),
            id::CONTENT_ENCODING_TYPE => kind = unsigned(&data),
            id::CONTENT_COMPRESSION => {
                for child in children("ContentCompression", &data) {
                    let (id, data) = child?;
                    match id {
                        id::CONTENT_COMP_ALGO => algorithm = unsigned(&data),
                        id::CONTENT_COMP_SETTINGS => settings = data,
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    Ok(match (kind, algorithm) {
        (0, 3) if scope & 1 == 0 => Encoding::None,
        (0, 3) => Encoding::HeaderStripping(settings),
        (0, 0) => Encoding::Unsupported("zlib"),
        (0, 1) => Encoding::Unsupported("bzlib"),
        (0, 2) => Encoding::Unsupported("LZO"),
        (0, _) => Encoding::Unsupported("an unknown compression"),
        (1, _) => Encoding::Unsupported("encryption"),
        _ => Encoding::Unsupported("an unknown encoding"),
    })
}
