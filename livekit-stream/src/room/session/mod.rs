//! The session: one task that owns the connections to the server, keeps the participants up to
//! date and starts a receiving task for every track.

mod backoff;
mod data;
mod link;
mod offers;
mod participants;
mod reconnect;
mod shared;
mod tracks;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use livekit_protocol as proto;
use tokio::sync::{mpsc, oneshot};

use super::signal::{self, Request, Response};
use super::transport::{self, WebRtcTrack};
use super::{
    ConnectError, DisconnectReason, RemoteTrackPublication, RoomEvent, RoomEvents, RoomOptions,
    StreamState,
};
use crate::fanout::Ring;
use backoff::Backoff;
use data::Transcripts;
use link::Link;
use participants::Memory;
use reconnect::{Outcome, Reconnecting, Retry};
pub(super) use shared::Command;
pub(crate) use shared::Shared;
use tracks::{Parked, Subscribed};

/// Commands that wait for the session.
const COMMAND_CAPACITY: usize = 64;

/// Whether the room goes on.
type Flow = ControlFlow<DisconnectReason>;

/// See the module.
pub(super) struct Session {
    shared: Arc<Shared>,
    url: String,
    options: RoomOptions,
    events: Arc<Ring<RoomEvent>>,
    commands: mpsc::WeakSender<Command>,
    link: Link,
    /// Whether the media connection has been up.
    connected: bool,
    reconnecting: Option<Reconnecting>,
    backoff: Backoff,
    memory: Memory,
    transcripts: Transcripts,
    subscribed: HashMap<String, Subscribed>,
    /// Tracks whose media came before their announcement, by sid.
    early: HashMap<String, WebRtcTrack>,
    /// Tracks that are not subscribed to any more and may be again, by sid.
    parked: HashMap<String, Parked>,
    /// Tells the sids of tracks whose media ended.
    ended: mpsc::Sender<String>,
}

/// What the session's task acts on.
enum Woken {
    Signal(signal::Event),
    Media(transport::Event),
    /// The media of a track ended.
    Ended(String),
    Command(Option<Command>),
    /// An attempt to connect again has come to its end.
    Attempted(Outcome),
    Timeout,
}

impl Session {
    /// Joins, and starts the session's task.
    pub(super) async fn start(
        url: &str,
        token: &str,
        options: RoomOptions,
    ) -> Result<(Arc<Shared>, mpsc::Sender<Command>, RoomEvents), ConnectError> {
        let (link, join) = Link::open(url, token, &options).await?;
        let own = join.participant.unwrap_or_default();
        let shared = Arc::new(Shared::new(own.identity, join.room.unwrap_or_default()));
        let (commands, received_commands) = mpsc::channel(COMMAND_CAPACITY);
        let (ring, events) = RoomEvents::new(options.event_capacity);
        let (ended, ended_tracks) = mpsc::channel(COMMAND_CAPACITY);
        let mut session = Self {
            shared: Arc::clone(&shared),
            url: url.to_owned(),
            backoff: Backoff::new(options.reconnect_delay, options.max_reconnect_delay),
            options,
            events: ring,
            commands: commands.downgrade(),
            link,
            connected: false,
            reconnecting: None,
            memory: Memory::default(),
            transcripts: Transcripts::default(),
            subscribed: HashMap::new(),
            early: HashMap::new(),
            parked: HashMap::new(),
            ended,
        };
        for participant in join.other_participants {
            session.update_participant(participant).await;
        }
        tokio::spawn(session.run(received_commands, ended_tracks));
        Ok((shared, commands, events))
    }

    async fn run(
        mut self,
        mut commands: mpsc::Receiver<Command>,
        mut ended: mpsc::Receiver<String>,
    ) {
        let mut closed_by = None;
        let reason = loop {
            let deadline = self.deadline();
            let woken = tokio::select! {
                event = next_signal(&mut self.link.signals) => Woken::Signal(event),
                Some(event) = self.link.media.recv() => Woken::Media(event),
                Some(sid) = ended.recv() => Woken::Ended(sid),
                command = commands.recv() => Woken::Command(command),
                outcome = reconnect::attempted(&mut self.reconnecting) => Woken::Attempted(outcome),
                () = sleep_until(deadline) => Woken::Timeout,
            };
            if let ControlFlow::Break(reason) = self.act(woken, &mut closed_by).await {
                break reason;
            }
        };
        // From here on handles are told that the room is closed.
        commands.close();
        self.finish(reason).await;
        if let Some(done) = closed_by {
            // Nobody may wait any more; that is the caller's choice.
            let _ = done.send(());
        }
    }

    async fn act(&mut self, woken: Woken, closed_by: &mut Option<oneshot::Sender<()>>) -> Flow {
        match woken {
            Woken::Signal(signal::Event::Message(message)) => {
                return self.handle_message(*message).await;
            }
            Woken::Signal(signal::Event::Lost) => {
                let retry = Retry::Resume(proto::ReconnectReason::RrSignalDisconnected);
                return self.lost(retry, DisconnectReason::SignalLost);
            }
            Woken::Media(event) => return self.handle_media(event).await,
            Woken::Ended(sid) => {
                // The sid may meanwhile stand for media that came again.
                let over = |it: &Subscribed| it.track.hub().is_ended();
                if self.subscribed.get(&sid).is_some_and(over) {
                    self.media_ended(&sid);
                }
            }
            Woken::Command(Some(Command::Subscription(publication))) => {
                self.send_subscription(&publication).await;
            }
            Woken::Command(Some(Command::Settings(publication))) => {
                self.send_settings(&publication).await;
            }
            Woken::Command(Some(Command::Close { done })) => {
                *closed_by = Some(done);
                return ControlFlow::Break(DisconnectReason::ClientInitiated);
            }
            Woken::Command(None) => return ControlFlow::Break(DisconnectReason::ClientInitiated),
            Woken::Attempted(outcome) => return self.attempted(outcome).await,
            Woken::Timeout => return self.timed_out(Instant::now()),
        }
        ControlFlow::Continue(())
    }

    async fn finish(&mut self, reason: DisconnectReason) {
        // An attempt that is under way would hold the connection.
        self.reconnecting = None;
        let leave = matches!(
            reason,
            DisconnectReason::ClientInitiated | DisconnectReason::MediaLost
        );
        let tracks: Vec<String> = self.subscribed.keys().cloned().collect();
        for sid in tracks {
            self.media_ended(&sid);
        }
        self.shared.end(reason);
        self.link.close(leave).await;
        self.emit(RoomEvent::Disconnected { reason });
        self.events.close();
    }

    fn emit(&self, event: RoomEvent) {
        self.events.push(event);
    }

    async fn handle_message(&mut self, message: Response) -> Flow {
        match message {
            Response::Offer(offer) => {
                if let Err(error) = self.answer(offer).await {
                    tracing::error!(%error, "cannot answer the server's offer");
                    return self.lost(Retry::Rejoin, DisconnectReason::MediaLost);
                }
            }
            Response::Answer(answer) => {
                if let Err(error) = self.take_answer(answer).await {
                    tracing::error!(%error, "cannot take the server's answer");
                    return self.lost(Retry::Rejoin, DisconnectReason::MediaLost);
                }
            }
            Response::MediaSectionsRequirement(wanted) => {
                if let Err(error) = self.link.offer_more(wanted).await {
                    tracing::error!(%error, "cannot make another offer");
                    return self.lost(Retry::Rejoin, DisconnectReason::MediaLost);
                }
            }
            Response::Trickle(trickle) => self.link.add_candidate(&trickle).await,
            Response::Update(update) => {
                if self.is_taken_over(&update) {
                    return ControlFlow::Break(DisconnectReason::DuplicateIdentity);
                }
                for participant in update.participants {
                    self.update_participant(participant).await;
                }
            }
            Response::RoomUpdate(update) => {
                if let Some(room) = update.room {
                    self.shared.set_info(room);
                }
            }
            Response::StreamStateUpdate(update) => {
                for state in update.stream_states {
                    self.update_stream_state(&state);
                }
            }
            Response::SubscriptionResponse(response) => {
                let reason = proto::SubscriptionError::try_from(response.err)
                    .unwrap_or(proto::SubscriptionError::SeUnknown)
                    .as_str_name()
                    .to_owned();
                let track_sid = response.track_sid;
                self.emit(RoomEvent::TrackSubscriptionFailed { track_sid, reason });
            }
            Response::Leave(leave) => return self.handle_leave(&leave),
            _ => {}
        }
        ControlFlow::Continue(())
    }

    async fn handle_media(&mut self, event: transport::Event) -> Flow {
        match event {
            transport::Event::Candidate(role, json) => self.link.send_candidate(role, json).await,
            transport::Event::Up(role, up) => {
                if role == self.link.primary() {
                    self.media_is_up(up);
                }
            }
            transport::Event::Failed(role) => return self.media_failed(role),
            transport::Event::Track(track) => self.media_came(track).await,
            transport::Event::Data(reliable, bytes) => self.handle_data(reliable, &bytes),
        }
        ControlFlow::Continue(())
    }

    fn update_stream_state(&self, info: &proto::StreamStateInfo) {
        let known = self
            .shared
            .participant_of_sid(&info.participant_sid)
            .and_then(|participant| {
                let publication = participant.track_publication(&info.track_sid)?;
                Some((publication, participant))
            });
        if let Some((publication, participant)) = known {
            let state = StreamState::from_proto(info.state);
            self.set_stream_state(&participant, &publication, state);
        }
    }

    async fn send_subscription(&self, publication: &RemoteTrackPublication) {
        // While the connection is down nothing is sent: whatever is wanted then is told with the
        // rest once it is back.
        if self.link.signals.is_none() {
            return;
        }
        let sid = publication.sid().to_owned();
        let update = self.subscription(vec![sid], publication.is_desired());
        self.link.signal.send(Request::Subscription(update)).await;
    }

    async fn send_settings(&self, publication: &RemoteTrackPublication) {
        if self.link.signals.is_none() {
            return;
        }
        let settings = publication.wished().settings(publication.sid());
        self.link.signal.send(Request::TrackSetting(settings)).await;
    }

    fn subscription(&self, track_sids: Vec<String>, subscribe: bool) -> proto::UpdateSubscription {
        let mut participant_tracks = Vec::new();
        for participant in self.shared.participants() {
            let has = |sid: &&String| participant.track_publication(sid).is_some();
            let track_sids: Vec<String> = track_sids.iter().filter(has).cloned().collect();
            if !track_sids.is_empty() {
                participant_tracks.push(proto::ParticipantTracks {
                    participant_sid: participant.sid().to_owned(),
                    track_sids,
                });
            }
        }
        proto::UpdateSubscription {
            track_sids,
            subscribe,
            participant_tracks,
        }
    }
}

async fn next_signal(signals: &mut Option<signal::Events>) -> signal::Event {
    match signals {
        Some(signals) => signals.next().await,
        None => std::future::pending().await,
    }
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
