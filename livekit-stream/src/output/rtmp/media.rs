//! Pictures and sound to RTMP servers.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Sink;
use futures::channel::{mpsc, oneshot};
use futures::future::{BoxFuture, FutureExt, join_all};
use tokio::sync::watch;

use super::worker::{Input, TargetSize, Worker};
use super::{PublishError, PublisherOptions, PublisherState, PublisherStats, RtmpPublisher};
use crate::codec::Codec;
use crate::encode::{AudioOptions, H264Encoder, Preset, VideoOptions, audio_encoder};
use crate::frame::{AudioFrame, EncodedFrame, VideoFrame, VideoFrameEvent, VideoRotation};
use crate::monitor::{MonitorSource, Targets};
use crate::mux::AudioTrack;
use crate::output::OutputError;
use crate::rtmp::{RtmpUrl, UrlError};

/// Pictures that may wait for the encoder before the caller does.
const QUEUED_INPUTS: usize = 4;

/// The seconds from keyframe to keyframe unless told otherwise: what YouTube and Twitch ask for.
const GOP_SECONDS: f32 = 2.0;

/// Sound that is further from its picture than this starts anew at the picture.
const MAX_AUDIO_DRIFT_US: i64 = 100_000;

/// Encodes pictures and sound once (H.264, AAC) and publishes them to one or more RTMP servers.
///
/// It is a [`Sink`] of [`VideoFrameEvent`]s, so `video.map(Ok).forward(rtmp).await` is the whole
/// bridge from a video stream. Encoding runs on a thread of its own; when it is behind, the sink
/// is not ready, and a server that is behind loses groups of pictures without disturbing anybody.
/// A target that fails does not disturb the others: errors come when all have failed for good.
///
/// Pictures are sent as they are stored: RTMP has no place for a rotation.
///
/// ```no_run
/// use livekit_stream::frame::{VideoFormat, VideoFrame};
/// use livekit_stream::output::rtmp::RtmpOutput;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let mut rtmp = RtmpOutput::builder("rtmp://localhost/live/key")
///     .target("rtmps://live.example.com/app/other-key")
///     .fps(30.0)
///     .bit_rate(3_000_000)
///     .connect()
///     .await?;
/// let black = VideoFrame::blank(VideoFormat::I420, 1280, 720)?;
/// for _ in 0..300 {
///     rtmp.write_frame(&black).await?;
/// }
/// rtmp.close().await?;
/// # Ok(())
/// # }
/// ```
pub struct RtmpOutput {
    input: mpsc::Sender<Input>,
    worker: Option<oneshot::Receiver<Result<(), OutputError>>>,
    targets: Arc<[RtmpPublisher]>,
    keyframes: watch::Sender<u64>,
    clock: FrameClock,
    /// Something was written since the caller's task last gave way.
    busy: bool,
    closing: Closing,
}

/// Options of an [`RtmpOutput`]. `Debug` hides stream keys.
#[derive(Debug, Clone)]
pub struct RtmpOutputBuilder {
    targets: Vec<Result<RtmpUrl, UrlError>>,
    width: Option<u32>,
    height: Option<u32>,
    fps: f32,
    gop: Option<u32>,
    bit_rate: u32,
    preset: Preset,
    encoder: H264Encoder,
    audio: AudioOptions,
    publisher: PublisherOptions,
}

enum Closing {
    NotYet,
    Running(BoxFuture<'static, Result<(), OutputError>>),
    Done,
}

impl RtmpOutputBuilder {
    /// Publishes to another server as well.
    #[must_use]
    pub fn target(mut self, url: &str) -> Self {
        self.targets.push(RtmpUrl::parse(url));
        self
    }

    /// Width of the encoded picture in pixels. Without width and height: the pictures' own size.
    /// With one of them: the other stays the pictures' own.
    #[must_use]
    pub fn width(mut self, pixels: u32) -> Self {
        self.width = Some(pixels);
        self
    }

    /// Height of the encoded picture in pixels.
    #[must_use]
    pub fn height(mut self, pixels: u32) -> Self {
        self.height = Some(pixels);
        self
    }

    /// Frames a second, for rate control and for [`RtmpOutput::write_frame`]. Default 30.
    #[must_use]
    pub fn fps(mut self, fps: f32) -> Self {
        self.fps = fps;
        self
    }

    /// The longest distance between keyframes in frames. Default: two seconds.
    #[must_use]
    pub fn gop(mut self, frames: u32) -> Self {
        self.gop = Some(frames);
        self
    }

    /// Bits a second of video. Default 2,500,000.
    #[must_use]
    pub fn bit_rate(mut self, bits: u32) -> Self {
        self.bit_rate = bits;
        self
    }

    /// Speed against quality. Default [`Preset::Ultrafast`].
    #[must_use]
    pub fn preset(mut self, preset: Preset) -> Self {
        self.preset = preset;
        self
    }

    /// Which encoder makes the H.264. Default [`H264Encoder::OpenH264`].
    #[must_use]
    pub fn encoder(mut self, encoder: H264Encoder) -> Self {
        self.encoder = encoder;
        self
    }

    /// Samples a second of the encoded sound, 44,100 or 48,000; sound of another rate is
    /// resampled. Default 48,000.
    #[must_use]
    pub fn audio_sample_rate(mut self, hertz: u32) -> Self {
        self.audio.sample_rate = hertz;
        self
    }

    /// Bits a second of sound, 8,000 to 6 for each sample of each channel. Default 128,000.
    #[must_use]
    pub fn audio_bit_rate(mut self, bits: u32) -> Self {
        self.audio.bit_rate = bits;
        self
    }

    /// How the targets are connected, buffered and reconnected.
    #[must_use]
    pub fn publisher(mut self, options: PublisherOptions) -> Self {
        self.publisher = options;
        self
    }

    /// Starts to connect, and returns at once.
    ///
    /// # Errors
    ///
    /// An address or an option that cannot be used, or no Tokio runtime. Servers' answers come
    /// later, from writing.
    pub fn build(self) -> Result<RtmpOutput, OutputError> {
        self.check()?;
        let gop_size = self.gop.unwrap_or((self.fps * GOP_SECONDS).round() as u32);
        let video = VideoOptions {
            bit_rate: Some(self.bit_rate),
            frame_rate: self.fps,
            gop_size: gop_size.max(1),
            preset: self.preset,
            encoder: self.encoder,
        };
        let size = TargetSize {
            width: self.width,
            height: self.height,
        };
        // One bad address must not leave connections of the others behind.
        let urls = self.targets.into_iter().collect::<Result<Vec<_>, _>>()?;
        let keyframes = watch::Sender::new(0);
        let mut publisher = self.publisher;
        publisher.frame_rate = publisher.frame_rate.or(Some(f64::from(self.fps)));
        let targets = urls
            .into_iter()
            .map(|url| {
                RtmpPublisher::with_keyframe_requests(url, publisher.clone(), keyframes.clone())
            })
            .collect::<Result<Arc<[_]>, _>>()?;
        let requests = keyframes.subscribe();
        let worker = Worker::new(Arc::clone(&targets), size, video, self.audio, requests)?;
        let (input, received) = mpsc::channel(QUEUED_INPUTS);
        let (done, ended) = oneshot::channel();
        std::thread::Builder::new()
            .name("rtmp-encode".to_owned())
            .spawn(move || {
                // Nobody may be waiting any more.
                let _ = done.send(worker.run(received));
            })
            .map_err(OutputError::Thread)?;
        Ok(RtmpOutput {
            input,
            worker: Some(ended),
            targets,
            keyframes,
            clock: FrameClock::new(self.fps),
            busy: false,
            closing: Closing::NotYet,
        })
    }

    /// As [`build`](Self::build), and waits until the first target takes the stream.
    ///
    /// # Errors
    ///
    /// As `build`, and [`OutputError::AllTargetsFailed`].
    pub async fn connect(self) -> Result<RtmpOutput, OutputError> {
        let output = self.build()?;
        let waits = output
            .targets
            .iter()
            .map(|target| target.published().boxed());
        if futures::future::select_ok(waits).await.is_err() {
            return Err(output.all_failed().unwrap_or(OutputError::Closed));
        }
        Ok(output)
    }

    fn check(&self) -> Result<(), OutputError> {
        let out_of_range = |option, value: &dyn fmt::Display, allowed| {
            Err(OutputError::OptionOutOfRange {
                option,
                value: value.to_string(),
                allowed,
            })
        };
        for (option, value) in [("width", self.width), ("height", self.height)] {
            if let Some(value) = value
                && (!(16..=16_384).contains(&value) || value % 2 != 0)
            {
                return out_of_range(option, &value, "an even number in 16..=16384");
            }
        }
        if !(1.0..=120.0).contains(&self.fps) {
            return out_of_range("fps", &self.fps, "1 to 120");
        }
        if self.gop == Some(0) {
            return out_of_range("gop", &0, "at least 1");
        }
        let audio = &self.audio;
        if !matches!(audio.sample_rate, 44_100 | 48_000) {
            return out_of_range("audio_sample_rate", &audio.sample_rate, "44100 or 48000");
        }
        // An access unit has at most 6144 bits a channel (ISO/IEC 14496-3 section 4.5.3.1).
        let highest = audio
            .sample_rate
            .saturating_mul(audio.num_channels)
            .saturating_mul(6);
        if !(8_000..=highest).contains(&audio.bit_rate) {
            return out_of_range(
                "audio_bit_rate",
                &audio.bit_rate,
                "8000 to 6 bits for each sample of each channel",
            );
        }
        Ok(())
    }
}

impl RtmpOutput {
    /// Options for publishing to `url`, `rtmp://host[:port]/app/key` or `rtmps://`.
    #[must_use]
    pub fn builder(url: &str) -> RtmpOutputBuilder {
        RtmpOutputBuilder {
            targets: vec![RtmpUrl::parse(url)],
            width: None,
            height: None,
            fps: 30.0,
            gop: None,
            bit_rate: 2_500_000,
            preset: Preset::default(),
            encoder: H264Encoder::default(),
            audio: AudioOptions::default(),
            publisher: PublisherOptions::default(),
        }
    }

    /// Writes the next picture. Its time is counted: picture n is shown at n / fps.
    /// Use the [`Sink`] for pictures that have times of their own.
    ///
    /// # Errors
    ///
    /// When all targets failed for good, or encoding failed; as for all that writes.
    pub async fn write_frame(&mut self, frame: &VideoFrame) -> Result<(), OutputError> {
        let timestamp_us = self.clock.next_picture();
        self.write_event(frame, timestamp_us).await
    }

    /// Writes the next picture with the sound that belongs to it. The sound's own timestamp is
    /// not used: it follows the sound before, or starts at the picture when it would be more than
    /// 100 ms away from it.
    pub async fn write_frame_with_audio(
        &mut self,
        frame: &VideoFrame,
        audio: &AudioFrame,
    ) -> Result<(), OutputError> {
        let picture_us = self.clock.next_picture();
        self.write_event(frame, picture_us).await?;
        let mut audio = audio.clone();
        audio.timestamp_us = self.clock.next_sound(picture_us, audio.duration_us());
        self.write_audio(audio).await
    }

    /// Writes sound at its own timestamp, on the clock of the pictures.
    ///
    /// # Errors
    ///
    /// As [`write_frame`](Self::write_frame); and where no AAC encoder is built in, which does
    /// not end the pictures.
    pub async fn write_audio(&mut self, audio: AudioFrame) -> Result<(), OutputError> {
        if cfg!(not(feature = "aac")) {
            // Its error says what is missing.
            audio_encoder(Codec::Aac, AudioOptions::default())?;
        }
        self.write(Input::Sound(audio)).await
    }

    /// Writes a frame that is encoded already, H.264 or AAC. Say what the AAC is first, with
    /// [`set_audio_track`](Self::set_audio_track).
    pub async fn write_encoded(&mut self, frame: EncodedFrame) -> Result<(), OutputError> {
        if !matches!(frame.codec, Codec::H264 | Codec::Aac) {
            return Err(PublishError::UnsupportedCodec { codec: frame.codec }.into());
        }
        self.write(Input::Encoded(frame)).await
    }

    /// Says what the AAC frames of [`write_encoded`](Self::write_encoded) are.
    pub async fn set_audio_track(&mut self, track: AudioTrack) -> Result<(), OutputError> {
        self.write(Input::AudioTrack(track)).await
    }

    /// Encodes what is left, sends what is buffered (within
    /// [`PublisherOptions::close_timeout`]) and closes the connections.
    ///
    /// # Errors
    ///
    /// When all targets had failed for good, or encoding failed.
    pub async fn close(&mut self) -> Result<(), OutputError> {
        poll_fn(|cx| self.poll_closed(cx)).await
    }

    /// The counts of each target, in the order they were named.
    #[must_use]
    pub fn stats(&self) -> Vec<PublisherStats> {
        self.targets.iter().map(RtmpPublisher::stats).collect()
    }

    /// The targets, for a [`StreamMonitor`](crate::monitor::StreamMonitor): it goes on to show them
    /// while this writes.
    #[must_use]
    pub fn monitored(&self) -> Arc<dyn MonitorSource> {
        Arc::new(Targets(Arc::clone(&self.targets)))
    }

    /// Counts the keyframes that targets asked for. The output's own encoder answers them; who
    /// writes encoded video has to.
    #[must_use]
    pub fn keyframe_requests(&self) -> watch::Receiver<u64> {
        self.keyframes.subscribe()
    }

    async fn write_event(
        &mut self,
        frame: &VideoFrame,
        timestamp_us: i64,
    ) -> Result<(), OutputError> {
        self.write(Input::Picture(VideoFrameEvent {
            frame: frame.clone(),
            timestamp_us,
            rotation: VideoRotation::Deg0,
        }))
        .await
    }

    async fn write(&mut self, input: Input) -> Result<(), OutputError> {
        poll_fn(|cx| self.poll_input(cx)).await?;
        self.start_input(input)
    }

    fn poll_input(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OutputError>> {
        if let Some(error) = self.all_failed() {
            return Poll::Ready(Err(error));
        }
        // Pictures that are always there would keep the publishers from running where they share
        // a thread with the caller.
        if std::mem::take(&mut self.busy) {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if ready!(self.input.poll_ready(cx)).is_ok() {
            return Poll::Ready(Ok(()));
        }
        // The thread takes nothing: its error the first time. It comes just after its end of
        // `input` is gone.
        let reason = match &mut self.worker {
            Some(worker) => ready!(worker.poll_unpin(cx)),
            None => Ok(Ok(())),
        };
        self.worker = None;
        Poll::Ready(match reason {
            Ok(Err(error)) => Err(error),
            Ok(Ok(())) | Err(oneshot::Canceled) => Err(OutputError::Closed),
        })
    }

    fn start_input(&mut self, input: Input) -> Result<(), OutputError> {
        self.busy = true;
        match self.input.start_send(input) {
            Ok(()) => Ok(()),
            // The thread ended since the caller was ready: `poll_input` and closing tell why.
            Err(error) if error.is_disconnected() && self.worker.is_some() => Ok(()),
            Err(_) => Err(OutputError::Closed),
        }
    }

    fn all_failed(&self) -> Option<OutputError> {
        all_failed(&self.targets)
    }

    fn poll_closed(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), OutputError>> {
        loop {
            match &mut self.closing {
                Closing::Done => return Poll::Ready(Ok(())),
                Closing::Running(future) => {
                    let result = ready!(future.poll_unpin(cx));
                    self.closing = Closing::Done;
                    return Poll::Ready(result);
                }
                Closing::NotYet => {
                    self.input.close_channel();
                    let worker = self.worker.take();
                    let targets = Arc::clone(&self.targets);
                    self.closing = Closing::Running(close(worker, targets).boxed());
                }
            }
        }
    }
}

async fn close(
    worker: Option<oneshot::Receiver<Result<(), OutputError>>>,
    targets: Arc<[RtmpPublisher]>,
) -> Result<(), OutputError> {
    let encoded = match worker {
        Some(worker) => worker.await.unwrap_or(Err(OutputError::Closed)),
        None => Ok(()),
    };
    join_all(targets.iter().map(RtmpPublisher::close)).await;
    encoded?;
    all_failed(&targets).map_or(Ok(()), Err)
}

/// The error, if no target is left.
fn all_failed(targets: &[RtmpPublisher]) -> Option<OutputError> {
    let errors = targets.iter().map(|target| match target.state() {
        PublisherState::Failed(error) => Some((target.stats().target, error)),
        _ => None,
    });
    errors
        .collect::<Option<Vec<_>>>()
        .map(|targets| OutputError::AllTargetsFailed { targets })
}

impl Sink<VideoFrameEvent> for RtmpOutput {
    type Error = OutputError;

    fn poll_ready(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), OutputError>> {
        self.get_mut().poll_input(cx)
    }

    fn start_send(self: Pin<&mut Self>, event: VideoFrameEvent) -> Result<(), OutputError> {
        self.get_mut().start_input(Input::Picture(event))
    }

    /// Ready at once: what was sent is on its way to the encoder. Closing waits for it.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Result<(), OutputError>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), OutputError>> {
        self.get_mut().poll_closed(cx)
    }
}

impl fmt::Debug for RtmpOutput {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtmpOutput")
            .field("targets", &self.stats())
            .finish_non_exhaustive()
    }
}

/// Times for pictures and sound that come without.
#[derive(Debug)]
struct FrameClock {
    fps: f64,
    pictures: u64,
    sound_us: i64,
}

impl FrameClock {
    fn new(fps: f32) -> Self {
        Self {
            fps: f64::from(fps),
            pictures: 0,
            sound_us: 0,
        }
    }

    fn next_picture(&mut self) -> i64 {
        let time_us = self.pictures as f64 * 1_000_000.0 / self.fps;
        self.pictures += 1;
        time_us.round() as i64
    }

    fn next_sound(&mut self, picture_us: i64, duration_us: i64) -> i64 {
        let time_us = if (picture_us - self.sound_us).abs() > MAX_AUDIO_DRIFT_US {
            picture_us
        } else {
            self.sound_us
        };
        self.sound_us = time_us.saturating_add(duration_us);
        time_us
    }
}

#[cfg(test)]
mod tests;
