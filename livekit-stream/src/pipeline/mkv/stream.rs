use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::{Stream, StreamExt};

use super::remux::Remuxer;
use super::{Segment, TranscodeError, TranscodeOptions, TranscodeStats};
use crate::demux::mkv::{Frames, MkvError};

/// The bytes of an MP4: its initialization segment first, then whole fragments.
///
/// It reads its source only as far as the next item needs, so a slow reader slows the source down
/// and nothing piles up. Dropping it drops the source; so does its end.
pub struct Mp4Stream<S> {
    frames: Frames<Pin<Box<S>>>,
    remuxer: Remuxer,
    /// What the last item will be.
    error: Option<TranscodeError>,
    ended: bool,
}

impl<S> Mp4Stream<S> {
    fn new(
        source: S,
        options: TranscodeOptions,
        segment: Option<Segment>,
    ) -> Result<Self, TranscodeError> {
        Ok(Self {
            frames: Frames::new(Box::pin(source)),
            remuxer: Remuxer::new(options, segment)?,
            error: None,
            ended: false,
        })
    }

    /// What became of the frames so far.
    #[must_use]
    pub fn stats(&self) -> TranscodeStats {
        TranscodeStats {
            input: self.frames.stats(),
            ..self.remuxer.stats()
        }
    }

    /// The MIME type with codecs, as `MediaSource.isTypeSupported` takes it; there with the first
    /// item.
    #[must_use]
    pub fn mime_type(&self) -> Option<String> {
        self.remuxer.mime_type()
    }

    /// Ends the input: what was read is still written, then comes the error.
    fn end(&mut self, error: Option<TranscodeError>) {
        self.ended = true;
        self.frames.close();
        let finished = self.remuxer.finish();
        // What made the input end explains the most.
        self.error = error.or(finished.err());
    }
}

impl<S: Stream<Item = io::Result<Bytes>>> Stream for Mp4Stream<S> {
    type Item = Result<Bytes, TranscodeError>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        loop {
            if let Some(bytes) = self.remuxer.pop() {
                return Poll::Ready(Some(Ok(bytes)));
            }
            if self.ended {
                return Poll::Ready(self.error.take().map(Err));
            }
            match ready!(self.frames.poll_next_unpin(cx)) {
                Some(Ok(event)) => {
                    if let Err(error) = self.remuxer.event(event) {
                        self.end(Some(error));
                    } else if self.remuxer.is_done() {
                        self.end(None);
                    }
                }
                Some(Err(error)) => self.end(Some(error.into())),
                None => self.end(None),
            }
        }
    }
}

impl<S> Unpin for Mp4Stream<S> {}

/// Turns Matroska or WebM into fragmented MP4 while it comes in.
///
/// The first item is the initialization segment, exactly `ftyp` and `moov`; each further one is a
/// fragment of about two seconds, one `moof` and one `mdat`. H.264, H.265, AV1 and VP9 are copied,
/// and so are AAC and Opus; other sound becomes AAC, 48 kHz, stereo, 192 kb/s with the feature
/// `ffmpeg`, and is an error without it.
///
/// ```
/// use std::io;
///
/// use bytes::Bytes;
/// use futures::{StreamExt, stream};
/// use livekit_stream::pipeline::mkv::{TranscodeError, TranscodeOptions, transcode_mkv};
///
/// # futures::executor::block_on(async {
/// let source = stream::iter([Ok(Bytes::new()), io::Result::Ok(Bytes::new())]);
/// let mut mp4 = transcode_mkv(source, TranscodeOptions::default()).expect("good options");
/// while let Some(piece) = mp4.next().await {
///     match piece {
///         Ok(bytes) => println!("{} bytes for the player", bytes.len()),
///         Err(error) => println!("{error}"), // the Matroska input is empty
///     }
/// }
/// # });
/// ```
///
/// The end of the source, wherever it is behind the header, ends the stream with the last whole
/// frame; [`Mp4Stream::stats`] tells what was cut short. An error of the source, or damage that
/// cannot be passed over, is the last item, behind all that could be written.
///
/// # Errors
///
/// [`TranscodeError::Time`] when a duration makes no sense.
pub fn transcode_mkv<S: Stream<Item = io::Result<Bytes>>>(
    source: S,
    options: TranscodeOptions,
) -> Result<Mp4Stream<S>, TranscodeError> {
    Mp4Stream::new(source, options, None)
}

/// Turns a part of a Matroska file into one HLS segment: fragments without an initialization
/// segment, which [`init_segment_mkv`] gives for all of them.
///
/// The source is the file's beginning up to its first cluster, followed by the clusters that the
/// segment needs, from that of its first keyframe on; what they hold beyond the segment is dropped.
/// As tracks are interleaved only roughly, give it some bytes of what follows. Times are the
/// file's: the first picture's decoding time is where the segment begins.
///
/// Segments that follow each other, each beginning with a keyframe, have the samples of the whole
/// file, each once and at its place, also where groups of pictures are open. AAC frames lie where
/// frame after frame from [`Segment::audio_origin_ms`] on puts them; a frame belongs to the
/// segment in which it begins. Sound that has to be encoded is encoded for each segment anew, with
/// frames at the same places; give it one cluster more in front, for a packet that begins before
/// the segment is else silence at its start.
///
/// # Errors
///
/// [`TranscodeError::Time`] when a time makes no sense.
pub fn segment_mkv<S: Stream<Item = io::Result<Bytes>>>(
    source: S,
    segment: Segment,
    options: TranscodeOptions,
) -> Result<Mp4Stream<S>, TranscodeError> {
    Mp4Stream::new(source, options, Some(segment))
}

/// The initialization segment that [`transcode_mkv`] begins with, for [`segment_mkv`]'s segments.
/// Reads no further than it has to: to the first cluster, or to the first keyframe where the
/// header does not describe the pictures.
///
/// # Errors
///
/// As the items of [`transcode_mkv`].
pub async fn init_segment_mkv<S: Stream<Item = io::Result<Bytes>>>(
    source: S,
    options: TranscodeOptions,
) -> Result<Bytes, TranscodeError> {
    let mut mp4 = Mp4Stream::new(source, options, None)?;
    let first = mp4.next().await;
    first.unwrap_or(Err(TranscodeError::Mkv(MkvError::Empty)))
}
