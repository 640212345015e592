//! VP8 over RTP (RFC 7741).

use bytes::Bytes;

use super::{DepacketizeError, Depacketized, PictureNumber};
use crate::codec::{Codec, vp8::FrameHeader};
use crate::frame::VideoSize;

/// The payload descriptor (section 4.2), as far as frames need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Descriptor {
    /// Bytes it takes.
    length: usize,
    /// Start of VP8 partition and partition index 0: the frame's first packet.
    frame_start: bool,
    /// The picture ID, which grows by one with each frame.
    picture: Option<PictureNumber>,
}

impl Descriptor {
    /// Reads the descriptor; `None` when the payload ends inside it or right behind it.
    fn parse(payload: &[u8]) -> Option<Self> {
        let first = *payload.first()?;
        let mut length = 1;
        let mut picture = None;
        if first & 0x80 != 0 {
            let extension = *payload.get(1)?;
            length += 1;
            if extension & 0x80 != 0 {
                let id = *payload.get(length)?;
                length += 1;
                picture = Some(PictureNumber::new(id.into(), 7));
                // The M bit makes the picture ID two bytes long.
                if id & 0x80 != 0 {
                    let id = u16::from_be_bytes([id, *payload.get(length)?]);
                    length += 1;
                    picture = Some(PictureNumber::new(id, 15));
                }
            }
            if extension & 0x40 != 0 {
                length += 1; // TL0PICIDX
            }
            if extension & 0x30 != 0 {
                length += 1; // TID, Y and KEYIDX share a byte
            }
        }
        (payload.len() > length).then_some(Self {
            length,
            frame_start: first & 0x17 == 0x10,
            picture,
        })
    }
}

pub(super) fn is_frame_start(payload: &[u8]) -> bool {
    Descriptor::parse(payload).is_some_and(|descriptor| descriptor.frame_start)
}

/// The number of the frame that this payload begins.
pub(super) fn picture_number(payload: &[u8]) -> Option<PictureNumber> {
    let descriptor = Descriptor::parse(payload)?;
    descriptor.picture.filter(|_| descriptor.frame_start)
}

/// Builds VP8 frames; remembers the last keyframe's size.
#[derive(Debug, Default)]
pub(super) struct Vp8Depacketizer {
    size: VideoSize,
}

impl Vp8Depacketizer {
    pub(super) fn depacketize(
        &mut self,
        payloads: &[Bytes],
    ) -> Result<Depacketized, DepacketizeError> {
        let descriptor = |payload: &Bytes| {
            Descriptor::parse(payload).ok_or(DepacketizeError::Truncated(Codec::Vp8, payload.len()))
        };
        let (first, rest) = payloads
            .split_first()
            .ok_or(DepacketizeError::Truncated(Codec::Vp8, 0))?;
        let start = descriptor(first)?;
        if !start.frame_start {
            return Err(DepacketizeError::FrameStart(Codec::Vp8));
        }
        for payload in rest {
            if descriptor(payload)?.frame_start {
                return Err(DepacketizeError::FrameStart(Codec::Vp8));
            }
        }
        let data = join(first.slice(start.length..), rest);
        let header = FrameHeader::parse(&data).ok_or(DepacketizeError::FrameHeader(Codec::Vp8))?;
        if let Some(size) = header.size {
            self.size = size;
        }
        Ok(Depacketized {
            data,
            keyframe: header.keyframe,
            size: self.size,
        })
    }
}

/// A frame that fills one packet shares its memory; others are joined.
fn join(first: Bytes, rest: &[Bytes]) -> Bytes {
    if rest.is_empty() {
        return first;
    }
    let capacity = first.len() + rest.iter().map(Bytes::len).sum::<usize>();
    let mut data = Vec::with_capacity(capacity);
    data.extend_from_slice(&first);
    for payload in rest {
        let length = Descriptor::parse(payload).map_or(0, |descriptor| descriptor.length);
        data.extend_from_slice(payload.get(length..).unwrap_or_default());
    }
    Bytes::from(data)
}
