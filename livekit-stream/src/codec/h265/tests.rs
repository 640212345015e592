use proptest::prelude::*;

use super::samples::{PPS, SPS, VPS};
use super::*;
use crate::frame::VideoSize;

/// By x265, 10 bits.
const SPS_10_BITS: [u8; 43] = [
    0x42, 0x01, 0x01, 0x02, 0x20, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c, 0xa0, 0x0a, 0x48,
    0x0b, 0x9c, 0x94, 0xd9, 0x65, 0x66, 0x92, 0x4c, 0xaf, 0x01, 0x68, 0x08, 0, 0, 3, 0, 8, 0, 0, 3,
    0, 0xf0,
];

fn annex_b(nal_units: &[&[u8]]) -> Vec<u8> {
    nal_units
        .iter()
        .flat_map(|unit| [&START_CODE, *unit].concat())
        .collect()
}

#[test]
fn a_sequence_parameter_set_tells_profile_and_size() {
    let sps = Sps::parse(&SPS).unwrap();
    let size = VideoSize {
        width: 322,
        height: 182,
    };
    assert_eq!((sps.id, sps.size, sps_size(&SPS)), (0, size, Some(size)));
    assert_eq!((sps.profile, sps.level, sps.high_tier), (1, 60, false));
    assert_eq!(sps.profile_compatibility, 0x6000_0000);
    assert_eq!(sps.constraints, [0x90, 0, 0, 0, 0, 0]);
    assert_eq!((sps.temporal_layers, sps.temporal_id_nested), (1, true));
    assert_eq!(sps.max_num_reorder, Some(2));
    assert_eq!(
        (sps.chroma_format, sps.bit_depth_luma, sps.bit_depth_chroma),
        (1, 8, 8)
    );
    let sps = Sps::parse(&SPS_10_BITS).unwrap();
    assert_eq!((sps.profile, sps.bit_depth_luma, sps.size), (2, 10, size));
}

#[test]
fn codec_strings_are_those_of_annex_e() {
    assert_eq!(Sps::parse(&SPS).unwrap().codec_string(), "1.6.L60.90");
    assert_eq!(
        Sps::parse(&SPS_10_BITS).unwrap().codec_string(),
        "2.4.L60.90"
    );
    let high = Sps {
        profile_space: 1,
        high_tier: true,
        level: 153,
        constraints: [0xb0, 0, 0x23, 0, 0, 0],
        ..Sps::parse(&SPS).unwrap()
    };
    assert_eq!(high.codec_string(), "A1.6.H153.B0.0.23");
}

#[test]
fn sub_layers_are_skipped() {
    // Two temporal layers, the lower with profile and level of its own.
    let mut nal_unit = SPS.to_vec();
    nal_unit[2] = 0x03;
    let at = 18;
    nal_unit.splice(at..at, [[0xc0, 0].as_slice(), &[0x55; 12]].concat());
    let sps = Sps::parse(&nal_unit).unwrap();
    assert_eq!((sps.temporal_layers, sps.size.width), (2, 322));
}

#[test]
fn irap_pictures_are_keyframes() {
    for (kind, keyframe) in [(1, false), (9, false), (16, true), (19, true), (21, true)] {
        let slice = [kind << 1, 1, 0xaf];
        let unit = annex_b(&[&VPS, &SPS, &PPS, &slice]);
        assert_eq!(is_keyframe(&unit), keyframe, "type {kind}");
        assert!(has_vcl(&unit));
    }
    let sets = annex_b(&[&VPS, &SPS, &PPS]);
    assert!(!is_keyframe(&sets) && !has_vcl(&sets));
}

#[test]
fn parameter_sets_are_found_before_the_picture_and_kept_or_left_out() {
    let (delimiter, slice) = ([0x46, 1, 0x10], [0x26, 1, 0xaf, 7]);
    let unit = annex_b(&[&delimiter, &VPS, &SPS, &PPS, &slice]);
    let sets = ParameterSets::from_access_unit(&unit);
    assert!(sets.is_complete());
    assert_eq!((&sets.vps[0][..], &sets.pps[0][..]), (&VPS[..], &PPS[..]));
    assert!(sets.contains(&sets) && !ParameterSets::default().contains(&sets));
    assert_eq!(annexb_to_hvcc(&unit, false), [0, 0, 0, 4, 0x26, 1, 0xaf, 7]);
    let whole = annexb_to_hvcc(&unit, true);
    assert_eq!(whole.len(), 4 * 4 + VPS.len() + SPS.len() + PPS.len() + 4);
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = Sps::parse(&bytes);
        let _ = ParameterSets::from_access_unit(&bytes);
        let _ = annexb_to_hvcc(&bytes, true);
        let _ = is_keyframe(&bytes);
    }

    #[test]
    fn a_damaged_sequence_parameter_set_never_panics(
        at in 2..42_usize, value: u8, cut in 0..=42_usize
    ) {
        let mut nal_unit = SPS;
        nal_unit[at] = value;
        if let Some(sps) = Sps::parse(&nal_unit[..cut]) {
            prop_assert!(sps.size.width <= 0x1_0000 && !sps.codec_string().is_empty());
        }
    }
}
