use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::channel::mpsc;
use futures::future::BoxFuture;
use futures::{FutureExt, SinkExt, Stream, StreamExt};

use super::source::{Pieces, State};
use super::worker::Worker;
use super::{UniversalError, UniversalOptions};

/// Pieces of the source that may wait for the reader.
const QUEUED_PIECES: usize = 8;
/// Fragments that may wait for the consumer.
const QUEUED_FRAGMENTS: usize = 2;

/// What became of a source so far.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct UniversalStats {
    /// FFmpeg's name of the pictures' codec; empty without pictures.
    pub video_codec: String,
    /// FFmpeg's name of the sound's codec; empty without sound.
    pub audio_codec: String,
    /// Whether pictures are encoded anew.
    pub video_reencoded: bool,
    /// Whether sound is encoded anew.
    pub audio_reencoded: bool,
    /// Pictures given to the muxer.
    pub video_frames: u64,
    /// Packets of sound given to the muxer.
    pub audio_frames: u64,
    /// Pictures left out: before the first keyframe, or damaged.
    pub dropped_video: u64,
    /// Packets of sound left out: before the first picture, or damaged.
    pub dropped_audio: u64,
}

/// The pieces of an MP4: the initialization segment, then whole fragments. An error comes before the
/// end, behind everything that could be made of what came before it.
///
/// The source is read only while this is polled, a bounded number of pieces ahead. Dropping it stops
/// the work and drops the source.
pub struct UniversalStream {
    start: Option<Box<dyn FnOnce() -> Running + Send>>,
    running: Option<Running>,
    stats: Arc<Mutex<UniversalStats>>,
}

struct Running {
    /// Leads the source's pieces to the reader; gone when the source has ended.
    pump: Option<BoxFuture<'static, ()>>,
    output: mpsc::Receiver<Result<Bytes, UniversalError>>,
}

impl std::fmt::Debug for UniversalStream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("UniversalStream")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl UniversalStream {
    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> UniversalStats {
        let stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        stats.clone()
    }
}

/// Makes fragmented MP4 of any container, from bytes as they come: see the
/// [module](crate::pipeline::universal).
///
/// FFmpeg's libraries read from a thread of their own, which waits for bytes; sources are never asked
/// to seek, so an MP4 file has to have its `moov` before its `mdat`. Needs no runtime.
///
/// ```no_run
/// use futures::{StreamExt, stream};
/// use livekit_stream::pipeline::universal::{UniversalOptions, transcode_universal};
/// use std::io::Write;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let source = stream::once(async { std::fs::read("film.avi").map(Into::into) });
/// let mut mp4 = transcode_universal(source, UniversalOptions::default());
/// let mut file = std::fs::File::create("film.mp4")?;
/// while let Some(piece) = mp4.next().await {
///     file.write_all(&piece?)?;
/// }
/// # Ok(())
/// # }
/// ```
///
/// # Errors
///
/// As items of the stream, each the last but for its end.
pub fn transcode_universal(
    source: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    options: UniversalOptions,
) -> UniversalStream {
    let stats = Arc::new(Mutex::new(UniversalStats::default()));
    let shared = Arc::clone(&stats);
    UniversalStream {
        start: Some(Box::new(move || start(source, options, shared))),
        running: None,
        stats,
    }
}

fn start(
    source: impl Stream<Item = io::Result<Bytes>> + Send + 'static,
    options: UniversalOptions,
    stats: Arc<Mutex<UniversalStats>>,
) -> Running {
    let (mut pieces, received) = mpsc::channel(QUEUED_PIECES);
    let (mut out, output) = mpsc::channel(QUEUED_FRAGMENTS);
    let mut failed = out.clone();
    let state = Arc::new(Mutex::new(State::default()));
    let reader = Pieces::new(received, Arc::clone(&state));
    let started = std::thread::Builder::new()
        .name("transcode".to_owned())
        .spawn(move || {
            let mut worker = Worker::new(options, state, stats, out.clone());
            if let Err(error) = worker.run(reader) {
                // Nobody may be waiting any more.
                let _ = futures::executor::block_on(out.send(Err(error)));
            }
        });
    if let Err(error) = started {
        // There is room for it: nothing else was sent.
        let _ = failed.try_send(Err(UniversalError::Thread(error)));
    }
    let pump = async move {
        let mut source = std::pin::pin!(source);
        while let Some(piece) = source.next().await {
            // The reader has enough: the source is closed.
            if pieces.send(piece).await.is_err() {
                break;
            }
        }
    };
    Running {
        pump: Some(pump.boxed()),
        output,
    }
}

impl Stream for UniversalStream {
    type Item = Result<Bytes, UniversalError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if let Some(start) = self.start.take() {
            self.running = Some(start());
        }
        let Some(running) = &mut self.running else {
            return Poll::Ready(None);
        };
        if let Some(pump) = &mut running.pump
            && pump.poll_unpin(cx).is_ready()
        {
            running.pump = None;
        }
        let item = std::task::ready!(running.output.poll_next_unpin(cx));
        if item.is_none() {
            self.running = None;
        }
        Poll::Ready(item)
    }
}
