//! The frame header up to the frame's size (section 5.9.2).

use super::sequence::{SELECT, SequenceHeader};
use crate::codec::bits::BitReader;
use crate::frame::VideoSize;

/// `frame_type` (section 6.8.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameType {
    /// 0: refers to nothing.
    Key,
    /// 1: refers to frames before.
    Inter,
    /// 2: refers to nothing, and leaves references as they are.
    IntraOnly,
    /// 3: refers to frames of another layer.
    Switch,
    /// A frame that was decoded before is shown; it may be a keyframe.
    Existing,
}

/// Where a frame's size is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameSize {
    /// In its header or in the sequence's.
    Explicit(VideoSize),
    /// It is that of the reference frame in this slot, 0 to 7.
    Reference(u8),
    /// It is that of a reference frame whose slot follows from the order of all.
    Unknown,
}

/// What a frame's header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// What it refers to.
    pub kind: FrameType,
    /// Whether it is shown now.
    pub shown: bool,
    /// The reference slots that it is stored in, the lowest bit for slot 0.
    pub refresh: u8,
    /// Its size before super-resolution scales it down.
    pub size: FrameSize,
}

impl FrameHeader {
    /// Reads the payload of an OBU of a frame, or of a frame's header, in these layers. `None` when
    /// it is cut short.
    #[must_use]
    pub fn parse(
        payload: &[u8],
        sequence: &SequenceHeader,
        temporal_id: u8,
        spatial_id: u8,
    ) -> Option<Self> {
        let mut bits = BitReader::new(payload);
        let (mut kind, mut shown) = (FrameType::Key, true);
        let mut error_resilient = true;
        if !sequence.reduced {
            if bits.flag()? {
                return Some(Self {
                    kind: FrameType::Existing,
                    shown: true,
                    refresh: 0,
                    size: FrameSize::Reference(bits.byte(3)?),
                });
            }
            kind = match bits.take(2)? {
                0 => FrameType::Key,
                1 => FrameType::Inter,
                2 => FrameType::IntraOnly,
                _ => FrameType::Switch,
            };
            shown = bits.flag()?;
            if shown {
                bits.skip(sequence.presentation_time_bits.unwrap_or(0) as usize)?;
            } else {
                bits.skip(1)?; // showable_frame
            }
            error_resilient =
                kind == FrameType::Switch || (kind == FrameType::Key && shown) || bits.flag()?;
        }
        let is_intra = matches!(kind, FrameType::Key | FrameType::IntraOnly);
        bits.skip(1)?; // disable_cdf_update
        let screen_content_tools = match sequence.screen_content_tools {
            SELECT => bits.flag()?,
            value => value == 1,
        };
        if screen_content_tools && sequence.integer_mv == SELECT {
            bits.skip(1)?; // force_integer_mv
        }
        bits.skip(sequence.frame_id_bits.map_or(0, |(_, bits)| bits as usize))?;
        let size_override = kind == FrameType::Switch || (!sequence.reduced && bits.flag()?);
        bits.skip(sequence.order_hint_bits as usize)?;
        if !is_intra && !error_resilient {
            bits.skip(3)?; // primary_ref_frame
        }
        if let Some(length) = sequence.removal_time_bits
            && bits.flag()?
        {
            for &idc in &sequence.modelled_points {
                let in_layers = idc >> temporal_id & 1 == 1 && idc >> (spatial_id + 8) & 1 == 1;
                if idc == 0 || in_layers {
                    bits.skip(length as usize)?;
                }
            }
        }
        let refreshes_all = kind == FrameType::Switch || (kind == FrameType::Key && shown);
        let refresh = if refreshes_all { 0xff } else { bits.byte(8)? };
        if (!is_intra || refresh != 0xff) && error_resilient {
            bits.skip(8 * sequence.order_hint_bits as usize)?; // ref_order_hint
        }
        let size = if is_intra {
            FrameSize::Explicit(explicit_size(&mut bits, sequence, size_override)?)
        } else {
            let by_reference = size_override && !error_resilient;
            inter_size(&mut bits, sequence, size_override, by_reference)?
        };
        Some(Self {
            kind,
            shown,
            refresh,
            size,
        })
    }

    /// Whether decoding can start at this frame, given its sequence header.
    #[must_use]
    pub fn is_keyframe(&self) -> bool {
        self.kind == FrameType::Key && self.shown
    }
}

fn inter_size(
    bits: &mut BitReader<'_>,
    sequence: &SequenceHeader,
    size_override: bool,
    by_reference: bool,
) -> Option<FrameSize> {
    let short = sequence.order_hint_bits > 0 && bits.flag()?;
    if short {
        bits.skip(6)?; // last_frame_idx, gold_frame_idx
    }
    let mut slots = [None; 7];
    for slot in &mut slots {
        if !short {
            *slot = Some(bits.byte(3)?);
        }
        bits.skip(sequence.frame_id_bits.map_or(0, |(bits, _)| bits as usize))?;
    }
    if by_reference {
        for slot in slots {
            if bits.flag()? {
                return Some(slot.map_or(FrameSize::Unknown, FrameSize::Reference));
            }
        }
    }
    explicit_size(bits, sequence, size_override).map(FrameSize::Explicit)
}

fn explicit_size(
    bits: &mut BitReader<'_>,
    sequence: &SequenceHeader,
    size_override: bool,
) -> Option<VideoSize> {
    if !size_override {
        return Some(sequence.max_size);
    }
    Some(VideoSize {
        width: bits.take(sequence.width_bits)? + 1,
        height: bits.take(sequence.height_bits)? + 1,
    })
}
