use proptest::prelude::*;

use super::*;
use crate::frame::VideoSize;

fn hex(text: &str) -> Vec<u8> {
    (0..text.len() / 2)
        .map(|i| u8::from_str_radix(&text[2 * i..2 * i + 2], 16).unwrap())
        .collect()
}

// Parameter sets and record as x264 and FFmpeg 5.1 write them.
const BASELINE_320X180: &str = "6742c00dd901419f9f0110000003001000000303c0f142a480";
const HIGH_1280X720: &str = "6764001facd9405005bb0110000003001000000303c0f1831960";
const HIGH_1918X1078: &str = "67640028acd940780227a9b0110000030001000003003c0f183196";
const HIGH422_10_720X576_FIELDS: &str = "677a001eb6cd940b424d808800000300080000030190f8a14cb0";
const PPS: &str = "68ebe3cb22c0";
const AVCC_BOX: &str = "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000668ebe3cb22c0fdf8f800";

fn size(width: u32, height: u32) -> VideoSize {
    VideoSize { width, height }
}

#[test]
fn sizes_of_real_parameter_sets_are_cropped() {
    for (sps, expected) in [
        (BASELINE_320X180, size(320, 180)),
        (HIGH_1280X720, size(1280, 720)),
        (HIGH_1918X1078, size(1918, 1078)),
        (HIGH422_10_720X576_FIELDS, size(720, 576)),
    ] {
        assert_eq!(sps_size(&hex(sps)), Some(expected), "{sps}");
    }
    assert_eq!(sps_size(&hex(PPS)), None);
    assert_eq!(sps_size(&[]), None);
}

#[test]
fn profile_level_and_bit_depth_are_read() {
    let sps = Sps::parse(&hex(HIGH422_10_720X576_FIELDS)).unwrap();
    assert_eq!((sps.profile, sps.constraints, sps.level), (122, 0, 30));
    assert_eq!(
        (sps.chroma_format, sps.bit_depth_luma, sps.bit_depth_chroma),
        (2, 10, 10)
    );
    let sps = Sps::parse(&hex(BASELINE_320X180)).unwrap();
    assert_eq!(sps.codec_string(), "42c00d");
}

#[test]
fn start_codes_of_three_and_four_bytes_and_trailing_zeros_are_recognised() {
    let data = [
        0, 0, 0, 1, 0x09, 0x10, 0, 0, 1, 0x67, 1, 2, 0, 0, 0, 0, 1, 0, 0, 1, 0x65, 0, 0, 3, 1, 0, 0,
    ];
    let units: Vec<&[u8]> = annexb_nal_units(&data).collect();
    assert_eq!(
        units,
        [&[0x09, 0x10][..], &[0x67, 1, 2], &[0x65, 0, 0, 3, 1]]
    );
    assert!(annexb_nal_units(&[1, 2, 3]).next().is_none());
    assert!(is_keyframe(&data) && has_vcl(&data));
}

#[test]
fn an_access_unit_without_idr_slice_is_no_keyframe() {
    let slice = [0, 0, 0, 1, 0x41, 0x9a];
    assert!(!is_keyframe(&slice) && has_vcl(&slice));
    let parameter_sets = [0, 0, 0, 1, 0x67, 1, 0, 0, 0, 1, 0x68, 1];
    assert!(!is_keyframe(&parameter_sets) && !has_vcl(&parameter_sets));
}

fn keyframe() -> Vec<u8> {
    let mut frame = vec![0, 0, 0, 1, 9, 0xf0];
    for set in [HIGH_1280X720, PPS, PPS] {
        frame.extend_from_slice(&START_CODE);
        frame.extend_from_slice(&hex(set));
    }
    frame.extend_from_slice(&[0, 0, 1, 0x65, 0x88, 0x84]);
    frame
}

#[test]
fn parameter_sets_are_taken_from_an_access_unit_once_each() {
    let sets = ParameterSets::from_access_unit(&keyframe());
    assert_eq!(sets.sps, [hex(HIGH_1280X720)]);
    assert_eq!(sets.pps, [hex(PPS)]);
    assert!(sets.is_complete());
}

#[test]
fn the_configuration_record_equals_ffmpeg_s() {
    let sets = ParameterSets::from_access_unit(&keyframe());
    let configuration = DecoderConfiguration::new(sets).unwrap();
    let record = configuration.to_bytes();
    assert_eq!(record, hex(AVCC_BOX));
    assert_eq!(DecoderConfiguration::parse(&record), Ok(configuration));
}

#[test]
fn a_baseline_record_has_no_chroma_fields() {
    let configuration = DecoderConfiguration::new(ParameterSets {
        sps: vec![hex(BASELINE_320X180).into()],
        pps: vec![hex(PPS).into()],
    })
    .unwrap();
    assert_eq!(configuration.format, None);
    assert_eq!(configuration.to_bytes().len(), 6 + 2 + 25 + 1 + 2 + 6);
}

#[test]
fn records_that_cannot_be_are_errors_with_the_value() {
    assert_eq!(
        DecoderConfiguration::new(ParameterSets::default()),
        Err(Error::NoSps(0))
    );
    let record = hex(AVCC_BOX);
    for length in 0..record.len() - 4 {
        assert!(matches!(
            DecoderConfiguration::parse(&record[..length]),
            Err(Error::TruncatedConfiguration(at)) if at == length
        ));
    }
    assert_eq!(
        DecoderConfiguration::parse(&[2, 0]),
        Err(Error::ConfigurationVersion(2))
    );
}

#[test]
fn conversion_leaves_out_what_the_container_keeps_elsewhere() {
    let kinds = |keep| -> Vec<u8> {
        let avcc = annexb_to_avcc(&keyframe(), keep);
        length_prefixed_nal_units(&avcc, 4)
            .map(|unit| unit.unwrap()[0] & 0x1f)
            .collect()
    };
    assert_eq!(kinds(Keep::All), [9, 7, 8, 8, 5]);
    assert_eq!(kinds(Keep::ParameterSets), [7, 8, 8, 5]);
    assert_eq!(kinds(Keep::Pictures), [5]);
}

#[test]
fn truncated_length_prefixed_samples_are_errors() {
    assert_eq!(
        avcc_to_annexb(&[0, 0, 0, 1, 0x65, 0, 0, 0, 9, 1], 4),
        Err(Error::TruncatedNalUnit {
            offset: 5,
            length: 9,
            available: 1
        })
    );
    assert!(avcc_to_annexb(&[0, 0], 4).is_err());
    assert_eq!(avcc_to_annexb(&[1], 5), Err(Error::LengthSize(5)));
    // An empty NAL unit, then one that is too long.
    assert_eq!(
        avcc_to_annexb(&[0, 0, 2, 0x65, 1], 2),
        Err(Error::TruncatedNalUnit {
            offset: 2,
            length: 0x265,
            available: 1
        })
    );
}

/// NAL units as an encoder makes them: no start code inside, no zero at the end.
fn nal_units() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let byte = prop_oneof![3 => Just(0_u8), 1 => 0..4_u8, 4 => any::<u8>()];
    let unit = proptest::collection::vec(byte, 1..60).prop_map(|bytes| {
        let mut unit: Vec<u8> = vec![0x65];
        for byte in bytes {
            if unit.ends_with(&[0, 0]) && byte < 4 {
                unit.push(3);
            }
            unit.push(byte);
        }
        unit.push(0x80);
        unit
    });
    proptest::collection::vec(unit, 0..6)
}

proptest! {
    #[test]
    fn both_framings_carry_the_same_nal_units(units in nal_units(), short: Vec<bool>) {
        let mut annex_b = Vec::new();
        let mut canonical = Vec::new();
        for (i, unit) in units.iter().enumerate() {
            let skip = usize::from(short.get(i).copied().unwrap_or(false));
            annex_b.extend_from_slice(&START_CODE[skip..]);
            annex_b.extend_from_slice(unit);
            canonical.extend_from_slice(&START_CODE);
            canonical.extend_from_slice(unit);
        }
        let found: Vec<&[u8]> = annexb_nal_units(&annex_b).collect();
        prop_assert_eq!(&found, &units);
        let avcc = annexb_to_avcc(&annex_b, Keep::All);
        prop_assert_eq!(avcc_to_annexb(&avcc, 4).unwrap(), canonical);
    }

    #[test]
    fn arbitrary_bytes_never_panic(mut bytes: Vec<u8>, zeros: Vec<prop::sample::Index>, length in 0..6_usize) {
        if !bytes.is_empty() {
            for index in zeros {
                let at = index.index(bytes.len());
                bytes[at] = 0;
            }
        }
        let _ = annexb_nal_units(&bytes).count();
        let _ = (is_keyframe(&bytes), has_vcl(&bytes), avcc_to_annexb(&bytes, length));
        let _ = ParameterSets::from_access_unit(&bytes);
        let _ = DecoderConfiguration::parse(&bytes);
        let _ = Sps::parse(&bytes);
        let mut sps = hex(HIGH_1280X720);
        sps.truncate(4);
        sps.extend_from_slice(&bytes);
        let _ = Sps::parse(&sps);
    }
}
