use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::Stream;

use super::{Event, MkvError, Reader, Stats};

/// Reading a stream of Matroska failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReadError {
    /// The bytes make no sense.
    #[error(transparent)]
    Mkv(#[from] MkvError),
    /// The source of the bytes failed.
    #[error("the source failed: {0}")]
    Source(#[from] io::Error),
}

/// The events of a stream of bytes. It asks for bytes only when it needs them, so no more than
/// one element and one piece of the source is in memory; dropping it drops the source.
///
/// ```
/// use bytes::Bytes;
/// use futures::{StreamExt, stream};
/// use livekit_stream::demux::mkv::{Frames, MkvError, ReadError};
///
/// # futures::executor::block_on(async {
/// let source = stream::iter([Ok(Bytes::from_static(b"no Matroska"))]);
/// let mut frames = Frames::new(source);
/// let error = frames.next().await.expect("an error").expect_err("no event");
/// assert!(matches!(error, ReadError::Mkv(MkvError::NotEbml { .. })));
/// assert!(frames.next().await.is_none());
/// # });
/// ```
#[derive(Debug)]
pub struct Frames<S> {
    reader: Reader,
    /// `None` at its end.
    source: Option<S>,
    ended: bool,
}

impl<S> Frames<S> {
    /// Reads from the beginning of a file.
    pub fn new(source: S) -> Self {
        Self {
            reader: Reader::new(),
            source: Some(source),
            ended: false,
        }
    }

    /// What was met so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.reader.stats()
    }

    /// Drops the source and ends the stream.
    pub fn close(&mut self) {
        self.source = None;
        self.ended = true;
    }
}

impl<S: Stream<Item = io::Result<Bytes>> + Unpin> Stream for Frames<S> {
    type Item = Result<Event, ReadError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        while !self.ended {
            match self.reader.read() {
                Ok(Some(event)) => return Poll::Ready(Some(Ok(event))),
                Ok(None) => {}
                Err(error) => {
                    self.close();
                    return Poll::Ready(Some(Err(error.into())));
                }
            }
            let Some(source) = &mut self.source else {
                self.ended = true;
                break;
            };
            match ready!(Pin::new(source).poll_next(cx)) {
                Some(Ok(bytes)) => self.reader.push(bytes),
                Some(Err(error)) => {
                    self.close();
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => {
                    self.source = None;
                    self.reader.finish();
                }
            }
        }
        Poll::Ready(None)
    }
}
