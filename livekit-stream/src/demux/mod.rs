//! Demuxers: container bytes in, encoded frames out. No sockets, no files, no clock of their own.
//! Depends on [`crate::frame`], [`crate::codec`], [`crate::mux`]'s tracks and, for metadata,
//! [`crate::rtmp::amf0`].

pub mod flv;
pub mod mkv;
