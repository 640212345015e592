//! Peer connections: the one folder that names the WebRTC crate.

mod congestion;
mod event;
mod interceptor;
mod network;
mod receive;
mod retransmissions;
mod runtime;
mod sdp;

use std::sync::Arc;
use std::time::Duration;

use livekit_protocol as proto;
use rtc::data_channel::RTCDataChannelInit;
use rtc::ice::mdns::MulticastDnsMode;
use rtc::interceptor::{NackGeneratorBuilder, ReceiverReportBuilder, Registry, Slot};
use rtc::peer_connection::configuration::RTCOfferOptions;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpHeaderExtensionCapability, RtpCodecKind};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, RTCConfiguration, RTCConfigurationBuilder,
    RTCIceCandidateInit, RTCSessionDescription, SettingEngineBuilder,
};

pub use congestion::BandwidthEstimates;
pub(crate) use event::{Event, Role};
use event::{LOSSY_CHANNEL, RELIABLE_CHANNEL};
pub use interceptor::SenderReports;
use network::NetworkRuntime;
pub(crate) use network::{InterfaceFilter, Network};
pub(crate) use receive::{Source, codec_mime, ebb, media_kind, receive};
use retransmissions::Retransmissions;
pub(crate) use runtime::default_runtime;
pub(crate) use sdp::sending_sections;

/// A remote track of the `webrtc` crate.
pub type WebRtcTrack = Arc<dyn TrackRemote>;

/// Where a sender says how its pictures are to be turned (3GPP TS 26.114 section 7.4.5).
const VIDEO_ORIENTATION: &str = "urn:3gpp:video-orientation";

/// How often missing packets are asked for again. A retransmission from a server nearby is back
/// within this time; one from far away costs a few needless repeats.
const NACK_INTERVAL: Duration = Duration::from_millis(50);

/// After so many requests a packet is not worth more: the jitter buffer has given it up.
const NACKS_PER_PACKET: u16 = 10;

/// Packets that are remembered for gaps: a keyframe of several megabits fits.
const NACK_WINDOW: u16 = 1024;

/// The most candidates that are kept until there is a description to add them to.
const EARLY_CANDIDATES: usize = 256;

/// The most media sections that are offered. A server that asks for more makes descriptions of
/// megabytes.
const SECTIONS: u32 = 1000;

/// How long an answer waits for our candidates. Those of this machine are there in a moment; those
/// that servers have to be asked for follow on their own.
const GATHERING: Duration = Duration::from_millis(50);

/// What failed in a peer connection.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct TransportError(String);

impl From<webrtc::error::Error> for TransportError {
    fn from(error: webrtc::error::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<serde_json::Error> for TransportError {
    fn from(error: serde_json::Error) -> Self {
        Self(format!("malformed candidate: {error}"))
    }
}

/// Where the events of a session's peer connections come.
pub(crate) fn events() -> (mpsc::Sender<Event>, mpsc::Receiver<Event>) {
    mpsc::channel(event::CAPACITY)
}

/// A peer connection with one of the server's.
pub(crate) struct Transport {
    role: Role,
    connection: Box<dyn PeerConnection>,
    /// Candidates that came before the server's first description.
    early: Vec<RTCIceCandidateInit>,
    described: bool,
    orientation_id: Option<u8>,
    /// Media sections of ours.
    sections: u32,
    gathered: watch::Receiver<bool>,
    network: Arc<NetworkRuntime>,
}

impl Transport {
    pub(crate) async fn new(
        role: Role,
        ice_servers: &[proto::IceServer],
        network: Network,
        events: mpsc::Sender<Event>,
    ) -> Result<Self, TransportError> {
        let mut media = MediaEngine::default();
        media.register_default_codecs()?;
        for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
            let mid = "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned();
            media.register_header_extension(
                RTCRtpHeaderExtensionCapability { uri: mid },
                kind,
                None,
            )?;
        }
        let orientation = RTCRtpHeaderExtensionCapability {
            uri: VIDEO_ORIENTATION.to_owned(),
        };
        media.register_header_extension(orientation, RtpCodecKind::Video, None)?;

        let registry = congestion::configure(receiving(), &mut media)?;
        let addresses = network.addresses();
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(network.loopback)
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            // Servers have addresses; a socket to look names up would listen on all interfaces.
            .with_multicast_dns_mode(MulticastDnsMode::Disabled)
            // New sockets at each ICE restart: the old ones may be bound to a network that is gone.
            .with_discard_local_candidates_during_ice_restart(true)
            .build();
        let (all_gathered, gathered) = watch::channel(false);
        let handler = event::Handler {
            role,
            events,
            gathered: all_gathered,
        };
        let network = Arc::new(NetworkRuntime::new(network));
        let building = PeerConnectionBuilder::new()
            .with_configuration(configuration(&network, ice_servers))
            .with_media_engine(media)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_runtime(Arc::clone(&network) as _)
            .with_handler(Arc::new(handler))
            .with_tcp_addrs(vec![addresses.clone()])
            .with_udp_addrs(vec![addresses])
            .build();
        // A future of 20 KiB, which would be part of every caller's.
        let connection = Box::pin(building).await?;
        Ok(Self {
            role,
            connection: Box::new(connection),
            early: Vec::new(),
            described: false,
            orientation_id: None,
            sections: 0,
            gathered,
            network,
        })
    }

    /// Opens the data channels that LiveKit's clients open on their publisher's connection.
    pub(crate) async fn open_data_channels(
        &self,
        events: &mpsc::Sender<Event>,
    ) -> Result<(), TransportError> {
        let lossy = RTCDataChannelInit {
            ordered: false,
            max_retransmits: Some(0),
            ..RTCDataChannelInit::default()
        };
        for (label, options) in [(RELIABLE_CHANNEL, None), (LOSSY_CHANNEL, Some(lossy))] {
            let channel = self.connection.create_data_channel(label, options).await?;
            event::read(channel, label == RELIABLE_CHANNEL, events.clone());
        }
        Ok(())
    }

    /// Has media sections for so many tracks more in the next offer, up to a limit.
    pub(crate) async fn receive_more(
        &mut self,
        audios: u32,
        videos: u32,
    ) -> Result<(), TransportError> {
        for (kind, count) in [(RtpCodecKind::Audio, audios), (RtpCodecKind::Video, videos)] {
            for _ in 0..count {
                if self.sections == SECTIONS {
                    tracing::warn!(kind = %kind, "too many tracks for one connection");
                    break;
                }
                self.sections += 1;
                let receiving = RTCRtpTransceiverInit {
                    direction: RTCRtpTransceiverDirection::Recvonly,
                    ..RTCRtpTransceiverInit::default()
                };
                let added = self
                    .connection
                    .add_transceiver_from_kind(kind, Some(receiving));
                added.await?;
            }
        }
        Ok(())
    }

    /// Makes an offer; `restart` looks for a path to the peer anew.
    pub(crate) async fn offer(&self, restart: bool) -> Result<String, TransportError> {
        let options = RTCOfferOptions {
            ice_restart: restart,
        };
        let offer = self.connection.create_offer(Some(options)).await?;
        let sdp = offer.sdp.clone();
        self.connection.set_local_description(offer).await?;
        Ok(sdp)
    }

    /// Takes other STUN and TURN servers, for the next time that a path is looked for.
    pub(crate) async fn set_ice_servers(
        &self,
        ice_servers: &[proto::IceServer],
    ) -> Result<(), TransportError> {
        let configuration = configuration(&self.network, ice_servers);
        Ok(self.connection.set_configuration(configuration).await?)
    }

    /// The last offer and the last answer that both sides have agreed upon.
    pub(crate) async fn agreed(&self) -> Option<(String, String)> {
        let remote = self.connection.current_remote_description().await?;
        let local = self.connection.current_local_description().await?;
        match self.role {
            Role::Publisher => Some((local.sdp, remote.sdp)),
            Role::Subscriber => Some((remote.sdp, local.sdp)),
        }
    }

    /// Takes the answer to our offer.
    pub(crate) async fn take_answer(&mut self, answer: String) -> Result<(), TransportError> {
        self.orientation_id = sdp::extension_id(&answer, VIDEO_ORIENTATION);
        self.describe(RTCSessionDescription::answer(answer)?).await
    }

    /// Takes an offer and gives the answer.
    pub(crate) async fn answer(&mut self, offer: String) -> Result<String, TransportError> {
        self.orientation_id = sdp::extension_id(&offer, VIDEO_ORIENTATION);
        self.describe(RTCSessionDescription::offer(offer)?).await?;
        let answer = self.connection.create_answer(None).await?;
        let sdp = answer.sdp.clone();
        self.connection.set_local_description(answer).await?;
        // A check of ours that reaches the peer before its candidate does makes an unknown pair,
        // which the peer accepts after a second only: so the answer has the candidates with it.
        let all = self.gathered.wait_for(|gathered| *gathered);
        // Without all of them it goes on: the others follow one by one.
        let _ = tokio::time::timeout(GATHERING, all).await;
        let described = self.connection.local_description().await;
        Ok(described.map_or(sdp, |description| description.sdp))
    }

    async fn describe(&mut self, description: RTCSessionDescription) -> Result<(), TransportError> {
        self.connection.set_remote_description(description).await?;
        self.described = true;
        for candidate in std::mem::take(&mut self.early) {
            if let Err(error) = self.connection.add_ice_candidate(candidate).await {
                tracing::warn!(%error, "ignoring a candidate of the server's");
            }
        }
        Ok(())
    }

    /// Takes a candidate of the peer's, which may come before its first description.
    pub(crate) async fn add_candidate(&mut self, json: &str) -> Result<(), TransportError> {
        let candidate: RTCIceCandidateInit = serde_json::from_str(json)?;
        if self.described {
            self.connection.add_ice_candidate(candidate).await?;
        } else if self.early.len() < EARLY_CANDIDATES {
            self.early.push(candidate);
        }
        Ok(())
    }

    /// The id that the last offer gave the video-orientation header extension.
    pub(crate) fn orientation_id(&self) -> Option<u8> {
        self.orientation_id
    }

    pub(crate) async fn close(&self) {
        // Closing twice or after a failure is not an error worth telling.
        let _ = self.connection.close().await;
    }
}

/// The interceptors of a connection that only receives.
fn receiving() -> Registry {
    let nack = NackGeneratorBuilder::new()
        .with_size(NACK_WINDOW)
        .with_interval(NACK_INTERVAL)
        .with_max_nacks_per_packet(NACKS_PER_PACKET)
        .build();
    Registry::new()
        .with(Retransmissions::SLOT, Retransmissions::default())
        .with(Retransmissions::NACK_SLOT, nack)
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(SenderReports::SLOT, SenderReports::default())
}

fn configuration(network: &NetworkRuntime, servers: &[proto::IceServer]) -> RTCConfiguration {
    RTCConfigurationBuilder::default()
        .with_ice_servers(network.ice_servers(servers))
        .build()
}

#[cfg(test)]
mod tests;
