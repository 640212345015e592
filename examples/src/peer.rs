//! Peer connections of the `webrtc` crate on loopback, for `webrtc_track` and the tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::register_default_interceptors;
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_H264;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability,
    RtpCodecKind,
};
use tokio::sync::mpsc;
use webrtc::error::{Error, Result};
use webrtc::media_stream::track_local::static_sample::TrackLocalStaticSample;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, Registry,
};

/// The SSRC of [`h264_track`].
pub const SSRC: u32 = 1;

/// What happens to a connection.
pub enum Event {
    /// All local candidates are known.
    Gathered,
    /// Media can flow.
    Connected,
    /// The other side sends a track.
    Track(Arc<dyn TrackRemote>),
}

/// The events of a connection.
pub type Events = mpsc::UnboundedReceiver<Event>;

/// A connection that uses 127.0.0.1 alone, and its events.
///
/// # Errors
///
/// What the `webrtc` crate says.
pub async fn connection() -> Result<(impl PeerConnection, Events)> {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs()?;
    let orientation = RTCRtpHeaderExtensionCapability {
        uri: "urn:3gpp:video-orientation".to_owned(),
    };
    engine.register_header_extension(orientation, RtpCodecKind::Video, None)?;
    let registry = register_default_interceptors(Registry::new(), &mut engine)?;
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(true)
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .build();
    let (events, happened) = mpsc::unbounded_channel();
    let building = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(Handler(events)))
        .with_udp_addrs(vec!["127.0.0.1:0"])
        .build();
    // The future is 20 KiB; on the heap it does not grow the callers' futures.
    Ok((Box::pin(building).await?, happened))
}

/// Connects two ends, of which one has tracks to send; gives the other's answer, an SDP.
///
/// # Errors
///
/// What the `webrtc` crate says.
pub async fn connect(
    (sender, sending): (&impl PeerConnection, &mut Events),
    (receiver, receiving): (&impl PeerConnection, &mut Events),
) -> Result<String> {
    // A description taken after gathering holds all candidates: nothing else is exchanged.
    let offer = sender.create_offer(None).await?;
    sender.set_local_description(offer).await?;
    while !matches!(sending.recv().await, Some(Event::Gathered) | None) {}
    let offer = sender.local_description().await;
    let offer = offer.ok_or(Error::ErrConnectionClosed)?;
    receiver.set_remote_description(offer).await?;
    let answer = receiver.create_answer(None).await?;
    receiver.set_local_description(answer).await?;
    while !matches!(receiving.recv().await, Some(Event::Gathered) | None) {}
    let answer = receiver.local_description().await;
    let answer = answer.ok_or(Error::ErrConnectionClosed)?;
    let sdp = answer.sdp.clone();
    sender.set_remote_description(answer).await?;
    while !matches!(sending.recv().await, Some(Event::Connected) | None) {}
    Ok(sdp)
}

/// A track that takes H.264 access units.
///
/// # Errors
///
/// What the `webrtc` crate says.
pub fn h264_track() -> Result<Arc<TrackLocalStaticSample>> {
    let media = media(MIME_TYPE_H264, 90_000, RtpCodecKind::Video, SSRC);
    let track = TrackLocalStaticSample::new(Instant::now(), media)?;
    Ok(Arc::new(track))
}

/// What a local track is made of.
pub fn media(mime_type: &str, clock_rate: u32, kind: RtpCodecKind, ssrc: u32) -> MediaStreamTrack {
    let coding = RTCRtpEncodingParameters {
        rtp_coding_parameters: RTCRtpCodingParameters {
            ssrc: Some(ssrc),
            ..RTCRtpCodingParameters::default()
        },
        codec: RTCRtpCodec {
            mime_type: mime_type.to_owned(),
            clock_rate,
            ..RTCRtpCodec::default()
        },
        ..RTCRtpEncodingParameters::default()
    };
    let [stream, id, label] = ["stream", mime_type, "label"].map(str::to_owned);
    MediaStreamTrack::new(stream, id, label, kind, vec![coding])
}

struct Handler(mpsc::UnboundedSender<Event>);

#[async_trait::async_trait]
impl PeerConnectionEventHandler for Handler {
    async fn on_ice_gathering_state_change(&self, state: RTCIceGatheringState) {
        if state == RTCIceGatheringState::Complete {
            let _ = self.0.send(Event::Gathered);
        }
    }

    async fn on_connection_state_change(&self, state: RTCPeerConnectionState) {
        if state == RTCPeerConnectionState::Connected {
            let _ = self.0.send(Event::Connected);
        }
    }

    async fn on_track(&self, track: Arc<dyn TrackRemote>) {
        let _ = self.0.send(Event::Track(track));
    }
}
