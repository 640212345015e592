//! How far decoding and output order may differ (ITU-T H.264 annex E.2.1).

use h264_reader::nal::sps::{PicOrderCntType, SeqParameterSet};
use h264_reader::rbsp::{BitReader, ByteReader};

/// How many pictures may stand before one that is shown earlier: `max_num_reorder_frames` of a
/// sequence parameter set, a NAL unit with its header and emulation prevention bytes. 0 for
/// profiles and picture order counts without reordering; `None` when nothing is said, and any
/// number up to 16 is possible, or the set cannot be read.
#[must_use]
pub fn max_num_reorder(sps: &[u8]) -> Option<u8> {
    /// `constraint_set3_flag`, with which these profiles have intra pictures alone (annex A.2).
    const INTRA_ONLY: u8 = 0b0001_0000;
    let [header, profile, constraints, ..] = sps else {
        return None;
    };
    if header & 0x1f != 7 {
        return None;
    }
    // Baseline has no B slices (annex A.2.1).
    if *profile == 66 {
        return Some(0);
    }
    if matches!(profile, 44 | 86 | 100 | 110 | 122 | 244) && constraints & INTRA_ONLY != 0 {
        return Some(0);
    }
    let set = SeqParameterSet::from_bits(BitReader::new(ByteReader::skipping_h264_header(sps)));
    let set = set.ok()?;
    // Output order is decoding order (section 8.2.1.3).
    if matches!(set.pic_order_cnt, PicOrderCntType::TypeTwo) {
        return Some(0);
    }
    let restrictions = set.vui_parameters?.bitstream_restrictions?;
    u8::try_from(restrictions.max_num_reorder_frames).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Of x264: three B-frames, the middle one a reference.
    const PYRAMID: [u8; 26] = [
        0x67, 0x64, 0x00, 0x0c, 0xac, 0xd9, 0x41, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03,
        0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0x99, 0x60,
    ];
    /// Three B-frames, none a reference.
    const B_FRAMES: [u8; 24] = [
        0x67, 0x64, 0x00, 0x0c, 0xac, 0xd3, 0x05, 0x06, 0x7e, 0x7c, 0x04, 0x40, 0x00, 0x00, 0x03,
        0x00, 0x40, 0x00, 0x00, 0x0c, 0x83, 0xc5, 0x0a, 0x4e,
    ];
    const MAIN: [u8; 25] = [
        0x67, 0x4d, 0x40, 0x0c, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0x00, 0x00, 0x03, 0x00,
        0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x42, 0xa4, 0x80,
    ];

    #[test]
    fn the_set_tells_how_many_pictures_come_early() {
        assert_eq!(max_num_reorder(&PYRAMID), Some(2));
        assert_eq!(max_num_reorder(&B_FRAMES), Some(1));
        assert_eq!(max_num_reorder(&MAIN), Some(0));
        assert_eq!(max_num_reorder(&[0x67, 66, 0]), Some(0));
        assert_eq!(max_num_reorder(&[0x67, 110, 0x10]), Some(0));
    }

    #[test]
    fn a_set_that_cannot_be_read_tells_nothing() {
        assert_eq!(max_num_reorder(&[]), None);
        assert_eq!(max_num_reorder(&[0x68, 66, 0]), None);
        assert_eq!(max_num_reorder(&PYRAMID[..12]), None);
    }
}
