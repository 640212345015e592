//! A task that reports its progress, ends on request or by itself, and leaves a report.

use std::time::{Duration, Instant};

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::report::RecordError;
use crate::codec::MediaKind;
use crate::frame::EncodedFrame;

/// How often progress is published.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

/// How long a job that ends waits for what is on its way through decoders and encoders.
pub(super) const DRAIN: Duration = Duration::from_secs(2);

/// How long a track that has nothing more to say may keep another at its end waiting.
const GRACE: Duration = Duration::from_millis(500);

/// The end of a job that is to last so much media: each track goes on to its own end, as sound
/// and pictures do not come at the same time.
#[derive(Debug)]
pub(super) struct Limit {
    duration_us: Option<i64>,
    /// Which of pictures and sound are still to come.
    missing: Vec<MediaKind>,
    since: Option<Instant>,
}

impl Limit {
    pub(super) fn new(duration: Option<Duration>, kinds: Vec<MediaKind>) -> Self {
        Self {
            // One that is longer than any recording is endless.
            duration_us: duration
                .map(|duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)),
            missing: kinds,
            since: None,
        }
    }

    /// Whether a frame lies before the end, for a job that began at `start_us`.
    pub(super) fn takes(&mut self, frame: &EncodedFrame, start_us: Option<i64>) -> bool {
        let (Some(duration), Some(start)) = (self.duration_us, start_us) else {
            return true;
        };
        if frame.timestamp_us - start < duration {
            return true;
        }
        self.missing.retain(|kind| *kind != frame.codec.kind());
        self.since.get_or_insert_with(Instant::now);
        false
    }

    /// Whether nothing more is to be waited for.
    pub(super) fn is_reached(&self) -> bool {
        self.since
            .is_some_and(|since| self.missing.is_empty() || since.elapsed() >= GRACE)
    }
}

/// Asks a job to stop.
#[derive(Debug)]
pub(super) struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Completes when the job is to stop. A handle that was dropped asks for nothing any more.
    pub(super) async fn requested(&mut self) {
        if self.0.wait_for(|stop| *stop).await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

/// The handle of a job that ends with a report.
#[derive(Debug)]
pub(super) struct Job<R> {
    stop: watch::Sender<bool>,
    progress: watch::Receiver<R>,
    task: JoinHandle<Result<R, RecordError>>,
}

impl<R: Clone + Send + Sync + 'static> Job<R> {
    /// Starts the task that `run` makes; `progress` is the report before it does anything.
    pub(super) fn start<F>(progress: R, run: impl FnOnce(Stop, watch::Sender<R>) -> F) -> Self
    where
        F: Future<Output = Result<R, RecordError>> + Send + 'static,
    {
        let (stop, stopped) = watch::channel(false);
        let (sender, progress) = watch::channel(progress);
        let task = tokio::spawn(run(Stop(stopped), sender));
        Self {
            stop,
            progress,
            task,
        }
    }

    pub(super) fn progress(&self) -> R {
        self.progress.borrow().clone()
    }

    /// The report as it stands, also when the handle is gone; its sender is gone with the job.
    pub(super) fn watch(&self) -> watch::Receiver<R> {
        self.progress.clone()
    }

    pub(super) fn is_finished(&self) -> bool {
        self.task.is_finished()
    }

    pub(super) async fn stop(self) -> Result<R, RecordError> {
        self.stop.send_replace(true);
        self.finished().await
    }

    pub(super) async fn finished(self) -> Result<R, RecordError> {
        match self.task.await {
            Ok(result) => result,
            // The task is never aborted, so this is a panic of its own: let it be seen.
            Err(error) => std::panic::resume_unwind(error.into_panic()),
        }
    }
}
