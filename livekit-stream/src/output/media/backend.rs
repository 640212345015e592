//! What does the work behind a [`StreamingMediaEncoder`](super::StreamingMediaEncoder), on a
//! thread of its own.

use std::collections::BTreeMap;
use std::sync::mpsc;

use futures::channel::oneshot;
use tokio::runtime::Handle;

use super::chunk::{Picture, Samples, VideoChunk};
use super::destination::Destination;
use super::{AudioChunk, MediaBackend, MediaEncoderError, StreamOptions, native};

/// All that is known when an encoder is opened. Streams passed
/// [`StreamOptions::check`]; there is at least one.
pub(crate) struct Spec {
    pub(crate) destination: Destination,
    /// Bytes that are given to a writer at once.
    pub(crate) buffer_size: usize,
    /// The container, or the device, by FFmpeg's name.
    pub(crate) format: Option<String>,
    pub(crate) streams: Vec<StreamOptions>,
    pub(crate) metadata: BTreeMap<String, String>,
    /// Options of protocol, device and muxer.
    pub(crate) option: BTreeMap<String, String>,
    pub(crate) backend: MediaBackend,
    /// The caller's runtime, for sockets and asynchronous writers.
    pub(crate) runtime: Option<Handle>,
}

/// An open output. All calls come on one thread, which may wait: the thread that made it.
///
/// Chunks were checked: index and kind, sample type, channels, size. Times are whole counts of
/// the stream's own unit, 1 / sample rate or 1 / frame rate, and grow within a stream.
pub(crate) trait Backend {
    /// Interleaved samples in the stream's format; `first` is the time of the first.
    fn write_audio(
        &mut self,
        index: usize,
        samples: &Samples,
        first: i64,
    ) -> Result<(), MediaEncoderError>;

    /// A picture in the stream's format; `at` is its time.
    fn write_video(
        &mut self,
        index: usize,
        picture: &Picture,
        at: i64,
    ) -> Result<(), MediaEncoderError>;

    /// Writes what encoders and muxer hold back, as far as that can be done in mid-stream.
    fn flush(&mut self) -> Result<(), MediaEncoderError>;

    /// Writes everything left and the container's end. Called once; dropped without it, what
    /// waits is lost.
    fn close(&mut self) -> Result<(), MediaEncoderError>;
}

/// Opens the output: natively where that can be done, else by FFmpeg's libraries.
fn open(spec: Spec) -> Result<Box<dyn Backend>, MediaEncoderError> {
    match spec.backend {
        MediaBackend::Native => native::open(spec),
        MediaBackend::Ffmpeg => ffmpeg(spec),
        MediaBackend::Auto => match native::check(&spec) {
            Err(
                MediaEncoderError::NeedsFfmpeg { .. }
                | MediaEncoderError::UnknownContainer { .. }
                | MediaEncoderError::Container { .. },
            ) if cfg!(feature = "ffmpeg") => ffmpeg(spec),
            Err(error) => Err(error),
            Ok(()) => native::open(spec),
        },
    }
}

#[cfg(feature = "ffmpeg")]
fn ffmpeg(spec: Spec) -> Result<Box<dyn Backend>, MediaEncoderError> {
    crate::ffmpeg::open_media(spec)
}

#[cfg(not(feature = "ffmpeg"))]
#[expect(clippy::needless_pass_by_value, reason = "as with the feature")]
fn ffmpeg(spec: Spec) -> Result<Box<dyn Backend>, MediaEncoderError> {
    let what = format!("{:?}", spec.backend);
    Err(MediaEncoderError::needs_ffmpeg(format!(
        "the backend {what}"
    )))
}

enum Command {
    Audio {
        index: usize,
        chunk: AudioChunk,
        first: i64,
    },
    Video {
        index: usize,
        chunk: VideoChunk,
        first: i64,
    },
    Flush,
    Close,
}

type Reply = oneshot::Sender<Result<(), MediaEncoderError>>;

/// The thread's other end. Dropping it ends the thread without closing the output.
pub(super) struct Worker {
    commands: mpsc::SyncSender<(Command, Reply)>,
}

impl Worker {
    pub(super) async fn open(spec: Spec) -> Result<Self, MediaEncoderError> {
        // One command waits for its answer at a time, except where a caller gave up waiting.
        let (commands, received) = mpsc::sync_channel(4);
        let (opened, is_open) = oneshot::channel();
        std::thread::Builder::new()
            .name("media-encode".to_owned())
            .spawn(move || run(spec, opened, &received))
            .map_err(|error| MediaEncoderError::Thread(error.to_string()))?;
        is_open.await.map_err(|_| ended())??;
        Ok(Self { commands })
    }

    pub(super) async fn write_audio(
        &self,
        index: usize,
        chunk: AudioChunk,
        first: i64,
    ) -> Result<(), MediaEncoderError> {
        self.ask(Command::Audio {
            index,
            chunk,
            first,
        })
        .await
    }

    pub(super) async fn write_video(
        &self,
        index: usize,
        chunk: VideoChunk,
        first: i64,
    ) -> Result<(), MediaEncoderError> {
        self.ask(Command::Video {
            index,
            chunk,
            first,
        })
        .await
    }

    pub(super) async fn flush(&self) -> Result<(), MediaEncoderError> {
        self.ask(Command::Flush).await
    }

    pub(super) async fn close(&self) -> Result<(), MediaEncoderError> {
        self.ask(Command::Close).await
    }

    async fn ask(&self, command: Command) -> Result<(), MediaEncoderError> {
        let (reply, answer) = oneshot::channel();
        self.commands
            .try_send((command, reply))
            .map_err(|error| match error {
                mpsc::TrySendError::Full(_) => MediaEncoderError::Thread(
                    "it is still busy with calls that were given up".to_owned(),
                ),
                mpsc::TrySendError::Disconnected(_) => ended(),
            })?;
        answer.await.map_err(|_| ended())?
    }
}

fn ended() -> MediaEncoderError {
    MediaEncoderError::Thread("it has ended early".to_owned())
}

fn run(spec: Spec, opened: Reply, commands: &mpsc::Receiver<(Command, Reply)>) {
    let streams = spec.streams.clone();
    let mut backend = match open(spec) {
        Ok(backend) => backend,
        Err(error) => {
            // The caller may have given up.
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(())).is_err() {
        return;
    }
    while let Ok((command, reply)) = commands.recv() {
        let done = match command {
            Command::Audio {
                index,
                chunk,
                first,
            } => backend.write_audio(index, &chunk.samples, first),
            Command::Video {
                index,
                chunk,
                first,
            } => write_pictures(&mut *backend, &streams, index, &chunk, first),
            Command::Flush => backend.flush(),
            Command::Close => {
                // As above.
                let _ = reply.send(backend.close());
                return;
            }
        };
        // As above.
        let _ = reply.send(done);
    }
}

fn write_pictures(
    backend: &mut dyn Backend,
    streams: &[StreamOptions],
    index: usize,
    chunk: &VideoChunk,
    first: i64,
) -> Result<(), MediaEncoderError> {
    let Some(StreamOptions::Video(options)) = streams.get(index) else {
        return Ok(());
    };
    for (position, at) in (0..chunk.len()).zip(first..) {
        backend.write_video(index, &chunk.picture(position, options)?, at)?;
    }
    Ok(())
}
