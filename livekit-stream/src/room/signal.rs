//! The signal connection: the one file that names LiveKit's signalling crate.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use livekit_protocol as proto;
use livekit_signaling::{SignalClient, SignalError, SignalOptions, SignalSdkOptions};
use url::Url;

use super::{ConnectError, RoomOptions, token};

pub(super) use livekit_protocol::signal_request::Message as Request;
pub(super) use livekit_protocol::signal_response::Message as Response;

/// The newest protocol whose every message this crate acts on. From 16 on the server may move a
/// participant to another room, from 17 on it passes on trailers of video frames, from 18 on data
/// channels are agreed upon beforehand. How many peer connections there are is not a matter of the
/// version but of the path that the signal connection is made at.
const PROTOCOL_VERSION: u32 = 15;

/// What the signal connection tells.
pub(super) enum Event {
    /// A message from the server.
    Message(Box<Response>),
    /// The connection is lost.
    Lost,
}

/// A signal connection, and what it takes to make it again. Clones are the same connection.
#[derive(Debug, Clone)]
pub(super) struct Signal {
    client: Arc<SignalClient>,
    host: String,
    timeout: Duration,
}

/// Events of a signal connection.
pub(super) struct Events {
    events: livekit_signaling::SignalEvents,
}

impl Events {
    pub(super) async fn next(&mut self) -> Event {
        match self.events.recv().await {
            Some(livekit_signaling::SignalEvent::Message(message)) => Event::Message(message),
            Some(livekit_signaling::SignalEvent::Close(_)) | None => Event::Lost,
        }
    }

    /// Drops what a closed connection has left.
    pub(super) fn clear(&mut self) {
        while self.events.try_recv().is_ok() {}
    }
}

/// Why a session could not be resumed.
#[derive(Debug)]
pub(super) enum ResumeError {
    /// The server says what to do instead.
    Left(proto::LeaveRequest),
    /// There was no answer, or none that makes sense.
    Failed(ConnectError),
}

/// Connects and joins.
pub(super) async fn connect(
    url: &str,
    token: &str,
    room: &RoomOptions,
) -> Result<(Signal, proto::JoinResponse, Events), ConnectError> {
    let timeout = room.connect_timeout;
    let host = check_url(url)?;
    if token.split('.').count() != 3 || !token.is_ascii() {
        return Err(ConnectError::MalformedToken {
            reason: "it has not the three parts of a JWT",
        });
    }
    let mut sdk = SignalSdkOptions::default();
    sdk.sdk_version = Some(env!("CARGO_PKG_VERSION").to_owned());
    let mut options = SignalOptions::default();
    options.auto_subscribe = room.auto_subscribe;
    options.single_peer_connection = room.single_peer_connection;
    options.sdk_options = sdk;
    options.connect_timeout = timeout;
    options.region_failover = false;
    options.protocol_version = PROTOCOL_VERSION;
    // The default list asks for trailers on video frames, which would end up in every output.
    options.client_capabilities = Vec::new();
    // Told to the other participants: text comes to us in pieces and as it is.
    options.client_protocol = livekit_signaling::CLIENT_PROTOCOL_DEFAULT;
    let connecting = SignalClient::connect(url, token, options, None);
    match tokio::time::timeout(timeout, connecting).await {
        Ok(Ok((client, join, events))) => {
            let signal = Signal {
                client: Arc::new(client),
                host,
                timeout,
            };
            if let Some(reason) = unusable(&join) {
                signal.leave().await;
                let host = signal.host;
                return Err(ConnectError::Refused { host, reason });
            }
            Ok((signal, join, Events { events }))
        }
        Ok(Err(error)) => Err(explain(error, host, token, timeout)),
        Err(_) => Err(ConnectError::Timeout {
            host,
            after: timeout,
        }),
    }
}

impl Signal {
    /// Connects again and goes on with the session. `events` has to be read to its end first.
    pub(super) async fn resume(
        &self,
        reason: proto::ReconnectReason,
    ) -> Result<proto::ReconnectResponse, ResumeError> {
        let resuming = self.client.restart(reason);
        match tokio::time::timeout(self.timeout, resuming).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(SignalError::LeaveRequest { reason, action })) => {
                Err(ResumeError::Left(proto::LeaveRequest {
                    reason: reason as i32,
                    action: action as i32,
                    ..proto::LeaveRequest::default()
                }))
            }
            Ok(Err(error)) => {
                let (host, token) = (self.host.clone(), self.token());
                let error = explain(error, host, &token, self.timeout);
                Err(ResumeError::Failed(error))
            }
            Err(_) => Err(ResumeError::Failed(ConnectError::Timeout {
                host: self.host.clone(),
                after: self.timeout,
            })),
        }
    }

    /// Whether there is one peer connection for both directions: it was asked for, and the server
    /// knows of it.
    pub(super) fn is_single(&self) -> bool {
        self.client.is_single_pc_mode_active()
    }

    /// The session goes on: requests are sent again.
    pub(super) async fn resumed(&self) {
        self.client.set_reconnected().await;
    }

    /// The token that lets us in now: the server sends new ones while the session lasts.
    pub(super) fn token(&self) -> String {
        self.client.token()
    }

    /// Sends a request. While the connection is down, those that change the session wait for
    /// [`resumed`](Self::resumed), and the others are lost.
    pub(super) async fn send(&self, request: Request) {
        self.client.send(request).await;
    }

    /// Tells the server that we leave, and closes the connection.
    pub(super) async fn leave(&self) {
        let leave = proto::LeaveRequest {
            reason: proto::DisconnectReason::ClientInitiated as i32,
            action: proto::leave_request::Action::Disconnect as i32,
            ..proto::LeaveRequest::default()
        };
        self.client.send(Request::Leave(leave)).await;
        self.client.close().await;
    }

    /// Closes the connection.
    pub(super) async fn close(&self) {
        self.client.close().await;
    }
}

/// What a join response lacks that the signalling crate needs, and does without a check.
fn unusable(join: &proto::JoinResponse) -> Option<String> {
    if join.participant.is_none() {
        return Some("its join response names no participant".to_owned());
    }
    let (interval, timeout) = (join.ping_interval, join.ping_timeout);
    if interval <= 0 || timeout <= 0 {
        return Some(format!(
            "it wants pings every {interval} s within {timeout} s"
        ));
    }
    None
}

/// Host and port of a LiveKit URL.
fn check_url(url: &str) -> Result<String, ConnectError> {
    let shown = || url.split(['?', '#']).next().unwrap_or_default().to_owned();
    let parsed = Url::parse(url).map_err(|error| ConnectError::InvalidUrl {
        url: shown(),
        reason: error.to_string(),
    })?;
    if !matches!(parsed.scheme(), "ws" | "wss" | "http" | "https") {
        return Err(ConnectError::UnsupportedScheme {
            scheme: parsed.scheme().to_owned(),
        });
    }
    let host = parsed
        .host_str()
        .filter(|host| !host.is_empty())
        .ok_or_else(|| ConnectError::InvalidUrl {
            url: shown(),
            reason: "it names no host".to_owned(),
        })?;
    Ok(match parsed.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    })
}

fn explain(error: SignalError, host: String, token: &str, timeout: Duration) -> ConnectError {
    // Servers repeat the token they refuse.
    let told = |text: String| text.replace(token, "***").trim().to_owned();
    let refused = |status: u16, text: String| {
        let reason = told(text);
        if matches!(status, 401 | 403) {
            token::why_refused(token, SystemTime::now()).unwrap_or(ConnectError::Unauthorized {
                host: host.clone(),
                reason,
            })
        } else {
            ConnectError::Refused {
                host: host.clone(),
                reason: format!("{status} {reason}"),
            }
        }
    };
    match error {
        SignalError::UrlParse(reason) => ConnectError::InvalidUrl {
            url: host,
            reason: told(reason),
        },
        SignalError::TokenFormat => ConnectError::MalformedToken {
            reason: "it has invalid characters",
        },
        SignalError::Client(status, text) | SignalError::Server(status, text) => {
            refused(status.as_u16(), text)
        }
        SignalError::Handshake { status } => refused(status.as_u16(), String::new()),
        SignalError::Timeout(_) => ConnectError::Timeout {
            host,
            after: timeout,
        },
        SignalError::Connection(reason) => ConnectError::Unreachable {
            host,
            reason: told(reason),
        },
        other => ConnectError::Refused {
            host,
            reason: told(other.to_string()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked_before_anything_is_sent() {
        assert_eq!(
            check_url("ws://127.0.0.1:7880"),
            Ok("127.0.0.1:7880".to_owned())
        );
        assert_eq!(check_url("wss://example.org"), Ok("example.org".to_owned()));
        assert!(matches!(
            check_url("example.org"),
            Err(ConnectError::InvalidUrl { .. })
        ));
        assert_eq!(
            check_url("rtmp://example.org"),
            Err(ConnectError::UnsupportedScheme {
                scheme: "rtmp".to_owned()
            })
        );
    }

    #[test]
    fn a_token_in_the_query_of_a_bad_url_is_not_shown() {
        let error = check_url("ws://?access_token=secret").expect_err("no host");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
}
