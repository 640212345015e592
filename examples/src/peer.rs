//! Peer connections of the `webrtc` crate, for the examples without LiveKit and the tests.

use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit_stream::{RemoteTrack, SenderReports, WebRtcPeer};
use rtc::interceptor::{ReceiverReportBuilder, Slot};
use rtc::media_stream::MediaStreamTrack;
use rtc::peer_connection::configuration::interceptor_registry::{
    configure_nack, configure_simulcast_extension_headers, configure_twcc_receiver_only,
    register_default_interceptors,
};
use rtc::peer_connection::configuration::media_engine::MIME_TYPE_H264;
use rtc::peer_connection::configuration::setting_engine::SettingEngineBuilder;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RTCRtpHeaderExtensionCapability,
    RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::mpsc;
use webrtc::error::{Error, Result};
use webrtc::media_stream::track_local::static_sample::TrackLocalStaticSample;
use webrtc::media_stream::track_remote::TrackRemote;
use webrtc::peer_connection::{
    MediaEngine, PeerConnection, PeerConnectionBuilder, PeerConnectionEventHandler,
    RTCIceGatheringState, RTCPeerConnectionState, RTCSessionDescription, Registry,
};

/// The longest that one track may come after another, or after the answer.
const TRACKS_IN: Duration = Duration::from_secs(10);

/// How a sender's pictures are to be turned (3GPP TS 26.114 section 7.4.5).
const ORIENTATION: &str = "urn:3gpp:video-orientation";

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
    let mut engine = engine()?;
    let registry = register_default_interceptors(Registry::new(), &mut engine)?;
    build(engine, registry, vec!["127.0.0.1:0"]).await
}

/// A connection that only receives one video and one audio track, over any IPv4 network, and its
/// events. `loopback`: also from this machine.
///
/// # Errors
///
/// What the `webrtc` crate says.
pub async fn viewer(loopback: bool) -> Result<(impl PeerConnection, Events)> {
    let mut engine = engine()?;
    // RFC 8843 section 9.2: what tells the packets of bundled tracks apart.
    let mid = RTCRtpHeaderExtensionCapability {
        uri: "urn:ietf:params:rtp-hdrext:sdes:mid".to_owned(),
    };
    engine.register_header_extension(mid, RtpCodecKind::Audio, None)?;
    configure_simulcast_extension_headers(&mut engine)?;
    let registry = configure_nack(Registry::new(), &mut engine);
    // Sender reports have to come through: sound and pictures are set against each other by them.
    let registry = configure_twcc_receiver_only(registry, &mut engine)?
        .with(Slot::ReceiverReport, ReceiverReportBuilder::new().build())
        .with(SenderReports::SLOT, SenderReports::default());
    // Loopback is left out when a wildcard is resolved to interfaces.
    let mut addresses = vec!["0.0.0.0:0"];
    addresses.extend(loopback.then_some("127.0.0.1:0"));
    let (connection, events) = build(engine, registry, addresses).await?;
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        let init = RTCRtpTransceiverInit {
            direction: RTCRtpTransceiverDirection::Recvonly,
            ..RTCRtpTransceiverInit::default()
        };
        connection
            .add_transceiver_from_kind(kind, Some(init))
            .await?;
    }
    Ok((connection, events))
}

/// The codecs and header extensions of all connections.
fn engine() -> Result<MediaEngine> {
    let mut engine = MediaEngine::default();
    engine.register_default_codecs()?;
    let orientation = RTCRtpHeaderExtensionCapability {
        uri: ORIENTATION.to_owned(),
    };
    engine.register_header_extension(orientation, RtpCodecKind::Video, None)?;
    Ok(engine)
}

async fn build(
    engine: MediaEngine,
    registry: Registry,
    addresses: Vec<&'static str>,
) -> Result<(impl PeerConnection, Events)> {
    let settings = SettingEngineBuilder::new()
        .with_include_loopback_candidate(addresses.contains(&"127.0.0.1:0"))
        .with_prflx_acceptance_min_wait(Some(Duration::ZERO))
        .build();
    let (events, happened) = mpsc::unbounded_channel();
    let building = PeerConnectionBuilder::new()
        .with_media_engine(engine)
        .with_interceptor_registry(registry)
        .with_setting_engine(settings)
        .with_handler(Arc::new(Handler(events)))
        .with_udp_addrs(addresses)
        .build();
    // The future is 20 KiB; on the heap it does not grow the callers' futures.
    Ok((Box::pin(building).await?, happened))
}

/// Makes an offer that holds all candidates: a description taken after gathering.
///
/// # Errors
///
/// What the `webrtc` crate says.
pub async fn offer(
    connection: &impl PeerConnection,
    events: &mut Events,
) -> Result<RTCSessionDescription> {
    let offer = connection.create_offer(None).await?;
    connection.set_local_description(offer).await?;
    while !matches!(events.recv().await, Some(Event::Gathered) | None) {}
    let offer = connection.local_description().await;
    offer.ok_or(Error::ErrConnectionClosed)
}

/// Takes the answer to an offer of [`viewer`]'s and starts to receive the tracks that it says
/// will be sent.
///
/// # Errors
///
/// What the `webrtc` crate says, and when the tracks do not come in time.
pub async fn accept(
    connection: &impl PeerConnection,
    events: &mut Events,
    answer: String,
) -> Result<Vec<RemoteTrack>> {
    let sends = |line: &&str| ["a=sendonly", "a=sendrecv"].contains(line);
    let count = answer.lines().filter(sends).count();
    let mut peer = WebRtcPeer::new();
    if let Some(id) = orientation_id(&answer) {
        peer = peer.video_orientation_id(id);
    }
    let answer = RTCSessionDescription::answer(answer)?;
    connection.set_remote_description(answer).await?;
    let mut tracks = Vec::new();
    while tracks.len() < count {
        match tokio::time::timeout(TRACKS_IN, events.recv()).await {
            // At once: packets wait in a short queue.
            Ok(Some(Event::Track(track))) => tracks.push(peer.track(track).await),
            Ok(Some(_)) => {}
            Ok(None) => return Err(Error::ErrConnectionClosed),
            Err(_) => {
                let came = tracks.len();
                return Err(Error::Other(format!("{came} of {count} tracks came")));
            }
        }
    }
    Ok(tracks)
}

/// The id that an SDP gives the video-orientation header extension (RFC 8285 section 7).
pub fn orientation_id(sdp: &str) -> Option<u8> {
    sdp.lines().find_map(|line| {
        let id = line.strip_prefix("a=extmap:")?.strip_suffix(ORIENTATION)?;
        id.trim_end().split('/').next()?.parse().ok()
    })
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
    let offer = offer(sender, sending).await?;
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
