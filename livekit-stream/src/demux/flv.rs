//! FLV (Adobe Flash Video File Format 10.1, annex E) and what Enhanced RTMP v2 adds to it: the
//! bodies of tags, which are also RTMP's audio, video and data messages, and the tags of a file.
//!
//! H.264 and AAC come as the format of 2010 has them or by FourCC, H.265, AV1, VP9, VP8 and Opus by
//! FourCC. Of several tracks the first one (track 0) is read; the others are counted.
//!
//! ```
//! use livekit_stream::demux::flv::{Demuxer, Item, TagReader};
//! use livekit_stream::mux::flv::{TagKind, file_header, tag};
//!
//! let mut reader = TagReader::default();
//! reader.push(&file_header(true, false));
//! // A keyframe of VP8 by FourCC.
//! let body = [b"\x91vp08".as_slice(), &[0x10, 2, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0]].concat();
//! reader.push(&tag(TagKind::Video, 40, &body)?);
//!
//! let mut demuxer = Demuxer::default();
//! let mut items = Vec::new();
//! while let Some(tag) = reader.next_tag()? {
//!     demuxer.push(tag.kind, tag.timestamp_ms, &tag.body, &mut items)?;
//! }
//! let [Item::Frame(frame)] = &items[..] else { panic!("{items:?}") };
//! assert!(frame.frame.keyframe);
//! assert_eq!(frame.frame.timestamp_us, 40_000);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod audio;
mod enhanced;
mod error;
mod metadata;
mod tag;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
mod video;

use bytes::Bytes;

pub use error::FlvError;
pub use metadata::Metadata;
pub use tag::{Tag, TagReader};

use crate::frame::EncodedFrame;
use crate::mux::AudioTrack;
pub use crate::mux::flv::TagKind;

/// A frame and when it is decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The frame; its time is when it is shown. H.264 and H.265 keyframes carry their parameter
    /// sets.
    pub frame: EncodedFrame,
    /// When it is decoded: pictures that others in front of them refer to come earlier than they
    /// are shown. Within a track it only grows, unless the sender's clock is set back by more than
    /// a second, as when another sender takes over.
    pub decode_timestamp_us: i64,
}

/// What the body of a tag gave.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Item {
    /// A picture or a packet of sound.
    Frame(Frame),
    /// What the sound that follows is.
    AudioTrack(AudioTrack),
    /// `onMetaData`.
    Metadata(Metadata),
}

/// Counts of a [`Demuxer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Frames given out.
    pub frames: u64,
    /// Frames of other tracks than the first.
    pub other_tracks: u64,
    /// Frames that came before the configuration they need.
    pub without_configuration: u64,
}

/// Reads the bodies of one stream's tags.
#[derive(Debug, Default)]
pub struct Demuxer {
    clock: Clock,
    video: video::Video,
    audio: audio::Audio,
    stats: Stats,
}

impl Demuxer {
    /// Reads one body and appends what is in it to `out`. `timestamp_ms` wraps after 49 days; the
    /// frames' times go on.
    ///
    /// # Errors
    ///
    /// When the body is cut short, or of a codec that this crate does not have. The demuxer stays
    /// usable.
    pub fn push(
        &mut self,
        kind: TagKind,
        timestamp_ms: u32,
        body: &Bytes,
        out: &mut Vec<Item>,
    ) -> Result<(), FlvError> {
        let (time_ms, restarted) = self.clock.extend(timestamp_ms);
        if restarted {
            self.video.restart();
            self.audio.restart();
        }
        let time_us = time_ms.saturating_mul(1_000);
        match kind {
            TagKind::Video => self.video.push(time_us, body, &mut self.stats, out),
            TagKind::Audio => self.audio.push(time_us, body, &mut self.stats, out),
            TagKind::Script => {
                out.extend(Metadata::parse(body)?.map(Item::Metadata));
                Ok(())
            }
        }
    }

    /// What was read so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }
}

/// A step back that is no jitter: another sender has taken over.
const RESTART_MS: i32 = 1_000;

/// Milliseconds of 32 bits to ones that do not wrap.
#[derive(Debug, Default)]
struct Clock(Option<i64>);

impl Clock {
    /// The time, and whether it was set back.
    fn extend(&mut self, timestamp_ms: u32) -> (i64, bool) {
        let (extended, restarted) = match self.0 {
            None => (i64::from(timestamp_ms), false),
            Some(last) => {
                let step = timestamp_ms.wrapping_sub(last as u32).cast_signed();
                (last.saturating_add(i64::from(step)), step < -RESTART_MS)
            }
        };
        self.0 = Some(extended);
        (extended, restarted)
    }
}
