//! What a peer connection tells its session.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use webrtc::data_channel::{DataChannel, DataChannelEvent};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnectionEventHandler, RTCIceGatheringState, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState,
};

use super::WebRtcTrack;

/// Events that wait for the session. A session busy with an offer takes milliseconds; candidates
/// come by the dozen.
pub(super) const CAPACITY: usize = 512;

/// The data channels of LiveKit's connections: one for what has to arrive, one for what is of use
/// only while new.
pub(super) const RELIABLE_CHANNEL: &str = "_reliable";
pub(super) const LOSSY_CHANNEL: &str = "_lossy";

/// Which of a session's connections: the server offers on the subscriber's, we on the publisher's,
/// which is the only one in some sessions.
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
    /// A message came on the channel that is reliable (`true`) or the one that is not.
    Data(bool, Bytes),
}

pub(super) struct Handler {
    pub(super) role: Role,
    pub(super) events: mpsc::Sender<Event>,
    /// Whether all local candidates are known.
    pub(super) gathered: watch::Sender<bool>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let json = event
            .candidate
            .to_json()
            .ok()
            // Servers do not connect to their clients.
            .filter(|init| !init.candidate.contains("tcptype passive"))
            .and_then(|init| serde_json::to_string(&init).ok());
        if let Some(json) = json {
            let _ = self.events.send(Event::Candidate(self.role, json)).await;
        }
    }

    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        self.gathered
            .send_replace(state == RTCIceGatheringState::Complete);
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        let event = match state {
            RTCPeerConnectionState::Connected => Event::Up(self.role, true),
            RTCPeerConnectionState::Failed => Event::Failed(self.role),
            _ => Event::Up(self.role, false),
        };
        let _ = self.events.send(event).await;
    }

    async fn on_data_channel(&self, channel: Arc<dyn DataChannel>) {
        match channel.label().await.as_deref() {
            Ok(RELIABLE_CHANNEL) => read(channel, true, self.events.clone()),
            Ok(LOSSY_CHANNEL) => read(channel, false, self.events.clone()),
            // Nobody reads from the others, so nothing is kept of what comes there.
            Ok(_) | Err(_) => {}
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.events.send(Event::Track(track)).await;
    }
}

/// Leads a channel's messages to the session, until either ends. A session that is behind slows the
/// sender of a reliable channel down.
pub(super) fn read(channel: Arc<dyn DataChannel>, reliable: bool, events: mpsc::Sender<Event>) {
    tokio::spawn(async move {
        while let Some(event) = channel.poll().await {
            let DataChannelEvent::OnMessage(message) = event else {
                continue;
            };
            let bytes = message.data.freeze();
            if events.send(Event::Data(reliable, bytes)).await.is_err() {
                return;
            }
        }
    });
}
