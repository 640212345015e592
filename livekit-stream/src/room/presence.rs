//! Somebody who may leave and come back.

use std::sync::Arc;

use super::RemoteParticipant;
use super::session::Shared;
use crate::rtp::RoomClock;

/// A participant of one joining, which goes on where our own connection was lost and theirs with
/// it; or whoever bears an identity while the room lasts.
#[derive(Debug, Clone)]
pub(crate) enum Presence {
    /// This joining alone.
    Once(RemoteParticipant),
    /// Every joining of an identity.
    Identity {
        /// The room.
        room: Arc<Shared>,
        /// The identity.
        identity: String,
    },
}

impl Presence {
    pub(crate) fn identity(&self) -> &str {
        match self {
            Self::Once(participant) => participant.identity(),
            Self::Identity { identity, .. } => identity,
        }
    }

    /// The participant, if present.
    pub(crate) fn current(&self) -> Option<RemoteParticipant> {
        match self {
            Self::Once(participant) => Some(participant.latest().clone()),
            Self::Identity { room, identity } => room.participant(identity),
        }
    }

    /// The room's clock.
    pub(crate) fn clock(&self) -> RoomClock {
        match self {
            Self::Once(participant) => participant.clock().room(),
            Self::Identity { room, .. } => *room.clock(),
        }
    }

    /// Why there is nobody any more.
    pub(crate) fn end_reason(&self) -> String {
        let room = match self {
            Self::Once(participant) => participant.latest().room_ended(),
            Self::Identity { room, .. } => room.ended(),
        };
        match room {
            Some(reason) => format!("the room ended: {reason}"),
            None => "the participant left".to_owned(),
        }
    }

    /// Waits for a joining other than `last`; `None` when there will be none any more.
    pub(crate) async fn next(&self, last: Option<&RemoteParticipant>) -> Option<RemoteParticipant> {
        let is_new = |found: &RemoteParticipant| last.is_none_or(|last| last.sid() != found.sid());
        match self {
            Self::Once(participant) => Some(participant.latest().clone()).filter(is_new),
            Self::Identity { room, identity } => {
                let mut changed = room.watch();
                loop {
                    changed.mark_unchanged();
                    if let Some(found) = room.participant(identity).filter(is_new) {
                        return Some(found);
                    }
                    if room.ended().is_some() || changed.changed().await.is_err() {
                        return None;
                    }
                }
            }
        }
    }
}

impl From<&RemoteParticipant> for Presence {
    fn from(participant: &RemoteParticipant) -> Self {
        Self::Once(participant.clone())
    }
}
