//! What a peer connection tells its session.

use std::sync::Arc;

use tokio::sync::mpsc;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCPeerConnectionIceEvent, RTCPeerConnectionState,
};

use super::WebRtcTrack;

/// Events that wait for the session. A session busy with an offer takes milliseconds; candidates
/// come by the dozen.
pub(super) const CAPACITY: usize = 512;

/// Which of a session's two connections: the server offers on the subscriber's, we on the
/// publisher's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    Publisher,
    Subscriber,
}

/// See the module.
pub(crate) enum Event {
    /// A local candidate, as JSON for the peer.
    Candidate(Role, String),
    /// The connection is up, or down for the time being.
    Up(Role, bool),
    /// The connection could not be made, or is lost for good.
    Failed(Role),
    /// A track came.
    Track(WebRtcTrack),
}

pub(super) struct Handler {
    pub(super) role: Role,
    pub(super) events: mpsc::Sender<Event>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let json = event
            .candidate
            .to_json()
            .ok()
            .and_then(|init| serde_json::to_string(&init).ok());
        if let Some(json) = json {
            let _ = self.events.send(Event::Candidate(self.role, json)).await;
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => Event::Up(self.role, true),
            RTCPeerConnectionState::Failed => Event::Failed(self.role),
            _ => Event::Up(self.role, false),
        };
        let _ = self.events.send(event).await;
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.events.send(Event::Track(track)).await;
    }
}
