//! Where media goes: files, fMP4 chunks, RTMP servers, and all of them by [`media`]. Depends on [`crate::mux`],
//! [`crate::encode`], [`crate::decode`] and [`crate::rtmp`]; never on `room`.

mod error;
mod file;
pub mod fmp4;
pub mod media;
pub mod rtmp;

pub use error::OutputError;
pub use file::{FileError, SegmentFile};
