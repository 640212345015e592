//! Decoded pictures as a stream.

use std::sync::Arc;

use super::decoded::{DecodedStream, Media, Output};
use super::source::Current;
use super::{FrameSource, StreamError};
use crate::codec::{Codec, MediaKind};
use crate::decode::{self, VideoDecoder};
use crate::fanout::Ring;
use crate::frame::{EncodedFrame, VideoFormat, VideoFrame, VideoFrameEvent, VideoRotation};

/// Pictures kept for a reader that is behind, unless the caller says otherwise.
const CAPACITY: usize = 8;

/// Encoded frames kept for a decoder that is behind: four seconds at 30 a second.
const ENCODED_CAPACITY: usize = 120;

#[derive(Debug)]
enum Source {
    Encoded(FrameSource),
    #[cfg(feature = "livekit")]
    LiveKit(livekit::track::RemoteVideoTrack),
}

/// How a [`VideoStream`] is made.
#[derive(Debug)]
#[must_use]
pub struct VideoStreamBuilder {
    source: Source,
    capacity: usize,
    format: Option<VideoFormat>,
    normalize_stride: bool,
}

impl VideoStreamBuilder {
    fn new(source: Source) -> Self {
        Self {
            source,
            capacity: CAPACITY,
            format: None,
            normalize_stride: true,
        }
    }

    /// Keeps the newest `capacity` pictures for a reader that is behind; 0 is unbounded.
    /// Default 8.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Converts every picture. Default: as the decoder gives it, which is [`VideoFormat::I420`]
    /// but for VP9 and AV1 in 4:2:2, 4:4:4 or 10 bits: [`I422`](VideoFormat::I422),
    /// [`I444`](VideoFormat::I444), [`I010`](VideoFormat::I010).
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
        #[cfg_attr(
            not(feature = "livekit"),
            expect(clippy::infallible_destructuring_match)
        )]
        let source = match self.source {
            Source::Encoded(source) => source,
            #[cfg(feature = "livekit")]
            Source::LiveKit(track) => {
                let pictures = super::livekit::Pictures {
                    format: self.format,
                    normalize_stride: self.normalize_stride,
                };
                return VideoStream::filled(MediaKind::Video, self.capacity, |output| {
                    pictures.run(track, output)
                });
            }
        };
        let decode = |input, output, current| {
            let worker = Worker {
                output,
                current,
                format: self.format,
                normalize_stride: self.normalize_stride,
                decoder: None,
                rotation: VideoRotation::default(),
            };
            worker.run(input)
        };
        let kind = MediaKind::Video;
        VideoStream::start(source, kind, ENCODED_CAPACITY, self.capacity, decode)
    }
}

/// The pictures of one track, decoded, in a ring that keeps the newest.
///
/// As a [`Stream`](futures::Stream) it yields [`VideoFrameEvent`]s and skips over errors, which
/// are counted and can be read by [`last_error`](DecodedStream::last_error); as
/// [`results`](DecodedStream::results) it yields the errors as items too. It ends with the track.
/// Dropping it stops the decoder and leaves the track to its other readers.
///
/// Decoding runs on tokio's blocking threads; neither the reception nor the caller waits for it.
pub type VideoStream = DecodedStream<VideoFrameEvent>;

#[cfg(feature = "livekit")]
impl VideoStream {
    /// The pictures of a track that the `livekit` crate subscribed to, decoded by its libwebrtc;
    /// see the builder's methods. Times are libwebrtc's.
    pub fn from_livekit(track: livekit::track::RemoteVideoTrack) -> VideoStreamBuilder {
        VideoStreamBuilder::new(Source::LiveKit(track))
    }
}

impl Media for VideoFrameEvent {
    type Builder = VideoStreamBuilder;

    fn builder(source: FrameSource) -> VideoStreamBuilder {
        VideoStreamBuilder::new(Source::Encoded(source))
    }

    fn build(builder: VideoStreamBuilder) -> VideoStream {
        builder.build()
    }
}

/// The task that decodes and converts.
struct Worker {
    output: Arc<Output<VideoFrameEvent>>,
    current: Arc<Current>,
    format: Option<VideoFormat>,
    normalize_stride: bool,
    decoder: Option<(Codec, Box<dyn VideoDecoder>)>,
    rotation: VideoRotation,
}

impl Worker {
    async fn run(mut self, input: Arc<Ring<EncodedFrame>>) {
        let output = Arc::clone(&self.output);
        while let Some(frame) = input.next().await {
            // A decoder takes milliseconds, too long for a thread that others need.
            let decoded = tokio::task::spawn_blocking(move || {
                let event = self.decode(&frame);
                (self, event)
            });
            let Ok((worker, event)) = decoded.await else {
                // The decoder panicked, which has been printed: end rather than hang.
                input.close();
                output.close();
                return;
            };
            self = worker;
            if event.is_err() {
                // The decoder shows nothing until it can start anew, and the publisher may have
                // no reason of its own to let it.
                self.current.request_keyframe();
            }
            if let Some(event) = event.transpose() {
                output.push(event);
            }
        }
        input.close();
        let rest = tokio::task::spawn_blocking(move || self.flush());
        for event in rest.await.unwrap_or_default() {
            output.push(event);
        }
        output.close();
    }

    /// The pictures that waited for frames that do not come any more.
    fn flush(&mut self) -> Vec<Result<VideoFrameEvent, StreamError>> {
        let mut events = Vec::new();
        while let Some((_, decoder)) = &mut self.decoder {
            match decoder.flush() {
                Ok(Some((picture, timestamp_us))) => {
                    events.push(self.event(picture, timestamp_us, self.rotation));
                }
                Ok(None) => break,
                Err(error) => {
                    events.push(Err(error.into()));
                    break;
                }
            }
        }
        events
    }

    fn event(
        &self,
        mut picture: VideoFrame,
        timestamp_us: i64,
        rotation: VideoRotation,
    ) -> Result<VideoFrameEvent, StreamError> {
        if let Some(format) = self.format
            && format != picture.format()
        {
            picture = picture.convert(format, false)?;
        }
        Ok(VideoFrameEvent {
            frame: picture,
            timestamp_us,
            rotation,
        })
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
        self.rotation = frame.rotation;
        let Some(picture) = decoder.decode(frame)? else {
            return Ok(None);
        };
        let timestamp_us = decoder.timestamp_us(frame);
        self.event(picture, timestamp_us, frame.rotation).map(Some)
    }
}
