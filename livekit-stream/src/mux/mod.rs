//! Muxers: encoded frames in, container bytes out. No sockets, no files, no clock of their own.
//! Depends on [`crate::frame`] and [`crate::codec`].

pub mod flv;
pub mod fmp4;
