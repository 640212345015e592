//! The uncompressed header (section 6.2), as far as sizes and references need it.

use crate::codec::bits::BitReader;
use crate::frame::VideoSize;

/// `frame_sync_code` (section 7.2).
const SYNC_CODE: u32 = 0x49_83_42;
/// `CS_RGB`.
const RGB: u8 = 7;

/// `color_config` (section 6.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ColorConfig {
    /// Bits a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// `color_space`: 0 unknown, 1 BT.601, 2 BT.709, 5 BT.2020, 7 RGB.
    pub color_space: u8,
    /// Samples use the full range.
    pub full_range: bool,
    /// Chroma has half as many columns.
    pub subsampling_x: bool,
    /// Chroma has half as many rows.
    pub subsampling_y: bool,
}

/// Where a frame's size is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FrameSize {
    /// In its header.
    Explicit(VideoSize),
    /// It is that of the reference frame in this slot, 0 to 7.
    Reference(u8),
}

/// What a frame's uncompressed header tells.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// The profile, 0 to 3.
    pub profile: u8,
    /// Whether decoding can start at this frame.
    pub keyframe: bool,
    /// Whether a picture is to be shown for it: its own, or a reference frame's.
    pub shown: bool,
    /// The reference slots that it is stored in, the lowest bit for slot 0.
    pub refresh: u8,
    /// Its size.
    pub size: FrameSize,
    /// Bit depth, chroma subsampling and colour; only keyframes tell them.
    pub color: Option<ColorConfig>,
}

impl FrameHeader {
    /// Reads a frame's header. `None` when it is cut short, or lacks its marker or sync code.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let mut bits = BitReader::new(frame);
        if bits.take(2)? != 2 {
            return None;
        }
        let profile = bits.byte(1)? | bits.byte(1)? << 1;
        if profile == 3 && bits.flag()? {
            return None;
        }
        let header = |keyframe, shown, refresh, size, color| Self {
            profile,
            keyframe,
            shown,
            refresh,
            size,
            color,
        };
        if bits.flag()? {
            let slot = FrameSize::Reference(bits.byte(3)?);
            return Some(header(false, true, 0, slot, None));
        }
        let keyframe = !bits.flag()?;
        let shown = bits.flag()?;
        let error_resilient = bits.flag()?;
        if keyframe {
            sync_code(&mut bits)?;
            let color = color_config(&mut bits, profile)?;
            let size = explicit_size(&mut bits)?;
            return Some(header(true, shown, 0xff, size, Some(color)));
        }
        let intra_only = !shown && bits.flag()?;
        if !error_resilient {
            bits.skip(2)?; // reset_frame_context
        }
        if intra_only {
            sync_code(&mut bits)?;
            if profile > 0 {
                color_config(&mut bits, profile)?;
            }
            let refresh = bits.byte(8)?;
            let size = explicit_size(&mut bits)?;
            return Some(header(false, shown, refresh, size, None));
        }
        let refresh = bits.byte(8)?;
        let mut slots = [0; 3];
        for slot in &mut slots {
            *slot = bits.byte(3)?;
            bits.skip(1)?; // ref_frame_sign_bias
        }
        let mut size = None;
        for slot in slots {
            if bits.flag()? {
                size = Some(FrameSize::Reference(slot));
                break;
            }
        }
        let size = match size {
            Some(size) => size,
            None => explicit_size(&mut bits)?,
        };
        Some(header(false, shown, refresh, size, None))
    }
}

fn sync_code(bits: &mut BitReader<'_>) -> Option<()> {
    (bits.take(24)? == SYNC_CODE).then_some(())
}

fn color_config(bits: &mut BitReader<'_>, profile: u8) -> Option<ColorConfig> {
    let bit_depth = match profile {
        0 | 1 => 8,
        _ if bits.flag()? => 12,
        _ => 10,
    };
    let color_space = bits.byte(3)?;
    let is_odd = profile % 2 == 1;
    let (full_range, subsampling_x, subsampling_y) = if color_space == RGB {
        (true, false, false)
    } else {
        let full_range = bits.flag()?;
        if is_odd {
            (full_range, bits.flag()?, bits.flag()?)
        } else {
            (full_range, true, true)
        }
    };
    // Profiles 0 and 2 have 4:2:0 alone, 1 and 3 end with a reserved bit.
    if is_odd {
        bits.skip(1)?;
    } else if color_space == RGB {
        return None;
    }
    Some(ColorConfig {
        bit_depth,
        color_space,
        full_range,
        subsampling_x,
        subsampling_y,
    })
}

fn explicit_size(bits: &mut BitReader<'_>) -> Option<FrameSize> {
    Some(FrameSize::Explicit(VideoSize {
        width: bits.take(16)? + 1,
        height: bits.take(16)? + 1,
    }))
}
