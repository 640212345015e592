//! Codecs and what can be read from their bitstreams: parameter sets, sizes, the keyframe test.
//!
//! One file per bitstream and one line per codec in [`Codec`]'s table. Depends on nothing else
//! of this crate but [`crate::frame`].

pub mod aac;
mod annexb;
pub mod av1;
mod bits;
pub mod h264;
pub mod h265;
pub mod opus;
pub mod vp8;
pub mod vp9;

use std::fmt;

/// Whether a codec or a track carries pictures or sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
}

/// A codec of this crate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Codec {
    /// H.264 / AVC (ITU-T H.264). Frames are access units in Annex B form with start codes of
    /// four bytes.
    H264,
    /// H.265 / HEVC (ITU-T H.265). Frames are access units in Annex B form, as H.264's.
    H265,
    /// VP8 (RFC 6386).
    Vp8,
    /// VP9 (VP9 Bitstream & Decoding Process Specification). Frames are superframes (annex B):
    /// all spatial layers of a picture.
    Vp9,
    /// AV1 (AV1 Bitstream & Decoding Process Specification). Frames are temporal units in low-overhead
    /// form (section 5.2): each OBU with its size, without temporal delimiters.
    Av1,
    /// Opus (RFC 6716). Frames are Opus packets.
    Opus,
    /// AAC-LC (ISO/IEC 14496-3). Frames are raw access units without ADTS.
    Aac,
}

/// The codecs of this crate, one line each: name, kind, MIME subtype, RTP clock rate in hertz.
const TABLE: &[(Codec, &str, MediaKind, &str, u32)] = &[
    (Codec::H264, "H.264", MediaKind::Video, "H264", 90_000),
    (Codec::H265, "H.265", MediaKind::Video, "H265", 90_000),
    (Codec::Vp8, "VP8", MediaKind::Video, "VP8", 90_000),
    (Codec::Vp9, "VP9", MediaKind::Video, "VP9", 90_000),
    (Codec::Av1, "AV1", MediaKind::Video, "AV1", 90_000),
    (Codec::Opus, "Opus", MediaKind::Audio, "opus", 48_000),
    (Codec::Aac, "AAC", MediaKind::Audio, "mpeg4-generic", 48_000),
];

impl Codec {
    fn row(self) -> &'static (Codec, &'static str, MediaKind, &'static str, u32) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[0])
    }

    /// The codec's usual name, such as `H.264`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// Whether it is a video or an audio codec.
    #[must_use]
    pub fn kind(self) -> MediaKind {
        self.row().2
    }

    /// The rate of its RTP clock in hertz (its RTP payload format's).
    #[must_use]
    pub fn clock_rate(self) -> u32 {
        self.row().4
    }

    /// The codec of a MIME type such as `video/H264`, as SDP and LiveKit write it; case does not
    /// matter. `None` for a codec this crate does not have.
    #[must_use]
    pub fn from_mime(mime: &str) -> Option<Self> {
        let (kind, subtype) = mime.split_once('/')?;
        TABLE
            .iter()
            .find(|row| {
                let prefix = if row.2 == MediaKind::Video {
                    "video"
                } else {
                    "audio"
                };
                row.3.eq_ignore_ascii_case(subtype) && prefix.eq_ignore_ascii_case(kind)
            })
            .map(|row| row.0)
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
