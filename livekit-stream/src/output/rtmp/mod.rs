//! RTMP over sockets: [`RtmpPublisher`] sends encoded frames to one server, [`RtmpOutput`] encodes
//! pictures and sound once for one or more of them.
//!
//! The protocol is in [`crate::rtmp`], the bodies of its messages in [`crate::mux::flv`].

pub(crate) mod backoff;
mod connection;
pub(in crate::output) mod direct;
mod error;
mod feed;
mod media;
mod options;
mod publisher;
mod queue;
mod shared;
mod worker;

pub use crate::socket::ConnectFailure;
pub use error::PublishError;
pub use media::{RtmpOutput, RtmpOutputBuilder};
pub use options::{BufferLimits, EnhancedRtmp, PublisherOptions, ReconnectOptions};
pub(crate) use options::{ENHANCED_CODECS, LEGACY_CODECS};
pub use publisher::RtmpPublisher;
pub use shared::{PublisherState, PublisherStats};
