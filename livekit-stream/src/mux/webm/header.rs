//! What comes before the first cluster: EBML header, segment, information, tracks and tags
//! (RFC 9559 section 5).

use bytes::{BufMut, Bytes};
use mp4_atom::Atom;

use super::Options;
use super::ebml::{element, float, master, text, unknown_size, unsigned};
use crate::codec::Codec;
use crate::mux::fmp4::video;
use crate::mux::{AudioTrack, MuxError, Track, VideoConfiguration, VideoTrack};

/// Nanoseconds in one tick of the timeline: a millisecond, as everybody uses.
const TIMESTAMP_SCALE: u64 = 1_000_000;

/// What decoders of Opus need before a seek point, in nanoseconds (RFC 9559 section 5.1.4.1.26).
const OPUS_SEEK_PRE_ROLL: u64 = 80_000_000;

/// The kind of file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DocType {
    /// WebM: what browsers play.
    WebM,
    /// Matroska, for codecs that WebM has not.
    Matroska,
}

impl DocType {
    /// WebM where all tracks may go into it.
    #[must_use]
    pub fn of(tracks: &[Track]) -> Self {
        let is_webm = |track: &Track| {
            matches!(
                track.codec(),
                Codec::Vp8 | Codec::Vp9 | Codec::Av1 | Codec::Opus
            )
        };
        if tracks.iter().all(is_webm) {
            Self::WebM
        } else {
            Self::Matroska
        }
    }

    /// `webm` or `matroska`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WebM => "webm",
            Self::Matroska => "matroska",
        }
    }
}

/// Track numbers count from one in the order of the tracks.
pub(super) fn track_number(index: usize) -> u64 {
    index as u64 + 1
}

pub(super) fn header(
    tracks: &[Track],
    doc_type: DocType,
    options: &Options,
) -> Result<Bytes, MuxError> {
    let mut out = Vec::with_capacity(1_024);
    master(&mut out, 0x1a45_dfa3, |ebml| {
        unsigned(ebml, 0x4286, 1);
        unsigned(ebml, 0x42f7, 1);
        unsigned(ebml, 0x42f2, 4);
        unsigned(ebml, 0x42f3, 8);
        text(ebml, 0x4282, doc_type.name());
        // CodecDelay is of version 4, SimpleBlock of version 2.
        unsigned(ebml, 0x4287, 4);
        unsigned(ebml, 0x4285, 2);
    });
    unknown_size(&mut out, 0x1853_8067);
    let title = options
        .metadata
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case("title"));
    master(&mut out, 0x1549_a966, |info| {
        unsigned(info, 0x002a_d7b1, TIMESTAMP_SCALE);
        if let Some((_, title)) = title {
            text(info, 0x7ba9, title);
        }
        text(info, 0x4d80, "livekit-stream");
        text(info, 0x5741, "livekit-stream");
    });
    let mut entries = Vec::new();
    for (index, track) in tracks.iter().enumerate() {
        let entry = track_entry(index, track)?;
        element(&mut entries, 0xae, &entry);
    }
    element(&mut out, 0x1654_ae6b, &entries);
    let rest = || options.metadata.iter().filter(|tag| Some(*tag) != title);
    if rest().next().is_some() {
        master(&mut out, 0x1254_c367, |tags| {
            master(tags, 0x7373, |tag| {
                // No target: the whole file.
                element(tag, 0x63c0, &[]);
                for (name, value) in rest() {
                    master(tag, 0x67c8, |simple| {
                        text(simple, 0x45a3, &name.to_uppercase());
                        text(simple, 0x4487, value);
                    });
                }
            });
        });
    }
    Ok(out.into())
}

fn track_entry(index: usize, track: &Track) -> Result<Vec<u8>, MuxError> {
    let mut entry = Vec::new();
    unsigned(&mut entry, 0xd7, track_number(index));
    unsigned(&mut entry, 0x73c5, track_number(index));
    // No lacing: one frame a block.
    unsigned(&mut entry, 0x9c, 0);
    // The default, English, is said of none.
    text(&mut entry, 0x0022_b59c, "und");
    match track {
        Track::Video(video) => {
            unsigned(&mut entry, 0x83, 1);
            text(&mut entry, 0x86, codec_id(video.codec));
            if let Some(private) = video_private(video)? {
                element(&mut entry, 0x63a2, &private);
            }
            master(&mut entry, 0xe0, |settings| {
                unsigned(settings, 0xb0, u64::from(video.size.width));
                unsigned(settings, 0xba, u64::from(video.size.height));
            });
        }
        Track::Audio(audio) => {
            unsigned(&mut entry, 0x83, 2);
            text(&mut entry, 0x86, codec_id(audio.codec));
            element(&mut entry, 0x63a2, &audio.codec_config);
            opus_delay(&mut entry, audio)?;
            master(&mut entry, 0xe1, |settings| {
                float(settings, 0xb5, f64::from(audio.sample_rate));
                unsigned(settings, 0x9f, u64::from(audio.num_channels));
            });
        }
    }
    Ok(entry)
}

/// How much of the decoded beginning is not to be played, and what comes before a seek point.
fn opus_delay(entry: &mut Vec<u8>, audio: &AudioTrack) -> Result<(), MuxError> {
    if audio.codec == Codec::Opus {
        let head = audio.opus_head()?;
        let delay = u64::from(head.pre_skip) * 1_000_000_000 / u64::from(audio.sample_rate.max(1));
        unsigned(entry, 0x56aa, delay);
        unsigned(entry, 0x56bb, OPUS_SEEK_PRE_ROLL);
    }
    Ok(())
}

fn codec_id(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "V_MPEG4/ISO/AVC",
        Codec::H265 => "V_MPEGH/ISO/HEVC",
        Codec::Vp8 => "V_VP8",
        Codec::Vp9 => "V_VP9",
        Codec::Av1 => "V_AV1",
        Codec::Opus => "A_OPUS",
        Codec::Aac => "A_AAC",
    }
}

/// The codec's configuration record; VP8 has none, and VP9's is optional.
fn video_private(track: &VideoTrack) -> Result<Option<Vec<u8>>, MuxError> {
    let mut record: Vec<u8> = Vec::new();
    match &track.configuration {
        VideoConfiguration::H264(_) => record = track.configuration()?.to_bytes(),
        VideoConfiguration::H265(sets) => {
            // The record without its box: parameter sets may also be in the frames.
            video::hvcc(sets, true)?.encode_body(&mut record)?;
        }
        VideoConfiguration::Av1(configuration) => {
            video::av1c(configuration).encode_body(&mut record)?;
        }
        VideoConfiguration::Vp9(configuration) => {
            // Feature, length and value each: profile, level, bit depth, chroma subsampling.
            for (feature, value) in [
                (1, configuration.profile),
                (2, configuration.level),
                (3, configuration.color.bit_depth),
                (4, configuration.chroma_subsampling()),
            ] {
                record.put_slice(&[feature, 1, value]);
            }
        }
        VideoConfiguration::None => return Ok(None),
    }
    Ok(Some(record))
}
