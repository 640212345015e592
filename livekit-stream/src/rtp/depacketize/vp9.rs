//! VP9 over RTP (RFC 9628), in flexible and non-flexible mode, with spatial layers.
//!
//! A picture is all packets of one timestamp: one frame for each spatial layer that is sent.

use bytes::Bytes;

use super::{DepacketizeError, Depacketized, PictureNumber};
use crate::codec::Codec;
use crate::codec::vp9::{FrameHeader, MAX_INDEX, References, append_index, frames, hide};
use crate::frame::VideoSize;

/// The payload descriptor (section 4.2), as far as frames need it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Descriptor {
    /// Bytes it takes.
    length: usize,
    /// B: the first packet of a layer's frame.
    layer_start: bool,
    /// SID: the spatial layer; 0 when it is not told.
    spatial_id: u8,
    /// The picture ID, the same in all layers.
    picture: Option<PictureNumber>,
}

impl Descriptor {
    /// Reads the descriptor; `None` when the payload ends inside it or right behind it.
    fn parse(payload: &[u8]) -> Option<Self> {
        let mut rest = payload;
        let mut next = || {
            let (byte, after) = rest.split_first()?;
            rest = after;
            Some(*byte)
        };
        let first = next()?;
        let flag = |mask: u8| first & mask != 0;
        let (inter_picture, flexible) = (flag(0x40), flag(0x10));
        let mut picture = None;
        if flag(0x80) {
            let id = next()?;
            picture = Some(PictureNumber::new(id.into(), 7));
            // The M bit makes the picture ID two bytes long.
            if id & 0x80 != 0 {
                picture = Some(PictureNumber::new(u16::from_be_bytes([id, next()?]), 15));
            }
        }
        let mut spatial_id = 0;
        if flag(0x20) {
            spatial_id = next()? >> 1 & 7;
            if !flexible {
                next()?; // TL0PICIDX
            }
        }
        if inter_picture && flexible {
            // P_DIFF, up to three times as long as its N bit is set.
            for _ in 0..3 {
                if next()? & 1 == 0 {
                    break;
                }
            }
        }
        if flag(0x02) {
            let structure = next()?;
            if structure & 0x10 != 0 {
                for _ in 0..4 * (usize::from(structure >> 5) + 1) {
                    next()?; // WIDTH and HEIGHT of each layer
                }
            }
            if structure & 0x08 != 0 {
                for _ in 0..next()? {
                    for _ in 0..next()? >> 2 & 3 {
                        next()?; // P_DIFF
                    }
                }
            }
        }
        (!rest.is_empty()).then(|| Self {
            length: payload.len() - rest.len(),
            layer_start: flag(0x08),
            spatial_id,
            picture,
        })
    }
}

/// The lowest layer's first packet begins a picture. In pictures that lack the lowest layer the
/// first packet cannot be told from that of a higher layer.
pub(super) fn is_frame_start(payload: &[u8]) -> bool {
    Descriptor::parse(payload)
        .is_some_and(|descriptor| descriptor.layer_start && descriptor.spatial_id == 0)
}

/// The number of the picture that this payload begins.
pub(super) fn picture_number(payload: &[u8]) -> Option<PictureNumber> {
    let descriptor = Descriptor::parse(payload)?;
    let starts = descriptor.layer_start && descriptor.spatial_id == 0;
    descriptor.picture.filter(|_| starts)
}

/// Builds superframes; remembers the sizes of reference frames.
#[derive(Debug, Default)]
pub(super) struct Vp9Depacketizer {
    references: References,
}

impl Vp9Depacketizer {
    pub(super) fn depacketize(
        &mut self,
        payloads: &[Bytes],
    ) -> Result<Depacketized, DepacketizeError> {
        let descriptor = |payload: &Bytes| {
            Descriptor::parse(payload).ok_or(DepacketizeError::Truncated(Codec::Vp9, payload.len()))
        };
        if let [payload] = payloads {
            let descriptor = descriptor(payload)?;
            if !descriptor.layer_start {
                return Err(DepacketizeError::FrameStart(Codec::Vp9));
            }
            // A picture of one packet shares its memory.
            let data = payload.slice(descriptor.length..);
            let (keyframe, sizes) = self.inspect(&[&data])?;
            return Ok(depacketized(data, keyframe, &sizes));
        }
        let length: usize = payloads.iter().map(Bytes::len).sum();
        let mut data = Vec::with_capacity(length);
        let mut starts = Vec::new();
        for payload in payloads {
            let descriptor = descriptor(payload)?;
            if descriptor.layer_start {
                starts.push(data.len());
            } else if starts.is_empty() {
                return Err(DepacketizeError::FrameStart(Codec::Vp9));
            }
            data.extend_from_slice(payload.get(descriptor.length..).unwrap_or_default());
        }
        let ends = starts.iter().skip(1).copied().chain([data.len()]);
        let layers: Vec<&[u8]> = starts
            .iter()
            .zip(ends)
            .filter_map(|(start, end)| data.get(*start..end))
            .collect();
        let (keyframe, sizes) = self.inspect(&layers)?;
        if layers.len() > 1 {
            let damaged = DepacketizeError::FrameHeader(Codec::Vp9);
            data = superframe(&layers, &sizes).ok_or(damaged)?;
        }
        Ok(depacketized(Bytes::from(data), keyframe, &sizes))
    }

    /// Whether decoding can start at these layers' frames, and each one's size.
    fn inspect(&mut self, layers: &[&[u8]]) -> Result<(bool, Vec<VideoSize>), DepacketizeError> {
        let damaged = DepacketizeError::FrameHeader(Codec::Vp9);
        let mut keyframe = None;
        let mut sizes = Vec::with_capacity(layers.len());
        for layer in layers {
            let frames = frames(layer).ok_or(damaged)?;
            // A superframe within a superframe cannot be told apart.
            if layers.len() > 1 && frames.len() > 1 {
                return Err(damaged);
            }
            for frame in frames {
                let header = FrameHeader::parse(frame).ok_or(damaged)?;
                keyframe.get_or_insert(header.keyframe);
                sizes.push(self.references.update(&header));
            }
        }
        Ok((keyframe.ok_or(damaged)?, sizes))
    }
}

fn depacketized(data: Bytes, keyframe: bool, sizes: &[VideoSize]) -> Depacketized {
    Depacketized {
        data,
        keyframe,
        size: sizes.last().copied().unwrap_or_default(),
    }
}

/// The superframe of these layers' frames. A superframe shows one picture (annex B), but browsers
/// send every layer's as one that is shown, and most decoders would show them all: the lower ones
/// are hidden.
fn superframe(layers: &[&[u8]], sizes: &[VideoSize]) -> Option<Vec<u8>> {
    let length: usize = layers.iter().map(|layer| layer.len() + 1).sum();
    let mut data = Vec::with_capacity(length + MAX_INDEX);
    let mut lengths = Vec::with_capacity(layers.len());
    for (index, (layer, size)) in layers.iter().zip(sizes).enumerate() {
        let hidden = if index + 1 < layers.len() {
            hide(layer, size.width)
        } else {
            None
        };
        let frame = hidden.as_deref().unwrap_or(layer);
        data.extend_from_slice(frame);
        lengths.push(frame.len());
    }
    append_index(&mut data, &lengths).map(|()| data)
}
