//! The least that receives a track: LiveKit's signalling and the `webrtc` crate, and packets that are
//! counted. Nothing of the library under test.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use livekit_protocol::{
    SessionDescription, SignalTarget, TrickleRequest, signal_request, signal_response,
};
use livekit_signaling::{SignalClient, SignalEvent, SignalOptions};
use rtc::interceptor::{NackGeneratorBuilder, ReceiverReportBuilder, Slot};
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit,
    RTCPeerConnectionIceEvent, RTCSessionDescription, Registry,
};

struct Handler {
    signal: Arc<SignalClient>,
    packets: Arc<AtomicU64>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let candidate = event.candidate.to_json().expect("a candidate");
        let trickle = TrickleRequest {
            candidate_init: serde_json::to_string(&candidate).expect("JSON"),
            target: SignalTarget::Subscriber.into(),
            r#final: false,
        };
        let trickle = signal_request::Message::Trickle(trickle);
        self.signal.send(trickle).await;
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let packets = Arc::clone(&self.packets);
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(_) = event {
                    packets.fetch_add(1, Ordering::Relaxed);
                }
            }
        });
    }
}

/// Joins, subscribes to everything and counts, until the process is ended.
pub(super) async fn receive(url: &str, token: &str, packets: Arc<AtomicU64>) {
    let mut options = SignalOptions::default();
    options.auto_subscribe = true;
    options.protocol_version = 15;
    options.client_capabilities = vec![];
    options.region_failover = false;
    let joined = SignalClient::connect(url, token, options, None).await;
    let (signal, _, mut events) = joined.expect("the server lets us in");
    let signal = Arc::new(signal);
    let handler = Handler {
        signal: Arc::clone(&signal),
        packets,
    };
    let connection = connection(handler).await;
    let (mut described, mut early) = (false, Vec::new());
    while let Some(SignalEvent::Message(message)) = events.recv().await {
        match *message {
            signal_response::Message::Offer(offer) => {
                let answer = answer(&connection, offer).await;
                signal.send(signal_request::Message::Answer(answer)).await;
                described = true;
                for candidate in std::mem::take(&mut early) {
                    let _ = connection.add_ice_candidate(candidate).await;
                }
            }
            signal_response::Message::Trickle(trickle)
                if trickle.target() == SignalTarget::Subscriber =>
            {
                let candidate: RTCIceCandidateInit =
                    serde_json::from_str(&trickle.candidate_init).expect("a candidate's JSON");
                if described {
                    let _ = connection.add_ice_candidate(candidate).await;
                } else {
                    early.push(candidate);
                }
            }
            _ => {}
        }
    }
}

/// With what a subscriber cannot do without: requests for lost packets, and receiver reports.
async fn connection(handler: Handler) -> impl PeerConnection {
    let mut media = MediaEngine::default();
    media.register_default_codecs().expect("codecs");
    let nack = NackGeneratorBuilder::new()
        .with_interval(Duration::from_millis(50))
        .build();
    let registry = Registry::new()
        .with(Slot::NackGenerator, nack)
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build());
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .build();
    let building = PeerConnectionBuilder::new()
        .with_media_engine(media)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(handler))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build();
    Box::pin(building).await.expect("a peer connection")
}

async fn answer(connection: &impl PeerConnection, offer: SessionDescription) -> SessionDescription {
    let description = RTCSessionDescription::offer(offer.sdp).expect("an SDP offer");
    let set = connection.set_remote_description(description).await;
    set.expect("the offer is taken");
    let answer = connection.create_answer(None).await.expect("an answer");
    let sdp = answer.sdp.clone();
    let set = connection.set_local_description(answer).await;
    set.expect("the answer is ours");
    SessionDescription {
        r#type: "answer".to_owned(),
        sdp,
        id: offer.id,
        ..SessionDescription::default()
    }
}
