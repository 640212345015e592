//! What happens in a room.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use super::{
    DataMessage, RemoteParticipant, RemoteTrack, RemoteTrackPublication, StreamState, Transcription,
};
use crate::fanout::{Overflow, Ring, Start};

/// Why the room was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// By our own [`Room::close`](super::Room::close).
    ClientInitiated,
    /// Somebody joined with our identity.
    DuplicateIdentity,
    /// The server shuts down.
    ServerShutdown,
    /// The server's API removed us.
    ParticipantRemoved,
    /// The server's API deleted the room.
    RoomDeleted,
    /// The session's state does not fit the server's.
    StateMismatch,
    /// The media connection was not made in the server's time.
    JoinFailure,
    /// The room was closed, as everybody else left.
    RoomClosed,
    /// The connection for signals was lost, and could not be made again in time.
    SignalLost,
    /// The connection for media could not be made, or was lost and could not be made again in
    /// time.
    MediaLost,
    /// The server did not let us in again after the connection was lost.
    Refused,
    /// The server gave another reason, or none.
    Unknown,
}

impl std::fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::ClientInitiated => "left by this client",
            Self::DuplicateIdentity => "somebody joined with the same identity",
            Self::ServerShutdown => "the server shuts down",
            Self::ParticipantRemoved => "removed through the server's API",
            Self::RoomDeleted => "the room was deleted",
            Self::StateMismatch => "the session's state does not fit the server's",
            Self::JoinFailure => "the media connection was not made in time",
            Self::RoomClosed => "the room was closed",
            Self::SignalLost => "the signal connection was lost",
            Self::MediaLost => "the media connection was lost",
            Self::Refused => "the server did not let this client in again",
            Self::Unknown => "for a reason the server did not give",
        })
    }
}

/// An event of a room.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum RoomEvent {
    /// Somebody joined. Those present at our own joining come as such events first.
    ParticipantConnected(RemoteParticipant),
    /// Somebody left.
    ParticipantDisconnected(RemoteParticipant),
    /// A track was published, subscribed to or not.
    TrackPublished {
        /// The publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
    },
    /// A track is no longer published.
    TrackUnpublished {
        /// The publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
    },
    /// A track is subscribed to and its media can be read.
    TrackSubscribed {
        /// The track.
        track: RemoteTrack,
        /// Its publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
    },
    /// A track's media ended: unsubscribed, unpublished, or its publisher left.
    TrackUnsubscribed {
        /// The track.
        track: RemoteTrack,
        /// Its publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
    },
    /// The server cannot give us a track.
    TrackSubscriptionFailed {
        /// The track's sid.
        track_sid: String,
        /// What the server said.
        reason: String,
    },
    /// A publisher muted a track; it stays subscribed.
    TrackMuted {
        /// The publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
    },
    /// A publisher unmuted a track.
    TrackUnmuted {
        /// The publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
    },
    /// The server stopped or restarted sending a track, as the network allows.
    TrackStreamStateChanged {
        /// The publication.
        publication: RemoteTrackPublication,
        /// Its publisher.
        participant: RemoteParticipant,
        /// What it does now.
        state: StreamState,
    },
    /// A data message came.
    DataReceived(DataMessage),
    /// Speech was put into words, by an agent of the room.
    TranscriptionReceived(Transcription),
    /// The media connection is up.
    MediaConnected,
    /// The connection to the server is lost, and is being made again.
    Reconnecting,
    /// The connection is back, media included. Where the session could be resumed, nothing has
    /// changed; else its tracks were unsubscribed and have come again, and so did participants
    /// whose connections were lost too.
    Reconnected,
    /// The room was left; the last event.
    Disconnected {
        /// Why.
        reason: DisconnectReason,
    },
}

impl Start for RoomEvent {
    fn is_start(&self) -> bool {
        true
    }
}

/// The events of a room, in order. Ends after [`RoomEvent::Disconnected`].
#[derive(Debug)]
pub struct RoomEvents {
    ring: Arc<Ring<RoomEvent>>,
}

impl RoomEvents {
    pub(super) fn new(capacity: usize) -> (Arc<Ring<RoomEvent>>, Self) {
        let ring = Arc::new(Ring::new(capacity.max(1), Overflow::DropOldest));
        (Arc::clone(&ring), Self { ring })
    }

    /// Events that were dropped since their reader was more than
    /// [`RoomOptions::event_capacity`](super::RoomOptions::event_capacity) behind.
    pub fn dropped(&self) -> u64 {
        self.ring.dropped()
    }
}

impl Stream for RoomEvents {
    type Item = RoomEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<RoomEvent>> {
        self.ring.poll_next(cx)
    }
}
