//! The sequence parameter set as far as this crate needs it (ITU-T H.264 section 7.3.2.1.1).

use h264_reader::nal::sps::{ChromaFormat, ChromaInfo, ProfileIdc};
use h264_reader::rbsp::{BitRead, BitReader, ByteReader};

use crate::frame::VideoSize;

/// What a sequence parameter set tells about profile and pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Sps {
    /// `profile_idc`: 66 Baseline, 77 Main, 100 High.
    pub profile: u8,
    /// The byte of the `constraint_set` flags.
    pub constraints: u8,
    /// `level_idc`: ten times the level.
    pub level: u8,
    /// `chroma_format_idc`: 0 monochrome, 1 4:2:0, 2 4:2:2, 3 4:4:4.
    pub chroma_format: u8,
    /// Bits a luma sample, 8 to 14.
    pub bit_depth_luma: u8,
    /// Bits a chroma sample, 8 to 14.
    pub bit_depth_chroma: u8,
    /// The cropped picture.
    pub size: VideoSize,
}

impl Sps {
    /// Reads a sequence parameter set: a NAL unit with its header byte and emulation prevention
    /// bytes, without start code. `None` when it is not one or is damaged.
    ///
    /// Nothing behind the cropping rectangle is read, and sizes above the level's limit are
    /// accepted: WebRTC senders announce level 3.1 and send more.
    #[must_use]
    pub fn parse(nal_unit: &[u8]) -> Option<Self> {
        if nal_unit.first()? & 0x1f != 7 {
            return None;
        }
        let mut bits = BitReader::new(ByteReader::skipping_h264_header(nal_unit));
        let profile: u8 = bits.read::<8, u8>("profile_idc").ok()?;
        let constraints: u8 = bits.read::<8, u8>("constraint_set_flags").ok()?;
        let level: u8 = bits.read::<8, u8>("level_idc").ok()?;
        bits.read_ue("seq_parameter_set_id").ok()?;
        let chroma = ChromaInfo::read(&mut bits, ProfileIdc::from(profile)).ok()?;
        bits.read_ue("log2_max_frame_num_minus4").ok()?;
        skip_picture_order_count(&mut bits)?;
        bits.read_ue("max_num_ref_frames").ok()?;
        bits.read_bit("gaps_in_frame_num_value_allowed_flag").ok()?;
        let width_in_mbs = bits.read_ue("pic_width_in_mbs_minus1").ok()?;
        let height_in_map_units = bits.read_ue("pic_height_in_map_units_minus1").ok()?;
        let frames_only = bits.read_bit("frame_mbs_only_flag").ok()?;
        if !frames_only {
            bits.read_bit("mb_adaptive_frame_field_flag").ok()?;
        }
        bits.read_bit("direct_8x8_inference_flag").ok()?;
        let mut crop = [0; 4];
        if bits.read_bit("frame_cropping_flag").ok()? {
            for side in &mut crop {
                *side = bits.read_ue("frame_crop_offset").ok()?;
            }
        }

        // Units of the cropping offsets: section 7.4.2.1.1, formulas 7-19 to 7-22.
        let fields = if frames_only { 1 } else { 2 };
        let (unit_x, unit_y) = match chroma.chroma_format {
            _ if chroma.separate_colour_plane_flag => (1, fields),
            ChromaFormat::Monochrome | ChromaFormat::YUV444 => (1, fields),
            ChromaFormat::YUV422 => (2, fields),
            ChromaFormat::YUV420 => (2, 2 * fields),
            ChromaFormat::Invalid(_) => return None,
        };
        let [left, right, top, bottom] = crop.map(u64::from);
        let width = cropped(u64::from(width_in_mbs), 16, (left + right) * unit_x)?;
        let height = cropped(
            u64::from(height_in_map_units),
            16 * fields,
            (top + bottom) * unit_y,
        )?;
        Some(Self {
            profile,
            constraints,
            level,
            chroma_format: u8::try_from(chroma.chroma_format.to_u32()).ok()?,
            bit_depth_luma: chroma.bit_depth_luma_minus8 + 8,
            bit_depth_chroma: chroma.bit_depth_chroma_minus8 + 8,
            size: VideoSize { width, height },
        })
    }

    /// The codec string's part behind `avc1.` or `avc3.`, such as `42e01f` (RFC 6381 section 3.3).
    #[must_use]
    pub fn codec_string(&self) -> String {
        format!(
            "{:02x}{:02x}{:02x}",
            self.profile, self.constraints, self.level
        )
    }
}

/// The size of the pictures that a sequence parameter set describes, cropped; `None` when it
/// cannot be read.
#[must_use]
pub fn sps_size(nal_unit: &[u8]) -> Option<VideoSize> {
    Sps::parse(nal_unit).map(|sps| sps.size)
}

/// `(minus1 + 1) * unit - crop`, when that is a size of at least one pixel and at most 2^16, more
/// than any level has.
fn cropped(minus1: u64, unit: u64, crop: u64) -> Option<u32> {
    let coded = (minus1 + 1).checked_mul(unit)?;
    let size = coded.checked_sub(crop)?;
    u32::try_from(size)
        .ok()
        .filter(|n| (1..=0x1_0000).contains(n))
}

fn skip_picture_order_count<R: BitRead>(bits: &mut R) -> Option<()> {
    match bits.read_ue("pic_order_cnt_type").ok()? {
        0 => {
            bits.read_ue("log2_max_pic_order_cnt_lsb_minus4").ok()?;
        }
        1 => {
            bits.read_bit("delta_pic_order_always_zero_flag").ok()?;
            bits.read_se("offset_for_non_ref_pic").ok()?;
            bits.read_se("offset_for_top_to_bottom_field").ok()?;
            let cycle = bits.read_ue("num_ref_frames_in_pic_order_cnt_cycle").ok()?;
            if cycle > 255 {
                return None;
            }
            for _ in 0..cycle {
                bits.read_se("offset_for_ref_frame").ok()?;
            }
        }
        2 => {}
        _ => return None,
    }
    Some(())
}
