//! Encoded frames: the spine of the crate.

use bytes::Bytes;

use super::VideoRotation;
use crate::codec::Codec;

/// Width and height of a picture in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct VideoSize {
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
}

/// One encoded frame: a picture's access unit, or a packet of sound. Clones share the payload.
///
/// The form of `data` is said at each [`Codec`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EncodedFrame {
    /// How `data` is encoded.
    pub codec: Codec,
    /// The frame's bytes.
    pub data: Bytes,
    /// Whether decoding can start here. Always true for audio.
    pub keyframe: bool,
    /// Presentation time in microseconds on the room's media clock.
    pub timestamp_us: i64,
    /// How to turn the picture; `Deg0` for audio.
    pub rotation: VideoRotation,
    /// The picture's size; zero for audio, and for a picture whose size is not known yet.
    pub size: VideoSize,
    /// RTP packets that were lost for good between the frame delivered before and this one.
    /// A video frame that follows a loss is always a keyframe: what cannot be decoded is not
    /// delivered.
    pub lost_packets: u32,
}
