//! Where a track's receiver hands its frames to everybody who reads them.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use serde::Serialize;
use tokio::sync::{Notify, watch};

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
    /// Whether sender reports have tied the track's clock to the publisher's.
    pub synchronized: bool,
    /// Width of the last frame in pixels.
    pub width: u32,
    /// Height of the last frame in pixels.
    pub height: u32,
}

/// Frames kept for the first reader: what comes between the server's first packet and the
/// application's reaction to the event, with room for a slow one.
const BACKLOG: usize = 90;

#[derive(Debug)]
struct State {
    /// Frames from the first keyframe on; `None` once a reader came or none did in time.
    backlog: Option<Vec<EncodedFrame>>,
    rings: Vec<Weak<Ring<EncodedFrame>>>,
    size: VideoSize,
    stats: TrackStats,
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
            backlog: Some(Vec::new()),
            rings: Vec::new(),
            size: VideoSize::default(),
            stats: TrackStats::default(),
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
    /// reader also gets what came before it, if that is little; one who comes late makes the
    /// receiver ask for a keyframe.
    pub(crate) fn attach(&self, ring: &Arc<Ring<EncodedFrame>>) {
        let mut state = self.lock();
        state.rings.push(Arc::downgrade(ring));
        match state.backlog.take() {
            Some(backlog) => {
                for frame in backlog {
                    ring.push(frame);
                }
            }
            None if self.kind == MediaKind::Video => self.keyframe_wanted.notify_one(),
            None => {}
        }
    }

    /// Writes no more frames to `ring`.
    pub(crate) fn detach(&self, ring: &Arc<Ring<EncodedFrame>>) {
        let mut state = self.lock();
        state.rings.retain(|one| !one.ptr_eq(&Arc::downgrade(ring)));
    }

    /// Gives `frame` to every reader. Never waits.
    pub(crate) fn deliver(&self, frame: &EncodedFrame) {
        let mut state = self.lock();
        state.size = frame.size;
        if let Some(backlog) = &mut state.backlog {
            backlog.push(frame.clone());
            if backlog.len() > BACKLOG {
                state.backlog = None;
            }
        }
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
        self.lock().rings.clear();
        self.ended.send_replace(true);
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
        let size = state.size;
        state.stats = TrackStats {
            packets: stats.packets - stats.duplicates,
            bytes: stats.bytes,
            packets_lost: stats.lost,
            packets_recovered: stats.recovered,
            frames: stats.frames,
            keyframes: stats.keyframes,
            frames_dropped: stats.frames_dropped,
            keyframe_requests: stats.keyframe_requests,
            jitter_us: stats.jitter_us,
            synchronized: stats.synchronized,
            width: size.width,
            height: size.height,
        };
    }

    pub(crate) fn stats(&self) -> TrackStats {
        self.lock().stats
    }
}
