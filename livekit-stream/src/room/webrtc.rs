//! Tracks of the `webrtc` crate that belong to no room.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;

use super::transport::{self, WebRtcTrack};
use super::{RemoteTrack, TrackSource};
use crate::codec::Codec;
use crate::fanout::TrackHub;
use crate::rtp::{ParticipantClock, RoomClock};

/// Somebody at the other end of a peer connection of the `webrtc` crate, no LiveKit needed.
///
/// Makes [`RemoteTrack`]s of what it sends, for any number of streams each. All have one clock,
/// so that sound and pictures can be compared: their times count from the making of this peer.
///
/// ```no_run
/// # async fn example(camera: livekit_stream::WebRtcTrack, microphone: livekit_stream::WebRtcTrack) {
/// use livekit_stream::{AudioStream, VideoStream, WebRtcPeer};
///
/// let peer = WebRtcPeer::new();
/// let pictures = VideoStream::new(&peer.track(camera).await);
/// let sound = AudioStream::new(&peer.track(microphone).await);
/// # }
/// ```
#[derive(Debug)]
pub struct WebRtcPeer {
    clock: ParticipantClock,
    orientation_id: Option<u8>,
}

impl Default for WebRtcPeer {
    fn default() -> Self {
        Self::new()
    }
}

impl WebRtcPeer {
    /// A peer whose tracks' times count from now.
    #[must_use]
    pub fn new() -> Self {
        Self {
            clock: RoomClock::new(Instant::now()).participant(),
            orientation_id: None,
        }
    }

    /// The id that SDP gave the `urn:3gpp:video-orientation` header extension.
    #[must_use]
    pub fn video_orientation_id(mut self, id: u8) -> Self {
        self.orientation_id = Some(id);
        self
    }

    /// Starts to receive a track, until it ends or its connection does. Has to be called within a
    /// tokio runtime.
    pub async fn track(&self, track: WebRtcTrack) -> RemoteTrack {
        let (keep, stop) = oneshot::channel();
        let (hub, source) = prepare(track, &self.clock, self.orientation_id, stop).await;
        tokio::spawn(async move {
            transport::receive(source).await;
            drop(keep);
        });
        RemoteTrack::new(hub, TrackSource::Unknown)
    }
}

/// What [`transport::receive`] needs for a track, and where its frames will come.
pub(crate) async fn prepare(
    track: WebRtcTrack,
    clock: &ParticipantClock,
    orientation_id: Option<u8>,
    stop: oneshot::Receiver<()>,
) -> (Arc<TrackHub>, transport::Source) {
    let kind = transport::media_kind(&track).await;
    let mime = transport::codec_mime(&track).await.unwrap_or_default();
    let hub = TrackHub::new(track.track_id().await, mime, kind);
    let rate = hub.codec().map_or(90_000, Codec::clock_rate);
    let source = transport::Source {
        track,
        clock: clock.track(rate),
        hub: Arc::clone(&hub),
        orientation_id,
        stop,
    };
    (hub, source)
}
