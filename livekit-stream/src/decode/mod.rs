//! Decoders: encoded frames in, pictures and sound out. One file per backend. Depends on
//! [`crate::frame`] and [`crate::codec`].

use crate::codec::Codec;
use crate::frame::{AudioFrame, EncodedFrame, VideoFrame};

/// A frame could not be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No decoder for this codec is built in.
    #[error("no decoder for {codec}")]
    UnsupportedCodec {
        /// The codec.
        codec: Codec,
    },
    /// A library that is opened at run time is not installed.
    #[error("{library} is not installed: {hint}")]
    LibraryMissing {
        /// The library, such as `libvpx`.
        library: &'static str,
        /// Which package to install.
        hint: String,
    },
    /// The decoder refused the frame.
    #[error("{codec} decoder: {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What the decoder said.
        reason: String,
    },
}

/// Turns the frames of one video track into pictures.
pub trait VideoDecoder: Send {
    /// Decodes one frame. `Ok(None)`: nothing to show for it.
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError>;
}

/// Turns the frames of one audio track into sound.
pub trait AudioDecoder: Send {
    /// Decodes one frame.
    fn decode(&mut self, frame: &EncodedFrame) -> Result<AudioFrame, DecodeError>;
    /// Fills a gap of `duration_us` that ended just before the next frame (packet loss
    /// concealment); shorter output is allowed.
    fn conceal(&mut self, duration_us: i64) -> Result<AudioFrame, DecodeError>;
}
