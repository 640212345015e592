//! The chunk stream: messages cut into chunks and interleaved (Adobe RTMP 1.0 section 5.3).

mod reader;
#[cfg(test)]
mod tests;
mod writer;

pub use reader::{Limits, Reader};
pub use writer::Writer;

/// The chunk size both sides start with (section 5.4.1).
pub const DEFAULT_CHUNK_SIZE: usize = 128;

/// The largest chunk size: no message is longer (section 5.4.1).
pub const MAX_CHUNK_SIZE: usize = 0xff_ffff;

/// Chunk stream 2 is reserved for protocol control messages (section 5.4).
pub const CONTROL_CHUNK_STREAM: u32 = 2;

/// The field of 24 bits at this value says that 32 bits follow the header (section 5.3.1.3).
const EXTENDED: u32 = 0xff_ffff;

/// The peer broke the chunk stream, or asks for more than this side gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A compressed header on a chunk stream without a full header before it.
    #[error("chunk stream {chunk_stream} starts with a header of type {format}")]
    NoPreviousHeader {
        /// The chunk stream.
        chunk_stream: u32,
        /// The header's type.
        format: u8,
    },
    /// A new message began before the one before it on the same chunk stream was complete.
    #[error("chunk stream {chunk_stream} starts a message inside another one")]
    MessageInterrupted {
        /// The chunk stream.
        chunk_stream: u32,
    },
    /// A message is longer than [`Limits::message_len`].
    #[error("a message of {length} bytes, {limit} are allowed")]
    MessageTooLong {
        /// The announced length.
        length: usize,
        /// The limit.
        limit: usize,
    },
    /// Unfinished messages together are longer than [`Limits::buffered`].
    #[error("unfinished messages hold more than {limit} bytes")]
    TooMuchBuffered {
        /// The limit.
        limit: usize,
    },
    /// More chunk streams than [`Limits::chunk_streams`].
    #[error("more than {limit} chunk streams")]
    TooManyChunkStreams {
        /// The limit.
        limit: usize,
    },
    /// Set Chunk Size with zero, with the top bit set, or cut short.
    #[error("chunk size {size} is out of range (1..=2147483647)")]
    ChunkSizeOutOfRange {
        /// The size asked for; zero when it was cut short.
        size: u32,
    },
}
