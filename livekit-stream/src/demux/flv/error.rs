use crate::codec::aac::AacError;
use crate::codec::h264;
use crate::rtmp::amf0;

/// Bytes are not FLV, or hold what this crate does not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FlvError {
    /// A file does not begin with FLV's signature and version 1.
    #[error("an FLV file begins with \"FLV\" and 1, not {}", .0.escape_ascii())]
    Signature([u8; 4]),
    /// A file header that tells a length of its own that cannot be.
    #[error("an FLV file header of {0} bytes, 9 are usual")]
    HeaderLength(u32),
    /// A tag of another type than audio, video and script data.
    #[error("FLV tag type {0}, 8, 9 and 18 are known")]
    TagType(u8),
    /// A body ends too early.
    #[error("the body of an FLV {kind} tag is cut short after {actual} bytes")]
    Truncated {
        /// `audio` or `video`.
        kind: &'static str,
        /// Bytes given.
        actual: usize,
    },
    /// A video codec of annex E.4.3.1 that this crate does not have.
    #[error("FLV video codec {0}, 7 (H.264) and those with a FourCC are read")]
    VideoCodec(u8),
    /// A sound format of annex E.4.2.1 that this crate does not have.
    #[error("FLV sound format {0}, 10 (AAC) and those with a FourCC are read")]
    SoundFormat(u8),
    /// A FourCC that this crate does not have.
    #[error("FLV codec \"{}\" is not supported", .0.escape_ascii())]
    FourCc([u8; 4]),
    /// H.264's configuration or frames cannot be read.
    #[error("H.264 in FLV: {0}")]
    H264(#[from] h264::Error),
    /// H.265's configuration cannot be read.
    #[error("an HEVCDecoderConfigurationRecord of {length} bytes in FLV cannot be read")]
    H265Configuration {
        /// Its length.
        length: usize,
    },
    /// AAC's configuration cannot be read.
    #[error("AAC in FLV: {0}")]
    Aac(#[from] AacError),
    /// Script data cannot be read.
    #[error("FLV metadata: {0}")]
    Metadata(#[from] amf0::Error),
}
