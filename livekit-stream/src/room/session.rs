//! The session: one task that owns the signal connection and the peer connections, keeps the
//! participants up to date and starts a receiving task for every track.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use livekit_protocol as proto;
use tokio::sync::{mpsc, oneshot, watch};

use super::signal::{self, Request, Response, Signal};
use super::transport::{self, Role, Transport, WebRtcTrack};
use super::{
    ConnectError, DisconnectReason, RemoteParticipant, RemoteTrack, RemoteTrackPublication,
    RoomEvent, RoomEvents, RoomOptions,
};
use crate::codec::MediaKind;
use crate::fanout::{Ring, TrackHub};
use crate::rtp::RoomClock;

/// Commands that wait for the session.
const COMMAND_CAPACITY: usize = 64;

/// What handles of the room ask the session for.
#[derive(Debug)]
pub(super) enum Command {
    /// Subscribe to a track, or unsubscribe from it.
    Subscribe { sid: String, subscribed: bool },
    /// Leave the room.
    Close { done: oneshot::Sender<()> },
}

#[derive(Debug)]
struct RoomState {
    info: proto::Room,
    participants: BTreeMap<String, RemoteParticipant>,
}

/// What the session shares with the handles of the room.
#[derive(Debug)]
pub(crate) struct Shared {
    identity: String,
    clock: RoomClock,
    state: Mutex<RoomState>,
    ended: OnceLock<DisconnectReason>,
    changed: watch::Sender<()>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, RoomState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn name(&self) -> String {
        self.lock().info.name.clone()
    }

    pub(super) fn sid(&self) -> String {
        self.lock().info.sid.clone()
    }

    pub(super) fn identity(&self) -> &str {
        &self.identity
    }

    pub(super) fn participants(&self) -> Vec<RemoteParticipant> {
        self.lock().participants.values().cloned().collect()
    }

    pub(super) fn participant(&self, identity: &str) -> Option<RemoteParticipant> {
        self.lock().participants.get(identity).cloned()
    }

    pub(super) fn now_us(&self) -> i64 {
        self.clock.time_us(Instant::now())
    }

    /// Why the room was left, once it has been.
    pub(super) fn ended(&self) -> Option<DisconnectReason> {
        self.ended.get().copied()
    }

    /// Changes whenever somebody joins, and when the room is left.
    pub(super) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    fn participant_of_sid(&self, sid: &str) -> Option<RemoteParticipant> {
        self.lock()
            .participants
            .values()
            .find(|participant| participant.sid() == sid)
            .cloned()
    }
}

/// A track whose media come, with its task's end.
struct Subscribed {
    participant: RemoteParticipant,
    publication: RemoteTrackPublication,
    track: RemoteTrack,
    media: WebRtcTrack,
    /// Dropped to end the receiving task.
    _stop: oneshot::Sender<()>,
}

/// See the module.
pub(super) struct Session {
    shared: Arc<Shared>,
    options: RoomOptions,
    events: Arc<Ring<RoomEvent>>,
    commands: mpsc::WeakSender<Command>,
    signal: Signal,
    subscriber: Transport,
    /// Made when the server takes it for the session's primary connection.
    publisher: Option<Transport>,
    subscribed: HashMap<String, Subscribed>,
    /// Tracks whose media came before their announcement, by sid.
    early: HashMap<String, WebRtcTrack>,
    /// Tracks that are not subscribed to any more and may be again, by sid.
    parked: HashMap<String, WebRtcTrack>,
    /// Tells the sids of tracks whose media ended.
    ended: mpsc::Sender<String>,
    own_sid: String,
}

impl Session {
    /// Joins, and starts the session's task.
    pub(super) async fn start(
        url: &str,
        token: &str,
        options: RoomOptions,
    ) -> Result<(Arc<Shared>, mpsc::Sender<Command>, RoomEvents), ConnectError> {
        let (signal, join, signals) =
            signal::connect(url, token, options.auto_subscribe, options.connect_timeout).await?;
        let runtime = options
            .runtime
            .clone()
            .unwrap_or_else(transport::default_runtime);
        let (media_events, media) = mpsc::channel(transport::EVENT_CAPACITY);
        let prepare = |role| {
            let (runtime, events) = (Arc::clone(&runtime), media_events.clone());
            Transport::new(role, &join.ice_servers, is_loopback(url), runtime, events)
        };
        let prepared = async {
            let subscriber = prepare(Role::Subscriber).await?;
            let publisher = if join.subscriber_primary {
                None
            } else {
                Some(prepare(Role::Publisher).await?)
            };
            Ok::<_, transport::TransportError>((subscriber, publisher))
        };
        let (subscriber, publisher) = match prepared.await {
            Ok(prepared) => prepared,
            Err(error) => {
                signal.leave().await;
                return Err(ConnectError::Media {
                    reason: error.to_string(),
                });
            }
        };
        let own = join.participant.unwrap_or_default();
        let info = join.room.unwrap_or_default();
        let shared = Arc::new(Shared {
            identity: own.identity,
            clock: RoomClock::new(Instant::now()),
            state: Mutex::new(RoomState {
                info,
                participants: BTreeMap::new(),
            }),
            ended: OnceLock::new(),
            changed: watch::channel(()).0,
        });
        let (commands, received_commands) = mpsc::channel(COMMAND_CAPACITY);
        let (ring, events) = RoomEvents::new(options.event_capacity);
        let (ended, ended_tracks) = mpsc::channel(COMMAND_CAPACITY);
        let mut session = Self {
            shared: Arc::clone(&shared),
            options,
            events: ring,
            commands: commands.downgrade(),
            signal,
            subscriber,
            publisher,
            subscribed: HashMap::new(),
            early: HashMap::new(),
            parked: HashMap::new(),
            ended,
            own_sid: own.sid,
        };
        if let Err(error) = session.offer().await {
            session.signal.leave().await;
            return Err(ConnectError::Media {
                reason: error.to_string(),
            });
        }
        for participant in join.other_participants {
            session.update_participant(participant).await;
        }
        tokio::spawn(session.run(signals, media, received_commands, ended_tracks));
        Ok((shared, commands, events))
    }

    async fn run(
        mut self,
        mut signals: signal::Events,
        mut media: mpsc::Receiver<transport::Event>,
        mut commands: mpsc::Receiver<Command>,
        mut ended: mpsc::Receiver<String>,
    ) {
        let mut closed_by = None;
        let reason = loop {
            tokio::select! {
                event = signals.next() => match event {
                    signal::Event::Message(message) => {
                        if let Some(reason) = self.handle_message(*message).await {
                            break reason;
                        }
                    }
                    signal::Event::Lost => break DisconnectReason::SignalLost,
                },
                Some(event) = media.recv() => match event {
                    transport::Event::Candidate(role, json) => {
                        self.send_candidate(role, json).await;
                    }
                    transport::Event::Connected(role) => {
                        if role == self.primary() {
                            self.emit(RoomEvent::MediaConnected);
                        }
                    }
                    transport::Event::Failed(role) => {
                        tracing::error!(?role, "a peer connection failed");
                        break DisconnectReason::MediaLost;
                    }
                    transport::Event::Track(track) => self.media_came(track).await,
                },
                Some(sid) = ended.recv() => {
                    // The sid may meanwhile stand for media that came again.
                    if self.subscribed.get(&sid).is_some_and(|it| it.track.hub().is_ended()) {
                        self.media_ended(&sid);
                    }
                }
                command = commands.recv() => match command {
                    Some(Command::Subscribe { sid, subscribed }) => {
                        self.send_subscription(sid, subscribed).await;
                    }
                    Some(Command::Close { done }) => {
                        closed_by = Some(done);
                        break DisconnectReason::ClientInitiated;
                    }
                    None => break DisconnectReason::ClientInitiated,
                },
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

    async fn finish(&mut self, reason: DisconnectReason) {
        match reason {
            DisconnectReason::ClientInitiated | DisconnectReason::MediaLost => {
                self.signal.leave().await;
            }
            _ => self.signal.close().await,
        }
        let tracks: Vec<String> = self.subscribed.keys().cloned().collect();
        for sid in tracks {
            self.media_ended(&sid);
        }
        // The first reason stays, and this is the only place that gives one.
        let _ = self.shared.ended.set(reason);
        for participant in self.shared.participants() {
            participant.leave(Some(reason));
        }
        self.shared.changed.send_replace(());
        self.subscriber.close().await;
        if let Some(publisher) = &self.publisher {
            publisher.close().await;
        }
        self.emit(RoomEvent::Disconnected { reason });
        self.events.close();
    }

    fn emit(&self, event: RoomEvent) {
        self.events.push(event);
    }

    /// `Some`: the room is over.
    async fn handle_message(&mut self, message: Response) -> Option<DisconnectReason> {
        match message {
            Response::Offer(offer) => return self.answer(offer).await,
            Response::Answer(answer) => return self.take_answer(answer).await,
            Response::Trickle(trickle) => self.add_candidate(&trickle).await,
            Response::Update(update) => {
                for participant in update.participants {
                    self.update_participant(participant).await;
                }
            }
            Response::RoomUpdate(update) => {
                if let Some(room) = update.room {
                    self.shared.lock().info = room;
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
            Response::Leave(leave) => return Some(reason_of(leave.reason)),
            _ => {}
        }
        None
    }

    async fn answer(&mut self, offer: proto::SessionDescription) -> Option<DisconnectReason> {
        // The WebRTC crate tells neither that a media section stopped sending, which ends its
        // track, nor that it sends the same track again.
        let sending = transport::sending_sections(&offer.sdp);
        let sends = |sid: &str| sending.iter().any(|section| section.contains(sid));
        let over = self
            .subscribed
            .keys()
            .filter(|sid| !sends(sid))
            .cloned()
            .collect::<Vec<_>>();
        let again = self
            .parked
            .keys()
            .filter(|sid| sends(sid))
            .cloned()
            .collect::<Vec<_>>();
        for sid in over {
            self.media_ended(&sid);
        }
        match self.subscriber.answer(offer.sdp).await {
            Ok(sdp) => {
                for sid in again {
                    if let Some(media) = self.parked.remove(&sid) {
                        self.media_came(media).await;
                    }
                }
                let answer = proto::SessionDescription {
                    r#type: "answer".to_owned(),
                    sdp,
                    id: offer.id,
                    ..proto::SessionDescription::default()
                };
                self.signal.send(Request::Answer(answer)).await;
                None
            }
            Err(error) => {
                tracing::error!(%error, "cannot answer the server's offer");
                Some(DisconnectReason::MediaLost)
            }
        }
    }

    /// The connection by which the server tells whether the session is active.
    fn primary(&self) -> Role {
        match self.publisher {
            Some(_) => Role::Publisher,
            None => Role::Subscriber,
        }
    }

    /// Offers the publisher's connection, if there is one.
    async fn offer(&self) -> Result<(), transport::TransportError> {
        let Some(publisher) = &self.publisher else {
            return Ok(());
        };
        let offer = proto::SessionDescription {
            r#type: "offer".to_owned(),
            sdp: publisher.offer().await?,
            ..proto::SessionDescription::default()
        };
        self.signal.send(Request::Offer(offer)).await;
        Ok(())
    }

    async fn take_answer(&mut self, answer: proto::SessionDescription) -> Option<DisconnectReason> {
        // An answer nobody asked for says nothing.
        let publisher = self.publisher.as_mut()?;
        match publisher.take_answer(answer.sdp).await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(%error, "cannot take the server's answer");
                Some(DisconnectReason::MediaLost)
            }
        }
    }

    async fn add_candidate(&mut self, trickle: &proto::TrickleRequest) {
        let transport = if trickle.target == proto::SignalTarget::Subscriber as i32 {
            Some(&mut self.subscriber)
        } else {
            self.publisher.as_mut()
        };
        let Some(transport) = transport else { return };
        if let Err(error) = transport.add_candidate(&trickle.candidate_init).await {
            tracing::warn!(%error, "ignoring a candidate of the server's");
        }
    }

    async fn send_candidate(&self, role: Role, candidate_init: String) {
        let target = match role {
            Role::Publisher => proto::SignalTarget::Publisher,
            Role::Subscriber => proto::SignalTarget::Subscriber,
        };
        let trickle = proto::TrickleRequest {
            candidate_init,
            target: target as i32,
            r#final: false,
        };
        self.signal.send(Request::Trickle(trickle)).await;
    }

    async fn send_subscription(&self, sid: String, subscribe: bool) {
        let participant_sid = self
            .shared
            .participants()
            .into_iter()
            .find(|participant| participant.track_publication(&sid).is_some())
            .map(|participant| participant.sid().to_owned())
            .unwrap_or_default();
        let update = proto::UpdateSubscription {
            track_sids: vec![sid.clone()],
            subscribe,
            participant_tracks: vec![proto::ParticipantTracks {
                participant_sid,
                track_sids: vec![sid],
            }],
        };
        self.signal.send(Request::Subscription(update)).await;
    }

    async fn update_participant(&mut self, info: proto::ParticipantInfo) {
        if info.sid == self.own_sid || info.identity == self.shared.identity {
            return;
        }
        if info.state == proto::participant_info::State::Disconnected as i32 {
            self.participant_left(&info);
            return;
        }
        let known = self.shared.participant(&info.identity);
        let participant = match known {
            Some(participant) if participant.sid() == info.sid => participant,
            other => {
                // The same identity with a new sid is a new joining: the old one is over.
                if let Some(old) = other {
                    self.remove_participant(&old);
                }
                let clock = self.shared.clock.participant();
                let participant = RemoteParticipant::new(info.clone(), clock);
                let identity = info.identity.clone();
                self.shared
                    .lock()
                    .participants
                    .insert(identity, participant.clone());
                self.shared.changed.send_replace(());
                self.emit(RoomEvent::ParticipantConnected(participant.clone()));
                participant
            }
        };
        self.update_publications(&participant, &info).await;
        participant.update(info);
        participant.notify();
    }

    async fn update_publications(
        &mut self,
        participant: &RemoteParticipant,
        info: &proto::ParticipantInfo,
    ) {
        for gone in participant.track_publications() {
            if !info.tracks.iter().any(|track| track.sid == gone.sid()) {
                self.unpublish(participant, &gone);
            }
        }
        for track in &info.tracks {
            if let Some(publication) = participant.track_publication(&track.sid) {
                if publication.update(track.clone()) {
                    let participant = participant.clone();
                    let muted = publication.is_muted();
                    self.emit(if muted {
                        RoomEvent::TrackMuted {
                            publication,
                            participant,
                        }
                    } else {
                        RoomEvent::TrackUnmuted {
                            publication,
                            participant,
                        }
                    });
                }
                continue;
            }
            let auto = self.options.auto_subscribe;
            let publication =
                RemoteTrackPublication::new(track.clone(), auto, self.commands.clone());
            participant.insert(publication.clone());
            let participant = participant.clone();
            self.emit(RoomEvent::TrackPublished {
                publication,
                participant,
            });
            if let Some(media) = self.early.remove(&track.sid) {
                self.media_came(media).await;
            }
        }
    }

    fn participant_left(&mut self, info: &proto::ParticipantInfo) {
        // A late farewell of an earlier joining must not end the present one.
        if let Some(participant) = self.shared.participant_of_sid(&info.sid) {
            self.remove_participant(&participant);
        }
    }

    fn remove_participant(&mut self, participant: &RemoteParticipant) {
        for publication in participant.track_publications() {
            self.unpublish(participant, &publication);
        }
        self.shared
            .lock()
            .participants
            .remove(participant.identity());
        participant.leave(None);
        self.emit(RoomEvent::ParticipantDisconnected(participant.clone()));
    }

    fn unpublish(&mut self, participant: &RemoteParticipant, publication: &RemoteTrackPublication) {
        self.media_ended(publication.sid());
        self.parked.remove(publication.sid());
        participant.remove(publication.sid());
        self.emit(RoomEvent::TrackUnpublished {
            publication: publication.clone(),
            participant: participant.clone(),
        });
    }

    async fn media_came(&mut self, media: WebRtcTrack) {
        let stream_id = media.stream_id().await;
        let track_id = media.track_id().await;
        // The stream's id is `participant sid|track sid` for newer clients; the track's is its sid.
        let (participant_sid, sid) = match stream_id.split_once('|') {
            Some((participant, track)) if track.starts_with("TR_") => (participant, track),
            Some((participant, _)) => (participant, track_id.as_str()),
            None => (stream_id.as_str(), track_id.as_str()),
        };
        let known = self
            .shared
            .participant_of_sid(participant_sid)
            .and_then(|participant| Some((participant.track_publication(sid)?, participant)));
        let Some((publication, participant)) = known else {
            self.early.insert(sid.to_owned(), media);
            return;
        };
        // A track that comes again replaces what is left of itself.
        self.media_ended(sid);
        let kind = transport::media_kind(&media).await;
        let mime = match transport::codec_mime(&media).await {
            Some(mime) => mime,
            None => publication.mime_type(),
        };
        let hub = TrackHub::new(sid.to_owned(), mime, kind);
        let track = RemoteTrack::new(Arc::clone(&hub), publication.source());
        let rate = hub.codec().map_or(90_000, crate::codec::Codec::clock_rate);
        let (stop, stopped) = oneshot::channel();
        let source = transport::Source {
            track: Arc::clone(&media),
            clock: participant.clock().track(rate),
            hub,
            orientation_id: self
                .subscriber
                .orientation_id()
                .filter(|_| kind == MediaKind::Video),
            stop: stopped,
        };
        let (ended, ended_sid) = (self.ended.clone(), sid.to_owned());
        tokio::spawn(async move {
            transport::receive(source).await;
            // The session may be over; then there is nobody to tell.
            let _ = ended.send(ended_sid).await;
        });
        publication.set_track(Some(track.clone()));
        self.subscribed.insert(
            sid.to_owned(),
            Subscribed {
                participant: participant.clone(),
                publication: publication.clone(),
                track: track.clone(),
                media,
                _stop: stop,
            },
        );
        participant.notify();
        self.emit(RoomEvent::TrackSubscribed {
            track,
            publication,
            participant,
        });
    }

    fn media_ended(&mut self, sid: &str) {
        self.early.remove(sid);
        let Some(subscribed) = self.subscribed.remove(sid) else {
            return;
        };
        let Subscribed {
            participant,
            publication,
            track,
            media,
            _stop,
        } = subscribed;
        self.parked.insert(sid.to_owned(), media);
        track.hub().end();
        publication.set_track(None);
        participant.notify();
        self.emit(RoomEvent::TrackUnsubscribed {
            track,
            publication,
            participant,
        });
    }
}

/// Whether the server runs on this machine.
fn is_loopback(url: &str) -> bool {
    let Ok(url) = url::Url::parse(url) else {
        return false;
    };
    match url.host() {
        Some(url::Host::Domain(name)) => name == "localhost",
        Some(url::Host::Ipv4(address)) => address.is_loopback(),
        Some(url::Host::Ipv6(address)) => address.is_loopback(),
        None => false,
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
