use super::options::{PixelFormat, SampleFormat, StreamName};
use crate::encode::EncodeError;
use crate::frame::ConvertError;
use crate::mux::MuxError;
use crate::output::rtmp::PublishError;
use crate::output::{FileError, OutputError};

/// A call of a [`StreamingMediaEncoder`](super::StreamingMediaEncoder) failed. No variant holds
/// a stream key.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum MediaEncoderError {
    /// What was asked for is FFmpeg's, and this build is without it.
    #[error("{what} needs FFmpeg's libraries: build livekit-stream with its feature `ffmpeg`")]
    NeedsFfmpeg {
        /// What was asked for.
        what: String,
    },
    /// A call that comes after [`open`](super::StreamingMediaEncoder::open) came before it.
    #[error("{operation} before open")]
    NotOpen {
        /// The call.
        operation: &'static str,
    },
    /// A call that comes before [`open`](super::StreamingMediaEncoder::open) came after it.
    #[error("{operation} after open")]
    AlreadyOpen {
        /// The call.
        operation: &'static str,
    },
    /// The encoder is closed.
    #[error("{operation} after close")]
    Closed {
        /// The call.
        operation: &'static str,
    },
    /// Nothing was added before opening.
    #[error("open without a stream: add an audio or a video stream first")]
    NoStreams,
    /// A stream that does not exist.
    #[error("stream {index} does not exist: there are {count} streams")]
    NoSuchStream {
        /// The index given.
        index: usize,
        /// Streams there are.
        count: usize,
    },
    /// Sound for a video stream, or pictures for an audio stream.
    #[error("stream {} is {actual}: {operation} does not write to it", .actual.index)]
    WrongKind {
        /// The stream.
        actual: StreamName,
        /// The call.
        operation: &'static str,
    },
    /// Samples of another type than the stream's.
    #[error("{stream} takes {expected} samples, not {actual}")]
    SampleType {
        /// The stream.
        stream: StreamName,
        /// Its format.
        expected: SampleFormat,
        /// The chunk's.
        actual: SampleFormat,
    },
    /// A chunk of sound with another number of channels than the stream's.
    #[error("{stream} takes chunks of (frame, {expected}), not ({}, {})", .actual[0], .actual[1])]
    AudioShape {
        /// The stream.
        stream: StreamName,
        /// The stream's channels.
        expected: usize,
        /// The chunk's frames and channels.
        actual: [usize; 2],
    },
    /// A chunk of pictures of another shape than the stream's.
    #[error(
        "{stream} takes chunks of (time, {}, {}, {}), not ({}, {}, {}, {})",
        .expected[0], .expected[1], .expected[2], .actual[0], .actual[1], .actual[2], .actual[3]
    )]
    VideoShape {
        /// The stream.
        stream: StreamName,
        /// The stream's channels, height and width.
        expected: [usize; 3],
        /// The chunk's pictures, channels, height and width.
        actual: [usize; 4],
    },
    /// A picture of another size than the stream's.
    #[error("{stream} takes {}x{} pictures, not {}x{}", .expected.0, .expected.1, .actual.0, .actual.1)]
    PictureSize {
        /// The stream.
        stream: StreamName,
        /// The stream's width and height.
        expected: (u32, u32),
        /// The picture's width and height.
        actual: (u32, u32),
    },
    /// A stream whose format has no chunks of one shape.
    #[error("{stream} of {format} takes VideoFrames, not chunks of (time, channel, height, width)")]
    FramesOnly {
        /// The stream.
        stream: StreamName,
        /// Its format.
        format: PixelFormat,
    },
    /// A buffer that is not as long as its shape says.
    #[error("a chunk of {shape:?} holds {expected} values, {actual} were given")]
    ChunkLength {
        /// The shape given.
        shape: Vec<usize>,
        /// Values it has.
        expected: usize,
        /// Values given.
        actual: usize,
    },
    /// A time that is no time, or not after what was written already.
    #[error("{stream}: pts {pts} s cannot be used: {reason}")]
    Pts {
        /// The stream.
        stream: StreamName,
        /// The time given, in seconds.
        pts: f64,
        /// Why not.
        reason: String,
    },
    /// An option that cannot be used.
    #[error("{}{option} = {value:?} cannot be used: {allowed}", .stream.map(|s| format!("{s}: ")).unwrap_or_default())]
    Option {
        /// The stream it was given for, if it was.
        stream: Option<StreamName>,
        /// The option's name.
        option: String,
        /// The value given.
        value: String,
        /// What can be used.
        allowed: String,
    },
    /// The container is not known from the destination's name.
    #[error("no container is known for {destination}: set the format")]
    UnknownContainer {
        /// The destination.
        destination: String,
    },
    /// The container does not hold such streams.
    #[error("{container} does not hold {what}")]
    Container {
        /// The container.
        container: &'static str,
        /// What it does not hold.
        what: String,
    },
    /// Sockets and asynchronous writers need a Tokio runtime.
    #[error("no Tokio runtime: open the encoder inside one")]
    NoRuntime,
    /// The destination cannot be written.
    #[error("cannot write: {0}")]
    Write(#[from] std::io::Error),
    /// The file cannot be created or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The RTMP server cannot be published to, or the player cannot be served.
    #[error(transparent)]
    Rtmp(#[from] PublishError),
    /// A picture cannot be converted or scaled.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Media cannot be encoded.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// Media does not go into the container.
    #[error(transparent)]
    Mux(#[from] MuxError),
    /// Another part of the output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A library that does the work failed.
    #[error("{library}: {reason}")]
    Library {
        /// The library.
        library: &'static str,
        /// What it said.
        reason: String,
    },
    /// The encoding thread cannot be started, or has ended early.
    #[error("the encoding thread: {0}")]
    Thread(String),
}

impl MediaEncoderError {
    pub(crate) fn option(
        stream: Option<StreamName>,
        option: &str,
        value: &str,
        allowed: &str,
    ) -> Self {
        Self::Option {
            stream,
            option: option.to_owned(),
            value: value.to_owned(),
            allowed: allowed.to_owned(),
        }
    }

    pub(crate) fn needs_ffmpeg(what: impl Into<String>) -> Self {
        Self::NeedsFfmpeg { what: what.into() }
    }
}
