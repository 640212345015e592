//! Muxers: encoded frames in, container bytes out. No sockets, no files, no clock of their own.
//! Depends on [`crate::frame`], [`crate::codec`] and, for metadata, [`crate::rtmp::amf0`].
//!
//! A [`Track`] says what a muxer must know before the first frame; each container has a module:
//! [`fmp4`], [`flv`] and [`webm`].

mod error;
pub mod flv;
pub mod fmp4;
#[cfg(test)]
pub(crate) mod testing;
mod track;
pub mod webm;

pub use error::MuxError;
pub use track::{AudioTrack, Track, VideoConfiguration, VideoTrack};
