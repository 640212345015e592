//! Publishing, playing, and the server of publishers (Adobe RTMP 1.0 section 7): handshake,
//! commands, media.
//!
//! ```
//! use livekit_stream::rtmp::RtmpUrl;
//! use livekit_stream::rtmp::session::{
//!     PublishEvent, PublishSession, ServerEvent, ServerOptions, ServerSession,
//! };
//!
//! let url: RtmpUrl = "rtmp://localhost/live/key".parse()?;
//! let mut client = PublishSession::new(url, 0, &[1; 1528]);
//! let mut server = ServerSession::new(ServerOptions::default(), 0, &[2; 1528]);
//! let mut published = false;
//! while !published {
//!     server.receive(&client.take_output())?;
//!     while let Some(event) = server.next_event() {
//!         if let ServerEvent::PublishRequested(request) = event {
//!             assert_eq!((request.app(), request.key()), ("live", "key"));
//!             server.accept();
//!         }
//!     }
//!     client.receive(&server.take_output())?;
//!     published = client.next_event() == Some(PublishEvent::Published);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod client;
mod enhanced;
mod link;
mod play;
mod publish;
mod server;
#[cfg(test)]
mod tests;

pub use client::Stage;
pub use enhanced::{Capabilities, FourCc};
pub use play::{PlayEvent, PlaySession};
pub use publish::{PublishEvent, PublishSession};
pub use server::{
    MediaMessage, PlayRequest, PublishRequest, ServerEvent, ServerOptions, ServerSession,
};

use super::{amf0, chunk, handshake};

/// A session cannot go on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SessionError {
    /// The peer does not speak RTMP.
    #[error("RTMP handshake: {0}")]
    Handshake(#[from] handshake::Error),
    /// The peer broke the chunk stream.
    #[error("RTMP chunk stream: {0}")]
    Chunk(#[from] chunk::Error),
    /// The peer sent a command that cannot be read.
    #[error("RTMP command: {0}")]
    Amf(#[from] amf0::Error),
    /// The server refused the application or the stream key.
    #[error("the server rejected the {} ({code}): {description}", if *connect { "application" } else { "stream" })]
    Rejected {
        /// Whether `connect` was refused, that is the application; else the stream.
        connect: bool,
        /// Such as `NetStream.Publish.BadName`; empty when the server gave none.
        code: String,
        /// The server's words, without the key.
        description: String,
    },
    /// An answer lacks what it is for.
    #[error("the server's answer to {command} has no {missing}")]
    BadAnswer {
        /// The command.
        command: &'static str,
        /// What is missing.
        missing: &'static str,
    },
}

/// Chunk streams, as FFmpeg numbers them: media of different kinds apart, so that each keeps
/// its short headers.
const COMMAND_CHUNK_STREAM: u32 = 3;
const AUDIO_CHUNK_STREAM: u32 = 4;
const DATA_CHUNK_STREAM: u32 = 5;
const VIDEO_CHUNK_STREAM: u32 = 6;
const PUBLISH_CHUNK_STREAM: u32 = 8;

/// Transactions are small whole numbers in doubles.
fn is(transaction: f64, expected: f64) -> bool {
    (transaction - expected).abs() < 0.5
}

/// `@setDataFrame` is for the server: files and players get what follows it.
fn without_set_data_frame(body: bytes::Bytes) -> bytes::Bytes {
    let mut prefix = Vec::new();
    amf0::Value::from("@setDataFrame").encode(&mut prefix);
    if body.starts_with(&prefix) {
        body.slice(prefix.len()..)
    } else {
        body
    }
}
