//! The RTMP protocol without sockets (Adobe RTMP 1.0): bytes in, bytes and events out.
//!
//! Time and randomness are parameters, so everything here runs without a network and without
//! waiting. The sockets are in [`crate::output::rtmp`] and [`crate::input`]. Depends on nothing
//! else of this crate.

pub mod amf0;
pub mod chunk;
mod command;
pub mod handshake;
pub mod message;
pub mod session;
mod url;

pub use url::{RtmpUrl, UrlError};
