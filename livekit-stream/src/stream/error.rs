//! What can go wrong while a stream runs.

use crate::decode::DecodeError;
use crate::frame::{ConvertError, ResampleError};

/// An error of a running stream.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum StreamError {
    /// The decoder refused a frame; the stream goes on with the next keyframe.
    #[error("cannot decode: {0}")]
    Decode(std::sync::Arc<DecodeError>),
    /// A picture could not be converted to the format asked for.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Sound could not be brought to the rate or channels asked for.
    #[error(transparent)]
    Resample(#[from] ResampleError),
    /// The track is of the other kind, such as an audio track given to a video stream.
    #[error("a {wanted} stream cannot read the {codec} track {track}")]
    WrongKind {
        /// `video` or `audio`.
        wanted: &'static str,
        /// The track's codec.
        codec: crate::codec::Codec,
        /// The track's sid or id.
        track: String,
    },
    /// The track's codec is not one of [`Codec`](crate::codec::Codec).
    #[error("the codec {mime} of track {track} is not supported")]
    UnsupportedCodec {
        /// The MIME type the track was announced with.
        mime: String,
        /// The track's sid or id.
        track: String,
    },
}

impl From<DecodeError> for StreamError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(std::sync::Arc::new(error))
    }
}
