//! Where media comes from besides a room: RTMP servers that play and publishers that come to us.
//! Depends on [`crate::demux`], [`crate::decode`], [`crate::rtmp`] and the crate's streams.

mod capture;
mod publishers;
mod rtmp_listener;

pub use crate::socket::ConnectFailure;
pub use capture::{
    BlockingCapture, CaptureError, CaptureState, CaptureStats, RtmpCapture, RtmpCaptureBuilder,
};
pub use publishers::Publishers;
pub use rtmp_listener::{ListenError, RtmpConnection, RtmpListener};
