use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use crate::decode::DecodeError;
use crate::frame::{ConvertError, ResampleError};
use crate::input::ListenError;
use crate::rtmp::UrlError;
use crate::rtmp::session::{SessionError, Stage};
use crate::socket::ConnectFailure;

/// Capturing failed, or there is nothing more to capture. No variant holds a stream key.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// The address is no RTMP address.
    #[error(transparent)]
    Url(#[from] UrlError),
    /// An option is out of range.
    #[error("{option} = {value} is out of range: {allowed}")]
    OptionOutOfRange {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// It was not started, or was stopped.
    #[error("the capture is not running: start it first")]
    NotRunning,
    /// It was started before.
    #[error("the capture is running already")]
    AlreadyRunning,
    /// The stream has ended, and all of it was taken.
    #[error("the stream has ended")]
    Ended,
    /// Sockets need a Tokio runtime, and this was called outside of one.
    #[error("no Tokio runtime: start the capture inside one, or with `start_blocking`")]
    NoRuntime,
    /// A thread or a runtime could not be started.
    #[error("cannot start a thread: {0}")]
    Thread(Arc<io::Error>),
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// Host and port.
        address: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The connection could not be made.
    #[error(transparent)]
    Connect(#[from] ConnectFailure),
    /// The server did not consent in time.
    #[error("{address} did not answer within {} s", .after.as_secs_f32())]
    Timeout {
        /// Host and port.
        address: String,
        /// The time limit.
        after: Duration,
    },
    /// The server refused the application or the stream.
    #[error("{address} rejected the {} ({code}): {description}", if *.connect { "application" } else { "stream" })]
    Rejected {
        /// Host and port.
        address: String,
        /// Whether the application was refused; else the stream.
        connect: bool,
        /// Such as `NetStream.Play.StreamNotFound`.
        code: String,
        /// The server's words, without the key.
        description: String,
    },
    /// The server closed the connection.
    #[error("{address} closed the connection")]
    ClosedByPeer {
        /// Host and port.
        address: String,
    },
    /// The publisher has ended the stream.
    #[error("the publisher behind {address} has ended the stream")]
    Unpublished {
        /// Host and port.
        address: String,
    },
    /// Nothing came for too long.
    #[error("nothing came from {address} for {} s", .after.as_secs_f32())]
    Silent {
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
    /// The publisher's connection cannot be received any further.
    #[error("publisher at {peer}: {source}")]
    Publisher {
        /// The publisher's address.
        peer: SocketAddr,
        /// What is wrong.
        source: Arc<ListenError>,
    },
    /// The pictures or the sound cannot be decoded; they can be had encoded.
    #[error("cannot decode: {0}")]
    Decode(Arc<DecodeError>),
    /// A picture could not be scaled or converted.
    #[error(transparent)]
    Convert(#[from] ConvertError),
    /// Sound could not be brought to the rate or channels asked for.
    #[error(transparent)]
    Resample(#[from] ResampleError),
}

impl CaptureError {
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
    pub(super) fn io(address: &str, error: io::Error) -> Self {
        let address = address.to_owned();
        match error.kind() {
            io::ErrorKind::ConnectionReset
            | io::ErrorKind::BrokenPipe
            | io::ErrorKind::ConnectionAborted
            | io::ErrorKind::UnexpectedEof => Self::ClosedByPeer { address },
            _ => Self::Io {
                address,
                source: Arc::new(error),
            },
        }
    }

    /// What a server's closing means at this stage: of the stream, that it is refused.
    pub(super) fn closed(address: &str, stage: Stage) -> Self {
        let address = address.to_owned();
        if matches!(stage, Stage::Connect | Stage::CreateStream | Stage::Publish) {
            Self::Rejected {
                address,
                connect: stage == Stage::Connect,
                code: String::new(),
                description: "it closed the connection".to_owned(),
            }
        } else {
            Self::ClosedByPeer { address }
        }
    }

    pub(super) fn is_rejection(&self) -> bool {
        matches!(self, Self::Rejected { .. })
    }
}

impl From<DecodeError> for CaptureError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(Arc::new(error))
    }
}
