//! The session with the server: signalling, and the two peer connections it negotiates.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use livekit_protocol::{
    AddTrackRequest, DisconnectReason, JoinResponse, LeaveRequest, SessionDescription,
    SignalTarget, TrackInfo, TrickleRequest, leave_request, signal_request, signal_response,
};
use livekit_signaling::{SignalClient, SignalEvent, SignalEvents, SignalOptions};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, RTCIceCandidateInit, RTCPeerConnectionState, RTCSessionDescription,
};

use super::connection::{self, Handler};
use crate::impairment::Impairment;

/// Every step of the session takes milliseconds on loopback, and longer on a busy machine.
const STEP: Duration = Duration::from_secs(20);

/// A joined session.
pub(super) struct Session {
    pub(super) join: JoinResponse,
    pub(super) signal: Arc<SignalClient>,
    pub(super) publisher: Arc<dyn PeerConnection>,
    shared: Arc<Shared>,
    publisher_state: watch::Receiver<RTCPeerConnectionState>,
    disconnected: watch::Receiver<Option<DisconnectReason>>,
    task: JoinHandle<()>,
}

/// What the event task hands to those who wait for an answer.
#[derive(Default)]
struct Shared {
    published: Mutex<HashMap<String, oneshot::Sender<TrackInfo>>>,
    answer: Mutex<Option<oneshot::Sender<SessionDescription>>>,
    muted_by_server: Mutex<HashMap<String, bool>>,
}

impl Session {
    /// Joins. Remote tracks come through `tracks` if the token lets it subscribe.
    pub(super) async fn join(
        url: &str,
        token: &str,
        auto_subscribe: bool,
        impairment: Impairment,
        tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
    ) -> Self {
        let mut options = SignalOptions::default();
        options.auto_subscribe = auto_subscribe;
        options.protocol_version = 15;
        options.client_capabilities = vec![];
        options.region_failover = false;
        let (signal, join, events) = SignalClient::connect(url, token, options, None)
            .await
            .unwrap_or_else(|error| panic!("cannot join {url}: {error}"));
        let signal = Arc::new(signal);
        let (state, publisher_state) = watch::channel(RTCPeerConnectionState::New);
        let publisher = connection::build(
            Handler {
                signal: Arc::clone(&signal),
                target: SignalTarget::Publisher,
                state,
                tracks: tracks.clone(),
            },
            &impairment,
        )
        .await
        .expect("the publisher's peer connection");
        let (disconnect, disconnected) = watch::channel(None);
        let shared = Arc::new(Shared::default());
        let task = tokio::spawn(
            Events {
                signal: Arc::clone(&signal),
                publisher: Remote::new(Arc::clone(&publisher)),
                subscriber: None,
                shared: Arc::clone(&shared),
                disconnect,
                tracks,
                impairment,
            }
            .run(events),
        );
        Self {
            join,
            signal,
            publisher,
            shared,
            publisher_state,
            disconnected,
            task,
        }
    }

    /// Announces tracks; returns what the server made of them, in the same order.
    pub(super) async fn add_tracks(&self, requests: Vec<AddTrackRequest>) -> Vec<TrackInfo> {
        let mut answers = Vec::new();
        for request in requests {
            let (sender, receiver) = oneshot::channel();
            lock(&self.shared.published).insert(request.cid.clone(), sender);
            self.signal
                .send(signal_request::Message::AddTrack(request))
                .await;
            answers.push(receiver);
        }
        let mut infos = Vec::new();
        for answer in answers {
            let info = timeout(STEP, answer).await;
            infos.push(
                info.expect("TrackPublished comes in time")
                    .expect("the session goes on"),
            );
        }
        infos
    }

    /// Offers what the publisher's connection has now, and takes the answer.
    pub(super) async fn negotiate(&self) {
        let (sender, receiver) = oneshot::channel();
        *lock(&self.shared.answer) = Some(sender);
        let offer = self.publisher.create_offer(None).await.expect("an offer");
        let sdp = offer.sdp.clone();
        self.publisher
            .set_local_description(offer)
            .await
            .expect("the offer is our description");
        let description = SessionDescription {
            r#type: "offer".to_owned(),
            sdp,
            ..SessionDescription::default()
        };
        self.signal
            .send(signal_request::Message::Offer(description))
            .await;
        timeout(STEP, receiver)
            .await
            .expect("the answer comes in time")
            .expect("the session goes on");
    }

    /// Waits until the publisher's connection carries media.
    pub(super) async fn connected(&self) {
        let mut state = self.publisher_state.clone();
        let connected = state.wait_for(|state| *state == RTCPeerConnectionState::Connected);
        timeout(STEP, connected)
            .await
            .expect("the publisher connects in time")
            .expect("the connection lives");
    }

    /// Why the server has ended the session, once it has.
    pub(super) async fn disconnected(&self) -> DisconnectReason {
        let mut disconnected = self.disconnected.clone();
        let reason = disconnected.wait_for(Option::is_some).await;
        reason
            .ok()
            .and_then(|reason| *reason)
            .unwrap_or(DisconnectReason::UnknownReason)
    }

    /// Whether the server has asked to mute a track, and the last it asked.
    pub(super) fn muted_by_server(&self, sid: &str) -> Option<bool> {
        lock(&self.shared.muted_by_server).get(sid).copied()
    }

    /// Tells the server goodbye.
    pub(super) async fn leave(&self) {
        let leave = LeaveRequest {
            reason: DisconnectReason::ClientInitiated.into(),
            action: leave_request::Action::Disconnect.into(),
            ..LeaveRequest::default()
        };
        self.signal
            .send(signal_request::Message::Leave(leave))
            .await;
    }

    /// Ends both connections and the signalling, without a word to the server.
    pub(super) async fn close(&self) {
        self.task.abort();
        self.signal.close().await;
        let _ = self.publisher.close().await;
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// One connection with the candidates that came before its description.
struct Remote {
    connection: Arc<dyn PeerConnection>,
    described: bool,
    early: Vec<RTCIceCandidateInit>,
}

impl Remote {
    fn new(connection: Arc<dyn PeerConnection>) -> Self {
        Self {
            connection,
            described: false,
            early: Vec::new(),
        }
    }

    async fn describe(&mut self, description: RTCSessionDescription) {
        self.connection
            .set_remote_description(description)
            .await
            .expect("the server's description is taken");
        self.described = true;
        for candidate in std::mem::take(&mut self.early) {
            let _ = self.connection.add_ice_candidate(candidate).await;
        }
    }

    async fn add(&mut self, candidate: RTCIceCandidateInit) {
        if self.described {
            let _ = self.connection.add_ice_candidate(candidate).await;
        } else {
            self.early.push(candidate);
        }
    }
}

/// Acts on the server's messages, one after the other.
struct Events {
    signal: Arc<SignalClient>,
    publisher: Remote,
    subscriber: Option<Remote>,
    shared: Arc<Shared>,
    disconnect: watch::Sender<Option<DisconnectReason>>,
    tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
    impairment: Impairment,
}

impl Events {
    async fn run(mut self, mut events: SignalEvents) {
        use signal_response::Message;
        while let Some(event) = events.recv().await {
            let SignalEvent::Message(message) = event else {
                self.end(DisconnectReason::SignalClose);
                return;
            };
            match *message {
                Message::TrackPublished(published) => {
                    let waiting = lock(&self.shared.published).remove(&published.cid);
                    if let (Some(waiting), Some(info)) = (waiting, published.track) {
                        let _ = waiting.send(info);
                    }
                }
                Message::Answer(answer) => {
                    let description =
                        RTCSessionDescription::answer(answer.sdp.clone()).expect("an SDP answer");
                    self.publisher.describe(description).await;
                    let waiting = lock(&self.shared.answer).take();
                    if let Some(waiting) = waiting {
                        let _ = waiting.send(answer);
                    }
                }
                Message::Offer(offer) => self.answer(offer).await,
                Message::Trickle(trickle) => self.trickle(&trickle).await,
                Message::Mute(mute) => {
                    lock(&self.shared.muted_by_server).insert(mute.sid, mute.muted);
                }
                Message::Leave(leave) => {
                    self.end(leave.reason());
                }
                _ => {}
            }
        }
    }

    /// The first reason counts: the socket's end follows every goodbye.
    fn end(&self, reason: DisconnectReason) {
        self.disconnect.send_if_modified(|first| {
            let modified = first.is_none();
            first.get_or_insert(reason);
            modified
        });
    }

    /// The server expects an answer on the subscriber's connection, or ends the session.
    async fn answer(&mut self, offer: SessionDescription) {
        let description = RTCSessionDescription::offer(offer.sdp).expect("an SDP offer");
        self.subscriber().await.describe(description).await;
        let connection = Arc::clone(&self.subscriber().await.connection);
        let answer = connection.create_answer(None).await.expect("an answer");
        let sdp = answer.sdp.clone();
        connection
            .set_local_description(answer)
            .await
            .expect("the answer is our description");
        let description = SessionDescription {
            r#type: "answer".to_owned(),
            sdp,
            id: offer.id,
            ..SessionDescription::default()
        };
        self.signal
            .send(signal_request::Message::Answer(description))
            .await;
    }

    async fn trickle(&mut self, trickle: &TrickleRequest) {
        let candidate = serde_json::from_str(&trickle.candidate_init).expect("a candidate's JSON");
        match trickle.target() {
            SignalTarget::Publisher => self.publisher.add(candidate).await,
            SignalTarget::Subscriber => self.subscriber().await.add(candidate).await,
        }
    }

    async fn subscriber(&mut self) -> &mut Remote {
        if self.subscriber.is_none() {
            let (state, _) = watch::channel(RTCPeerConnectionState::New);
            let connection = connection::build(
                Handler {
                    signal: Arc::clone(&self.signal),
                    target: SignalTarget::Subscriber,
                    state,
                    tracks: self.tracks.clone(),
                },
                &self.impairment,
            )
            .await
            .expect("the subscriber's peer connection");
            self.subscriber = Some(Remote::new(connection));
        }
        self.subscriber.as_mut().expect("it has just been made")
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
