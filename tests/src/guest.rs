//! Somebody in a room through the SDK under test.

use std::time::Duration;

use futures::StreamExt;
use livekit_stream::{
    DisconnectReason, RemoteAudioTrack, RemoteParticipant, RemoteTrack, RemoteVideoTrack, Room,
    RoomEvent, RoomEvents, RoomOptions,
};

use crate::livekit::LiveKitServer;

/// How long a guest waits for an event.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// A joined room and its events.
#[derive(Debug)]
pub struct Guest {
    /// The room.
    pub room: Room,
    /// Its events.
    pub events: RoomEvents,
}

impl Guest {
    /// Joins with the default options.
    pub async fn join(server: &LiveKitServer, room: &str, identity: &str) -> Self {
        Self::join_with(server, room, identity, RoomOptions::default()).await
    }

    /// Joins with these options.
    pub async fn join_with(
        server: &LiveKitServer,
        room: &str,
        identity: &str,
        options: RoomOptions,
    ) -> Self {
        let token = server.participant_token(room, identity);
        Self::join_at(&server.url(), &token, options).await
    }

    /// Joins by any way to a server.
    pub async fn join_at(url: &str, token: &str, options: RoomOptions) -> Self {
        let (room, events) = Room::connect(url, token, options)
            .await
            .expect("a guest with a good token joins");
        Self { room, events }
    }

    /// Waits until the connection is lost and being made again.
    pub async fn reconnecting(&mut self) {
        self.until(|event| matches!(event, RoomEvent::Reconnecting).then_some(()))
            .await;
    }

    /// Waits until the connection is back, and tells what has happened meanwhile.
    pub async fn reconnected(&mut self) -> Vec<RoomEvent> {
        let mut meanwhile = Vec::new();
        self.until(|event| {
            let back = matches!(event, RoomEvent::Reconnected);
            meanwhile.push(event);
            back.then_some(())
        })
        .await;
        meanwhile.pop();
        meanwhile
    }

    /// Waits until the room is left, and tells why.
    pub async fn disconnected(&mut self) -> DisconnectReason {
        self.until(|event| match event {
            RoomEvent::Disconnected { reason } => Some(reason),
            _ => None,
        })
        .await
    }

    /// Waits for the first event that `wanted` makes something of.
    pub async fn until<T>(&mut self, mut wanted: impl FnMut(RoomEvent) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let found = async {
            while let Some(event) = self.events.next().await {
                seen.push(format!("{event:?}"));
                if let Some(found) = wanted(event) {
                    return Some(found);
                }
            }
            None
        };
        let found = tokio::time::timeout(DEADLINE, found).await.ok().flatten();
        found.unwrap_or_else(|| panic!("the event did not come; these did: {seen:#?}"))
    }

    /// Waits until somebody joins.
    pub async fn participant(&mut self) -> RemoteParticipant {
        self.until(|event| match event {
            RoomEvent::ParticipantConnected(participant) => Some(participant),
            _ => None,
        })
        .await
    }

    /// Waits for the next subscribed track.
    pub async fn track(&mut self) -> (RemoteTrack, RemoteParticipant) {
        self.until(|event| match event {
            RoomEvent::TrackSubscribed {
                track, participant, ..
            } => Some((track, participant)),
            _ => None,
        })
        .await
    }

    /// Waits for the next subscribed video track.
    pub async fn video_track(&mut self) -> RemoteVideoTrack {
        self.until(|event| match event {
            RoomEvent::TrackSubscribed {
                track: RemoteTrack::Video(track),
                ..
            } => Some(track),
            _ => None,
        })
        .await
    }

    /// Waits for the next subscribed audio track.
    pub async fn audio_track(&mut self) -> RemoteAudioTrack {
        self.until(|event| match event {
            RoomEvent::TrackSubscribed {
                track: RemoteTrack::Audio(track),
                ..
            } => Some(track),
            _ => None,
        })
        .await
    }
}

/// Waits until `condition` holds.
pub async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let holds = async {
        while !condition() {
            tick.tick().await;
        }
    };
    assert!(
        tokio::time::timeout(DEADLINE, holds).await.is_ok(),
        "not in time: {what}"
    );
}

/// Takes `count` items of a stream.
pub async fn take<T>(
    stream: &mut (impl futures::Stream<Item = T> + Unpin),
    count: usize,
) -> Vec<T> {
    let items = stream.take(count).collect::<Vec<_>>();
    let items = tokio::time::timeout(DEADLINE, items)
        .await
        .expect("the items come in time");
    assert_eq!(items.len(), count, "the stream ended early");
    items
}
