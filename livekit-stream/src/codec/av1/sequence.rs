//! The sequence header (section 5.5).

use std::fmt::Write as _;

use crate::codec::bits::BitReader;
use crate::frame::VideoSize;

/// `SELECT_SCREEN_CONTENT_TOOLS` and `SELECT_INTEGER_MV`: frames decide for themselves.
pub(super) const SELECT: u8 = 2;

/// Bit depth, chroma subsampling and colour (section 5.5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ColorConfig {
    /// Bits a sample: 8, 10 or 12.
    pub bit_depth: u8,
    /// There is no chroma.
    pub monochrome: bool,
    /// `color_primaries` of ISO/IEC 23091-2; 2 is unspecified.
    pub primaries: u8,
    /// `transfer_characteristics`.
    pub transfer: u8,
    /// `matrix_coefficients`.
    pub matrix: u8,
    /// Samples use the full range.
    pub full_range: bool,
    /// Chroma has half as many columns.
    pub subsampling_x: bool,
    /// Chroma has half as many rows.
    pub subsampling_y: bool,
    /// `chroma_sample_position`: 0 unknown, 1 between luma rows, 2 at the first luma sample.
    pub chroma_sample_position: u8,
}

/// What a sequence header tells.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SequenceHeader {
    /// `seq_profile`: 0 Main, 1 High, 2 Professional.
    pub profile: u8,
    /// `seq_level_idx` of the first operating point: 8 is level 4.0; 31 is no limit.
    pub level: u8,
    /// `seq_tier` of the first operating point.
    pub high_tier: bool,
    /// The largest size of its frames.
    pub max_size: VideoSize,
    /// Bit depth, chroma subsampling and colour.
    pub color: ColorConfig,
    pub(super) reduced: bool,
    /// Bits of `temporal_point_info`, when frames have it.
    pub(super) presentation_time_bits: Option<u32>,
    /// Bits of `buffer_removal_time`, when there is a decoder model.
    pub(super) removal_time_bits: Option<u32>,
    /// For each operating point that has a decoder model: `operating_point_idc`.
    pub(super) modelled_points: Vec<u16>,
    pub(super) width_bits: u32,
    pub(super) height_bits: u32,
    /// Bits of `delta_frame_id` and of `current_frame_id`, when frames have them.
    pub(super) frame_id_bits: Option<(u32, u32)>,
    pub(super) screen_content_tools: u8,
    pub(super) integer_mv: u8,
    /// Zero when frames have no order hints.
    pub(super) order_hint_bits: u32,
}

impl SequenceHeader {
    /// Reads the payload of a sequence header OBU. `None` when it is cut short or reserved values
    /// are used.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let mut bits = BitReader::new(payload);
        let profile = bits.byte(3)?;
        if profile > 2 {
            return None;
        }
        bits.skip(1)?; // still_picture
        let reduced = bits.flag()?;
        let points = if reduced {
            OperatingPoints {
                level: bits.byte(5)?,
                ..OperatingPoints::default()
            }
        } else {
            OperatingPoints::read(&mut bits)?
        };
        let width_bits = bits.take(4)? + 1;
        let height_bits = bits.take(4)? + 1;
        let max_size = VideoSize {
            width: bits.take(width_bits)? + 1,
            height: bits.take(height_bits)? + 1,
        };
        let mut frame_id_bits = None;
        if !reduced && bits.flag()? {
            let delta = bits.take(4)? + 2;
            let additional = bits.take(3)? + 1;
            frame_id_bits = Some((delta, delta + additional));
        }
        bits.skip(3)?; // superblock size, filter intra, intra edge filter
        let (mut screen_content_tools, mut integer_mv) = (SELECT, SELECT);
        let mut order_hint_bits = 0;
        if !reduced {
            bits.skip(4)?; // compound modes, warped motion, dual filter
            let order_hints = bits.flag()?;
            if order_hints {
                bits.skip(2)?; // enable_jnt_comp, enable_ref_frame_mvs
            }
            if !bits.flag()? {
                screen_content_tools = bits.byte(1)?;
            }
            if screen_content_tools > 0 && !bits.flag()? {
                integer_mv = bits.byte(1)?;
            }
            if order_hints {
                order_hint_bits = bits.take(3)? + 1;
            }
        }
        bits.skip(3)?; // super-resolution, CDEF, loop restoration
        let color = color_config(&mut bits, profile)?;
        bits.skip(1)?; // film_grain_params_present
        Some(Self {
            profile,
            level: points.level,
            high_tier: points.high_tier,
            max_size,
            color,
            reduced,
            presentation_time_bits: points.presentation_time_bits,
            removal_time_bits: points.removal_time_bits,
            modelled_points: points.modelled,
            width_bits,
            height_bits,
            frame_id_bits,
            screen_content_tools,
            integer_mv,
            order_hint_bits,
        })
    }

    /// The codec string, such as `av01.0.05M.08` (AV1 Codec ISO Media File Format Binding section
    /// 5). Colour is told when it is not the default.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let color = &self.color;
        let tier = if self.high_tier { 'H' } else { 'M' };
        let mut text = format!(
            "av01.{}.{:02}{tier}.{:02}",
            self.profile, self.level, color.bit_depth
        );
        let points = [color.primaries, color.transfer, color.matrix];
        let chroma = [
            u8::from(color.subsampling_x),
            u8::from(color.subsampling_y),
            color.chroma_sample_position,
        ];
        let is_default = !color.monochrome
            && !color.full_range
            && chroma == [1, 1, 0]
            && matches!(points, [1, 1, 1] | [2, 2, 2]);
        if !is_default {
            let [x, y, position] = chroma;
            let [primaries, transfer, matrix] = points;
            let _ = write!(
                text,
                ".{}.{x}{y}{position}.{primaries:02}.{transfer:02}.{matrix:02}.{}",
                u8::from(color.monochrome),
                u8::from(color.full_range)
            );
        }
        text
    }
}

/// Timing, decoder model and operating points.
#[derive(Default)]
struct OperatingPoints {
    level: u8,
    high_tier: bool,
    presentation_time_bits: Option<u32>,
    removal_time_bits: Option<u32>,
    modelled: Vec<u16>,
}

impl OperatingPoints {
    fn read(bits: &mut BitReader<'_>) -> Option<Self> {
        let mut points = Self::default();
        let mut delay_bits = None;
        if bits.flag()? {
            bits.skip(64)?; // num_units_in_display_tick, time_scale
            let equal_picture_interval = bits.flag()?;
            if equal_picture_interval {
                bits.skip_uvlc()?;
            }
            if bits.flag()? {
                delay_bits = Some(bits.take(5)? as usize + 1);
                bits.skip(32)?; // num_units_in_decoding_tick
                points.removal_time_bits = Some(bits.take(5)? + 1);
                let presentation_time_bits = bits.take(5)? + 1;
                points.presentation_time_bits =
                    (!equal_picture_interval).then_some(presentation_time_bits);
            }
        }
        let display_delays = bits.flag()?;
        for index in 0..=bits.take(5)? {
            let idc = bits.take(12)? as u16;
            let level = bits.byte(5)?;
            let high_tier = level > 7 && bits.flag()?;
            if index == 0 {
                (points.level, points.high_tier) = (level, high_tier);
            }
            if let Some(delay_bits) = delay_bits
                && bits.flag()?
            {
                bits.skip(2 * delay_bits + 1)?; // operating_parameters_info
                points.modelled.push(idc);
            }
            if display_delays && bits.flag()? {
                bits.skip(4)?; // initial_display_delay_minus_1
            }
        }
        Some(points)
    }
}

fn color_config(bits: &mut BitReader<'_>, profile: u8) -> Option<ColorConfig> {
    let high_bit_depth = bits.flag()?;
    let bit_depth = match (high_bit_depth, profile) {
        (false, _) => 8,
        (true, 2) if bits.flag()? => 12,
        (true, _) => 10,
    };
    let monochrome = profile != 1 && bits.flag()?;
    let points = if bits.flag()? {
        [bits.byte(8)?, bits.byte(8)?, bits.byte(8)?]
    } else {
        [2, 2, 2]
    };
    let [primaries, transfer, matrix] = points;
    let mut color = ColorConfig {
        bit_depth,
        monochrome,
        primaries,
        transfer,
        matrix,
        full_range: true,
        subsampling_x: false,
        subsampling_y: false,
        chroma_sample_position: 0,
    };
    if monochrome {
        color.full_range = bits.flag()?;
        (color.subsampling_x, color.subsampling_y) = (true, true);
        return Some(color);
    }
    // BT.709 primaries, sRGB transfer, identity matrix: RGB.
    if points != [1, 13, 0] {
        color.full_range = bits.flag()?;
        (color.subsampling_x, color.subsampling_y) = match (profile, bit_depth) {
            (0, _) => (true, true),
            (1, _) => (false, false),
            (_, 12) if bits.flag()? => (true, bits.flag()?),
            (_, 12) => (false, false),
            _ => (true, false),
        };
        if color.subsampling_x && color.subsampling_y {
            color.chroma_sample_position = bits.byte(2)?;
        }
    }
    bits.skip(1)?; // separate_uv_delta_q
    Some(color)
}
