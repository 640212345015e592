//! Where a stream's frames come from: one track, or whatever track a participant's source has.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use tokio::sync::{oneshot, watch};

use super::choice::Choice;
use crate::codec::MediaKind;
use crate::fanout::{Begin, Ring, TrackHub};
use crate::frame::EncodedFrame;
use crate::room::{
    Presence, RemoteAudioTrack, RemoteParticipant, RemoteTrack, RemoteVideoTrack, TrackSource,
    WebRtcTrack, transport, webrtc,
};
use crate::rtp::RoomClock;

/// The track that a stream reads at the moment: for those who need a keyframe of it, or its source.
#[derive(Debug, Default)]
pub(crate) struct Current(Mutex<Reading>);

#[derive(Debug, Default)]
struct Reading {
    hub: Weak<TrackHub>,
    source: Option<TrackSource>,
}

impl Current {
    fn lock(&self) -> MutexGuard<'_, Reading> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The track's source; `None` before the first track, and outside of rooms.
    pub(crate) fn source(&self) -> Option<TrackSource> {
        self.lock().source
    }

    /// Whether another track is read than `last`, which becomes the present one.
    pub(crate) fn has_changed(&self, last: &mut Weak<TrackHub>) -> bool {
        let reading = self.lock();
        let changed = !reading.hub.ptr_eq(last);
        if changed {
            last.clone_from(&reading.hub);
        }
        changed
    }

    /// Asks the track's publisher for a keyframe.
    pub(crate) fn request_keyframe(&self) {
        let hub = self.lock().hub.upgrade();
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
        choice: Choice,
        current: Option<(RemoteParticipant, watch::Receiver<()>)>,
        last: Option<RemoteTrack>,
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
                presence, choice, ..
            } => f
                .debug_tuple("Participant")
                .field(&presence.identity())
                .field(&choice.first())
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
        Self::chosen(Presence::from(participant), Choice::new(&[&[source]]))
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
    /// The frames of one hub.
    pub(crate) fn hub(hub: &Arc<TrackHub>) -> Self {
        Self(Kind::Track(Some(Arc::clone(hub))))
    }

    /// Whatever track is chosen of somebody who may leave and come back.
    pub(crate) fn chosen(presence: Presence, choice: Choice) -> Self {
        Self(Kind::Participant {
            presence,
            choice,
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
    async fn next(&mut self, kind: MediaKind) -> Option<Arc<TrackHub>> {
        match &mut self.0 {
            Kind::Track(hub) => hub.take(),
            Kind::Participant {
                presence,
                choice,
                current,
                last,
            } => loop {
                if current.is_none() {
                    let participant = presence.next(None).await?;
                    *current = Some((participant.clone(), participant.watch()));
                }
                let (participant, changed) = current.as_mut()?;
                changed.mark_unchanged();
                if let Some(track) = choice.track(participant, kind) {
                    let hub = Arc::clone(track.hub());
                    let seen = last
                        .as_ref()
                        .is_some_and(|last| Arc::ptr_eq(last.hub(), &hub));
                    if !seen && !hub.is_ended() {
                        *last = Some(track);
                        return Some(hub);
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

    /// The source of the track that [`next`](Self::next) gave last.
    fn source(&self) -> Option<TrackSource> {
        match &self.0 {
            Kind::Participant { last, .. } => last.as_ref().map(RemoteTrack::source),
            _ => None,
        }
    }

    /// Completes when another track is to be read instead of `hub`, which has not ended.
    async fn preferred(&mut self, kind: MediaKind, hub: &Arc<TrackHub>) {
        if let Kind::Participant {
            choice,
            current: Some((participant, changed)),
            ..
        } = &mut self.0
        {
            while choice.is_open() {
                changed.mark_unchanged();
                let track = choice.track(participant, kind);
                if track.is_some_and(|track| !Arc::ptr_eq(track.hub(), hub)) {
                    return;
                }
                if changed.changed().await.is_err() {
                    break;
                }
            }
        }
        std::future::pending::<()>().await;
    }

    /// Leads the frames of every track of `kind` to `ring`, then closes it; `begin` is for the first
    /// track. `unfit` gets tracks that are of the other kind or of an unknown codec.
    pub(super) async fn follow(
        mut self,
        kind: MediaKind,
        mut begin: Begin,
        ring: Arc<Ring<EncodedFrame>>,
        current: Arc<Current>,
        mut unfit: impl FnMut(&TrackHub) + Send,
    ) {
        while let Some(hub) = self.next(kind).await {
            if hub.kind() == kind && hub.codec().is_some() {
                *current.lock() = Reading {
                    hub: Arc::downgrade(&hub),
                    source: self.source(),
                };
                // Another track's frames must not come from before those of the one that was read.
                hub.attach(&ring, std::mem::replace(&mut begin, Begin::Now));
                tokio::select! {
                    () = hub.ended() => {}
                    () = self.preferred(kind, &hub) => hub.detach(&ring),
                }
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
