//! RTMP over sockets: [`RtmpPublisher`] sends encoded frames to one server, [`RtmpOutput`] encodes
//! pictures and sound once for one or more of them.
//!
//! The protocol is in [`crate::rtmp`], the bodies of its messages in [`crate::mux::flv`].

mod backoff;
mod connection;
mod error;
mod feed;
mod media;
mod options;
mod publisher;
mod queue;
mod shared;
mod worker;

pub use error::PublishError;
pub use media::{RtmpOutput, RtmpOutputBuilder};
pub use options::{BufferLimits, PublisherOptions, ReconnectOptions};
pub use publisher::RtmpPublisher;
pub use shared::{PublisherState, PublisherStats};
