use proptest::prelude::*;

use super::*;
use crate::codec::h265::samples::{PPS, SPS, VPS};

const DELIMITER: [u8; 3] = [0x46, 0x01, 0x10];
/// IDR_W_RADL.
const IDR: [u8; 6] = [0x26, 0x01, 0xaf, 1, 2, 3];
/// TRAIL_R in temporal layer 1.
const TRAILING: [u8; 4] = [0x02, 0x02, 0xd0, 9];

fn aggregate(units: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![0x60, 0x01];
    for unit in units {
        packet.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        packet.extend_from_slice(unit);
    }
    packet
}

fn fragment(unit: &[u8], from: usize, to: usize) -> Vec<u8> {
    let start = if from == 2 { 0x80 } else { 0 };
    let end = if to == unit.len() { 0x40 } else { 0 };
    let header = [
        unit[0] & 0x81 | 0x62,
        unit[1],
        start | end | unit[0] >> 1 & 0x3f,
    ];
    [&header[..], &unit[from..to]].concat()
}

#[test]
fn an_aggregate_and_fragments_become_one_access_unit() {
    let frame = build(
        Codec::H265,
        &[
            &aggregate(&[&DELIMITER, &VPS, &SPS, &PPS]),
            &fragment(&IDR, 2, 3),
            &fragment(&IDR, 3, 4),
            &fragment(&IDR, 4, 6),
        ],
    )
    .unwrap()
    .unwrap();
    assert_eq!(frame.data, annex_b(&[&DELIMITER, &VPS, &SPS, &PPS, &IDR]));
    assert!(frame.keyframe);
    assert_eq!((frame.size.width, frame.size.height), (322, 182));
}

#[test]
fn the_layer_of_a_fragmented_unit_is_kept() {
    let fragments = [fragment(&TRAILING, 2, 3), fragment(&TRAILING, 3, 4)];
    let fragments: Vec<&[u8]> = fragments.iter().map(Vec::as_slice).collect();
    let frame = build(Codec::H265, &fragments).unwrap().unwrap();
    assert_eq!(
        (frame.data, frame.keyframe),
        (annex_b(&[&TRAILING]).into(), false)
    );
}

#[test]
fn the_extension_of_a_paci_packet_is_skipped() {
    // A single NAL unit with three bytes of extension, then a fragmented one with none.
    let kind = |nal: &[u8]| u16::from(nal[0] >> 1) << 9;
    let single = (kind(&TRAILING) | 3 << 4).to_be_bytes();
    let single = [
        &[0x64, TRAILING[1]],
        &single[..],
        &[7, 7, 7],
        &TRAILING[2..],
    ]
    .concat();
    let fu = (49_u16 << 9).to_be_bytes();
    let first = fragment(&TRAILING, 2, 3);
    let first = [&[0x64, TRAILING[1]], &fu[..], &first[2..]].concat();
    let last = fragment(&TRAILING, 3, 4);
    let frame = build(Codec::H265, &[&single, &first, &last])
        .unwrap()
        .unwrap();
    assert_eq!(frame.data, annex_b(&[&TRAILING, &TRAILING]));
}

#[test]
fn parameter_sets_on_their_own_are_put_before_the_next_keyframe_that_has_none() {
    let mut h265 = Depacketizer::new(Codec::H265);
    let sets = payloads(&[&aggregate(&[&VPS, &SPS, &PPS])]);
    assert_eq!(h265.depacketize(&sets), Ok(None));
    let sei = [0x4e, 0x01, 5, 0x80];
    let packets = payloads(&[&DELIMITER, &sei, &IDR]);
    let frame = h265.depacketize(&packets).unwrap().unwrap();
    assert_eq!(
        frame.data,
        annex_b(&[&DELIMITER, &VPS, &SPS, &sei, &PPS, &IDR])
    );
    assert!(frame.keyframe);
    // Sets that change replace those with the same identifier.
    let other_pps = [0x44, 0x01, 0xc0, 0x71];
    let packets = payloads(&[&VPS, &SPS, &other_pps, &IDR]);
    assert!(h265.depacketize(&packets).unwrap().unwrap().keyframe);
    let frame = h265.depacketize(&payloads(&[&IDR])).unwrap().unwrap();
    assert_eq!(frame.data, annex_b(&[&VPS, &SPS, &other_pps, &IDR]));
}

#[test]
fn an_irap_picture_without_all_parameter_sets_is_no_place_to_start() {
    for sets in [&[][..], &[&VPS[..], &SPS], &[&VPS, &PPS], &[&SPS, &PPS]] {
        let packets = [sets, &[&IDR[..]]].concat();
        assert!(!build(Codec::H265, &packets).unwrap().unwrap().keyframe);
    }
}

#[test]
fn frame_starts_are_delimiters_or_video_parameter_sets() {
    let mut h265 = Depacketizer::new(Codec::H265);
    assert!(h265.is_frame_start(&VPS) && h265.is_frame_start(&aggregate(&[&VPS, &SPS])));
    assert!(!h265.is_frame_start(&IDR) && !h265.is_frame_start(&[0x40]));
    assert!(h265.is_frame_start(&DELIMITER));
    assert!(!h265.is_frame_start(&VPS));
}

#[test]
fn broken_payloads_are_errors() {
    let fragment_error = Err(DepacketizeError::Fragment(Codec::H265));
    let start = fragment(&IDR, 2, 4);
    let middle = fragment(&IDR, 3, 5);
    assert_eq!(build(Codec::H265, &[&middle]), fragment_error);
    assert_eq!(build(Codec::H265, &[&start]), fragment_error);
    assert_eq!(build(Codec::H265, &[&start, &start]), fragment_error);
    assert_eq!(build(Codec::H265, &[&start, &TRAILING]), fragment_error);
    for packet in [
        &[0x26][..],
        &[0x62, 1],
        &[0x60, 1, 0, 9, 1],
        &[0x64, 1, 0],
        &[0x64, 1, 0, 0x10],
    ] {
        assert_eq!(
            build(Codec::H265, &[packet]),
            Err(DepacketizeError::Truncated(Codec::H265, packet.len()))
        );
    }
    for kind in 51..64 {
        assert_eq!(
            build(Codec::H265, &[&[kind << 1, 1, 0, 0]]),
            Err(DepacketizeError::PacketType(Codec::H265, kind))
        );
    }
}

/// How one NAL unit travels.
#[derive(Debug, Clone)]
enum Way {
    Single,
    Aggregated,
    Fragmented(Vec<prop::sample::Index>),
}

proptest! {
    #[test]
    fn access_units_survive_any_packetization(
        bodies in prop::collection::vec(prop::collection::vec(1..=255_u8, 1..60), 1..5),
        ways in prop::collection::vec(prop_oneof![
            Just(Way::Single),
            Just(Way::Aggregated),
            prop::collection::vec(any::<prop::sample::Index>(), 1..6).prop_map(Way::Fragmented)
        ], 8),
        keyframe: bool,
    ) {
        let kind = if keyframe { IDR } else { [TRAILING, TRAILING].concat()[..6].try_into().unwrap() };
        let mut units: Vec<Vec<u8>> = vec![VPS.to_vec(), SPS.to_vec(), PPS.to_vec()];
        units.extend(bodies.iter().map(|body| [&kind[..2], body].concat()));
        let mut packets: Vec<Vec<u8>> = Vec::new();
        let mut pending: Vec<&[u8]> = Vec::new();
        for (unit, way) in units.iter().zip(&ways) {
            if matches!(way, Way::Aggregated) {
                pending.push(unit);
                continue;
            }
            if !pending.is_empty() {
                packets.push(aggregate(&std::mem::take(&mut pending)));
            }
            match way {
                Way::Fragmented(cuts) if unit.len() > 3 => {
                    let mut cuts: Vec<_> =
                        cuts.iter().map(|cut| 3 + cut.index(unit.len() - 3)).collect();
                    cuts.extend([2, unit.len()]);
                    cuts.sort_unstable();
                    cuts.dedup();
                    packets.extend(cuts.windows(2).map(|cut| fragment(unit, cut[0], cut[1])));
                }
                _ => packets.push(unit.clone()),
            }
        }
        if !pending.is_empty() {
            packets.push(aggregate(&pending));
        }
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let frame = build(Codec::H265, &packets).unwrap().unwrap();
        let sent: Vec<&[u8]> = units.iter().take(ways.len()).map(Vec::as_slice).collect();
        prop_assert_eq!(frame.data, annex_b(&sent));
        prop_assert_eq!(frame.keyframe, keyframe);
    }
}
