//! Participants.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use livekit_protocol as proto;
use tokio::sync::watch;

use super::{DisconnectReason, RemoteTrack, RemoteTrackPublication, TrackSource};
use crate::rtp::ParticipantClock;

/// What a participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParticipantKind {
    /// A person's client, or any other.
    Standard,
    /// Media brought in by LiveKit's ingress.
    Ingress,
    /// A recorder.
    Egress,
    /// A telephone.
    Sip,
    /// An agent.
    Agent,
    /// Something newer than this crate.
    Other,
}

#[derive(Debug)]
struct State {
    info: proto::ParticipantInfo,
    publications: BTreeMap<String, RemoteTrackPublication>,
}

#[derive(Debug)]
struct Inner {
    sid: String,
    identity: String,
    clock: ParticipantClock,
    left: AtomicBool,
    room_ended: OnceLock<DisconnectReason>,
    /// Who took its place when we had to join again.
    successor: OnceLock<RemoteParticipant>,
    state: Mutex<State>,
    changed: watch::Sender<()>,
}

/// Somebody else in the room. Clones are handles of the same participant.
#[derive(Debug, Clone)]
pub struct RemoteParticipant {
    inner: Arc<Inner>,
}

impl RemoteParticipant {
    pub(super) fn new(info: proto::ParticipantInfo, clock: ParticipantClock) -> Self {
        let (sid, identity) = (info.sid.clone(), info.identity.clone());
        let state = Mutex::new(State {
            info,
            publications: BTreeMap::new(),
        });
        let (changed, _) = watch::channel(());
        let left = AtomicBool::new(false);
        Self {
            inner: Arc::new(Inner {
                sid,
                identity,
                clock,
                left,
                room_ended: OnceLock::new(),
                successor: OnceLock::new(),
                state,
                changed,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The sid, new at each joining.
    pub fn sid(&self) -> &str {
        &self.inner.sid
    }

    /// The identity, as its token says.
    pub fn identity(&self) -> &str {
        &self.inner.identity
    }

    /// The display name.
    pub fn name(&self) -> String {
        self.lock().info.name.clone()
    }

    /// Metadata that the application gave it.
    pub fn metadata(&self) -> String {
        self.lock().info.metadata.clone()
    }

    /// Attributes that the application gave it.
    pub fn attributes(&self) -> HashMap<String, String> {
        self.lock().info.attributes.clone()
    }

    /// What it is.
    pub fn kind(&self) -> ParticipantKind {
        use proto::participant_info::Kind;
        match Kind::try_from(self.lock().info.kind) {
            Ok(Kind::Standard) => ParticipantKind::Standard,
            Ok(Kind::Ingress) => ParticipantKind::Ingress,
            Ok(Kind::Egress) => ParticipantKind::Egress,
            Ok(Kind::Sip) => ParticipantKind::Sip,
            Ok(Kind::Agent) => ParticipantKind::Agent,
            Ok(_) | Err(_) => ParticipantKind::Other,
        }
    }

    /// Its publications, in order of their sids.
    pub fn track_publications(&self) -> Vec<RemoteTrackPublication> {
        self.lock().publications.values().cloned().collect()
    }

    /// The publication of a sid.
    pub fn track_publication(&self, sid: &str) -> Option<RemoteTrackPublication> {
        self.lock().publications.get(sid).cloned()
    }

    /// The subscribed track of a source, if there is one. Of several the one published last.
    pub fn track(&self, source: TrackSource) -> Option<RemoteTrack> {
        let state = self.lock();
        state
            .publications
            .values()
            .rev()
            .filter(|publication| publication.source() == source)
            .find_map(RemoteTrackPublication::track)
    }

    /// Whether it has left the room.
    pub fn has_left(&self) -> bool {
        self.inner.left.load(Ordering::Acquire)
    }

    /// Changes whenever a track comes, goes or is muted, and when the participant leaves.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.inner.changed.subscribe()
    }

    /// The same participant as the server knows it now: after our connection was lost and we
    /// joined again, it may have another sid.
    pub(super) fn latest(&self) -> &Self {
        let mut latest = self;
        while let Some(next) = latest.inner.successor.get() {
            latest = next;
        }
        latest
    }

    /// Another took its place, which is to be told before it leaves.
    pub(super) fn succeed(&self, successor: &Self) {
        // The first successor stays: it has successors of its own.
        let _ = self.inner.successor.set(successor.clone());
    }

    pub(super) fn clock(&self) -> &ParticipantClock {
        &self.inner.clock
    }

    pub(super) fn notify(&self) {
        self.inner.changed.send_replace(());
    }

    pub(super) fn update(&self, info: proto::ParticipantInfo) {
        self.lock().info = info;
    }

    pub(super) fn insert(&self, publication: RemoteTrackPublication) {
        self.lock()
            .publications
            .insert(publication.sid().to_owned(), publication);
    }

    pub(super) fn remove(&self, sid: &str) -> Option<RemoteTrackPublication> {
        self.lock().publications.remove(sid)
    }

    /// Why the room ended that it was in, if that is what ended its presence.
    pub(super) fn room_ended(&self) -> Option<DisconnectReason> {
        self.inner.room_ended.get().copied()
    }

    /// It has left, or the room has ended for the reason given.
    pub(super) fn leave(&self, room_ended: Option<DisconnectReason>) {
        if let Some(reason) = room_ended {
            // The first reason stays.
            let _ = self.inner.room_ended.set(reason);
        }
        self.inner.left.store(true, Ordering::Release);
        self.notify();
    }
}
