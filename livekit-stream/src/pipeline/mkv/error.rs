use std::io;

use crate::decode::DecodeError;
use crate::demux::mkv::{MkvError, ReadError};
use crate::encode::EncodeError;
use crate::mux::MuxError;

/// A file cannot become MP4, or not any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TranscodeError {
    /// The bytes are no Matroska, are cut short before the tracks are described, or are damaged.
    #[error(transparent)]
    Mkv(#[from] MkvError),
    /// The source of the bytes failed. What came before was written.
    #[error("the source failed: {0}")]
    Source(#[source] io::Error),
    /// No track can be used.
    #[error("no usable track: the file has {tracks}")]
    NoUsableTrack {
        /// The codec IDs of its tracks, such as `V_VP8, A_VORBIS`; `no track` when there is none.
        tracks: String,
    },
    /// There is no video or no audio track with the number asked for.
    #[error("the file has no {kind} track {number}")]
    NoSuchTrack {
        /// `video` or `audio`.
        kind: &'static str,
        /// The number.
        number: u64,
    },
    /// A track's frames were changed in a way that is not undone.
    #[error("track {number} ({codec}) cannot be read: {encoding}")]
    Encoding {
        /// The track.
        number: u64,
        /// Its codec ID.
        codec: String,
        /// What was done to it, such as `zlib`.
        encoding: &'static str,
    },
    /// A codec's private data cannot be used.
    #[error("track {number} ({codec}): {reason}")]
    Configuration {
        /// The track.
        number: u64,
        /// Its codec ID.
        codec: String,
        /// What is wrong.
        reason: String,
    },
    /// Nobody decodes the track's sound. Its message names the feature that does.
    #[error("track {number} ({codec}) has to be decoded: {source}")]
    AudioDecoder {
        /// The track.
        number: u64,
        /// Its codec ID.
        codec: String,
        /// Why it cannot be.
        source: DecodeError,
    },
    /// The sound could not be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The MP4 could not be written.
    #[error(transparent)]
    Mux(#[from] MuxError),
    /// A time or duration that is none.
    #[error("{name} = {value} is no time: 0 to 10^12 ms are allowed")]
    Time {
        /// The option.
        name: &'static str,
        /// The value given.
        value: f64,
    },
}

impl From<ReadError> for TranscodeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Mkv(error) => Self::Mkv(error),
            ReadError::Source(error) => Self::Source(error),
        }
    }
}
