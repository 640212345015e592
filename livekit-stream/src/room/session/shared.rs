//! What the session shares with the handles of the room.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Instant;

use livekit_protocol as proto;
use tokio::sync::{oneshot, watch};

use crate::room::{DisconnectReason, RemoteParticipant, RemoteTrackPublication};
use crate::rtp::RoomClock;

/// What handles of the room ask the session for.
#[derive(Debug)]
pub(crate) enum Command {
    /// Tell the server whether this track is wanted.
    Subscription(RemoteTrackPublication),
    /// Tell the server what is wanted of this track.
    Settings(RemoteTrackPublication),
    /// Leave the room.
    Close { done: oneshot::Sender<()> },
}

#[derive(Debug)]
struct State {
    info: proto::Room,
    participants: BTreeMap<String, RemoteParticipant>,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct Shared {
    identity: String,
    clock: RoomClock,
    state: Mutex<State>,
    ended: OnceLock<DisconnectReason>,
    changed: watch::Sender<()>,
}

impl Shared {
    pub(super) fn new(identity: String, info: proto::Room) -> Self {
        Self {
            identity,
            clock: RoomClock::new(Instant::now()),
            state: Mutex::new(State {
                info,
                participants: BTreeMap::new(),
            }),
            ended: OnceLock::new(),
            changed: watch::channel(()).0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn name(&self) -> String {
        self.lock().info.name.clone()
    }

    pub(crate) fn sid(&self) -> String {
        self.lock().info.sid.clone()
    }

    pub(crate) fn identity(&self) -> &str {
        &self.identity
    }

    pub(crate) fn participants(&self) -> Vec<RemoteParticipant> {
        self.lock().participants.values().cloned().collect()
    }

    pub(crate) fn participant(&self, identity: &str) -> Option<RemoteParticipant> {
        self.lock().participants.get(identity).cloned()
    }

    pub(crate) fn now_us(&self) -> i64 {
        self.clock.time_us(Instant::now())
    }

    /// Why the room was left, once it has been.
    pub(crate) fn ended(&self) -> Option<DisconnectReason> {
        self.ended.get().copied()
    }

    /// Changes whenever somebody joins, and when the room is left.
    pub(crate) fn watch(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }

    pub(crate) fn clock(&self) -> &RoomClock {
        &self.clock
    }

    pub(super) fn participant_of_sid(&self, sid: &str) -> Option<RemoteParticipant> {
        self.lock()
            .participants
            .values()
            .find(|participant| participant.sid() == sid)
            .cloned()
    }

    pub(super) fn set_info(&self, info: proto::Room) {
        self.lock().info = info;
    }

    pub(super) fn insert(&self, participant: RemoteParticipant) {
        let identity = participant.identity().to_owned();
        self.lock().participants.insert(identity, participant);
        self.changed.send_replace(());
    }

    pub(super) fn remove(&self, identity: &str) {
        self.lock().participants.remove(identity);
    }

    /// The room was left. The first reason stays.
    pub(super) fn end(&self, reason: DisconnectReason) {
        let _ = self.ended.set(reason);
        for participant in self.participants() {
            participant.leave(Some(reason));
        }
        self.changed.send_replace(());
    }
}
