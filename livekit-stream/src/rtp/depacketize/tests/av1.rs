use proptest::prelude::*;

use super::*;
use crate::codec::av1::{obus, write_leb128};

/// A sequence header of 320x240 and the beginning of a keyframe, without their sizes.
const SEQUENCE: [u8; 12] = [8, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0, 0x40];
const KEYFRAME: [u8; 9] = [0x30, 0x10, 0, 0x84, 0, 2, 8, 0x20, 0x88];
const INTER: [u8; 9] = [0x30, 0x30, 0, 0x84, 0, 2, 8, 0x20, 0x88];

/// The OBU in low-overhead form.
fn sized(obu: &[u8]) -> Vec<u8> {
    let header = if obu[0] & 4 == 0 { 1 } else { 2 };
    let mut bytes = obu[..header].to_vec();
    bytes[0] |= 2;
    write_leb128(obu.len() - header, &mut bytes);
    [&bytes[..], &obu[header..]].concat()
}

fn unit(obus: &[&[u8]]) -> Vec<u8> {
    obus.iter().flat_map(|obu| sized(obu)).collect()
}

/// A packet whose elements all have a length.
fn packet(header: u8, elements: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![header];
    for element in elements {
        write_leb128(element.len(), &mut packet);
        packet.extend_from_slice(element);
    }
    packet
}

/// A packet whose last element has no length.
fn counted(header: u8, elements: &[&[u8]]) -> Vec<u8> {
    let (last, first) = elements.split_last().unwrap();
    let header = header | (elements.len() as u8) << 4;
    [&packet(header, first)[..], last].concat()
}

#[test]
fn elements_with_and_without_length_become_obus_with_sizes() {
    let expected = unit(&[&SEQUENCE, &KEYFRAME]);
    for packets in [
        vec![packet(0x08, &[&SEQUENCE, &KEYFRAME])],
        vec![counted(0x08, &[&SEQUENCE, &KEYFRAME])],
        vec![counted(0x08, &[&SEQUENCE]), counted(0, &[&KEYFRAME])],
        vec![
            counted(0x48, &[&SEQUENCE, &KEYFRAME[..1]]),
            counted(0xc0, &[&KEYFRAME[1..4]]),
            packet(0x80, &[&KEYFRAME[4..]]),
        ],
    ] {
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let frame = build(Codec::Av1, &packets).unwrap().unwrap();
        assert_eq!(frame.data, expected);
        assert!(frame.keyframe);
        assert_eq!((frame.size.width, frame.size.height), (320, 240));
    }
}

#[test]
fn sizes_inside_obus_are_taken_over_and_wrong_ones_refused() {
    let frame = sized(&KEYFRAME);
    let built = build(Codec::Av1, &[&counted(0, &[&sized(&SEQUENCE), &frame])]);
    assert_eq!(built.unwrap().unwrap().data, unit(&[&SEQUENCE, &KEYFRAME]));
    let mut wrong = frame;
    wrong[1] += 1;
    let payload = counted(0, &[&wrong]);
    assert_eq!(
        build(Codec::Av1, &[&payload]),
        Err(DepacketizeError::Truncated(Codec::Av1, payload.len()))
    );
}

#[test]
fn delimiters_tile_lists_and_padding_are_left_out() {
    let metadata = [0x28, 1, 2];
    let elements: [&[u8]; 6] = [
        &[0x10],
        &SEQUENCE,
        &metadata,
        &KEYFRAME,
        &[0x40, 1],
        &[0x78, 0],
    ];
    let frame = build(Codec::Av1, &[&packet(0, &elements)])
        .unwrap()
        .unwrap();
    assert_eq!(frame.data, unit(&[&SEQUENCE, &metadata, &KEYFRAME]));
    assert_eq!(
        build(Codec::Av1, &[&packet(0, &[&[0x10], &metadata])]),
        Ok(None)
    );
}

#[test]
fn layers_keep_their_extension() {
    let upper = [0x34, 0x08, 0x30, 0, 0x84, 0, 2, 8];
    let packets = [
        counted(0, &[&SEQUENCE, &KEYFRAME]),
        counted(0x40, &[&upper[..1]]),
    ];
    let last = counted(0x80, &[&upper[1..]]);
    let frame = build(Codec::Av1, &[&packets[0], &packets[1], &last])
        .unwrap()
        .unwrap();
    assert_eq!(frame.data, unit(&[&SEQUENCE, &KEYFRAME, &upper]));
    let layers: Vec<_> = obus(&frame.data).map(|obu| obu.spatial_id).collect();
    assert_eq!((layers, frame.keyframe), (vec![0, 0, 1], true));
}

#[test]
fn a_keyframe_without_sequence_header_gets_the_last_one() {
    let mut av1 = Depacketizer::new(Codec::Av1);
    let inter = payloads(&[&counted(0, &[&INTER])]);
    let alone = payloads(&[&counted(0, &[&KEYFRAME])]);
    assert!(!av1.depacketize(&alone).unwrap().unwrap().keyframe);
    let first = payloads(&[&counted(0x08, &[&SEQUENCE, &KEYFRAME])]);
    assert!(av1.depacketize(&first).unwrap().unwrap().keyframe);
    let frame = av1.depacketize(&inter).unwrap().unwrap();
    assert_eq!((frame.keyframe, frame.size.width), (false, 320));
    let frame = av1.depacketize(&alone).unwrap().unwrap();
    assert!(frame.keyframe);
    assert_eq!(frame.data, unit(&[&SEQUENCE, &KEYFRAME]));
}

#[test]
fn frame_starts_are_new_sequences_and_sequence_headers() {
    let mut av1 = Depacketizer::new(Codec::Av1);
    assert!(av1.is_frame_start(&counted(0x08, &[&KEYFRAME])));
    assert!(av1.is_frame_start(&counted(0, &[&SEQUENCE, &KEYFRAME])));
    assert!(!av1.is_frame_start(&counted(0, &[&KEYFRAME])));
    assert!(!av1.is_frame_start(&counted(0x88, &[&KEYFRAME])));
    assert!(!av1.is_frame_start(&[]) && !av1.is_frame_start(&[0x20, 9]));
}

#[test]
fn fragments_without_the_rest_and_payloads_cut_short_are_errors() {
    let incomplete = Err(DepacketizeError::Fragment(Codec::Av1));
    let (open, close) = (
        counted(0x40, &[&KEYFRAME[..3]]),
        counted(0x80, &[&KEYFRAME[3..]]),
    );
    assert_eq!(build(Codec::Av1, &[&open]), incomplete);
    assert_eq!(build(Codec::Av1, &[&close]), incomplete);
    assert_eq!(build(Codec::Av1, &[&open, &open]), incomplete);
    for payload in [
        &[0x00][..],
        &[0x00, 5, 1],
        &[0x20, 1, 0x30],
        &[0x00, 0x80],
        &[0x10, 0x34],
    ] {
        assert_eq!(
            build(Codec::Av1, &[payload]),
            Err(DepacketizeError::Truncated(Codec::Av1, payload.len())),
            "{payload:x?}"
        );
    }
}

proptest! {
    #[test]
    fn temporal_units_survive_any_packetization(
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..5),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        with_count: bool,
    ) {
        let mut all: Vec<Vec<u8>> = vec![SEQUENCE.to_vec(), KEYFRAME.to_vec()];
        // Further OBUs are metadata.
        all.extend(bodies.iter().map(|body| [&[0x2c, 0x08], &body[..]].concat()));
        let total: usize = all.iter().map(Vec::len).sum();
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(total)).collect();
        cuts.extend([0, total]);
        cuts.sort_unstable();
        cuts.dedup();
        let mut packets: Vec<Vec<u8>> = Vec::new();
        for cut in cuts.windows(2) {
            let mut elements: Vec<&[u8]> = Vec::new();
            let (mut at, mut header) = (0, 0);
            for obu in &all {
                let (from, to) = (at.max(cut[0]), (at + obu.len()).min(cut[1]));
                if from < to {
                    elements.push(&obu[from - at..to - at]);
                    header |= u8::from(from > at) << 7;
                    header |= u8::from(to < at + obu.len()) << 6;
                }
                at += obu.len();
            }
            packets.push(if with_count && elements.len() <= 3 {
                counted(header, &elements)
            } else {
                packet(header, &elements)
            });
        }
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let frame = build(Codec::Av1, &packets).unwrap().unwrap();
        let all: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
        prop_assert_eq!(frame.data, unit(&all));
        prop_assert!(frame.keyframe);
    }
}
