use bytes::Bytes;

use super::Header;

/// What comes out of a [`Reader`](super::Reader).
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The tracks, once, before any frame.
    Header(Box<Header>),
    /// A frame of one of them.
    Frame(Frame),
}

/// A frame as its block has it. Frames of a track come in decoding order.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Frame {
    /// The number of its track.
    pub track: u64,
    /// Its bytes, with what header stripping took off.
    pub data: Bytes,
    /// When it is shown, in nanoseconds from the segment's beginning and as exact as the header's
    /// `timestamp_scale_ns`. The track's `codec_delay_ns` is still in it.
    pub timestamp_ns: i64,
    /// How long it lasts, where the block or the track says so.
    pub duration_ns: Option<u64>,
    /// Whether decoding can start here, as the file says.
    pub keyframe: bool,
    /// Which frame of its block it is. Those behind the first have no time of their own, but one
    /// reckoned with the track's default duration.
    pub lace_index: u8,
    /// What a decoder is to throw away at its end, in nanoseconds; at its beginning when negative.
    pub discard_padding_ns: i64,
}

/// What a [`Reader`](super::Reader) met. Counts never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Bytes of elements that were read or passed over.
    pub bytes: u64,
    /// Blocks that were cut short or whose lacing made no sense, and were left out.
    pub damaged_blocks: u64,
    /// Bytes passed over because no element began there.
    pub damaged_bytes: u64,
    /// Blocks of tracks that the header does not name.
    pub unknown_track: u64,
    /// The input ended inside an element.
    pub truncated: bool,
}

#[cfg(test)]
impl Frame {
    /// A frame for tests of those who read frames.
    pub(crate) fn of_sound(track: u64, data: Bytes, timestamp_ns: i64, lace_index: u8) -> Self {
        Self {
            track,
            data,
            timestamp_ns,
            duration_ns: None,
            keyframe: true,
            lace_index,
            discard_padding_ns: 0,
        }
    }
}
