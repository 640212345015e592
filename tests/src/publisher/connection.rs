//! A peer connection set up for a peer on loopback, and the codecs it offers.

use std::sync::Arc;
use std::time::Duration;

use livekit_protocol::{SignalTarget, TrickleRequest, signal_request};
use livekit_signaling::SignalClient;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_nack, configure_simulcast_extension_headers, configure_twcc_receiver_only,
};
use rtc::peer_connection::configuration::media_engine::{
    MIME_TYPE_AV1, MIME_TYPE_H264, MIME_TYPE_HEVC, MIME_TYPE_OPUS, MIME_TYPE_VP8, MIME_TYPE_VP9,
    MediaEngine,
};
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::rtp_transceiver::rtp_sender::{RTCRtpCodec, RTCRtpCodecParameters, RtpCodecKind};
use tokio::sync::{mpsc, watch};
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler, RTCPeerConnectionIceEvent,
    RTCPeerConnectionState, Registry,
};

use super::keyframes;
use crate::clip::VideoCodec;
use crate::impairment::Impairment;

/// The codec of a video track, as it is offered.
pub(super) fn video_codec(codec: VideoCodec) -> RTCRtpCodec {
    let (mime_type, fmtp) = match codec {
        VideoCodec::H264 => (
            MIME_TYPE_H264,
            "level-asymmetry-allowed=1;packetization-mode=1;profile-level-id=42e01f",
        ),
        VideoCodec::H265 => (MIME_TYPE_HEVC, ""),
        VideoCodec::Vp8 => (MIME_TYPE_VP8, ""),
        VideoCodec::Vp9 => (MIME_TYPE_VP9, "profile-id=0"),
        VideoCodec::Av1 => (MIME_TYPE_AV1, ""),
    };
    RTCRtpCodec {
        mime_type: mime_type.to_owned(),
        clock_rate: 90_000,
        channels: 0,
        sdp_fmtp_line: fmtp.to_owned(),
        rtcp_feedback: vec![],
    }
}

/// Opus, as it is offered.
pub(super) fn opus() -> RTCRtpCodec {
    RTCRtpCodec {
        mime_type: MIME_TYPE_OPUS.to_owned(),
        clock_rate: 48_000,
        channels: 2,
        sdp_fmtp_line: "minptime=10;useinbandfec=1".to_owned(),
        rtcp_feedback: vec![],
    }
}

/// Builds one side of the session: the publisher's connection or the subscriber's.
pub(super) async fn build(
    handler: impl PeerConnectionEventHandler + 'static,
    impairment: &Impairment,
) -> webrtc::error::Result<Arc<dyn PeerConnection>> {
    let mut engine = MediaEngine::default();
    let codecs = [
        (opus(), 111, RtpCodecKind::Audio),
        (video_codec(VideoCodec::H264), 102, RtpCodecKind::Video),
        (video_codec(VideoCodec::Vp8), 96, RtpCodecKind::Video),
        (video_codec(VideoCodec::Vp9), 98, RtpCodecKind::Video),
        (video_codec(VideoCodec::Av1), 45, RtpCodecKind::Video),
        (video_codec(VideoCodec::H265), 49, RtpCodecKind::Video),
    ];
    for (rtp_codec, payload_type, kind) in codecs {
        let parameters = RTCRtpCodecParameters {
            rtp_codec,
            payload_type,
        };
        engine.register_codec(parameters, kind)?;
    }
    // No sender report generator: each track writes its own reports, exact to the clip's clock.
    let registry = configure_nack(Registry::new(), &mut engine);
    configure_simulcast_extension_headers(&mut engine)?;
    let registry = configure_twcc_receiver_only(registry, &mut engine)?.with(
        keyframes::SLOT.into(),
        keyframes::DeliverKeyframeRequests::default(),
    );
    // The server may answer from another local address; such a pair waits a second by default.
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .build();
    let building = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_setting_engine(settings)
        .with_interceptor_registry(registry)
        .with_handler(Arc::new(handler))
        .with_runtime(impairment.runtime())
        .with_udp_addrs(loopback())
        .build();
    // The future is 20 KiB; on the heap it does not grow the callers' futures.
    Ok(Arc::new(Box::pin(building).await?))
}

/// Loopback, of IPv6 too where the machine has it.
fn loopback() -> Vec<&'static str> {
    let ipv6 = "[::1]:0";
    let mut addresses = vec!["127.0.0.1:0"];
    addresses.extend(std::net::UdpSocket::bind(ipv6).is_ok().then_some(ipv6));
    addresses
}

/// Passes on what happens to a connection.
pub(super) struct Handler {
    pub(super) signal: Arc<SignalClient>,
    pub(super) target: SignalTarget,
    pub(super) state: watch::Sender<RTCPeerConnectionState>,
    pub(super) tracks: mpsc::UnboundedSender<Arc<dyn TrackRemote>>,
}

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_candidate(&self, event: RTCPeerConnectionIceEvent) {
        let Ok(candidate) = event.candidate.to_json() else {
            return;
        };
        let candidate_init =
            serde_json::to_string(&candidate).expect("a candidate is written as JSON");
        let trickle = TrickleRequest {
            candidate_init,
            target: self.target.into(),
            r#final: false,
        };
        self.signal
            .send(signal_request::Message::Trickle(trickle))
            .await;
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        self.state.send_replace(state);
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.tracks.send(track);
    }
}
