//! What a publisher's callers and its task share.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use super::queue::{Dropped, SendQueue};
use super::{BufferLimits, EnhancedRtmp, PublishError};
use crate::codec::Codec;
use crate::frame::EncodedFrame;
use crate::mux::AudioTrack;
use crate::timing::{Paces, Quickest, Timing};

/// What a publisher is doing.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum PublisherState {
    /// The first connection is being made.
    Connecting,
    /// The server takes the stream.
    Publishing,
    /// The connection was lost (or the first attempt failed, if that is attempted again).
    Reconnecting,
    /// It failed for good.
    Failed(PublishError),
    /// It was closed.
    Closed,
}

impl PublisherState {
    /// Whether nothing more will happen: failed or closed.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Closed)
    }
}

/// Counts since the publisher was made.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct PublisherStats {
    /// The target without its stream key.
    pub target: String,
    /// What it is doing.
    pub state: PublisherState,
    /// The codecs that the server takes as they are; empty before the first connection.
    pub codecs: Vec<Codec>,
    /// Bytes given to the sockets, all connections together.
    pub bytes_sent: u64,
    /// Video frames sent.
    pub video_frames_sent: u64,
    /// Audio frames sent.
    pub audio_frames_sent: u64,
    /// Video frames that were not sent: no room, no connection, before the first keyframe, or
    /// without parameter sets.
    pub video_frames_dropped: u64,
    /// Audio frames that were not sent, likewise.
    pub audio_frames_dropped: u64,
    /// Groups of pictures dropped as a whole or from some frame on.
    pub gops_dropped: u64,
    /// How steadily frames leave for the socket, against when they were given to the publisher.
    pub timing: Timing,
    /// Connections made after the first.
    pub reconnects: u32,
    /// Connections that failed or broke, in a row.
    pub failed_attempts: u32,
    /// Why the last connection ended or could not be made.
    pub last_error: Option<PublishError>,
}

/// What the task counts itself; the queue counts its own drops.
#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) bytes: u64,
    pub(super) video_frames: u64,
    pub(super) audio_frames: u64,
    pub(super) dropped: Dropped,
    pub(super) reconnects: u32,
    pub(super) failed_attempts: u32,
    pub(super) last_error: Option<PublishError>,
}

#[derive(Debug)]
pub(super) struct Inner {
    pub(super) queue: SendQueue,
    pub(super) audio: Option<AudioTrack>,
    /// What the server takes; `None` before the first connection.
    pub(super) codecs: Option<Arc<[Codec]>>,
    pub(super) counts: Counts,
    quickest: Quickest,
    paces: Paces,
}

impl Inner {
    pub(super) fn new(limits: BufferLimits) -> Self {
        Self {
            queue: SendQueue::new(limits),
            audio: None,
            codecs: None,
            counts: Counts::default(),
            quickest: Quickest::default(),
            paces: Paces::default(),
        }
    }

    /// Buffers a frame that came.
    pub(super) fn push(&mut self, frame: EncodedFrame, now: std::time::Instant) {
        self.quickest
            .come(frame.codec.kind(), frame.timestamp_us, now);
        self.queue.push(frame);
    }

    /// A frame leaves for the socket.
    pub(super) fn pass(&mut self, frame: &EncodedFrame, now: std::time::Instant) {
        let age_us = self.quickest.age_us(frame.timestamp_us, now);
        self.paces.pass(frame.codec.kind(), age_us);
    }

    /// Whether the server takes a codec, as far as is known.
    pub(super) fn takes(&self, codec: Codec) -> bool {
        let codecs = self.codecs.as_ref();
        codecs.is_none_or(|codecs| codecs.contains(&codec))
    }
}

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) target: String,
    pub(super) inner: Mutex<Inner>,
    /// Frames were pushed.
    pub(super) wake: Notify,
    /// Until when closing may take, once it is asked for.
    pub(super) closing: watch::Sender<Option<Instant>>,
    pub(super) close_timeout: Duration,
    pub(super) state: watch::Sender<PublisherState>,
    /// Counts the keyframes asked for.
    pub(super) keyframes: watch::Sender<u64>,
    pub(super) enhanced: EnhancedRtmp,
}

impl Shared {
    /// Nothing panics while it is locked; a poisoned lock would still hold whole values.
    pub(super) fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the task to close; the first call sets the time limit.
    pub(super) fn begin_closing(&self) {
        self.closing.send_if_modified(|deadline| {
            let first = deadline.is_none();
            deadline.get_or_insert_with(|| Instant::now() + self.close_timeout);
            first
        });
    }

    pub(super) fn is_closing(&self) -> bool {
        self.closing.borrow().is_some()
    }

    pub(super) fn request_keyframe(&self) {
        self.keyframes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    /// A connection ended, or could not be made: what is buffered begins in a broken stream, or
    /// grows old until the next attempt.
    pub(super) fn note_failure(&self, error: &PublishError, attempts: u32) {
        let mut inner = self.lock();
        inner.counts.failed_attempts = attempts;
        inner.counts.last_error = Some(error.clone());
        inner.queue.disconnect();
    }

    pub(super) fn stats(&self) -> PublisherStats {
        let inner = self.lock();
        let (counts, queued) = (&inner.counts, inner.queue.dropped());
        PublisherStats {
            target: self.target.clone(),
            state: self.state.borrow().clone(),
            codecs: inner.codecs.as_deref().unwrap_or_default().to_vec(),
            bytes_sent: counts.bytes,
            video_frames_sent: counts.video_frames,
            audio_frames_sent: counts.audio_frames,
            video_frames_dropped: counts.dropped.video_frames + queued.video_frames,
            audio_frames_dropped: counts.dropped.audio_frames + queued.audio_frames,
            gops_dropped: counts.dropped.gops + queued.gops,
            timing: inner.paces.timing(),
            reconnects: counts.reconnects,
            failed_attempts: counts.failed_attempts,
            last_error: counts.last_error.clone(),
        }
    }
}
