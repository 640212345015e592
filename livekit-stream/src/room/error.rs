//! Why a room could not be joined, or a track not subscribed to.

use std::time::Duration;

/// Joining failed. No variant holds the token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The URL cannot be parsed.
    #[error("invalid URL {url:?}: {reason}")]
    InvalidUrl {
        /// The URL, without its query.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The URL is of another scheme.
    #[error("unsupported URL scheme {scheme:?}: use ws, wss, http or https")]
    UnsupportedScheme {
        /// The scheme found.
        scheme: String,
    },
    /// The token is not a JWT.
    #[error("the access token is malformed: {reason}")]
    MalformedToken {
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The token's time is over.
    #[error("the access token expired {expired_ago:?} ago: make a new one")]
    TokenExpired {
        /// For how long.
        expired_ago: Duration,
    },
    /// The token is genuine but does not let its bearer in.
    #[error("the access token lacks the grant {grant}")]
    MissingGrant {
        /// The grant, as the token names it.
        grant: &'static str,
    },
    /// The server does not accept the token: it was signed with another key or secret.
    #[error("{host} refuses the access token (401): {reason}")]
    Unauthorized {
        /// Host and port.
        host: String,
        /// What the server said.
        reason: String,
    },
    /// Nothing answers at the URL.
    #[error("cannot reach {host}: {reason}")]
    Unreachable {
        /// Host and port.
        host: String,
        /// What the network said.
        reason: String,
    },
    /// The connect timeout is over.
    #[error("{host} did not answer within {after:?}")]
    Timeout {
        /// Host and port.
        host: String,
        /// The timeout.
        after: Duration,
    },
    /// The server answered with another error.
    #[error("{host} refused the connection: {reason}")]
    Refused {
        /// Host and port.
        host: String,
        /// Status and text.
        reason: String,
    },
    /// The media connection could not be prepared.
    #[error("cannot prepare the media connection: {reason}")]
    Media {
        /// What failed.
        reason: String,
    },
}

/// A subscription could not be changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The room has been left.
    #[error("cannot change the subscription of track {track}: the room is closed")]
    RoomClosed {
        /// The track's sid.
        track: String,
    },
}
