//! Where a stream's frames come from: one track, or whatever track a participant's source has.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use crate::codec::MediaKind;
use crate::fanout::{Ring, TrackHub};
use crate::frame::EncodedFrame;
use crate::room::{
    Presence, RemoteAudioTrack, RemoteParticipant, RemoteTrack, RemoteVideoTrack, TrackSource,
    WebRtcTrack, transport, webrtc,
};
use crate::rtp::RoomClock;

/// The track that a stream reads at the moment, for those who need a keyframe of it.
#[derive(Debug, Default)]
pub(crate) struct Current(Mutex<Weak<TrackHub>>);

impl Current {
    fn set(&self, hub: &Arc<TrackHub>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(hub);
    }

    /// Asks the track's publisher for a keyframe.
    pub(crate) fn request_keyframe(&self) {
        let hub = self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .upgrade();
        if let Some(hub) = hub {
            hub.request_keyframe();
        }
    }
}

/// Where a stream's frames come from.
pub struct FrameSource(Kind);

enum Kind {
    Track(Option<Arc<TrackHub>>),
    Participant {
        presence: Presence,
        source: TrackSource,
        current: Option<(RemoteParticipant, watch::Receiver<()>)>,
        last: Option<Arc<TrackHub>>,
    },
    WebRtc {
        track: Option<WebRtcTrack>,
        orientation_id: Option<u8>,
        /// Ends the receiving task with the stream.
        stop: Option<oneshot::Sender<()>>,
    },
}

impl fmt::Debug for FrameSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::Track(hub) => f
                .debug_tuple("Track")
                .field(&hub.as_ref().map(|hub| hub.id()))
                .finish(),
            Kind::Participant {
                presence, source, ..
            } => f
                .debug_tuple("Participant")
                .field(&presence.identity())
                .field(source)
                .finish(),
            Kind::WebRtc { .. } => f.debug_tuple("WebRtc").finish_non_exhaustive(),
        }
    }
}

impl From<&RemoteVideoTrack> for FrameSource {
    fn from(track: &RemoteVideoTrack) -> Self {
        Self(Kind::Track(Some(Arc::clone(track.hub()))))
    }
}

impl From<&RemoteAudioTrack> for FrameSource {
    fn from(track: &RemoteAudioTrack) -> Self {
        Self(Kind::Track(Some(Arc::clone(track.hub()))))
    }
}

impl From<&RemoteTrack> for FrameSource {
    fn from(track: &RemoteTrack) -> Self {
        Self(Kind::Track(Some(Arc::clone(track.hub()))))
    }
}

impl From<(&RemoteParticipant, TrackSource)> for FrameSource {
    fn from((participant, source): (&RemoteParticipant, TrackSource)) -> Self {
        Self::presence(Presence::from(participant), source)
    }
}

impl From<WebRtcTrack> for FrameSource {
    fn from(track: WebRtcTrack) -> Self {
        Self(Kind::WebRtc {
            track: Some(track),
            orientation_id: None,
            stop: None,
        })
    }
}

impl FrameSource {
    /// Whatever track a source has of somebody who may leave and come back.
    pub(crate) fn presence(presence: Presence, source: TrackSource) -> Self {
        Self(Kind::Participant {
            presence,
            source,
            current: None,
            last: None,
        })
    }

    /// The id that SDP gave the `urn:3gpp:video-orientation` header extension of a
    /// [`WebRtcTrack`]. A room's tracks know it themselves.
    #[must_use]
    pub fn video_orientation_id(mut self, id: u8) -> Self {
        if let Kind::WebRtc { orientation_id, .. } = &mut self.0 {
            *orientation_id = Some(id);
        }
        self
    }

    /// The next track to read; `None` when there will be none any more.
    pub(super) async fn next(&mut self) -> Option<Arc<TrackHub>> {
        match &mut self.0 {
            Kind::Track(hub) => hub.take(),
            Kind::Participant {
                presence,
                source,
                current,
                last,
            } => loop {
                if current.is_none() {
                    let participant = presence.next(None).await?;
                    *current = Some((participant.clone(), participant.watch()));
                }
                let (participant, changed) = current.as_mut()?;
                changed.mark_unchanged();
                if let Some(track) = participant.track(*source) {
                    let hub = track.hub();
                    let seen = last.as_ref().is_some_and(|last| Arc::ptr_eq(last, hub));
                    if !seen && !hub.is_ended() {
                        *last = Some(Arc::clone(hub));
                        return last.clone();
                    }
                }
                if participant.has_left() || changed.changed().await.is_err() {
                    let participant = presence.next(Some(participant)).await?;
                    let changed = participant.watch();
                    *current = Some((participant, changed));
                }
            },
            Kind::WebRtc {
                track,
                orientation_id,
                stop,
            } => {
                let track = track.take()?;
                let (sender, stopped) = oneshot::channel();
                *stop = Some(sender);
                Some(start(track, *orientation_id, stopped).await)
            }
        }
    }

    /// Leads the frames of every track of `kind` to `ring`, then closes it. `unfit` gets tracks
    /// that are of the other kind or of an unknown codec.
    pub(super) async fn follow(
        mut self,
        kind: MediaKind,
        ring: Arc<Ring<EncodedFrame>>,
        current: Arc<Current>,
        mut unfit: impl FnMut(&TrackHub) + Send,
    ) {
        while let Some(hub) = self.next().await {
            if hub.kind() == kind && hub.codec().is_some() {
                current.set(&hub);
                hub.attach(&ring);
                hub.ended().await;
            } else {
                unfit(&hub);
            }
        }
        ring.close();
    }
}

/// Starts to receive a track that belongs to no room: it has a clock of its own.
async fn start(
    track: WebRtcTrack,
    orientation_id: Option<u8>,
    stop: oneshot::Receiver<()>,
) -> Arc<TrackHub> {
    let clock = RoomClock::new(Instant::now()).participant();
    let (hub, source) = webrtc::prepare(track, &clock, orientation_id, stop).await;
    tokio::spawn(transport::receive(source));
    hub
}
