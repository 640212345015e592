//! A participant that publishes known clips into a room and remembers exactly what it sent.

mod connection;
mod data;
mod keyframes;
mod pump;
mod session;
mod subscriber;
mod track;
mod whep;

use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use livekit_protocol::{
    AddTrackRequest, AudioTrackFeature, MuteTrackRequest, SimulcastCodec, TrackType, VideoLayer,
    VideoQuality, signal_request,
};
pub use livekit_protocol::{DisconnectReason, TrackInfo, TrackSource};
use rtc::media_stream::MediaStreamTrack;
use rtc::rtp_transceiver::rtp_sender::{
    RTCRtpCodec, RTCRtpCodingParameters, RTCRtpEncodingParameters, RtpCodecKind,
};
use rtc::rtp_transceiver::{RTCRtpTransceiverDirection, RTCRtpTransceiverInit};
use tokio::sync::{Mutex, mpsc};
use webrtc::media_stream::track_local::TrackLocal;
use webrtc::media_stream::track_local::static_rtp::TrackLocalStaticRTP;
use webrtc::rtp_transceiver::RtpSender;

use crate::clip::{AudioClip, VideoClip, VideoOptions};
use crate::impairment::Impairment;
pub use data::DataSender;
use pump::{Clock, Output, Timeline};
use session::Session;
pub use subscriber::{ReceivedTrack, Subscriber};
pub use track::{PublishedTrack, Sent};
pub use whep::WhepServer;

/// The names of a simulcast's layers, smallest first, as LiveKit's clients have them.
const RIDS: [&str; 3] = ["q", "h", "f"];

/// The header extensions that tell the layer of a packet (RFC 8843 section 14, RFC 8852).
const MID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:mid";
const RID_EXTENSION: &str = "urn:ietf:params:rtp-hdrext:sdes:rtp-stream-id";

/// What is published and how.
#[derive(Debug, Clone)]
pub struct PublishOptions {
    /// The media.
    pub media: Media,
    /// The other layers of a simulcast, smallest first; none unless changed.
    pub lower: Vec<Arc<VideoClip>>,
    /// The track's name in the room.
    pub name: String,
    /// What it is said to come from.
    pub source: TrackSource,
    /// Plays the clip again and again; `false` ends after one pass.
    pub repeat: bool,
    /// Jumps to the clip's next keyframe when one is asked for; `false` plays on.
    pub answer_keyframe_requests: bool,
    /// Muted from the beginning.
    pub muted: bool,
    /// Leaves out most of the silence (DTX).
    pub discontinuous: bool,
}

/// A clip to publish.
#[derive(Debug, Clone)]
pub enum Media {
    /// A picture sequence.
    Video(Arc<VideoClip>),
    /// A sound.
    Audio(Arc<AudioClip>),
}

impl PublishOptions {
    /// A camera that shows the clip again and again.
    pub fn camera(clip: VideoClip) -> Self {
        Self::new(Media::Video(Arc::new(clip)), TrackSource::Camera)
    }

    /// A shared screen that shows the clip again and again.
    pub fn screen_share(clip: VideoClip) -> Self {
        Self::new(Media::Video(Arc::new(clip)), TrackSource::ScreenShare)
    }

    /// A shared screen's own sound, again and again.
    pub fn screen_share_audio(clip: AudioClip) -> Self {
        Self::new(Media::Audio(Arc::new(clip)), TrackSource::ScreenShareAudio)
    }

    /// A camera and a microphone whose clips are equally long, in sync.
    pub fn camera_and_microphone(options: VideoOptions) -> Vec<Self> {
        vec![
            Self::camera(VideoClip::make(options)),
            Self::microphone(AudioClip::make(options.seconds)),
        ]
    }

    /// A microphone that plays the clip again and again.
    pub fn microphone(clip: AudioClip) -> Self {
        Self::new(Media::Audio(Arc::new(clip)), TrackSource::Microphone)
    }

    fn new(media: Media, source: TrackSource) -> Self {
        Self {
            media,
            lower: Vec::new(),
            name: source.as_str_name().to_lowercase(),
            source,
            repeat: true,
            answer_keyframe_requests: true,
            muted: false,
            discontinuous: false,
        }
    }

    /// The same with another name.
    #[must_use]
    pub fn named(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    /// The same, ending after one pass of the clip.
    #[must_use]
    pub fn once(mut self) -> Self {
        self.repeat = false;
        self
    }

    /// The same as a simulcast, with one or two further layers, smallest first: clips of the same
    /// codec, length, frame rate and distance of keyframes. [`Sent`] tells of the largest layer.
    #[must_use]
    pub fn with_lower_layers(mut self, lower: Vec<VideoClip>) -> Self {
        assert!(lower.len() < RIDS.len(), "{} lower layers", lower.len());
        self.lower = lower.into_iter().map(Arc::new).collect();
        self
    }

    /// The same, playing on when a keyframe is asked for: each picture of the clip is sent in
    /// turn, and whoever comes late waits for the clip's next keyframe.
    #[must_use]
    pub fn ignoring_keyframe_requests(mut self) -> Self {
        self.answer_keyframe_requests = false;
        self
    }

    /// The same, muted until it is unmuted.
    #[must_use]
    pub fn muted(mut self) -> Self {
        self.muted = true;
        self
    }

    /// The same, with one packet of silence in 400 ms and nothing between, as encoders with
    /// discontinuous transmission send (RFC 7587 section 3.1.3).
    #[must_use]
    pub fn discontinuous(mut self) -> Self {
        self.discontinuous = true;
        self
    }

    /// The frame of the clip that was sent, as a file that copied it holds it.
    fn frame(&self, index: usize) -> Bytes {
        match &self.media {
            Media::Audio(clip) => clip.packets[index].data.clone(),
            Media::Video(clip) => clip.options.codec.picture(&clip.units[index].data),
        }
    }

    fn codec(&self) -> RTCRtpCodec {
        match &self.media {
            Media::Video(clip) => connection::video_codec(clip.options.codec),
            Media::Audio(_) => connection::opus(),
        }
    }

    fn kind(&self) -> RtpCodecKind {
        match self.media {
            Media::Video(_) => RtpCodecKind::Video,
            Media::Audio(_) => RtpCodecKind::Audio,
        }
    }

    /// The RID of each layer, smallest first; none of a track that is no simulcast.
    fn rids(&self) -> &'static [&'static str] {
        match self.lower.len() {
            0 => &[],
            lower => &RIDS[..=lower],
        }
    }

    /// A track of the `webrtc` crate whose id and stream's id are `id`, and the SSRCs of its
    /// layers, smallest first.
    fn local_track(&self, id: &str) -> (Vec<u32>, Arc<TrackLocalStaticRTP>) {
        let rids = self.rids().iter().copied();
        let rids = rids.chain(self.lower.is_empty().then_some(""));
        let layers: Vec<(u32, &str)> = rids.map(|rid| (rand::random(), rid)).collect();
        let codings = layers
            .iter()
            .map(|(ssrc, rid)| RTCRtpEncodingParameters {
                rtp_coding_parameters: RTCRtpCodingParameters {
                    rid: (*rid).to_owned(),
                    ssrc: Some(*ssrc),
                    ..RTCRtpCodingParameters::default()
                },
                codec: self.codec(),
                ..RTCRtpEncodingParameters::default()
            })
            .collect();
        let track = MediaStreamTrack::new(
            id.to_owned(),
            id.to_owned(),
            self.name.clone(),
            self.kind(),
            codings,
        );
        let ssrcs = layers.into_iter().map(|(ssrc, _)| ssrc).collect();
        (ssrcs, Arc::new(TrackLocalStaticRTP::new(track)))
    }

    /// What sends on a track whose codec has been negotiated, for each layer, smallest first.
    async fn outputs(
        &self,
        ssrcs: Vec<u32>,
        track: Arc<TrackLocalStaticRTP>,
        sender: &dyn RtpSender,
        mid: Option<String>,
        clock: Clock,
    ) -> Vec<Output> {
        let parameters = sender
            .get_parameters()
            .await
            .expect("the sender's parameters")
            .rtp_parameters;
        let codec = self.codec();
        let negotiated = parameters
            .codecs
            .iter()
            .find(|one| {
                one.rtp_codec
                    .mime_type
                    .eq_ignore_ascii_case(&codec.mime_type)
            })
            .unwrap_or_else(|| panic!("{} was not negotiated", codec.mime_type));
        let extension = |uri: &str, value: &str| {
            let mut known = parameters.header_extensions.iter();
            let known = known.find(|known| known.uri == uri);
            let id = known.map(|known| known.id as u8);
            let id = id.unwrap_or_else(|| panic!("{uri} was not negotiated"));
            (id, Bytes::copy_from_slice(value.as_bytes()))
        };
        let base = rand::random();
        let output = |(layer, ssrc): (usize, u32)| {
            let extensions = match (self.rids().get(layer), &mid) {
                (Some(rid), Some(mid)) => {
                    vec![extension(MID_EXTENSION, mid), extension(RID_EXTENSION, rid)]
                }
                _ => Vec::new(),
            };
            let stream = pump::StreamId {
                ssrc,
                payload_type: negotiated.payload_type,
                base,
                extensions,
            };
            Output::new(Arc::clone(&track), stream, &codec, clock)
        };
        ssrcs.into_iter().enumerate().map(output).collect()
    }

    /// LiveKit drops the media of a track whose codec here is not the one in the SDP.
    fn request(&self, cid: &str) -> AddTrackRequest {
        let mut request = AddTrackRequest {
            cid: cid.to_owned(),
            name: self.name.clone(),
            source: self.source.into(),
            disable_red: true,
            muted: self.muted,
            ..AddTrackRequest::default()
        };
        match &self.media {
            Media::Audio(_) => {
                request.r#type = TrackType::Audio.into();
                request.audio_features = vec![AudioTrackFeature::TfStereo.into()];
                if !self.discontinuous {
                    let feature = AudioTrackFeature::TfNoDtx;
                    request.audio_features.push(feature.into());
                }
            }
            Media::Video(clip) => {
                request.r#type = TrackType::Video.into();
                (request.width, request.height) = (clip.options.width, clip.options.height);
                let layers = self.lower.iter().chain([clip]).enumerate();
                // The layer of a track with a single one is the high one.
                let qualities = [VideoQuality::Low, VideoQuality::Medium, VideoQuality::High];
                let skipped = if self.lower.is_empty() { 2 } else { 0 };
                request.layers = layers
                    .map(|(index, clip)| VideoLayer {
                        quality: qualities[skipped + index].into(),
                        width: clip.options.width,
                        height: clip.options.height,
                        bitrate: clip.options.kbps * 1000,
                        spatial_layer: index as i32,
                        rid: self.rids().get(index).copied().unwrap_or("").to_owned(),
                        ..VideoLayer::default()
                    })
                    .collect();
                request.simulcast_codecs = vec![SimulcastCodec {
                    codec: clip.options.codec.name().to_owned(),
                    cid: cid.to_owned(),
                    layers: request.layers.clone(),
                    ..SimulcastCodec::default()
                }];
            }
        }
        request
    }
}

/// A participant that publishes. End it by [`leave`](Self::leave) or [`abort`](Self::abort): one
/// that is merely dropped stays in the room until the test's runtime ends.
pub struct Publisher {
    session: Session,
    impairment: Impairment,
    clock: Clock,
    /// One negotiation at a time.
    negotiation: Mutex<()>,
}

impl Publisher {
    /// Joins the room that the token names.
    ///
    /// # Panics
    ///
    /// When the server does not let it in.
    pub async fn join(url: &str, token: &str) -> Self {
        Self::join_over(url, token, Impairment::default()).await
    }

    /// Joins over a network that behaves as `impairment` says.
    pub async fn join_over(url: &str, token: &str, impairment: Impairment) -> Self {
        let (tracks, _) = mpsc::unbounded_channel();
        let session = Session::join(url, token, false, impairment.clone(), tracks).await;
        Self {
            session,
            impairment,
            clock: Clock::start(),
            negotiation: Mutex::default(),
        }
    }

    /// The identity the token gave it.
    pub fn identity(&self) -> &str {
        let participant = self.session.join.participant.as_ref();
        participant.map_or("", |participant| &participant.identity)
    }

    /// The server's name for it, `PA_...`.
    pub fn sid(&self) -> &str {
        let participant = self.session.join.participant.as_ref();
        participant.map_or("", |participant| &participant.sid)
    }

    /// The network it is on.
    pub fn impairment(&self) -> &Impairment {
        &self.impairment
    }

    /// The instant that is 0 in [`Sent::media_us`] and in its sender reports' mapping.
    pub fn epoch(&self) -> Instant {
        self.clock.epoch()
    }

    /// Publishes one track; its clip starts playing when this returns. The video codecs of a
    /// publisher are those of its first [`publish_all`](Self::publish_all): the `webrtc` crate
    /// takes no other into a connection once one has been negotiated.
    pub async fn publish(&self, options: PublishOptions) -> PublishedTrack {
        let mut tracks = self.publish_all(vec![options]).await;
        tracks.pop().expect("one track was published")
    }

    /// Publishes tracks together: their clips start at the same instant. When a video track jumps
    /// to a keyframe, the audio tracks jump with it, so flash and beep stay together; so put one
    /// video track in each group whose sound matters.
    pub async fn publish_all(&self, all: Vec<PublishOptions>) -> Vec<PublishedTrack> {
        let negotiating = self.negotiation.lock().await;
        let cids: Vec<String> = all
            .iter()
            .map(|_| format!("TR_{:016x}", rand::random::<u64>()))
            .collect();
        let requests = all
            .iter()
            .zip(&cids)
            .map(|(options, cid)| options.request(cid));
        let infos = self.session.add_tracks(requests.collect()).await;
        let mut added = Vec::new();
        for (options, cid) in all.iter().zip(&cids) {
            // The server finds the track by the msid: it has to be the cid.
            let (ssrcs, track) = options.local_track(cid);
            // A transceiver of its own: one left by an unpublished track keeps that track's codec.
            let init = RTCRtpTransceiverInit {
                direction: RTCRtpTransceiverDirection::Sendonly,
                ..RTCRtpTransceiverInit::default()
            };
            let transceiver = self
                .session
                .publisher
                .add_transceiver_from_track(Arc::clone(&track) as Arc<dyn TrackLocal>, Some(init))
                .await
                .unwrap_or_else(|error| panic!("{:?} cannot be added: {error}", options.codec()));
            let sender = transceiver
                .sender()
                .await
                .expect("the transceiver's sender");
            let sender = sender.expect("a transceiver that sends has a sender");
            added.push((ssrcs, track, sender, transceiver));
        }
        self.session.negotiate().await;
        self.session.connected().await;
        drop(negotiating);

        let mut outputs = Vec::new();
        for ((options, info), added) in all.into_iter().zip(infos).zip(added) {
            let (ssrcs, track, sender, transceiver) = added;
            let mid = transceiver.mid().await.expect("the transceiver's mid");
            let layers = options.outputs(ssrcs, track, &*sender, mid, self.clock);
            outputs.push((options.clone(), info, layers.await, sender));
        }
        let timeline = Arc::new(Timeline::start());
        outputs
            .into_iter()
            .map(|(options, info, layers, sender)| {
                PublishedTrack::start(options, info, layers, sender, Arc::clone(&timeline))
            })
            .collect()
    }

    /// Mutes or unmutes a track: nothing is sent while it is muted, the clip's time goes on, and
    /// video starts again with a keyframe.
    pub async fn set_muted(&self, track: &PublishedTrack, muted: bool) {
        track.control().set_muted(muted);
        let mute = MuteTrackRequest {
            sid: track.sid().to_owned(),
            muted,
        };
        self.session
            .signal
            .send(signal_request::Message::Mute(mute))
            .await;
    }

    /// What the server last asked about muting a track, if it asked.
    pub fn muted_by_server(&self, track: &PublishedTrack) -> Option<bool> {
        self.session.muted_by_server(track.sid())
    }

    /// Stops a track and takes it out of the room. Publish again for a new one.
    pub async fn unpublish(&self, track: PublishedTrack) {
        let _negotiating = self.negotiation.lock().await;
        let sender = track.stop().await;
        self.session
            .publisher
            .remove_track(&sender)
            .await
            .expect("the track is removed");
        self.session.negotiate().await;
    }

    /// Waits until the server ends the session, and returns its reason.
    pub async fn disconnected(&self) -> DisconnectReason {
        self.session.disconnected().await
    }

    /// Says goodbye and leaves; the others see it at once.
    pub async fn leave(self) {
        self.session.leave().await;
        self.session.close().await;
    }

    /// Vanishes as a killed process does: no goodbye, and not a packet more. The server notices
    /// by its timeouts, if the participant was [`active`](crate::livekit::LiveKitServer::active).
    pub async fn abort(self) {
        self.impairment.set_cut(true);
        self.session.close().await;
    }
}
