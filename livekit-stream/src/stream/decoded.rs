//! What streams of pictures and of sound are: two tasks, two rings, errors beside items.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::task::JoinHandle;

use super::source::Current;
use super::{FrameSource, StreamError};
use crate::codec::MediaKind;
use crate::fanout::{Begin, Overflow, Ring, TrackHub};
use crate::frame::EncodedFrame;
use crate::room::{RemoteParticipant, TrackSource, WebRtcTrack};

/// Where a decoding task puts its results.
pub(super) type Output<T> = Ring<Result<T, StreamError>>;

/// What can be decoded of a track: pictures or sound.
pub trait Media: Sized + Send + 'static {
    /// How a stream of it is made.
    type Builder;

    /// A builder with the defaults.
    fn builder(source: FrameSource) -> Self::Builder;

    /// Starts the stream.
    fn build(builder: Self::Builder) -> DecodedStream<Self>;
}

/// The pictures or the sound of one track, decoded, in a ring that keeps the newest: see
/// [`VideoStream`](super::VideoStream) and [`AudioStream`](super::AudioStream).
///
/// As a [`Stream`] it yields the frames and skips over errors, which are counted and can be read
/// by [`last_error`](Self::last_error); as [`results`](Self::results) it yields the errors as
/// items too. It ends with the track. Dropping it stops the decoder and leaves the track to its
/// other readers.
#[derive(Debug)]
pub struct DecodedStream<T> {
    input: Arc<Ring<EncodedFrame>>,
    output: Arc<Output<T>>,
    tasks: Vec<JoinHandle<()>>,
    errors: u64,
    last_error: Option<StreamError>,
}

impl<T: Media> DecodedStream<T> {
    /// The frames of a track with the builder's defaults.
    pub fn new(source: impl Into<FrameSource>) -> Self {
        T::build(Self::builder(source))
    }

    /// The frames of a track; see the builder's methods.
    pub fn builder(source: impl Into<FrameSource>) -> T::Builder {
        T::builder(source.into())
    }

    /// The frames of a track: the same as [`new`](Self::new).
    pub fn from_track(track: impl Into<FrameSource>) -> Self {
        Self::new(track)
    }

    /// The frames of whatever track a participant's source has: goes on when the track is
    /// unpublished and published again, and ends when the participant leaves.
    pub fn from_participant(participant: &RemoteParticipant, source: TrackSource) -> Self {
        Self::new((participant, source))
    }

    /// The frames of a remote track of the `webrtc` crate, no LiveKit needed. Times count from the
    /// moment of this call.
    pub fn from_webrtc(track: WebRtcTrack) -> Self {
        Self::new(track)
    }

    /// Leads the frames of `source` to a task that `decode` makes of the two rings.
    pub(super) fn start<F>(
        source: FrameSource,
        kind: MediaKind,
        encoded_capacity: usize,
        capacity: usize,
        decode: impl FnOnce(Arc<Ring<EncodedFrame>>, Arc<Output<T>>, Arc<Current>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let input = TrackHub::ring(kind, encoded_capacity);
        let output: Arc<Output<T>> = Arc::new(Ring::new(capacity, Overflow::DropOldest));
        let errors = Arc::clone(&output);
        let current = Arc::new(Current::default());
        let (ring, reading) = (Arc::clone(&input), Arc::clone(&current));
        let follow = source.follow(kind, Begin::Now, ring, reading, move |hub| {
            errors.push(Err(unfit(kind, hub)));
        });
        let decoding = decode(Arc::clone(&input), Arc::clone(&output), current);
        let tasks = vec![tokio::spawn(follow), tokio::spawn(decoding)];
        Self {
            input,
            output,
            tasks,
            errors: 0,
            last_error: None,
        }
    }

    /// Frames that are decoded already, which the task that `fill` makes leads to the ring.
    #[cfg(feature = "livekit")]
    pub(super) fn filled<F>(
        kind: MediaKind,
        capacity: usize,
        fill: impl FnOnce(Arc<Output<T>>) -> F,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let output: Arc<Output<T>> = Arc::new(Ring::new(capacity, Overflow::DropOldest));
        Self {
            input: TrackHub::ring(kind, 1),
            tasks: vec![tokio::spawn(fill(Arc::clone(&output)))],
            output,
            errors: 0,
            last_error: None,
        }
    }

    /// The same stream with its errors as items.
    pub fn results(self) -> impl Stream<Item = Result<T, StreamError>> + Send + Unpin {
        futures::stream::poll_fn(move |cx| self.output.poll_next(cx))
    }
}

impl<T> DecodedStream<T> {
    /// Frames that were dropped as the reader, or the decoder, was behind.
    pub fn dropped_frames(&self) -> u64 {
        self.input.dropped() + self.output.dropped()
    }

    /// Errors met so far.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// The last error met.
    pub fn last_error(&self) -> Option<&StreamError> {
        self.last_error.as_ref()
    }

    /// Stops decoding and reading the track. Frames not yet read are dropped.
    pub async fn close(mut self) {
        self.input.close();
        self.output.close();
        for task in &mut self.tasks {
            task.abort();
            // It ends as aborted, or had ended before.
            let _ = task.await;
        }
    }
}

impl<T> Stream for DecodedStream<T> {
    type Item = T;

    /// The next frame; errors on the way to it are logged, counted and kept.
    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<T>> {
        loop {
            match ready!(self.output.poll_next(cx)) {
                Some(Ok(item)) => return Poll::Ready(Some(item)),
                Some(Err(error)) => {
                    tracing::warn!(%error, "stream");
                    self.errors += 1;
                    self.last_error = Some(error);
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl<T> Drop for DecodedStream<T> {
    fn drop(&mut self) {
        self.input.close();
        self.output.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// What keeps a stream of `wanted` from reading a track.
fn unfit(wanted: MediaKind, hub: &TrackHub) -> StreamError {
    let track = hub.id().to_owned();
    let wanted = match wanted {
        MediaKind::Video => "video",
        MediaKind::Audio => "audio",
    };
    match hub.codec() {
        Some(codec) => StreamError::WrongKind {
            wanted,
            codec,
            track,
        },
        None => StreamError::UnsupportedCodec {
            mime: hub.mime().to_owned(),
            track,
        },
    }
}
