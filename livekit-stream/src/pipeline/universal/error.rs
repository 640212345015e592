use std::io;

use crate::decode::DecodeError;
use crate::encode::EncodeError;
use crate::mux::MuxError;

/// A source cannot become MP4, or not any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UniversalError {
    /// The source ended before its first byte.
    #[error("the source is empty")]
    Empty,
    /// The source itself failed. What came before was written.
    #[error("the source failed: {0}")]
    Source(#[source] io::Error),
    /// The bytes are no container that FFmpeg knows, or cut short before its tracks are described.
    #[error("no container is recognized in {bytes} bytes: {reason}")]
    Unrecognized {
        /// What was read before giving up.
        bytes: u64,
        /// What FFmpeg said.
        reason: String,
    },
    /// The container was recognized and is damaged further on. What came before was written.
    #[error("the container cannot be read any further after {bytes} bytes: {reason}")]
    Damaged {
        /// What was read.
        bytes: u64,
        /// What FFmpeg said.
        reason: String,
    },
    /// There is neither a video nor an audio track.
    #[error("no usable track: the source has {tracks}")]
    NoUsableTrack {
        /// The codecs of its tracks; `no track` when there is none.
        tracks: String,
    },
    /// The source ended before a keyframe that decoding could start with.
    #[error("the source ended without a usable keyframe of its {codec} track")]
    NoKeyframe {
        /// The codec of the pictures.
        codec: String,
    },
    /// A track has to be decoded and cannot be.
    #[error(transparent)]
    Decode(#[from] DecodeError),
    /// A track has to be encoded and cannot be.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// A bitstream cannot be brought into the form that MP4 has it in.
    #[error("{codec}: {reason}")]
    Bitstream {
        /// The codec.
        codec: String,
        /// What FFmpeg said.
        reason: String,
    },
    /// The MP4 cannot be written.
    #[error(transparent)]
    Mux(#[from] MuxError),
    /// An option is out of range.
    #[error("{option} = {value} is out of range: {allowed}")]
    OptionOutOfRange {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The thread that does the work could not be started.
    #[error("no thread: {0}")]
    Thread(#[source] io::Error),
}
