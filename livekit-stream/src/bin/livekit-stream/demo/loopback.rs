//! A real WebRTC connection within the process: ICE, DTLS and SRTP over 127.0.0.1.

use std::sync::Arc;
use std::time::Duration;

use livekit_stream::{SenderReports, WebRtcTrack};
use rtc::peer_connection::configuration::interceptor_registry::configure_nack;
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_H264, MIME_TYPE_OPUS, MediaEngine,
};
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use tokio::sync::mpsc;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCIceCandidateInit,
    RTCPeerConnectionIceEvent, RTCPeerConnectionState, Registry, SettingEngineBuilder,
};

/// A step of the set-up failed.
pub(crate) type Error = webrtc::error::Error;

/// The payload types offered.
pub(crate) const H264_PAYLOAD: u8 = 102;
pub(crate) const OPUS_PAYLOAD: u8 = 111;

/// What a connection tells.
pub(crate) enum Event {
    Connected,
    Track(WebRtcTrack),
}

/// One end.
pub(crate) struct End {
    pub(crate) connection: Arc<dyn PeerConnection>,
    pub(crate) events: mpsc::UnboundedReceiver<Event>,
    candidates: Option<mpsc::UnboundedReceiver<RTCIceCandidateInit>>,
}

/// H.264 as it is offered: constrained baseline, packets of any kind.
pub(crate) fn h264() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_H264.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f"
            .to_owned(),
        rtcp_feedback: vec![],
    }
}

/// Opus as it is offered.
pub(crate) fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: vec![],
    }
}

impl End {
    pub(crate) async fn new() -> Result<Self, Error> {
        let mut engine = MediaEngine::default();
        for (rtp_codec, payload_type, kind) in [
            (h264(), H264_PAYLOAD, RtpCodecKind::Video),
            (opus(), OPUS_PAYLOAD, RtpCodecKind::Audio),
        ] {
            engine.register_codec(
                RTCRtpCodecParameters {
                    rtp_codec,
                    payload_type,
                },
                kind,
            )?;
        }
        let registry = configure_nack(Registry::new(), &mut engine)
            .with(SenderReports::SLOT, SenderReports::default());
        let settings = SettingEngineBuilder::new()
            .with_include_loopback_candidate(true)
            .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
            .build();
        let (event_sender, events) = mpsc::unbounded_channel();
        let (candidate_sender, candidates) = mpsc::unbounded_channel();
        let handler = Handler {
            events: event_sender,
            candidates: candidate_sender,
        };
        let building = PeerConnectionBuilder::new()
            .with_media_engine(engine)
            .with_setting_engine(settings)
            .with_interceptor_registry(registry)
            .with_handler(Arc::new(handler))
            .with_udp_addrs(vec!["127.0.0.1:0"])
            .build();
        // The future is 20 KiB; on the heap it does not grow the callers' futures.
        let connection = Box::pin(building).await?;
        Ok(Self {
            connection: Arc::new(connection),
            events,
            candidates: Some(candidates),
        })
    }

    /// Gives all candidates of this end to the other, which has its descriptions.
    fn trickle_to(&mut self, other: &Self) {
        let Some(mut candidates) = self.candidates.take() else {
            return;
        };
        let other = Arc::clone(&other.connection);
        tokio::spawn(async move {
            while let Some(candidate) = candidates.recv().await {
                if let Err(error) = other.add_ice_candidate(candidate).await {
                    tracing::warn!(%error, "a candidate was refused");
                }
            }
        });
    }
}

/// Offer, answer and candidates, without a server between them.
pub(crate) async fn negotiate(sending: &mut End, receiving: &mut End) -> Result<(), Error> {
    let offer = sending.connection.create_offer(None).await?;
    sending
        .connection
        .set_local_description(offer.clone())
        .await?;
    receiving.connection.set_remote_description(offer).await?;
    let answer = receiving.connection.create_answer(None).await?;
    receiving
        .connection
        .set_local_description(answer.clone())
        .await?;
    sending.connection.set_remote_description(answer).await?;
    sending.trickle_to(receiving);
    receiving.trickle_to(sending);
    Ok(())
}

struct Handler {
    events: mpsc::UnboundedSender<Event>,
    candidates: mpsc::UnboundedSender<RTCIceCandidateInit>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        if let Ok(candidate) = event.candidate.to_json() {
            // The other end may be closed by now.
            let _ = self.candidates.send(candidate);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected {
            // Whoever listened has what it wanted.
            let _ = self.events.send(Event::Connected);
        }
    }

    async fn on_track(&self, track: WebRtcTrack) {
        // As above.
        let _ = self.events.send(Event::Track(track));
    }
}
