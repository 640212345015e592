//! Captures for programs without async.

use std::sync::Arc;
use std::sync::mpsc;
use std::time::Duration;

use tokio::runtime::{Handle, Runtime};

use super::{CaptureError, CaptureStats, RtmpCapture};
use crate::frame::{AudioFrame, VideoFrameEvent};

/// A running [`RtmpCapture`] whose methods wait on the thread that calls them.
///
/// Made by [`RtmpCaptureBuilder::start_blocking`](super::RtmpCaptureBuilder::start_blocking), with
/// a runtime of its own, or by [`RtmpCapture::blocking`] from one that runs already. On a thread
/// of an async runtime its methods keep the other tasks there waiting.
///
/// ```no_run
/// use livekit_stream::input::RtmpCapture;
///
/// let capture = RtmpCapture::builder("rtmp://localhost/live/key").start_blocking()?;
/// for (picture, sound) in capture.frames_with_audio().take(100) {
///     println!("{} us, {} samples", picture.timestamp_us, sound.samples.len());
/// }
/// capture.stop();
/// # Ok::<(), livekit_stream::input::CaptureError>(())
/// ```
#[derive(Debug)]
pub struct BlockingCapture {
    capture: Arc<RtmpCapture>,
    handle: Handle,
    owned: Option<Runtime>,
}

impl BlockingCapture {
    pub(super) fn start(capture: RtmpCapture) -> Result<Self, CaptureError> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("rtmp-capture")
            .enable_all()
            .build()
            .map_err(|error| CaptureError::Thread(Arc::new(error)))?;
        let blocking = Self {
            capture: Arc::new(capture),
            handle: runtime.handle().clone(),
            owned: Some(runtime),
        };
        let capture = Arc::clone(&blocking.capture);
        blocking.wait(async move { capture.start().await })?;
        Ok(blocking)
    }

    pub(super) fn of(capture: RtmpCapture, handle: Handle) -> Self {
        Self {
            capture: Arc::new(capture),
            handle,
            owned: None,
        }
    }

    /// Runs a future on the runtime and waits for it here: unlike `block_on`, on any thread.
    fn wait<T: Send + 'static>(
        &self,
        future: impl Future<Output = Result<T, CaptureError>> + Send + 'static,
    ) -> Result<T, CaptureError> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.handle.spawn(async move {
            // The caller waits for it.
            let _ = sender.send(future.await);
        });
        // A runtime that was shut down runs nothing any more.
        receiver.recv().unwrap_or(Err(CaptureError::NotRunning))
    }

    /// As [`RtmpCapture::get_frame`].
    pub fn get_frame(&self) -> Result<VideoFrameEvent, CaptureError> {
        let capture = Arc::clone(&self.capture);
        self.wait(async move { capture.get_frame().await })
    }

    /// As [`RtmpCapture::get_audio`].
    pub fn get_audio(&self, duration: Duration) -> Result<AudioFrame, CaptureError> {
        let capture = Arc::clone(&self.capture);
        self.wait(async move { capture.get_audio(duration).await })
    }

    /// As [`RtmpCapture::get_frame_and_audio`].
    pub fn get_frame_and_audio(&self) -> Result<(VideoFrameEvent, AudioFrame), CaptureError> {
        let capture = Arc::clone(&self.capture);
        self.wait(async move { capture.get_frame_and_audio().await })
    }

    /// The pictures, until the stream has ended.
    pub fn frames(&self) -> impl Iterator<Item = VideoFrameEvent> + '_ {
        std::iter::from_fn(|| self.get_frame().ok())
    }

    /// The pictures, each with its sound, until the stream has ended.
    pub fn frames_with_audio(&self) -> impl Iterator<Item = (VideoFrameEvent, AudioFrame)> + '_ {
        std::iter::from_fn(|| self.get_frame_and_audio().ok())
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.capture.stats()
    }

    /// The capture itself, for what else it has.
    #[must_use]
    pub fn capture(&self) -> &RtmpCapture {
        &self.capture
    }

    /// Stops it, and returns the counts.
    pub fn stop(self) -> CaptureStats {
        let capture = Arc::clone(&self.capture);
        let stopped = self.wait(async move { Ok(capture.stop().await) });
        stopped.unwrap_or_else(|_| self.capture.stats())
    }
}

impl Drop for BlockingCapture {
    fn drop(&mut self) {
        if let Some(runtime) = self.owned.take() {
            // Without waiting: on a thread of another runtime that would panic.
            runtime.shutdown_background();
        }
    }
}
