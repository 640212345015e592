//! A task that reports its progress, ends on request or by itself, and leaves a report.

use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::report::RecordError;

/// How often progress is published.
pub(super) const PROGRESS_INTERVAL: Duration = Duration::from_millis(250);

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
