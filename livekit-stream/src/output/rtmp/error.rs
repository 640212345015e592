use std::io;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::Codec;
use crate::rtmp::session::{SessionError, Stage};
use crate::socket::ConnectFailure;

/// Publishing to a server failed. No variant holds a stream key.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum PublishError {
    /// The connection could not be made.
    #[error(transparent)]
    Connect(#[from] ConnectFailure),
    /// The server did not consent in time.
    #[error("{address} did not answer within {} s, during {stage}", .after.as_secs_f32())]
    Timeout {
        /// Host and port.
        address: String,
        /// What it was asked last.
        stage: Stage,
        /// The time limit.
        after: Duration,
    },
    /// The server refused the application or the stream key.
    #[error("{address} rejected the {} ({code}): {description}", if *.connect { "application" } else { "stream key" })]
    Rejected {
        /// Host and port.
        address: String,
        /// Whether the application was refused; else the stream key.
        connect: bool,
        /// Such as `NetStream.Publish.BadName`.
        code: String,
        /// The server's words, without the key.
        description: String,
    },
    /// The server closed the connection. During [`Stage::Publish`] that is how some servers
    /// refuse a stream key.
    #[error("{address} closed the connection during {stage}")]
    ClosedByPeer {
        /// Host and port.
        address: String,
        /// When.
        stage: Stage,
    },
    /// The server ended the stream and kept the connection.
    #[error("{address} ended the stream")]
    Unpublished {
        /// Host and port.
        address: String,
    },
    /// The server takes no more bytes.
    #[error("{address} took no data for {} s", .after.as_secs_f32())]
    Stalled {
        /// Host and port.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The connection broke.
    #[error("connection to {address}: {source}")]
    Io {
        /// Host and port.
        address: String,
        /// How.
        source: Arc<io::Error>,
    },
    /// The server does not speak RTMP as it should.
    #[error("{address}: {source}")]
    Protocol {
        /// Host and port.
        address: String,
        /// What is wrong.
        source: SessionError,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Host and port.
        address: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// Nobody came to play the stream.
    #[error("no player came to {address} within {} s", .after.as_secs_f32())]
    NoPlayer {
        /// Host and port.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// RTMP does not carry the codec, or Enhanced RTMP was ruled out.
    #[error("RTMP does not carry {codec}: H.264 and AAC are needed")]
    UnsupportedCodec {
        /// The codec.
        codec: Codec,
    },
    /// The server has not said that it takes the codec.
    #[error(
        "{target} does not announce {codec} (Enhanced RTMP): send H.264 and AAC, or set \
         `EnhancedRtmp::Always` if the server takes it nevertheless"
    )]
    NotAnnounced {
        /// The target without its stream key.
        target: String,
        /// The codec.
        codec: Codec,
    },
    /// The publisher was closed before.
    #[error("the publisher is closed")]
    Closed,
}

impl PublishError {
    /// Whether the server refused the application or the stream key, openly or by closing the
    /// connection when it was named.
    #[must_use]
    pub fn is_rejection(&self) -> bool {
        matches!(
            self,
            Self::Rejected { .. }
                | Self::ClosedByPeer {
                    stage: Stage::Connect | Stage::CreateStream | Stage::Publish,
                    ..
                }
        )
    }

    pub(super) fn session(address: &str, error: SessionError) -> Self {
        let address = address.to_owned();
        match error {
            SessionError::Rejected {
                connect,
                code,
                description,
            } => Self::Rejected {
                address,
                connect,
                code,
                description,
            },
            source => Self::Protocol { address, source },
        }
    }

    /// A broken connection: a reset is the peer's way to close.
    pub(super) fn io(address: &str, stage: Stage, error: io::Error) -> Self {
        let address = address.to_owned();
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof => Self::ClosedByPeer { address, stage },
            _ => Self::Io {
                address,
                source: Arc::new(error),
            },
        }
    }
}
