//! Where media goes: files, fMP4 chunks, RTMP servers. Depends on [`crate::mux`],
//! [`crate::encode`], [`crate::decode`] and [`crate::rtmp`]; never on `room`.

mod error;
pub mod fmp4;
pub mod rtmp;

pub use error::OutputError;
