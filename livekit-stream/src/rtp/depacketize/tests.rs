mod av1;
mod h265;
mod vp9;

use proptest::prelude::*;

use super::*;

const CODECS: [Codec; 7] = [
    Codec::H264,
    Codec::H265,
    Codec::Vp8,
    Codec::Vp9,
    Codec::Av1,
    Codec::Opus,
    Codec::Aac,
];

fn payloads(packets: &[&[u8]]) -> Vec<Bytes> {
    packets.iter().map(|p| Bytes::copy_from_slice(p)).collect()
}

fn build(codec: Codec, packets: &[&[u8]]) -> Result<Option<Depacketized>, DepacketizeError> {
    Depacketizer::new(codec).depacketize(&payloads(packets))
}

const SPS: [u8; 25] = [
    0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3,
    0xc0, 0xf1, 0x42, 0xa4, 0x80,
];
const PPS: [u8; 5] = [0x68, 0xcb, 0x83, 0xcb, 0x20];

fn stap_a(units: &[&[u8]]) -> Vec<u8> {
    let mut packet = vec![0x78];
    for unit in units {
        packet.extend_from_slice(&(unit.len() as u16).to_be_bytes());
        packet.extend_from_slice(unit);
    }
    packet
}

fn annex_b(units: &[&[u8]]) -> Vec<u8> {
    units
        .iter()
        .flat_map(|unit| [&[0, 0, 0, 1], *unit].concat())
        .collect()
}

#[test]
fn an_aggregate_and_fragments_become_one_access_unit() {
    let frame = build(
        Codec::H264,
        &[
            &stap_a(&[&[9, 0xf0], &SPS, &PPS]),
            &[0x7c, 0x85, 1, 2],
            &[0x7c, 0x05, 3],
            &[0x7c, 0x45, 4],
            &[0x65, 7],
        ],
    )
    .unwrap()
    .unwrap();
    assert_eq!(
        frame.data,
        annex_b(&[&[9, 0xf0], &SPS, &PPS, &[0x65, 1, 2, 3, 4], &[0x65, 7]])
    );
    assert!(frame.keyframe);
    assert_eq!((frame.size.width, frame.size.height), (320, 180));
}

#[test]
fn parameter_sets_on_their_own_are_put_before_the_next_keyframe_that_has_none() {
    let mut h264 = Depacketizer::new(Codec::H264);
    assert_eq!(h264.depacketize(&payloads(&[&SPS])), Ok(None));
    assert_eq!(h264.depacketize(&payloads(&[&PPS])), Ok(None));
    let slice = h264.depacketize(&payloads(&[&[0x41, 1]])).unwrap().unwrap();
    assert_eq!(
        (&slice.data[..], slice.keyframe),
        (&[0, 0, 0, 1, 0x41, 1][..], false)
    );
    let frame = h264
        .depacketize(&payloads(&[&[9, 0x10], &[6, 1, 0x80], &[0x65, 1]]))
        .unwrap()
        .unwrap();
    assert_eq!(
        frame.data,
        annex_b(&[&[9, 0x10], &SPS, &[6, 1, 0x80], &PPS, &[0x65, 1]])
    );
    assert!(frame.keyframe);
}

#[test]
fn a_keyframe_with_parameter_sets_is_left_as_it_is() {
    let mut h264 = Depacketizer::new(Codec::H264);
    let old = [0x67, 0x42, 0xc0, 0x0d, 0xd9];
    assert_eq!(h264.depacketize(&payloads(&[&old, &PPS])), Ok(None));
    let packets = payloads(&[&SPS, &PPS, &[0x65, 1]]);
    let frame = h264.depacketize(&packets).unwrap().unwrap();
    assert_eq!(frame.data, annex_b(&[&SPS, &PPS, &[0x65, 1]]));
}

#[test]
fn an_idr_picture_without_any_parameter_sets_is_no_place_to_start() {
    let frame = build(Codec::H264, &[&[0x65, 1]]).unwrap().unwrap();
    assert!(!frame.keyframe);
}

#[test]
fn broken_h264_payloads_are_errors() {
    let fragment = Err(DepacketizeError::Fragment(Codec::H264));
    assert_eq!(build(Codec::H264, &[&[0x7c, 0x05, 1]]), fragment);
    assert_eq!(build(Codec::H264, &[&[0x7c, 0x85, 1]]), fragment);
    assert_eq!(
        build(Codec::H264, &[&[0x7c, 0x85, 1], &[0x7c, 0x85, 1]]),
        fragment
    );
    assert_eq!(
        build(Codec::H264, &[&[0x7c, 0x85, 1], &[0x41, 1]]),
        fragment
    );
    let truncated = |n| Err(DepacketizeError::Truncated(Codec::H264, n));
    assert_eq!(build(Codec::H264, &[&[0x7c]]), truncated(1));
    assert_eq!(build(Codec::H264, &[&[0x78, 0, 9, 1]]), truncated(4));
    assert_eq!(build(Codec::H264, &[&[0x78, 0]]), truncated(2));
    for kind in [0, 25, 26, 27, 29, 30, 31] {
        let packet = [0x60 | kind, 0, 0, 0];
        assert_eq!(
            build(Codec::H264, &[&packet]),
            Err(DepacketizeError::PacketType(Codec::H264, kind))
        );
    }
}

/// A VP8 keyframe of 640x360.
const VP8_KEYFRAME: [u8; 11] = [0x10, 2, 0, 0x9d, 1, 0x2a, 0x80, 2, 0x68, 1, 0xff];

#[test]
fn every_form_of_the_vp8_descriptor_is_skipped() {
    for descriptor in [
        &[0x10][..],
        &[0x90, 0x80, 0x11],
        &[0x90, 0x80, 0x91, 0x22],
        &[0x90, 0xc0, 0x91, 0x22, 5],
        &[0x90, 0x40, 5],
        &[0x90, 0x20, 0x40],
        &[0x90, 0xf0, 0x91, 0x22, 5, 0x41],
        &[0xb0, 0x00],
    ] {
        let payload = [descriptor, &VP8_KEYFRAME].concat();
        let frame = build(Codec::Vp8, &[&payload]).unwrap().unwrap();
        assert_eq!(frame.data, VP8_KEYFRAME[..], "{descriptor:x?}");
        assert!(frame.keyframe);
        assert_eq!((frame.size.width, frame.size.height), (640, 360));
        assert!(Depacketizer::new(Codec::Vp8).is_frame_start(&payload));
    }
}

#[test]
fn a_vp8_frame_of_one_packet_shares_the_packet_s_memory() {
    let payload = Bytes::from([&[0x10][..], &VP8_KEYFRAME].concat());
    let frame = Depacketizer::new(Codec::Vp8)
        .depacketize(std::slice::from_ref(&payload))
        .unwrap()
        .unwrap();
    assert_eq!(frame.data.as_ptr(), payload[1..].as_ptr());
}

#[test]
fn later_packets_and_partitions_are_appended_and_the_size_is_remembered() {
    let mut vp8 = Depacketizer::new(Codec::Vp8);
    let first = [&[0x10][..], &VP8_KEYFRAME].concat();
    // The second packet continues partition 0, the third starts partition 1.
    let packets = payloads(&[&first, &[0x00, 7], &[0x11, 8, 9]]);
    let frame = vp8.depacketize(&packets).unwrap().unwrap();
    assert_eq!(frame.data, [&VP8_KEYFRAME[..], &[7, 8, 9]].concat());
    let inter = vp8
        .depacketize(&payloads(&[&[0x10, 1, 0, 0]]))
        .unwrap()
        .unwrap();
    assert!(!inter.keyframe);
    assert_eq!(inter.size, frame.size);
}

#[test]
fn vp8_packets_out_of_place_are_errors() {
    let first = [&[0x10][..], &VP8_KEYFRAME].concat();
    let misplaced = Err(DepacketizeError::FrameStart(Codec::Vp8));
    assert_eq!(build(Codec::Vp8, &[&[0x00, 1, 2, 3]]), misplaced);
    assert_eq!(build(Codec::Vp8, &[&[0x11, 1, 2, 3]]), misplaced);
    assert_eq!(build(Codec::Vp8, &[&first, &first]), misplaced);
    assert_eq!(
        build(Codec::Vp8, &[&[0x90, 0x80, 0x80, 1]]),
        Err(DepacketizeError::Truncated(Codec::Vp8, 4))
    );
    assert_eq!(
        build(Codec::Vp8, &[&[0x10, 0x10, 0, 0, 0, 0]]),
        Err(DepacketizeError::FrameHeader(Codec::Vp8))
    );
}

#[test]
fn opus_packets_pass_and_damaged_ones_do_not() {
    let frame = build(Codec::Opus, &[&[0xf8, 1]]).unwrap().unwrap();
    assert!(frame.keyframe && frame.data[..] == [0xf8, 1]);
    assert!(build(Codec::Opus, &[&[0xfb, 0x3f]]).is_err());
    assert_eq!(
        build(Codec::Aac, &[&[1]]),
        Err(DepacketizeError::Codec(Codec::Aac))
    );
}

proptest! {
    #[test]
    fn arbitrary_payloads_never_panic(
        frames in proptest::collection::vec(
            proptest::collection::vec(
                (prop_oneof![
                    Just(0x7c_u8), Just(0x78), Just(0x67), Just(0x10), Just(0x90), Just(0x60), Just(0x62),
                    Just(0x64), any::<u8>()
                 ],
                 proptest::collection::vec(any::<u8>(), 0..40))
                    .prop_map(|(first, rest)| Bytes::from([&[first], &rest[..]].concat())),
                0..5),
            0..6)
    ) {
        for codec in CODECS {
            let mut depacketizer = Depacketizer::new(codec);
            for frame in &frames {
                for payload in frame {
                    depacketizer.is_frame_start(payload);
                }
                let _ = depacketizer.depacketize(frame);
            }
        }
    }
}
