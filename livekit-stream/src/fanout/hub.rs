//! Where a track's receiver hands its frames to everybody who reads them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use serde::Serialize;
use tokio::sync::{Notify, watch};

use super::recent::Recent;
use super::{Overflow, Pushed, Ring};
use crate::codec::{Codec, MediaKind};
use crate::frame::{EncodedFrame, VideoSize};
use crate::rtp::ReceiverStats;

/// What a track has received so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TrackStats {
    /// RTP packets that arrived, duplicates not counted.
    pub packets: u64,
    /// Bytes of RTP payload that arrived.
    pub bytes: u64,
    /// Packets that never came.
    pub packets_lost: u64,
    /// Packets that filled a gap: retransmitted, or late.
    pub packets_recovered: u64,
    /// Frames delivered.
    pub frames: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Frames that were incomplete, or could not be decoded for want of an earlier one.
    pub frames_dropped: u64,
    /// Keyframes asked for.
    pub keyframe_requests: u64,
    /// Interarrival jitter in microseconds (RFC 3550 appendix A.8).
    pub jitter_us: u64,
    /// How old frames are when they are delivered, smoothed, in microseconds on the room's clock:
    /// what the network and the wait for lost packets add to the quickest way.
    pub latency_us: i64,
    /// Whether sender reports have tied the track's clock to the publisher's.
    pub synchronized: bool,
    /// Width of the last frame in pixels.
    pub width: u32,
    /// Height of the last frame in pixels.
    pub height: u32,
}

/// Where a reader begins who is not the track's first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    /// With what comes next, pictures with a keyframe that is asked for.
    Now,
    /// A little earlier where that is possible: with the last keyframe if it is recent, with the
    /// sound of the last second.
    Recent,
}

#[derive(Debug)]
struct State {
    recent: Recent,
    rings: Vec<Weak<Ring<EncodedFrame>>>,
    size: VideoSize,
    stats: TrackStats,
    /// No more frames are taken.
    ended: bool,
    /// Frames that came all the same.
    too_late: u64,
    /// The statistics are final.
    finished: bool,
}

/// One subscribed track: its description and its readers.
#[derive(Debug)]
pub(crate) struct TrackHub {
    id: String,
    mime: String,
    kind: MediaKind,
    codec: Option<Codec>,
    state: Mutex<State>,
    keyframe_wanted: Notify,
    ended: watch::Sender<bool>,
}

impl TrackHub {
    /// `id` is the track's sid; `mime` such as `video/H264`.
    pub(crate) fn new(id: String, mime: String, kind: MediaKind) -> Arc<Self> {
        let codec = Codec::from_mime(&mime);
        let (ended, _) = watch::channel(false);
        let state = Mutex::new(State {
            recent: Recent::new(kind),
            rings: Vec::new(),
            size: VideoSize::default(),
            stats: TrackStats::default(),
            ended: false,
            too_late: 0,
            finished: false,
        });
        let keyframe_wanted = Notify::new();
        Arc::new(Self {
            id,
            mime,
            kind,
            codec,
            state,
            keyframe_wanted,
            ended,
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    pub(crate) fn mime(&self) -> &str {
        &self.mime
    }

    pub(crate) fn kind(&self) -> MediaKind {
        self.kind
    }

    /// `None`: a codec this crate does not have.
    pub(crate) fn codec(&self) -> Option<Codec> {
        self.codec
    }

    /// A ring of the kind that suits a track like this one.
    pub(crate) fn ring(kind: MediaKind, capacity: usize) -> Arc<Ring<EncodedFrame>> {
        let overflow = match kind {
            MediaKind::Video => Overflow::DropUntilStart,
            MediaKind::Audio => Overflow::DropOldest,
        };
        Arc::new(Ring::new(capacity, overflow))
    }

    /// Writes every frame from now on to `ring`, until the reader closes or drops it. The first
    /// reader also gets what came before it, if that is little; one who comes later and finds
    /// nothing to begin with makes the receiver ask for a keyframe.
    pub(crate) fn attach(&self, ring: &Arc<Ring<EncodedFrame>>, begin: Begin) {
        let mut state = self.lock();
        let earlier = match (state.recent.backlog(), begin) {
            (None, Begin::Recent) => state.recent.recent(Instant::now()),
            (backlog, _) => backlog,
        };
        if earlier.is_none() && self.kind == MediaKind::Video {
            self.keyframe_wanted.notify_one();
        }
        for frame in earlier.into_iter().flatten() {
            ring.push(frame);
        }
        state.rings.push(Arc::downgrade(ring));
    }

    /// Writes no more frames to `ring`.
    pub(crate) fn detach(&self, ring: &Arc<Ring<EncodedFrame>>) {
        let mut state = self.lock();
        state.rings.retain(|one| !one.ptr_eq(&Arc::downgrade(ring)));
    }

    /// Gives `frame` to every reader. Never waits.
    pub(crate) fn deliver(&self, frame: &EncodedFrame) {
        let mut state = self.lock();
        if state.ended {
            state.too_late += 1;
            return;
        }
        // Frames whose references were lost do not tell theirs.
        if frame.size != VideoSize::default() {
            state.size = frame.size;
        }
        state.recent.push(Instant::now(), frame.clone());
        let mut wanted = false;
        state.rings.retain(|ring| {
            let Some(ring) = ring.upgrade() else {
                return false;
            };
            match ring.push(frame.clone()) {
                Pushed::Queued => true,
                Pushed::WaitsForStart => {
                    wanted = true;
                    true
                }
                Pushed::Closed => false,
            }
        });
        drop(state);
        if wanted && self.kind == MediaKind::Video {
            self.keyframe_wanted.notify_one();
        }
    }

    /// No more frames will come.
    pub(crate) fn end(&self) {
        let mut state = self.lock();
        state.ended = true;
        state.rings.clear();
        state.recent.end();
        drop(state);
        self.ended.send_replace(true);
    }

    /// No more frames will come, and nothing more is counted.
    pub(crate) fn finish(&self) {
        self.lock().finished = true;
        self.end();
    }

    /// Whether the statistics are final.
    pub(crate) fn is_finished(&self) -> bool {
        self.lock().finished
    }

    pub(crate) fn is_ended(&self) -> bool {
        *self.ended.borrow()
    }

    /// Completes when no more frames will come.
    pub(crate) async fn ended(&self) {
        // The sender lives in `self`, so waiting cannot fail.
        let _ = self.ended.subscribe().wait_for(|ended| *ended).await;
    }

    /// Asks the publisher for a keyframe.
    pub(crate) fn request_keyframe(&self) {
        self.keyframe_wanted.notify_one();
    }

    /// Completes when somebody asked for a keyframe since the last call.
    pub(crate) async fn keyframe_wanted(&self) {
        self.keyframe_wanted.notified().await;
    }

    pub(crate) fn set_stats(&self, stats: &ReceiverStats) {
        let mut state = self.lock();
        let (size, too_late) = (state.size, state.too_late);
        state.stats = TrackStats {
            packets: stats.packets - stats.duplicates,
            bytes: stats.bytes,
            packets_lost: stats.lost,
            packets_recovered: stats.recovered,
            frames: stats.frames - too_late,
            keyframes: stats.keyframes,
            frames_dropped: stats.frames_dropped + too_late,
            keyframe_requests: stats.keyframe_requests,
            jitter_us: stats.jitter_us,
            latency_us: stats.latency_us,
            synchronized: stats.synchronized,
            width: size.width,
            height: size.height,
        };
    }

    pub(crate) fn stats(&self) -> TrackStats {
        self.lock().stats
    }
}
