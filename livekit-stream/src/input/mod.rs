//! Where media comes from besides a room. Depends on [`crate::mux`] and [`crate::rtmp`].

mod rtmp_listener;

pub use rtmp_listener::{ListenError, RtmpConnection, RtmpListener};
