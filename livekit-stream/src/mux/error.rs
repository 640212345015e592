use crate::codec::aac::AacError;
use crate::codec::{Codec, h264};

/// A track or a frame does not go into a container.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MuxError {
    /// The container has no place for the codec.
    #[error("{codec} cannot go into {container}")]
    UnsupportedCodec {
        /// The codec.
        codec: Codec,
        /// The container.
        container: &'static str,
    },
    /// A muxer was made without tracks.
    #[error("a file needs at least one track")]
    NoTracks,
    /// The index of a track that was not announced.
    #[error("track {index} does not exist: there are {count} tracks")]
    NoSuchTrack {
        /// The index given.
        index: usize,
        /// Tracks there are.
        count: usize,
    },
    /// A frame of another codec than its track.
    #[error("a frame of {actual} cannot go into track {index} of {expected}")]
    WrongCodec {
        /// The track.
        index: usize,
        /// The track's codec.
        expected: Codec,
        /// The frame's.
        actual: Codec,
    },
    /// A track's description has no sequence or no picture parameter set.
    #[error("{sps} sequence and {pps} picture parameter sets: at least one of each is needed")]
    MissingParameterSets {
        /// Sequence parameter sets there are.
        sps: usize,
        /// Picture parameter sets there are.
        pps: usize,
    },
    /// H.264 parameter sets that cannot be read or written.
    #[error("H.264 parameter sets: {0}")]
    ParameterSets(#[from] h264::Error),
    /// A keyframe of H.265, VP9 or AV1 that does not tell what the container has to know.
    #[error("{codec} track: {reason}")]
    Configuration {
        /// The codec.
        codec: Codec,
        /// What is missing.
        reason: &'static str,
    },
    /// An AudioSpecificConfig that cannot be read or written.
    #[error("AAC configuration: {0}")]
    Aac(#[from] AacError),
    /// An `OpusHead` that cannot be read.
    #[error("an OpusHead of {length} bytes cannot be used: {reason}")]
    OpusHead {
        /// Its length.
        length: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A value outside what the container's field holds.
    #[error("{field} = {value} does not fit the container ({allowed})")]
    OutOfRange {
        /// The field.
        field: &'static str,
        /// The value given.
        value: u64,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A frame, or a fragment, longer than the muxer takes.
    #[error("{bytes} bytes are more than the {limit} a muxer takes at once")]
    TooLarge {
        /// The bytes given.
        bytes: usize,
        /// The limit.
        limit: usize,
    },
    /// A box could not be written.
    #[error("MP4 box: {0}")]
    Box(String),
}

impl MuxError {
    pub(super) fn too_large(bytes: usize) -> Self {
        Self::TooLarge {
            bytes,
            limit: super::fmp4::MAX_FRAME_BYTES,
        }
    }
}

impl From<mp4_atom::Error> for MuxError {
    fn from(error: mp4_atom::Error) -> Self {
        Self::Box(error.to_string())
    }
}
