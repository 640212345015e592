//! What streams of pictures and of sound have in common: two tasks, two rings, errors beside
//! items.

use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::task::JoinHandle;

use super::source::Current;
use super::{FrameSource, StreamError};
use crate::codec::MediaKind;
use crate::fanout::{Overflow, Ring, Start, TrackHub};
use crate::frame::EncodedFrame;

/// Where a decoding task puts its results.
pub(super) type Output<T> = Ring<Result<T, StreamError>>;

/// A stream of decoded items, and the tasks that fill it.
#[derive(Debug)]
pub(super) struct Decoded<T>
where
    Result<T, StreamError>: Start,
{
    input: Arc<Ring<EncodedFrame>>,
    output: Arc<Output<T>>,
    tasks: [JoinHandle<()>; 2],
    errors: u64,
    last_error: Option<StreamError>,
}

impl<T> Decoded<T>
where
    T: Send + 'static,
    Result<T, StreamError>: Start,
{
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
        let follow = source.follow(kind, Arc::clone(&input), Arc::clone(&current), move |hub| {
            errors.push(Err(unfit(kind, hub)));
        });
        let decoding = decode(Arc::clone(&input), Arc::clone(&output), current);
        let tasks = [tokio::spawn(follow), tokio::spawn(decoding)];
        Self {
            input,
            output,
            tasks,
            errors: 0,
            last_error: None,
        }
    }

    /// The next item; errors on the way to it are logged, counted and kept.
    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<T>> {
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

    /// The items with the errors among them.
    pub(super) fn results(self) -> impl Stream<Item = Result<T, StreamError>> + Send + Unpin {
        futures::stream::poll_fn(move |cx| self.output.poll_next(cx))
    }

    pub(super) fn dropped(&self) -> u64 {
        self.input.dropped() + self.output.dropped()
    }

    pub(super) fn errors(&self) -> u64 {
        self.errors
    }

    pub(super) fn last_error(&self) -> Option<&StreamError> {
        self.last_error.as_ref()
    }

    /// Stops the tasks and waits until they have stopped.
    pub(super) async fn close(mut self) {
        self.input.close();
        self.output.close();
        for task in &mut self.tasks {
            task.abort();
            // It ends as aborted, or had ended before.
            let _ = task.await;
        }
    }
}

impl<T> Drop for Decoded<T>
where
    Result<T, StreamError>: Start,
{
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
