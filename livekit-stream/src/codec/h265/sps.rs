//! The sequence parameter set as far as this crate needs it (ITU-T H.265 section 7.3.2.2.1).

use std::fmt::Write as _;

use crate::codec::bits::BitReader;
use crate::frame::VideoSize;

/// Bytes of a sequence parameter set that are looked at: what is read here ends after at most 120,
/// emulation prevention included.
const EXAMINED: usize = 256;

/// What a sequence parameter set tells about profile and pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sps {
    /// `sps_seq_parameter_set_id`, 0 to 15.
    pub id: u8,
    /// `sps_max_sub_layers_minus1` plus one: temporal layers, 1 to 7.
    pub temporal_layers: u8,
    /// `sps_temporal_id_nesting_flag`.
    pub temporal_id_nested: bool,
    /// `general_profile_space`, 0 to 3.
    pub profile_space: u8,
    /// `general_tier_flag`: high tier.
    pub high_tier: bool,
    /// `general_profile_idc`: 1 Main, 2 Main 10.
    pub profile: u8,
    /// The `general_profile_compatibility_flag`s, that of profile 0 in the highest bit.
    pub profile_compatibility: u32,
    /// The six bytes of `general_progressive_source_flag` and what follows it.
    pub constraints: [u8; 6],
    /// `general_level_idc`: thirty times the level.
    pub level: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits a luma sample, 8 to 16.
    pub bit_depth_luma: u8,
    /// Bits a chroma sample, 8 to 16.
    pub bit_depth_chroma: u8,
    /// The picture within the conformance window.
    pub size: VideoSize,
    /// `sps_max_num_reorder_pics` of the highest temporal layer: how many pictures may stand
    /// before one that is shown earlier. `None` when the set ends before it.
    pub max_num_reorder: Option<u8>,
}

impl Sps {
    /// Reads a sequence parameter set: a NAL unit with its header and emulation prevention bytes,
    /// without start code. `None` when it is not one or is damaged.
    #[must_use]
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        let (header, body) = nal_unit.split_first_chunk::<2>()?;
        if (header[0] >> 1) & 0x3f != 33 {
            return None;
        }
        let rbsp = unescape(&body[..body.len().min(EXAMINED)]);
        let mut bits = BitReader::new(&rbsp);
        bits.skip(4)?; // sps_video_parameter_set_id
        let max_sub_layers_minus1 = bits.byte(3)?;
        let temporal_id_nested = bits.flag()?;
        let profile_space = bits.byte(2)?;
        let high_tier = bits.flag()?;
        let profile = bits.byte(5)?;
        let profile_compatibility = bits.take(32)?;
        let mut constraints = [0; 6];
        for byte in &mut constraints {
            *byte = bits.byte(8)?;
        }
        let level = bits.byte(8)?;
        skip_sub_layers(&mut bits, max_sub_layers_minus1)?;
        let id = u8::try_from(bits.exp_golomb()?)
            .ok()
            .filter(|id| *id < 16)?;
        let chroma_format = u8::try_from(bits.exp_golomb()?).ok()?;
        let separate_colour_planes = chroma_format == 3 && bits.flag()?;
        let width = bits.exp_golomb()?;
        let height = bits.exp_golomb()?;
        let mut window = [0; 4];
        if bits.flag()? {
            for side in &mut window {
                *side = bits.exp_golomb()?;
            }
        }
        let bit_depth_luma = bit_depth(&mut bits)?;
        let bit_depth_chroma = bit_depth(&mut bits)?;

        // Units of the conformance window: table 6-1.
        let (unit_x, unit_y) = match chroma_format {
            _ if separate_colour_planes => (1, 1),
            0 | 3 => (1, 1),
            1 => (2, 2),
            2 => (2, 1),
            _ => return None,
        };
        let [left, right, top, bottom] = window.map(u64::from);
        let max_num_reorder = max_num_reorder(&mut bits, max_sub_layers_minus1);
        Some(Self {
            id,
            temporal_layers: max_sub_layers_minus1 + 1,
            temporal_id_nested,
            profile_space,
            high_tier,
            profile,
            profile_compatibility,
            constraints,
            level,
            chroma_format,
            bit_depth_luma,
            bit_depth_chroma,
            size: VideoSize {
                width: cropped(width, (left + right) * unit_x)?,
                height: cropped(height, (top + bottom) * unit_y)?,
            },
            max_num_reorder,
        })
    }

    /// The codec string's part behind `hvc1.` or `hev1.`, such as `1.6.L93.B0` (ISO/IEC 14496-15
    /// annex E.3).
    #[must_use]
    pub fn codec_string(&self) -> String {
        let space = match self.profile_space {
            1 => "A",
            2 => "B",
            3 => "C",
            _ => "",
        };
        let tier = if self.high_tier { 'H' } else { 'L' };
        let mut text = format!(
            "{space}{}.{:x}.{tier}{}",
            self.profile,
            self.profile_compatibility.reverse_bits(),
            self.level
        );
        let used = self.constraints.iter().rposition(|byte| *byte != 0);
        for byte in &self.constraints[..used.map_or(0, |last| last + 1)] {
            let _ = write!(text, ".{byte:X}");
        }
        text
    }
}

/// The size of the pictures that a sequence parameter set describes; `None` when it cannot be
/// read.
#[must_use]
pub fn sps_size(nal_unit: &[u8]) -> Option<VideoSize> {
    Sps::parse(nal_unit).map(|sps| sps.size)
}

/// The part of `profile_tier_level` behind the general level (section 7.3.3).
fn skip_sub_layers(bits: &mut BitReader<'_>, count: u8) -> Option<()> {
    if count == 0 {
        return Some(());
    }
    let mut length = 0;
    for _ in 0..count {
        let profile = if bits.flag()? { 88 } else { 0 };
        let level = if bits.flag()? { 8 } else { 0 };
        length += profile + level;
    }
    // The flags are filled up to eight pairs.
    bits.skip(2 * (8 - usize::from(count)) + length)
}

/// From `log2_max_pic_order_cnt_lsb_minus4` on to the last layer's `sps_max_num_reorder_pics`.
fn max_num_reorder(bits: &mut BitReader<'_>, max_sub_layers_minus1: u8) -> Option<u8> {
    bits.exp_golomb()?;
    let layers = if bits.flag()? {
        max_sub_layers_minus1 + 1
    } else {
        1
    };
    let mut reorder = None;
    for _ in 0..layers {
        bits.exp_golomb()?; // sps_max_dec_pic_buffering_minus1
        reorder = Some(bits.exp_golomb()?);
        bits.exp_golomb()?; // sps_max_latency_increase_plus1
    }
    // Section 7.4.3.2.1: less than the decoded picture buffer, which holds 16 at most.
    reorder.and_then(|count| u8::try_from(count).ok().filter(|count| *count < 16))
}

fn bit_depth(bits: &mut BitReader<'_>) -> Option<u8> {
    let minus8 = u8::try_from(bits.exp_golomb()?).ok()?;
    (minus8 <= 8).then(|| minus8 + 8)
}

/// A side of the picture, of at least one pixel and at most 2^16, more than any level has.
fn cropped(coded: u32, crop: u64) -> Option<u32> {
    let size = u64::from(coded).checked_sub(crop)?;
    u32::try_from(size)
        .ok()
        .filter(|n| (1..=0x1_0000).contains(n))
}

/// Takes out emulation prevention bytes (section 7.4.2.1).
fn unescape(body: &[u8]) -> Vec<u8> {
    let mut rbsp = Vec::with_capacity(body.len());
    let mut zeros = 0;
    for &byte in body {
        if zeros >= 2 && byte == 3 {
            zeros = 0;
            continue;
        }
        zeros = if byte == 0 { zeros + 1 } else { 0 };
        rbsp.push(byte);
    }
    rbsp
}
