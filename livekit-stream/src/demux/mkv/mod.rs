//! Matroska and WebM (RFC 9559 over EBML, RFC 8794), read from front to back.
//!
//! [`Reader`] is without input and output of its own: bytes are pushed in pieces of any size and
//! events come out as soon as their last byte is there. Nothing is sought for, so cues and seek
//! heads are passed over, and only one block is in memory at a time. [`Frames`] reads a stream of
//! bytes with it.
//!
//! Understood are segments and clusters of unknown size, `SimpleBlock` and `BlockGroup`, Xiph, EBML
//! and fixed-size lacing, `Void` and `CRC-32` wherever they stand (check sums are not verified),
//! and header stripping; frames are slices of the bytes that were pushed wherever a block came in
//! one piece. Behind damage the reader goes on at the next cluster and counts what it passed over.
//!
//! Not understood: encryption, compression other than header stripping, and segments that are
//! linked to others.

mod block;
mod buffer;
mod ebml;
mod error;
mod event;
mod frames;
mod header;
mod id;
mod reader;
#[cfg(test)]
mod tests;

pub use error::MkvError;
pub use event::{Event, Frame, Stats};
pub use frames::{Frames, ReadError};
pub use header::{AudioSettings, Encoding, Header, Track, TrackKind, VideoSettings};
pub use reader::Reader;

/// The longest block that is read, as long as the muxers' longest frame.
pub const MAX_BLOCK_BYTES: u64 = 64 << 20;

/// The longest `Info` or `Tracks` that is read. Fonts and pictures are attachments, which are passed
/// over.
pub const MAX_HEADER_BYTES: u64 = 16 << 20;

/// The longest element of an unknown kind that is passed over; a longer one is taken for damage.
pub const MAX_UNKNOWN_BYTES: u64 = 256 << 20;
