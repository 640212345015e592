use proptest::prelude::*;

use super::*;
use crate::codec::vp9::{frames, hide};

/// The first bytes of a keyframe of 322x182.
const KEYFRAME: [u8; 12] = [
    0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0b, 0x56, 0x06, 7, 7,
];
/// A frame that takes its size from reference 0.
const INTER: [u8; 5] = [0x86, 0x00, 0x40, 0x92, 9];
/// A frame of 644x364 that refers to reference 0.
const UPPER: [u8; 10] = [0x86, 0x00, 0x80, 0x90, 0x01, 0x41, 0x80, 0xb5, 0x80, 8];

#[test]
fn every_form_of_the_descriptor_is_skipped() {
    for descriptor in [
        &[0x0c][..],
        // Picture ID of 7 and of 15 bits.
        &[0x8c, 0x11],
        &[0x8c, 0x91, 0x22],
        // Layer indices, with TL0PICIDX in non-flexible mode and without in flexible mode.
        &[0xac, 0x91, 0x22, 0x00, 5],
        &[0xbc, 0x91, 0x22, 0x00],
        // Up to three reference indices in flexible mode.
        &[0xdc, 0x11, 0x02],
        &[0xdc, 0x11, 0x03, 0x04],
        &[0xdc, 0x11, 0x03, 0x05, 0x06],
        // A scalability structure: two layers with sizes, two pictures with references.
        &[
            0x0e, 0x38, 0, 160, 0, 90, 1, 64, 0, 180, 2, 0x04, 1, 0x18, 1, 2,
        ],
        &[0x0e, 0x00],
    ] {
        let payload = [descriptor, &KEYFRAME].concat();
        let frame = build(Codec::Vp9, &[&payload]).unwrap().unwrap();
        assert_eq!(frame.data, KEYFRAME[..], "{descriptor:x?}");
        assert!(frame.keyframe);
        assert_eq!((frame.size.width, frame.size.height), (322, 182));
        assert!(Depacketizer::new(Codec::Vp9).is_frame_start(&payload));
        for cut in 0..=descriptor.len() {
            assert_eq!(
                build(Codec::Vp9, &[&payload[..cut]]),
                Err(DepacketizeError::Truncated(Codec::Vp9, cut))
            );
        }
    }
}

#[test]
fn a_picture_of_one_packet_shares_the_packets_memory() {
    let payload = Bytes::from([&[0x0c][..], &KEYFRAME].concat());
    let frame = Depacketizer::new(Codec::Vp9)
        .depacketize(std::slice::from_ref(&payload))
        .unwrap()
        .unwrap();
    assert_eq!(frame.data.as_ptr(), payload[1..].as_ptr());
}

#[test]
fn spatial_layers_become_a_superframe_of_the_highest_layers_size() {
    let mut vp9 = Depacketizer::new(Codec::Vp9);
    let base = [&[0xa8, 0x11, 0x00, 1][..], &KEYFRAME[..5]].concat();
    let rest = [&[0xa4, 0x11, 0x00, 1][..], &KEYFRAME[5..]].concat();
    let upper = [&[0xac, 0x11, 0x03, 1][..], &UPPER].concat();
    let packets = payloads(&[&base, &rest, &upper]);
    let frame = vp9.depacketize(&packets).unwrap().unwrap();
    assert!(frame.keyframe);
    assert_eq!((frame.size.width, frame.size.height), (644, 364));
    // The lower layer is not shown any more.
    let hidden = hide(&KEYFRAME, 322).unwrap();
    assert_eq!(frames(&frame.data).unwrap(), [&hidden[..], &UPPER]);
    assert!(vp9.is_frame_start(&base) && !vp9.is_frame_start(&upper));
    // Later the upper layer comes alone: no place to start.
    let alone = [&[0xec, 0x12, 0x02, 2][..], &INTER].concat();
    let frame = vp9.depacketize(&payloads(&[&alone])).unwrap().unwrap();
    assert_eq!((frame.data, frame.keyframe), (INTER[..].into(), false));
}

#[test]
fn sizes_follow_the_references() {
    let mut vp9 = Depacketizer::new(Codec::Vp9);
    let first = [&[0x0c][..], &KEYFRAME].concat();
    let second = [&[0x4c][..], &INTER].concat();
    vp9.depacketize(&payloads(&[&first])).unwrap();
    let frame = vp9.depacketize(&payloads(&[&second])).unwrap().unwrap();
    assert!(!frame.keyframe);
    assert_eq!((frame.size.width, frame.size.height), (322, 182));
}

#[test]
fn packets_out_of_place_are_errors() {
    let misplaced = Err(DepacketizeError::FrameStart(Codec::Vp9));
    assert_eq!(build(Codec::Vp9, &[&[0x04, 1, 2, 3]]), misplaced);
    let first = [&[0x08][..], &KEYFRAME].concat();
    assert_eq!(build(Codec::Vp9, &[&[0x04, 1], &first]), misplaced);
    let damaged = Err(DepacketizeError::FrameHeader(Codec::Vp9));
    assert_eq!(build(Codec::Vp9, &[&[0x0c, 0x42, 0, 0, 0]]), damaged);
    let too_many = vec![&first[..]; 9];
    assert_eq!(build(Codec::Vp9, &too_many), damaged);
}

proptest! {
    #[test]
    fn pictures_survive_any_split(
        bodies in prop::collection::vec(prop::collection::vec(0..0xc0_u8, 0..80), 1..=4),
        mtu in 1..40_usize,
        extended: bool,
        flexible: bool,
    ) {
        let layers: Vec<Vec<u8>> = bodies
            .iter()
            .enumerate()
            .map(|(index, body)| {
                let start = if index == 0 { &KEYFRAME[..] } else { &UPPER[..] };
                [start, body].concat()
            })
            .collect();
        let mut packets: Vec<Vec<u8>> = Vec::new();
        for (index, layer) in layers.iter().enumerate() {
            let chunks = layer.chunks(mtu);
            let last = chunks.len() - 1;
            for (place, chunk) in chunks.enumerate() {
                let mut first = 0xa0;
                first |= u8::from(place == 0) << 3;
                first |= u8::from(place == last) << 2;
                first |= u8::from(flexible) << 4;
                let mut packet = vec![first];
                if extended {
                    packet.extend([0x81, 0x33]);
                } else {
                    packet.push(0x13);
                }
                packet.push((index as u8) << 1);
                if !flexible {
                    packet.push(77);
                }
                packet.extend_from_slice(chunk);
                packets.push(packet);
            }
        }
        let packets: Vec<&[u8]> = packets.iter().map(Vec::as_slice).collect();
        let frame = build(Codec::Vp9, &packets).unwrap().unwrap();
        prop_assert!(frame.keyframe);
        let last = layers.len() - 1;
        let shown = |(index, layer): (usize, Vec<u8>)| {
            let width = if index == 0 { 322 } else { 644 };
            let hidden = (index < last).then(|| hide(&layer, width)).flatten();
            hidden.unwrap_or(layer)
        };
        let wanted: Vec<_> = layers.into_iter().enumerate().map(shown).collect();
        prop_assert_eq!(frames(&frame.data).unwrap(), wanted);
    }
}
