//! A lost connection is made again: the session is resumed where the server still knows it, else
//! the room is joined anew.

use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::leave_request::Action;
use tokio::sync::oneshot;

use super::link::Link;
use super::{Flow, Session};
use crate::room::signal::{self, Request, ResumeError};
use crate::room::transport::Role;
use crate::room::{ConnectError, DisconnectReason, RoomEvent, RoomOptions};

/// So often a session is tried to be resumed before the room is joined anew.
const RESUMES: u32 = 5;

/// How to connect again.
#[derive(Debug, Clone, Copy)]
pub(super) enum Retry {
    /// Go on with the session.
    Resume(proto::ReconnectReason),
    /// Join as if for the first time.
    Rejoin,
}

/// What an attempt has come to.
pub(super) enum Outcome {
    Resumed(
        signal::Events,
        Retry,
        Result<proto::ReconnectResponse, ResumeError>,
    ),
    Joined(Result<Box<(Link, proto::JoinResponse)>, ConnectError>),
}

/// A connection that is being made again.
pub(super) struct Reconnecting {
    /// Why the room is left if it cannot be.
    cause: DisconnectReason,
    /// When it is given up.
    deadline: Instant,
    /// How often the session was tried to be resumed.
    resumes: u32,
    /// Dropped to break it off.
    attempt: Option<oneshot::Receiver<Outcome>>,
    /// The events of the old signal connection, while no attempt has them.
    signals: Option<signal::Events>,
    /// Set while the signal connection is back and media are waited for.
    media_deadline: Option<Instant>,
}

/// The end of the attempt that is under way.
pub(super) async fn attempted(reconnecting: &mut Option<Reconnecting>) -> Outcome {
    let attempt = reconnecting.as_mut().and_then(|it| it.attempt.as_mut());
    match attempt {
        Some(attempt) => attempt.await.unwrap_or_else(|_| {
            let reason = "the attempt broke off".to_owned();
            Outcome::Joined(Err(ConnectError::Media { reason }))
        }),
        None => std::future::pending().await,
    }
}

impl Session {
    /// The connection is lost.
    pub(super) fn lost(&mut self, retry: Retry, cause: DisconnectReason) -> Flow {
        if self.options.reconnect_timeout.is_zero() {
            return ControlFlow::Break(cause);
        }
        let now = Instant::now();
        let signals = self.link.signals.take();
        if let Some(reconnecting) = &mut self.reconnecting {
            reconnecting.media_deadline = None;
            reconnecting.signals = signals.or(reconnecting.signals.take());
        } else {
            tracing::info!(%cause, "reconnecting");
            self.backoff.lost(now);
            self.emit(RoomEvent::Reconnecting);
            self.reconnecting = Some(Reconnecting {
                cause,
                deadline: now + self.options.reconnect_timeout,
                resumes: 0,
                attempt: None,
                signals,
                media_deadline: None,
            });
        }
        self.attempt(retry)
    }

    /// Starts the next attempt, after a pause.
    fn attempt(&mut self, retry: Retry) -> Flow {
        let Some(reconnecting) = &mut self.reconnecting else {
            return ControlFlow::Continue(());
        };
        let pause = self.backoff.pause(rand::random());
        if Instant::now() + pause >= reconnecting.deadline {
            return ControlFlow::Break(reconnecting.cause);
        }
        let signal = self.link.signal.clone();
        let (mut sender, attempt) = oneshot::channel();
        reconnecting.attempt = Some(attempt);
        match (retry, reconnecting.signals.take()) {
            (Retry::Resume(reason), Some(mut signals)) if reconnecting.resumes < RESUMES => {
                reconnecting.resumes += 1;
                let resume = async move {
                    tokio::time::sleep(pause).await;
                    signal.close().await;
                    signals.clear();
                    let resumed = signal.resume(reason).await;
                    Outcome::Resumed(signals, retry, resumed)
                };
                tokio::spawn(async move {
                    tokio::select! {
                        // Nobody waits for it any more: then it was broken off.
                        outcome = resume => drop(sender.send(outcome)),
                        () = sender.closed() => {}
                    }
                });
            }
            _ => {
                let (url, options) = (self.url.clone(), self.options.clone());
                tokio::spawn(async move {
                    signal.close().await;
                    join(&url, &signal.token(), &options, pause, sender).await;
                });
            }
        }
        ControlFlow::Continue(())
    }

    pub(super) async fn attempted(&mut self, outcome: Outcome) -> Flow {
        if let Some(reconnecting) = &mut self.reconnecting {
            reconnecting.attempt = None;
        }
        match outcome {
            Outcome::Resumed(signals, _, Ok(response)) => {
                self.link.signals = Some(signals);
                self.link.resumed = true;
                self.resumed(&response).await;
            }
            Outcome::Resumed(_, _, Err(ResumeError::Left(leave))) => {
                return self.handle_leave(&leave);
            }
            Outcome::Resumed(signals, retry, Err(ResumeError::Failed(error))) => {
                tracing::info!(%error, "the session could not be resumed");
                let Some(retry) = retry_after(&error, retry) else {
                    return ControlFlow::Break(DisconnectReason::Refused);
                };
                if let Some(reconnecting) = &mut self.reconnecting {
                    reconnecting.signals = Some(signals);
                }
                return self.attempt(retry);
            }
            Outcome::Joined(Ok(joined)) => {
                let (link, join) = *joined;
                let old = std::mem::replace(&mut self.link, link);
                tokio::spawn(async move { old.close(false).await });
                self.rejoined(join).await;
            }
            Outcome::Joined(Err(error)) => {
                tracing::info!(%error, "the room could not be joined again");
                let Some(retry) = retry_after(&error, Retry::Rejoin) else {
                    return ControlFlow::Break(DisconnectReason::Refused);
                };
                return self.attempt(retry);
            }
        }
        if let Some(reconnecting) = &mut self.reconnecting {
            reconnecting.media_deadline = Some(Instant::now() + self.options.connect_timeout);
        }
        ControlFlow::Continue(())
    }

    /// The signal connection is back: tells the server what the session is like, and looks for
    /// paths for media anew. The server offers the subscriber's connection, if there is one, itself.
    async fn resumed(&mut self, response: &proto::ReconnectResponse) {
        self.link.set_ice_servers(&response.ice_servers).await;
        let state = self.sync_state().await;
        self.link.signal.send(Request::SyncState(state)).await;
        if let Err(error) = self.link.restart().await {
            tracing::warn!(%error, "our connection is not offered again");
        }
        self.link.signal.resumed().await;
        for participant in self.shared.participants() {
            for publication in participant.track_publications() {
                if publication.wished().has_settings() {
                    self.send_settings(&publication).await;
                }
            }
        }
    }

    async fn sync_state(&self) -> proto::SyncState {
        let auto_subscribe = self.options.auto_subscribe;
        let (mut track_sids, mut track_sids_disabled) = (Vec::new(), Vec::new());
        for participant in self.shared.participants() {
            for publication in participant.track_publications() {
                let sid = publication.sid().to_owned();
                if publication.is_desired() != auto_subscribe {
                    track_sids.push(sid.clone());
                }
                if !publication.is_enabled() {
                    track_sids_disabled.push(sid);
                }
            }
        }
        let description = |kind: &str, sdp| proto::SessionDescription {
            r#type: kind.to_owned(),
            sdp,
            ..proto::SessionDescription::default()
        };
        let (offer, answer) = self.link.receiving.agreed().await.unzip();
        proto::SyncState {
            offer: offer.map(|sdp| description("offer", sdp)),
            answer: answer.map(|sdp| description("answer", sdp)),
            subscription: Some(self.subscription(track_sids, !auto_subscribe)),
            track_sids_disabled,
            ..proto::SyncState::default()
        }
    }

    /// The server ends the session, for good or to have it made again.
    pub(super) fn handle_leave(&mut self, leave: &proto::LeaveRequest) -> Flow {
        let reason = reason_of(leave.reason);
        let retry = match Action::try_from(leave.action) {
            Ok(Action::Resume) => Retry::Resume(proto::ReconnectReason::RrSignalDisconnected),
            Ok(Action::Reconnect) => Retry::Rejoin,
            // Servers that know no actions say it so.
            Ok(Action::Disconnect) if leave.can_reconnect => Retry::Rejoin,
            Ok(Action::Disconnect) | Err(_) => return ControlFlow::Break(reason),
        };
        self.lost(retry, reason)
    }

    /// The primary connection is up, or down for the time being.
    pub(super) fn media_is_up(&mut self, up: bool) {
        self.link.up = up;
        if !up {
            return;
        }
        if !self.connected {
            self.connected = true;
            self.emit(RoomEvent::MediaConnected);
        }
        let waited_for = |it: &Reconnecting| it.media_deadline.is_some();
        if self.reconnecting.as_ref().is_some_and(waited_for) {
            self.reconnected();
        }
    }

    /// A connection for media is lost for good, unless another path to the server is found.
    pub(super) fn media_failed(&mut self, role: Role) -> Flow {
        if role == self.link.primary() {
            self.link.up = false;
        }
        let retry = match &self.reconnecting {
            // Another attempt is under way.
            Some(reconnecting) if reconnecting.attempt.is_some() => {
                return ControlFlow::Continue(());
            }
            Some(_) => Retry::Rejoin,
            None => Retry::Resume(match role {
                Role::Publisher => proto::ReconnectReason::RrPublisherFailed,
                Role::Subscriber => proto::ReconnectReason::RrSubscriberFailed,
            }),
        };
        self.lost(retry, DisconnectReason::MediaLost)
    }

    fn reconnected(&mut self) {
        self.reconnecting = None;
        self.backoff.connected(Instant::now());
        tracing::info!("reconnected");
        self.emit(RoomEvent::Reconnected);
    }

    /// When something is to be done without an event.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let reconnecting = self.reconnecting.as_ref();
        let ends = reconnecting.map(|it| it.deadline);
        let media = reconnecting.and_then(|it| it.media_deadline);
        [ends, media, self.memory.deadline()]
            .into_iter()
            .flatten()
            .min()
    }

    pub(super) fn timed_out(&mut self, now: Instant) -> Flow {
        for identity in self.memory.expired(now) {
            if let Some(participant) = self.shared.participant(&identity) {
                self.remove_participant(&participant);
            }
        }
        let Some(reconnecting) = &self.reconnecting else {
            return ControlFlow::Continue(());
        };
        if reconnecting.media_deadline.is_some_and(|at| at <= now) {
            // A server that had no reason to look for another path keeps the one there is.
            if self.link.up {
                self.reconnected();
            } else {
                return self.lost(Retry::Rejoin, DisconnectReason::MediaLost);
            }
        } else if reconnecting.deadline <= now {
            return ControlFlow::Break(reconnecting.cause);
        }
        ControlFlow::Continue(())
    }
}

/// Joins after a pause. A session that has gone meanwhile gets no new connection, and leaves no
/// one behind in the room.
async fn join(
    url: &str,
    token: &str,
    options: &RoomOptions,
    pause: Duration,
    mut sender: oneshot::Sender<Outcome>,
) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = sender.closed() => return,
    }
    let joined = Link::open(url, token, options).await.map(Box::new);
    if let Err(Outcome::Joined(Ok(joined))) = sender.send(Outcome::Joined(joined)) {
        joined.0.close(true).await;
    }
}

/// How to go on after an error; `None`: another attempt would come to the same.
fn retry_after(error: &ConnectError, retry: Retry) -> Option<Retry> {
    match error {
        ConnectError::Unreachable { .. } | ConnectError::Timeout { .. } => Some(retry),
        ConnectError::Unauthorized { .. }
        | ConnectError::TokenExpired { .. }
        | ConnectError::MissingGrant { .. }
        | ConnectError::MalformedToken { .. }
        | ConnectError::InvalidUrl { .. }
        | ConnectError::UnsupportedScheme { .. } => None,
        ConnectError::Refused { .. } | ConnectError::Media { .. } => Some(Retry::Rejoin),
    }
}

fn reason_of(reason: i32) -> DisconnectReason {
    use proto::DisconnectReason as Proto;
    match Proto::try_from(reason) {
        Ok(Proto::ClientInitiated) => DisconnectReason::ClientInitiated,
        Ok(Proto::DuplicateIdentity) => DisconnectReason::DuplicateIdentity,
        Ok(Proto::ServerShutdown) => DisconnectReason::ServerShutdown,
        Ok(Proto::ParticipantRemoved) => DisconnectReason::ParticipantRemoved,
        Ok(Proto::RoomDeleted) => DisconnectReason::RoomDeleted,
        Ok(Proto::StateMismatch) => DisconnectReason::StateMismatch,
        Ok(Proto::JoinFailure | Proto::ConnectionTimeout) => DisconnectReason::JoinFailure,
        Ok(Proto::SignalClose) => DisconnectReason::SignalLost,
        Ok(Proto::RoomClosed) => DisconnectReason::RoomClosed,
        Ok(Proto::MediaFailure) => DisconnectReason::MediaLost,
        Ok(_) | Err(_) => DisconnectReason::Unknown,
    }
}
