//! Sound and pictures to any container: [`StreamingMediaEncoder`].
//!
//! One call after the other: add streams, [`open`](StreamingMediaEncoder::open), write chunks,
//! [`close`](StreamingMediaEncoder::close). Names and meanings are those of torio's class of this
//! name.

mod backend;
mod chunk;
mod destination;
mod error;
mod lists;
mod native;
mod options;

use std::collections::BTreeMap;
use std::fmt;

pub use chunk::{AudioChunk, Samples, VideoChunk};
pub use destination::Destination;
pub use error::MediaEncoderError;
pub use lists::{get_audio_encoders, get_muxers, get_output_devices, get_video_encoders};
pub use options::{
    AudioStreamOptions, CodecConfig, PixelFormat, SampleFormat, StreamName, StreamOptions,
    VideoStreamOptions,
};

#[cfg(feature = "ffmpeg")]
pub(crate) use backend::{Backend, Spec};
#[cfg(feature = "ffmpeg")]
pub(crate) use chunk::Picture;
#[cfg(feature = "ffmpeg")]
pub(crate) use destination::{Bridge, Target};

#[cfg(not(feature = "ffmpeg"))]
use backend::Spec;
use backend::Worker;

/// What does the work of a [`StreamingMediaEncoder`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum MediaBackend {
    /// This crate where it can, else FFmpeg's libraries where they are built in.
    #[default]
    Auto,
    /// This crate alone.
    Native,
    /// FFmpeg's libraries alone: every muxer, encoder, filter and device that this system's have.
    /// Needs the feature `ffmpeg`.
    Ffmpeg,
}

/// Encodes sound and pictures, chunk by chunk, to a file, a server or a writer.
///
/// Natively it writes fragmented MP4 (`mp4`), FLV (`flv`, also to `rtmp://` and `rtmps://`),
/// Matroska (`matroska`) and, of sound, WebM (`webm`); pictures are encoded as H.264, sound as AAC
/// or Opus. Whatever else is asked for is [`MediaEncoderError::NeedsFfmpeg`] in a build without
/// the feature `ffmpeg`.
///
/// The work is done on a thread of its own; each call ends when its chunk is encoded and written.
/// A call that is given up goes on there. Dropping the encoder without
/// [`close`](Self::close) loses what encoders hold back; what was written is playable.
///
/// ```
/// use livekit_stream::output::media::{
///     AudioChunk, AudioStreamOptions, StreamingMediaEncoder, VideoChunk, VideoStreamOptions,
/// };
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("film.mp4");
/// let mut encoder = StreamingMediaEncoder::new(path.as_path());
/// let sound = encoder.add_audio_stream(AudioStreamOptions::new(16_000, 1))?;
/// let pictures = encoder.add_video_stream(VideoStreamOptions::new(25.0, 64, 48))?;
/// encoder.set_metadata([("title", "grey and silent")])?;
/// encoder.open([("movflags", "frag_keyframe")]).await?;
///
/// // A second of each: (frame, channel) and (time, channel, height, width).
/// let silence = AudioChunk::new(vec![0.0_f32; 16_000], [16_000, 1])?;
/// encoder.write_audio_chunk(sound, silence, None).await?;
/// let grey = VideoChunk::new(vec![128; 25 * 3 * 48 * 64], [25, 3, 48, 64])?;
/// encoder.write_video_chunk(pictures, grey, None).await?;
/// encoder.close().await?;
/// # assert!(std::fs::metadata(&path)?.len() > 1_000);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct StreamingMediaEncoder {
    streams: Vec<Stream>,
    state: State,
}

struct Stream {
    options: StreamOptions,
    /// The time that the next chunk has unless it is told, in the stream's unit.
    next: i64,
    /// The time that a told one has to come after.
    last: Option<i64>,
}

enum State {
    Preparing(Box<Preparation>),
    Open(Worker),
    /// Opening failed or was given up.
    Failed,
    Closed,
}

struct Preparation {
    destination: Destination,
    format: Option<String>,
    buffer_size: usize,
    backend: MediaBackend,
    metadata: BTreeMap<String, String>,
}

impl StreamingMediaEncoder {
    /// An encoder to a path, an address, or a [`Destination::writer`]. Nothing is created or
    /// connected before [`open`](Self::open).
    #[must_use]
    pub fn new(dst: impl Into<Destination>) -> Self {
        Self {
            streams: Vec::new(),
            state: State::Preparing(Box::new(Preparation {
                destination: dst.into(),
                format: None,
                buffer_size: 4096,
                backend: MediaBackend::default(),
                metadata: BTreeMap::new(),
            })),
        }
    }

    /// The container, by FFmpeg's name, in place of what the destination's name says; or, with
    /// FFmpeg, an output device. A writer has no name and needs it.
    #[must_use]
    pub fn format(mut self, name: impl Into<String>) -> Self {
        if let State::Preparing(preparation) = &mut self.state {
            preparation.format = Some(name.into());
        }
        self
    }

    /// How many bytes a writer is given at once. Default 4096; 0 is taken as 1. What a fragment
    /// or a cluster leaves over is written with it.
    #[must_use]
    pub fn buffer_size(mut self, bytes: usize) -> Self {
        if let State::Preparing(preparation) = &mut self.state {
            preparation.buffer_size = bytes.max(1);
        }
        self
    }

    /// What does the work. Default [`MediaBackend::Auto`].
    #[must_use]
    pub fn backend(mut self, backend: MediaBackend) -> Self {
        if let State::Preparing(preparation) = &mut self.state {
            preparation.backend = backend;
        }
        self
    }

    /// Adds a stream of sound and returns its index.
    ///
    /// # Errors
    ///
    /// After [`open`](Self::open), and for a value that no encoder could take. What the container
    /// or an encoder does not take, [`open`](Self::open) says.
    pub fn add_audio_stream(
        &mut self,
        options: AudioStreamOptions,
    ) -> Result<usize, MediaEncoderError> {
        self.preparation("add_audio_stream")?;
        self.add(StreamOptions::Audio(options))
    }

    /// Adds a stream of pictures and returns its index.
    ///
    /// # Errors
    ///
    /// As [`add_audio_stream`](Self::add_audio_stream).
    pub fn add_video_stream(
        &mut self,
        options: VideoStreamOptions,
    ) -> Result<usize, MediaEncoderError> {
        self.preparation("add_video_stream")?;
        self.add(StreamOptions::Video(options))
    }

    fn add(&mut self, options: StreamOptions) -> Result<usize, MediaEncoderError> {
        let index = self.streams.len();
        options.check(index)?;
        self.streams.push(Stream {
            options,
            next: 0,
            last: None,
        });
        Ok(index)
    }

    /// Sets what the container says of the whole, such as `title` or `artist`, in place of what
    /// was set before.
    ///
    /// # Errors
    ///
    /// After [`open`](Self::open).
    pub fn set_metadata<K: Into<String>, V: Into<String>>(
        &mut self,
        metadata: impl IntoIterator<Item = (K, V)>,
    ) -> Result<(), MediaEncoderError> {
        let metadata = metadata
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()));
        self.preparation("set_metadata")?.metadata = metadata.collect();
        Ok(())
    }

    /// Opens the destination and writes the container's header.
    ///
    /// `option` are options of protocol and muxer by FFmpeg's names. Natively:
    ///
    /// | option | for | meaning |
    /// | --- | --- | --- |
    /// | `listen=1` | `rtmp://` | waits on that address for a player to come, and sends to it |
    /// | `timeout` | `listen=1` | seconds that it waits; default: for ever |
    /// | `movflags` | `mp4` | `frag_keyframe`, `frag_every_frame`, and what holds anyway: `empty_moov`, `default_base_moof` |
    /// | `frag_duration` | `mp4` | microseconds of a fragment at most |
    ///
    /// # Errors
    ///
    /// When it was opened before, has no stream, or cannot be opened; then it cannot be opened
    /// again.
    pub async fn open<K: Into<String>, V: Into<String>>(
        &mut self,
        option: impl IntoIterator<Item = (K, V)>,
    ) -> Result<&mut Self, MediaEncoderError> {
        self.preparation("open")?;
        if self.streams.is_empty() {
            return Err(MediaEncoderError::NoStreams);
        }
        let option = option
            .into_iter()
            .map(|(key, value)| (key.into(), value.into()));
        let option = option.collect();
        let State::Preparing(preparation) = std::mem::replace(&mut self.state, State::Failed)
        else {
            return Err(MediaEncoderError::AlreadyOpen { operation: "open" });
        };
        let worker = Worker::open(Spec {
            destination: preparation.destination,
            buffer_size: preparation.buffer_size,
            format: preparation.format,
            streams: self
                .streams
                .iter()
                .map(|stream| stream.options.clone())
                .collect(),
            metadata: preparation.metadata,
            option,
            backend: preparation.backend,
            runtime: tokio::runtime::Handle::try_current().ok(),
        });
        self.state = State::Open(worker.await?);
        Ok(self)
    }

    /// As [`open`](Self::open), without options.
    pub async fn open_default(&mut self) -> Result<&mut Self, MediaEncoderError> {
        self.open::<String, String>([]).await
    }

    /// Writes sound to stream `i`, at `pts` seconds or where the last chunk ended. The time is
    /// truncated to n / sample rate.
    ///
    /// Natively, sound that leaves a gap is preceded by silence (by nothing, if the gap is longer
    /// than 10 s), and sound that overlaps by more than 100 ms loses what overlaps.
    ///
    /// # Errors
    ///
    /// Before opening or after closing, for a wrong index, kind, sample type, shape or time; and
    /// what encoding and writing met. Except for the latter the chunk can be given again.
    pub async fn write_audio_chunk(
        &mut self,
        i: usize,
        chunk: impl Into<AudioChunk>,
        pts: Option<f64>,
    ) -> Result<(), MediaEncoderError> {
        const OPERATION: &str = "write_audio_chunk";
        let worker = self.state.worker(OPERATION)?;
        let (name, stream) = stream(&mut self.streams, i)?;
        let StreamOptions::Audio(options) = &stream.options else {
            return Err(MediaEncoderError::WrongKind {
                actual: name,
                operation: OPERATION,
            });
        };
        let chunk = chunk.into();
        chunk.check(name, options)?;
        let frames = chunk.shape()[0] as i64;
        let first = stream.time(name, pts, f64::from(options.sample_rate))?;
        if frames == 0 {
            return Ok(());
        }
        stream.last = Some(first);
        stream.next = first.saturating_add(frames);
        worker.write_audio(i, chunk, first).await
    }

    /// Writes pictures to stream `i`, the first at `pts` seconds or after the last one, the others
    /// each 1 / frame rate later. The time is truncated to n / frame rate.
    ///
    /// # Errors
    ///
    /// As [`write_audio_chunk`](Self::write_audio_chunk).
    pub async fn write_video_chunk(
        &mut self,
        i: usize,
        chunk: impl Into<VideoChunk>,
        pts: Option<f64>,
    ) -> Result<(), MediaEncoderError> {
        const OPERATION: &str = "write_video_chunk";
        let worker = self.state.worker(OPERATION)?;
        let (name, stream) = stream(&mut self.streams, i)?;
        let StreamOptions::Video(options) = &stream.options else {
            return Err(MediaEncoderError::WrongKind {
                actual: name,
                operation: OPERATION,
            });
        };
        let chunk = chunk.into();
        chunk.check(name, options)?;
        let pictures = chunk.len() as i64;
        let first = stream.time(name, pts, options.frame_rate)?;
        if pictures == 0 {
            return Ok(());
        }
        stream.next = first.saturating_add(pictures);
        stream.last = Some(stream.next - 1);
        worker.write_video(i, chunk, first).await
    }

    /// Writes what was encoded so far: the muxer's fragment or cluster ends here. Sound that does
    /// not fill a frame of its codec stays with the encoder.
    ///
    /// # Errors
    ///
    /// Before opening, after closing, and what writing met.
    pub async fn flush(&mut self) -> Result<(), MediaEncoderError> {
        self.state.worker("flush")?.flush().await
    }

    /// Encodes and writes what is left, ends the container and closes the destination.
    ///
    /// # Errors
    ///
    /// Before opening, the second time, and what writing met.
    pub async fn close(&mut self) -> Result<(), MediaEncoderError> {
        self.state.worker("close")?;
        let State::Open(worker) = std::mem::replace(&mut self.state, State::Closed) else {
            return Err(MediaEncoderError::Closed { operation: "close" });
        };
        worker.close().await
    }

    fn preparation(
        &mut self,
        operation: &'static str,
    ) -> Result<&mut Preparation, MediaEncoderError> {
        match &mut self.state {
            State::Preparing(preparation) => Ok(preparation),
            State::Open(_) => Err(MediaEncoderError::AlreadyOpen { operation }),
            State::Failed | State::Closed => Err(MediaEncoderError::Closed { operation }),
        }
    }
}

impl State {
    fn worker(&self, operation: &'static str) -> Result<&Worker, MediaEncoderError> {
        match self {
            Self::Open(worker) => Ok(worker),
            Self::Preparing(_) | Self::Failed => Err(MediaEncoderError::NotOpen { operation }),
            Self::Closed => Err(MediaEncoderError::Closed { operation }),
        }
    }
}

fn stream(
    streams: &mut [Stream],
    index: usize,
) -> Result<(StreamName, &mut Stream), MediaEncoderError> {
    let count = streams.len();
    let found = streams.get_mut(index);
    let stream = found.ok_or(MediaEncoderError::NoSuchStream { index, count })?;
    Ok((stream.options.name(index), stream))
}

impl Stream {
    /// The time of a chunk in units of 1 / `rate`.
    fn time(
        &self,
        stream: StreamName,
        pts: Option<f64>,
        rate: f64,
    ) -> Result<i64, MediaEncoderError> {
        let Some(pts) = pts else {
            return Ok(self.next);
        };
        let wrong = |reason| {
            Err(MediaEncoderError::Pts {
                stream,
                pts,
                reason,
            })
        };
        // A year is more than any counter behind this takes.
        if !(0.0..=31_536_000.0).contains(&pts) {
            return wrong("0 to 31536000 seconds can be used".to_owned());
        }
        // 0.3 * 30 is a little less than 9.
        let time = (pts * rate + 1e-4).floor() as i64;
        match self.last {
            Some(last) if time <= last => wrong(format!(
                "it is not after {} s, which was written already",
                last as f64 / rate
            )),
            _ => Ok(time),
        }
    }
}

/// Without the destination: it may hold a stream key.
impl fmt::Debug for StreamingMediaEncoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Preparing(_) => "not open",
            State::Open(_) => "open",
            State::Failed => "failed",
            State::Closed => "closed",
        };
        f.debug_struct("StreamingMediaEncoder")
            .field("streams", &self.streams.len())
            .field("state", &state)
            .finish()
    }
}
