//! Pictures in, chunks of fragmented MP4 out.

mod builder;
mod input;
mod segment;
#[cfg(test)]
mod tests;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use futures::{Stream, StreamExt};

pub use builder::FragmentedMp4EncoderBuilder;
pub use input::InputFrame;

use crate::encode::EncodeError;
use crate::frame::{ConvertError, EncodedFrame, VideoFormat};
use crate::mux::MuxError;
use segment::{Segment, Settings};

/// What a chunk holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ChunkKind {
    /// `ftyp` and `moov`, exactly.
    Init,
    /// One `moof` and its `mdat`, exactly.
    Media,
}

/// A piece of a segment that can be appended to a `SourceBuffer` or a file as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FragmentedMp4Chunk {
    /// What `data` is.
    pub kind: ChunkKind,
    /// Whole boxes.
    pub data: Bytes,
    /// The stream the segment belongs to.
    pub stream_id: Arc<str>,
    /// The segment's number in its stream.
    pub segment_idx: u32,
}

/// A segment could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncoderError {
    /// An option cannot be used.
    #[error("{option} = {value} cannot be used: {allowed}")]
    Option {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What can be used.
        allowed: &'static str,
    },
    /// The encoder writes I420 only.
    #[error("pixel format {format:?} cannot be encoded: the H.264 encoder writes I420 only")]
    PixelFormat {
        /// The format asked for.
        format: VideoFormat,
    },
    /// A picture has another size than the encoder was built for.
    #[error("the encoder takes {expected_width}x{expected_height} pictures, not {width}x{height}")]
    WrongSize {
        /// Width wanted.
        expected_width: u32,
        /// Height wanted.
        expected_height: u32,
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// A buffer cannot be a picture.
    #[error(transparent)]
    Picture(#[from] ConvertError),
    /// The encoder refused or failed.
    #[error(transparent)]
    Encode(#[from] EncodeError),
    /// The muxer refused a frame.
    #[error(transparent)]
    Mux(#[from] MuxError),
    /// An audio frame came without a track announced by
    /// [`audio`](FragmentedMp4EncoderBuilder::audio).
    #[error("a frame of {0}, but the encoder was built without an audio track")]
    NoAudioTrack(crate::codec::Codec),
    /// The stream was polled outside a Tokio runtime, which runs the encoder.
    #[error("the stream of chunks must be polled inside a Tokio runtime")]
    NoRuntime,
    /// The thread that encodes ended early: it panicked, or the runtime shuts down.
    #[error("the encoding thread ended early: {0}")]
    Worker(String),
}

/// Encodes one segment of fragmented MP4: H.264 from pictures, or frames that are encoded already,
/// copied as they are. Every chunk is whole boxes; a segment starts with a keyframe and can be
/// appended by itself.
///
/// ```
/// use futures::StreamExt;
/// use livekit_stream::frame::{VideoFormat, VideoFrame};
/// use livekit_stream::output::fmp4::{ChunkKind, FragmentedMp4Encoder};
///
/// # tokio::runtime::Builder::new_current_thread().build()?.block_on(async {
/// let encoder = FragmentedMp4Encoder::builder(64, 48, 30.0).segment_idx(7).build()?;
/// let pictures = (0..10).map(|_| VideoFrame::blank(VideoFormat::I420, 64, 48).unwrap());
/// let mut chunks = encoder.encode(futures::stream::iter(pictures));
///
/// let init = chunks.next().await.expect("a chunk")?;
/// assert_eq!((init.kind, init.segment_idx), (ChunkKind::Init, 7));
/// let media = chunks.next().await.expect("a chunk")?;
/// assert_eq!(media.kind, ChunkKind::Media);
/// # Ok::<(), livekit_stream::output::fmp4::EncoderError>(())
/// # })?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone)]
pub struct FragmentedMp4Encoder {
    settings: Arc<Settings>,
}

impl FragmentedMp4Encoder {
    /// An encoder of pictures of `width` x `height` pixels, `fps` of them a second.
    pub fn builder(width: u32, height: u32, fps: f32) -> FragmentedMp4EncoderBuilder {
        FragmentedMp4EncoderBuilder::new(width, height, fps)
    }

    /// The stream the chunks belong to.
    #[must_use]
    pub fn stream_id(&self) -> &str {
        &self.settings.stream_id
    }

    /// Encodes frames as they come. Pictures without a time of their own ([`VideoFrame`]s and raw
    /// RGB24 buffers) follow each other at the builder's rate; [`VideoFrameEvent`]s and
    /// [`EncodedFrame`]s keep theirs, the first frame being the start of the segment.
    ///
    /// Pictures are encoded on Tokio's blocking threads, one at a time and only as fast as chunks
    /// are asked for. Dropping the stream drops `frames` and ends the work with the picture that
    /// is being encoded. An error is an item, after which the stream ends; what was encoded before
    /// it comes first.
    ///
    /// [`VideoFrame`]: crate::frame::VideoFrame
    /// [`VideoFrameEvent`]: crate::frame::VideoFrameEvent
    pub fn encode<S>(
        self,
        frames: S,
    ) -> impl Stream<Item = Result<FragmentedMp4Chunk, EncoderError>> + Unpin + use<S>
    where
        S: Stream,
        S::Item: Into<InputFrame>,
    {
        let state = State {
            frames: Box::pin(frames),
            segment: Some(Segment::new(self.settings)),
            ready: VecDeque::new(),
        };
        Box::pin(futures::stream::unfold(state, State::next))
    }

    /// Muxes frames that are encoded already, H.264 and the audio track's, without decoding them.
    /// They may have any size. Nothing can be written before the first keyframe tells what the
    /// video is like: video from before it is left out, and of audio the last 256 frames are kept.
    pub fn encode_encoded<S>(
        self,
        frames: S,
    ) -> impl Stream<Item = Result<FragmentedMp4Chunk, EncoderError>> + Unpin + use<S>
    where
        S: Stream<Item = EncodedFrame>,
    {
        self.encode(frames)
    }

    /// Encodes a list of frames on the caller's thread.
    ///
    /// # Errors
    ///
    /// As [`encode`](Self::encode).
    pub fn encode_all<I>(self, frames: I) -> Result<Vec<FragmentedMp4Chunk>, EncoderError>
    where
        I: IntoIterator,
        I::Item: Into<InputFrame>,
    {
        let mut segment = Segment::new(self.settings);
        let mut chunks = Vec::new();
        for frame in frames {
            segment.push(frame.into(), &mut chunks)?;
        }
        segment.finish(&mut chunks)?;
        Ok(chunks)
    }
}

/// What the stream of chunks holds between polls.
struct State<S> {
    frames: std::pin::Pin<Box<S>>,
    /// `None` once the segment has ended.
    segment: Option<Segment>,
    ready: VecDeque<Result<FragmentedMp4Chunk, EncoderError>>,
}

impl<S> State<S>
where
    S: Stream,
    S::Item: Into<InputFrame>,
{
    async fn next(mut self) -> Option<(Result<FragmentedMp4Chunk, EncoderError>, Self)> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some((item, self));
            }
            let mut segment = self.segment.take()?;
            let frame = self.frames.next().await.map(Into::into);
            let Ok(runtime) = tokio::runtime::Handle::try_current() else {
                self.ready.push_back(Err(EncoderError::NoRuntime));
                continue;
            };
            let work = runtime.spawn_blocking(move || {
                let mut chunks = Vec::new();
                let is_last = frame.is_none();
                let result = match frame {
                    Some(frame) => segment.push(frame, &mut chunks),
                    None => segment.finish(&mut chunks),
                };
                if result.is_err() && !is_last {
                    // What was encoded before the error is whole; the error itself is reported.
                    let _ = segment.finish(&mut chunks);
                }
                let goes_on = result.is_ok() && !is_last;
                (goes_on.then_some(segment), chunks, result)
            });
            match work.await {
                Ok((segment, chunks, result)) => {
                    self.segment = segment;
                    self.ready.extend(chunks.into_iter().map(Ok));
                    self.ready.extend(result.err().map(Err));
                }
                Err(error) => {
                    let error = EncoderError::Worker(error.to_string());
                    self.ready.push_back(Err(error));
                }
            }
        }
    }
}
