//! A stream from an RTMP server, or from a publisher that comes to us, as pictures, sound and
//! encoded frames.

mod blocking;
mod decode;
mod error;
mod options;
mod rate;
mod shared;
mod sound;
mod source;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::Stream;
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::timeout;

pub use blocking::BlockingCapture;
pub use error::CaptureError;
pub use options::RtmpCaptureBuilder;
pub use shared::{CaptureState, CaptureStats};

use self::options::{Options, Way};
use self::shared::{Buffer, Shared};
use self::source::Origin;
use super::RtmpListener;
use crate::demux::flv::Metadata;
use crate::frame::{AudioFrame, VideoFrameEvent};
use crate::mux::AudioTrack;
use crate::stream::{EncodedStream, FrameSource};

/// How far pictures go ahead of sound that is waited for: sound that has not come by then is not
/// on its way.
const SOUND_PATIENCE_US: i64 = 500_000;
/// The same in real time, when no picture comes either.
const SOUND_PATIENCE: Duration = Duration::from_secs(1);
/// A difference between a picture's time and the end of the sound before that is no jump.
const WINDOW_STEP_US: i64 = 20_000;
/// How long a picture is shown when nothing tells.
const DEFAULT_INTERVAL_US: i64 = 33_333;

/// Captures pictures and sound from an RTMP stream.
///
/// [`builder`](Self::builder) plays from a server, [`listen`](Self::listen) takes a publisher in.
/// H.264, VP8, VP9 and AV1 (feature `av1`) are decoded, and AAC (feature `aac`) and Opus; what this
/// build does not decode can be had encoded. Times are microseconds from the first frame on; after
/// a lost connection they go on by as much as it took to come back.
///
/// Dropping it stops it.
///
/// ```no_run
/// use livekit_stream::input::RtmpCapture;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let capture = RtmpCapture::builder("rtmp://localhost/live/key")
///     .width(640)
///     .height(360)
///     .fps(10.0)
///     .start()
///     .await?;
/// for _ in 0..100 {
///     let (picture, sound) = capture.get_frame_and_audio().await?;
///     println!("{} us, {} samples", picture.timestamp_us, sound.samples.len());
/// }
/// capture.stop().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RtmpCapture {
    options: Options,
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    task: Option<JoinHandle<()>>,
    local_addr: Option<SocketAddr>,
}

impl RtmpCapture {
    /// Plays `rtmp://HOST[:PORT]/APP/KEY`, or `rtmps://`, from a server.
    pub fn builder(url: impl AsRef<str>) -> RtmpCaptureBuilder {
        RtmpCaptureBuilder::new(url.as_ref(), Way::Play)
    }

    /// Listens on the host and port of `rtmp://HOST[:PORT]/APP/KEY` for a publisher of this
    /// application and stream key; others are rejected, and so is a second one while the first is
    /// there. When it has left, the next is taken.
    pub fn listen(url: impl AsRef<str>) -> RtmpCaptureBuilder {
        RtmpCaptureBuilder::new(url.as_ref(), Way::Listen)
    }

    fn new(options: Options) -> Self {
        Self {
            options,
            running: Mutex::new(None),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Option<Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> Result<Arc<Shared>, CaptureError> {
        let running = self.lock();
        let running = running.as_ref().ok_or(CaptureError::NotRunning)?;
        Ok(Arc::clone(&running.shared))
    }

    /// Starts: returns when the server plays the stream or, listening, when publishers may come.
    ///
    /// # Errors
    ///
    /// Why the first connection failed. It is tried again only with
    /// [`ReconnectOptions::first_connection`](crate::output::rtmp::ReconnectOptions::first_connection).
    pub async fn start(&self) -> Result<(), CaptureError> {
        let runtime = Handle::try_current().map_err(|_| CaptureError::NoRuntime)?;
        let shared = Shared::new(self.options.clone(), runtime);
        let (origin, local_addr) = match self.options.way {
            Way::Play => (Origin::Server, None),
            Way::Listen => {
                let address = match self.options.listen_on {
                    Some(address) => address.to_string(),
                    None => crate::socket::address(&self.options.url),
                };
                let failed = |error| CaptureError::Listen {
                    address: address.clone(),
                    source: Arc::new(error),
                };
                let listener = RtmpListener::bind(&address).await.map_err(failed)?;
                let local_addr = listener.local_addr().map_err(failed)?;
                let url = self.options.url.clone();
                let busy = Arc::new(AtomicBool::new(false));
                let taken = Arc::clone(&busy);
                let publishers = listener.publishers(move |request| {
                    request.is(url.app(), url.key()) && !taken.load(Ordering::Relaxed)
                });
                (Origin::Publishers { publishers, busy }, Some(local_addr))
            }
        };
        let mut state = shared.state.subscribe();
        {
            let mut running = self.lock();
            if running.is_some() {
                return Err(CaptureError::AlreadyRunning);
            }
            if self.options.decode {
                decode::start(&shared)?;
            }
            *running = Some(Running {
                task: Some(tokio::spawn(source::run(origin, Arc::clone(&shared)))),
                shared,
                local_addr,
            });
        }
        if local_addr.is_some() {
            return Ok(());
        }
        // The sender is in `running`; if that is gone, it was stopped.
        let reached = state
            .wait_for(|state| {
                !matches!(state, CaptureState::Connecting | CaptureState::Reconnecting)
            })
            .await
            .map(|state| state.clone());
        match reached {
            Ok(CaptureState::Failed(error)) => {
                *self.lock() = None;
                Err(error)
            }
            Ok(_) => Ok(()),
            Err(_) => Err(CaptureError::NotRunning),
        }
    }

    /// Stops, and returns the counts. What was not taken is dropped. It can be started again.
    pub async fn stop(&self) -> CaptureStats {
        let running = self.lock().take();
        let Some(mut running) = running else {
            return CaptureStats::default();
        };
        running.shared.stopping.send_replace(true);
        if let Some(task) = running.task.take() {
            // It ends at once, as it was told.
            let _ = task.await;
        }
        running.shared.stats()
    }

    /// Where publishers are listened for; `None` unless it listens.
    #[must_use]
    pub fn local_addr(&self) -> Option<SocketAddr> {
        self.lock().as_ref()?.local_addr
    }

    /// What it is doing.
    #[must_use]
    pub fn state(&self) -> CaptureState {
        self.shared()
            .map_or(CaptureState::Ended, |shared| shared.state.borrow().clone())
    }

    /// Counts since it was started.
    #[must_use]
    pub fn stats(&self) -> CaptureStats {
        self.shared()
            .map_or_else(|_| CaptureStats::default(), |shared| shared.stats())
    }

    /// What the sender said of the stream, once it has.
    #[must_use]
    pub fn metadata(&self) -> Option<Metadata> {
        self.shared().ok()?.metadata.borrow().clone()
    }

    /// Waits for the next picture.
    ///
    /// # Errors
    ///
    /// [`CaptureError::Ended`] when there will be none, why the capture failed for good, or that
    /// this build cannot decode the pictures.
    pub async fn get_frame(&self) -> Result<VideoFrameEvent, CaptureError> {
        next_frame(&*self.shared()?).await
    }

    /// Waits for the sound that follows what was read before, so much of it; at the end of the
    /// stream it may be less.
    ///
    /// # Errors
    ///
    /// As [`get_frame`](Self::get_frame), for sound.
    pub async fn get_audio(&self, duration: Duration) -> Result<AudioFrame, CaptureError> {
        let shared = self.shared()?;
        let duration_us = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        wait(&shared, |buffer| {
            if let Some(frame) = buffer.sound.read(duration_us, buffer.audio_ended) {
                return Some(Ok(frame));
            }
            if let Some(error) = &buffer.audio_error {
                return Some(Err(error.clone()));
            }
            buffer.audio_ended.then(|| Err(ended(&shared)))
        })
        .await
    }

    /// Waits for the next picture and the sound from its moment on until the next picture's: read
    /// one after the other, the pieces of sound follow each other without a gap. What has not come
    /// is silence.
    ///
    /// # Errors
    ///
    /// As [`get_frame`](Self::get_frame).
    pub async fn get_frame_and_audio(&self) -> Result<(VideoFrameEvent, AudioFrame), CaptureError> {
        next_frame_and_audio(&*self.shared()?).await
    }

    /// The pictures as a stream, which ends when there will be none. All readers of one capture
    /// take from the same buffer.
    pub fn frames(&self) -> impl Stream<Item = VideoFrameEvent> + Send + Unpin + use<> {
        let shared = self.shared().ok();
        Box::pin(futures::stream::unfold(shared, |shared| async move {
            let shared = shared?;
            let frame = next_frame(&shared).await.ok()?;
            Some((frame, Some(shared)))
        }))
    }

    /// As [`frames`](Self::frames), each picture with its sound as by
    /// [`get_frame_and_audio`](Self::get_frame_and_audio).
    pub fn frames_with_audio(
        &self,
    ) -> impl Stream<Item = (VideoFrameEvent, AudioFrame)> + Send + Unpin + use<> {
        let shared = self.shared().ok();
        Box::pin(futures::stream::unfold(shared, |shared| async move {
            let shared = shared?;
            let both = next_frame_and_audio(&shared).await.ok()?;
            Some((both, Some(shared)))
        }))
    }

    /// The encoded pictures as they come, in the order they are decoded, from a keyframe on.
    /// H.264 and H.265 keyframes carry their parameter sets.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotRunning`].
    pub fn encoded_video(&self) -> Result<EncodedStream, CaptureError> {
        let shared = self.shared()?;
        let _runtime = shared.runtime.enter();
        Ok(EncodedStream::new(FrameSource::hub(&shared.video)))
    }

    /// The encoded sound as it comes; [`audio_track`](Self::audio_track) tells what it is.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotRunning`].
    pub fn encoded_audio(&self) -> Result<EncodedStream, CaptureError> {
        let shared = self.shared()?;
        let _runtime = shared.runtime.enter();
        Ok(EncodedStream::audio(FrameSource::hub(&shared.audio)))
    }

    /// Waits until it is known what the sound is.
    ///
    /// # Errors
    ///
    /// Why it will not be known any more: the capture has failed or ended.
    pub async fn audio_track(&self) -> Result<AudioTrack, CaptureError> {
        let shared = self.shared()?;
        let mut track = shared.audio_track.subscribe();
        let mut state = shared.state.subscribe();
        tokio::select! {
            biased;
            // Both senders are in `shared`.
            Ok(track) = track.wait_for(Option::is_some) => {
                track.as_deref().cloned().ok_or(CaptureError::NotRunning)
            }
            _ = state.wait_for(CaptureState::is_final) => Err(ended(&shared)),
        }
    }

    /// The same capture for threads that wait.
    ///
    /// # Errors
    ///
    /// [`CaptureError::NotRunning`].
    pub fn blocking(self) -> Result<BlockingCapture, CaptureError> {
        let runtime = self.shared()?.runtime.clone();
        Ok(BlockingCapture::of(self, runtime))
    }
}

impl Drop for RtmpCapture {
    fn drop(&mut self) {
        if let Some(running) = self.lock().take() {
            running.shared.stopping.send_replace(true);
        }
    }
}

/// Why there will be nothing more.
fn ended(shared: &Shared) -> CaptureError {
    match &*shared.state.borrow() {
        CaptureState::Failed(error) => error.clone(),
        _ => CaptureError::Ended,
    }
}

/// Waits until the buffer has something to give.
async fn wait<T>(
    shared: &Shared,
    mut take: impl FnMut(&mut Buffer) -> Option<Result<T, CaptureError>>,
) -> Result<T, CaptureError> {
    let mut changes = shared.changes.subscribe();
    loop {
        changes.mark_unchanged();
        if let Some(taken) = take(&mut shared.lock()) {
            return taken;
        }
        if changes.changed().await.is_err() {
            return Err(CaptureError::NotRunning);
        }
    }
}

async fn next_frame(shared: &Shared) -> Result<VideoFrameEvent, CaptureError> {
    wait(shared, |buffer| {
        if let Some(picture) = buffer.pictures.pop_front() {
            return Some(Ok(picture));
        }
        if let Some(error) = &buffer.video_error {
            return Some(Err(error.clone()));
        }
        buffer.video_ended.then(|| Err(ended(shared)))
    })
    .await
}

async fn next_frame_and_audio(
    shared: &Shared,
) -> Result<(VideoFrameEvent, AudioFrame), CaptureError> {
    let picture = next_frame(shared).await?;
    let time_us = picture.timestamp_us;
    let (start_us, end_us) = {
        let mut buffer = shared.lock();
        let start_us = buffer
            .window_end_us
            .filter(|end| (time_us.saturating_sub(*end)).abs() <= WINDOW_STEP_US)
            .unwrap_or(time_us);
        let next_us = buffer.pictures.front().map(|next| next.timestamp_us);
        let interval_us = match shared.options.fps {
            Some(fps) => (1_000_000.0 / fps) as i64,
            None => buffer.interval_us.unwrap_or(DEFAULT_INTERVAL_US),
        };
        // A picture before a hole does not last until its end.
        let interval_us = interval_us.clamp(1, 1_000_000);
        let end_us = next_us
            .filter(|next| next.saturating_sub(time_us) <= 2 * interval_us)
            .unwrap_or(time_us.saturating_add(interval_us))
            .max(start_us);
        buffer.window_end_us = Some(end_us);
        (start_us, end_us)
    };
    let sound = wait(shared, |buffer| {
        let there = buffer.sound.end_us().is_some_and(|end| end >= end_us);
        let hopeless = buffer.audio_ended
            || buffer.audio_error.is_some()
            || buffer
                .newest_us
                .is_some_and(|newest| newest.saturating_sub(end_us) > SOUND_PATIENCE_US);
        (there || hopeless).then(|| Ok(buffer.sound.window(start_us, end_us)))
    });
    let sound = match timeout(SOUND_PATIENCE, sound).await {
        Ok(sound) => sound?,
        Err(_) => shared.lock().sound.window(start_us, end_us),
    };
    Ok((picture, sound))
}
