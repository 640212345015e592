//! Decoded pictures as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures::Stream;
use tokio::task::JoinHandle;

use super::{FrameSource, StreamError};
use crate::codec::{Codec, MediaKind};
use crate::decode::{self, VideoDecoder};
use crate::fanout::{Overflow, Ring, TrackHub};
use crate::frame::{EncodedFrame, VideoFormat, VideoFrameEvent};
use crate::room::{RemoteParticipant, TrackSource, WebRtcTrack};

/// Pictures kept for a reader that is behind, unless the caller says otherwise.
const CAPACITY: usize = 8;

/// Encoded frames kept for a decoder that is behind: four seconds at 30 a second.
const ENCODED_CAPACITY: usize = 120;

type Output = Ring<Result<VideoFrameEvent, StreamError>>;

/// How a [`VideoStream`] is made.
#[derive(Debug)]
#[must_use]
pub struct VideoStreamBuilder {
    source: FrameSource,
    capacity: usize,
    format: Option<VideoFormat>,
    normalize_stride: bool,
}

impl VideoStreamBuilder {
    /// Keeps the newest `capacity` pictures for a reader that is behind; 0 is unbounded.
    /// Default 8.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Converts every picture. Default: as the decoder gives it, which is
    /// [`VideoFormat::I420`].
    pub fn format(mut self, format: VideoFormat) -> Self {
        self.format = Some(format);
        self
    }

    /// Whether rows are packed without padding between them. Default true.
    pub fn normalize_stride(mut self, normalize: bool) -> Self {
        self.normalize_stride = normalize;
        self
    }

    /// Starts the stream. Has to be called within a tokio runtime.
    pub fn build(self) -> VideoStream {
        let input = TrackHub::ring(MediaKind::Video, ENCODED_CAPACITY);
        let output: Arc<Output> = Arc::new(Ring::new(self.capacity, Overflow::DropOldest));
        let errors = Arc::clone(&output);
        let follow = self
            .source
            .follow(MediaKind::Video, Arc::clone(&input), move |hub| {
                errors.push(Err(unfit(hub)));
            });
        let worker = Worker {
            output: Arc::clone(&output),
            format: self.format,
            normalize_stride: self.normalize_stride,
            decoder: None,
        };
        let tasks = [
            tokio::spawn(follow),
            tokio::spawn(worker.run(Arc::clone(&input))),
        ];
        VideoStream {
            input,
            output,
            tasks,
            errors: 0,
            last_error: None,
        }
    }
}

/// What keeps a video stream from reading a track.
fn unfit(hub: &TrackHub) -> StreamError {
    let track = hub.id().to_owned();
    match hub.codec() {
        Some(codec) => StreamError::WrongKind {
            wanted: "video",
            codec,
            track,
        },
        None => StreamError::UnsupportedCodec {
            mime: hub.mime().to_owned(),
            track,
        },
    }
}

/// The pictures of one track, decoded, in a ring that keeps the newest.
///
/// As a [`Stream`] it yields [`VideoFrameEvent`]s and skips over errors, which are counted and
/// can be read by [`last_error`](Self::last_error); as [`results`](Self::results) it yields the
/// errors as items too. It ends with the track. Dropping it stops the decoder and leaves the
/// track to its other readers.
///
/// Decoding runs on tokio's blocking threads; neither the reception nor the caller waits for it.
#[derive(Debug)]
pub struct VideoStream {
    input: Arc<Ring<EncodedFrame>>,
    output: Arc<Output>,
    tasks: [JoinHandle<()>; 2],
    errors: u64,
    last_error: Option<StreamError>,
}

impl VideoStream {
    /// The pictures of a track with the builder's defaults.
    pub fn new(source: impl Into<FrameSource>) -> Self {
        Self::builder(source).build()
    }

    /// The pictures of a track; see the builder's methods.
    pub fn builder(source: impl Into<FrameSource>) -> VideoStreamBuilder {
        VideoStreamBuilder {
            source: source.into(),
            capacity: CAPACITY,
            format: None,
            normalize_stride: true,
        }
    }

    /// The pictures of a track: the same as [`new`](Self::new).
    pub fn from_track(track: impl Into<FrameSource>) -> Self {
        Self::new(track)
    }

    /// The pictures of whatever track a participant's source has: goes on when the track is
    /// unpublished and published again, and ends when the participant leaves.
    pub fn from_participant(participant: &RemoteParticipant, source: TrackSource) -> Self {
        Self::new((participant, source))
    }

    /// The pictures of a remote track of the `webrtc` crate, no LiveKit needed. Times count from
    /// the moment of this call.
    pub fn from_webrtc(track: WebRtcTrack) -> Self {
        Self::new(track)
    }

    /// Pictures that were dropped as the reader, or the decoder, was behind.
    pub fn dropped_frames(&self) -> u64 {
        self.input.dropped() + self.output.dropped()
    }

    /// Errors met so far.
    pub fn errors(&self) -> u64 {
        self.errors
    }

    /// The last error met.
    pub fn last_error(&self) -> Option<&StreamError> {
        self.last_error.as_ref()
    }

    /// The same stream with its errors as items.
    pub fn results(
        self,
    ) -> impl Stream<Item = Result<VideoFrameEvent, StreamError>> + Send + Unpin {
        futures::stream::poll_fn(move |cx| self.output.poll_next(cx))
    }

    /// Stops decoding and reading the track. Pictures not yet read are dropped.
    pub async fn close(mut self) {
        self.input.close();
        self.output.close();
        for task in &mut self.tasks {
            task.abort();
            // It ends as aborted, or had ended before.
            let _ = task.await;
        }
    }
}

impl Stream for VideoStream {
    type Item = VideoFrameEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<VideoFrameEvent>> {
        loop {
            match ready!(self.output.poll_next(cx)) {
                Some(Ok(event)) => return Poll::Ready(Some(event)),
                Some(Err(error)) => {
                    tracing::warn!(%error, "video stream");
                    self.errors += 1;
                    self.last_error = Some(error);
                }
                None => return Poll::Ready(None),
            }
        }
    }
}

impl Drop for VideoStream {
    fn drop(&mut self) {
        self.input.close();
        self.output.close();
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// The task that decodes and converts.
struct Worker {
    output: Arc<Output>,
    format: Option<VideoFormat>,
    normalize_stride: bool,
    decoder: Option<(Codec, Box<dyn VideoDecoder>)>,
}

impl Worker {
    async fn run(mut self, input: Arc<Ring<EncodedFrame>>) {
        while let Some(frame) = input.next().await {
            // A decoder takes milliseconds, too long for a thread that others need.
            let decoded = tokio::task::spawn_blocking(move || {
                let event = self.decode(&frame);
                (self, event)
            });
            let Ok((worker, event)) = decoded.await else {
                input.close();
                return;
            };
            self = worker;
            if let Some(event) = event.transpose() {
                self.output.push(event);
            }
        }
        self.output.close();
    }

    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrameEvent>, StreamError> {
        let decoder = match &mut self.decoder {
            Some((codec, decoder)) if *codec == frame.codec => decoder,
            other => {
                let options = decode::VideoOptions {
                    normalize_stride: self.normalize_stride,
                };
                let decoder = decode::video_decoder_with(frame.codec, &options)?;
                &mut other.insert((frame.codec, decoder)).1
            }
        };
        let Some(mut picture) = decoder.decode(frame)? else {
            return Ok(None);
        };
        if let Some(format) = self.format
            && format != picture.format()
        {
            picture = picture.convert(format, false)?;
        }
        Ok(Some(VideoFrameEvent {
            frame: picture,
            timestamp_us: frame.timestamp_us,
            rotation: frame.rotation,
        }))
    }
}
