use proptest::prelude::*;

use super::*;

/// Sequence headers of 320x240: by libaom, 8 bits, and by SVT-AV1, 10 bits.
const SEQUENCE: [u8; 13] = [
    0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0, 0x40,
];
const SEQUENCE_10_BITS: [u8; 13] = [
    0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xfb, 0xf9, 0x40, 0x40,
];
/// The beginning of the keyframe that follows the first.
const KEYFRAME: [u8; 10] = [0x32, 0x08, 0x10, 0, 0x84, 0, 2, 8, 0x20, 0x88];

const SIZE: VideoSize = VideoSize {
    width: 320,
    height: 240,
};

#[test]
fn sequence_headers_tell_size_and_colour() {
    let parse = |obu: &[u8]| SequenceHeader::parse(obus(obu).next().unwrap().payload).unwrap();
    let sequence = parse(&SEQUENCE);
    assert_eq!((sequence.profile, sequence.level), (0, 0));
    assert_eq!((sequence.max_size, sequence.color.bit_depth), (SIZE, 8));
    assert_eq!(sequence.codec_string(), "av01.0.00M.08");
    let sequence = parse(&SEQUENCE_10_BITS);
    assert_eq!((sequence.max_size, sequence.color.bit_depth), (SIZE, 10));
    assert_eq!(sequence.codec_string(), "av01.0.00M.10");
}

#[test]
fn a_keyframe_has_a_sequence_header() {
    let unit = [&[0x12, 0][..], &SEQUENCE, &KEYFRAME].concat();
    assert!(is_keyframe(&unit));
    assert!(!is_keyframe(&KEYFRAME) && !is_keyframe(&SEQUENCE));
    let mut stream = Stream::default();
    let picture = stream.next(&unit);
    assert!(picture.keyframe && picture.frame && picture.sequence_header);
    assert_eq!(picture.size, SIZE);
    let later = stream.next(&KEYFRAME);
    assert!(later.keyframe && !later.sequence_header);
    // The same frame as an inter frame, and hidden.
    for first in [0x30, 0x00] {
        let mut frame = KEYFRAME;
        frame[2] = first;
        assert!(!stream.next(&frame).keyframe, "{first:#x}");
    }
}

#[test]
fn a_configuration_is_made_of_a_keyframe() {
    let unit = [&SEQUENCE[..], &KEYFRAME].concat();
    let configuration = Configuration::from_keyframe(&unit).unwrap();
    assert_eq!(configuration.sequence_obu, SEQUENCE[..]);
    assert_eq!(configuration.size, SIZE);
    assert_eq!(Configuration::from_keyframe(&KEYFRAME), None);
}

#[test]
fn delimiters_are_left_out() {
    let with = Bytes::from([&[0x12, 0][..], &SEQUENCE, &KEYFRAME].concat());
    let without = without_delimiters(&with);
    assert_eq!(without, [&SEQUENCE[..], &KEYFRAME].concat());
    assert_eq!(without_delimiters(&without).as_ptr(), without.as_ptr());
}

#[test]
fn obus_have_layers_and_end_with_the_data() {
    // A frame in temporal layer 1 and spatial layer 2, then padding without size.
    let data = [0x36, 0x30, 2, 7, 8, 0x78, 1, 2, 3];
    let found: Vec<_> = obus(&data).collect();
    assert_eq!(found.len(), 2);
    let (kind, layers) = (found[0].kind, (found[0].temporal_id, found[0].spatial_id));
    assert_eq!((kind, layers), (ObuType::Frame, (1, 2)));
    assert_eq!(
        (found[0].payload, found[0].bytes),
        (&data[3..5], &data[..5])
    );
    assert_eq!(
        (found[1].kind, found[1].payload),
        (ObuType::Padding, &data[6..])
    );
    assert_eq!(obus(&[0x32, 5, 1]).count(), 0);
    assert_eq!(obus(&[0x32]).count(), 0);
}

#[test]
fn sizes_of_inter_frames_are_told_or_taken_from_a_reference() {
    let sequence = SequenceHeader::parse(&SEQUENCE[2..]).unwrap();
    assert_eq!(sequence.order_hint_bits, 7);
    // show_existing_frame, frame_type, show_frame, error_resilient_mode, disable_cdf_update,
    // allow_screen_content_tools, frame_size_override_flag, order_hint, primary_ref_frame,
    // refresh_frame_flags, frame_refs_short_signaling, ref_frame_idx
    let inter = |flags: &str, size: &str| {
        let bits = format!("{flags} 0000001 000 00000010 0 000 001 010 011 100 101 110 {size}");
        let bits: Vec<_> = bits.bytes().filter(|b| b"01".contains(b)).collect();
        let payload: Vec<u8> = bits
            .chunks(8)
            .map(|chunk| {
                let padded = chunk.iter().chain(b"0000000").take(8);
                padded.fold(0, |byte, bit| byte << 1 | (bit - b'0'))
            })
            .collect();
        FrameHeader::parse(&payload, &sequence, 0, 0).unwrap()
    };
    let plain = inter("0 01 1 0 0 0 0", "");
    assert_eq!(
        (plain.kind, plain.shown, plain.refresh),
        (FrameType::Inter, true, 2)
    );
    assert_eq!(plain.size, FrameSize::Explicit(SIZE));
    let referring = inter("0 01 1 0 0 0 1", "001");
    assert_eq!(referring.size, FrameSize::Reference(2));
    let bits = (sequence.width_bits as usize, sequence.height_bits as usize);
    let size = format!("0000000 {:0w$b} {:0h$b}", 159, 119, w = bits.0, h = bits.1);
    let explicit = inter("0 01 1 0 0 0 1", &size);
    let small = VideoSize {
        width: 160,
        height: 120,
    };
    assert_eq!(explicit.size, FrameSize::Explicit(small));
    let mut references = References([SIZE; 8]);
    assert_eq!(references.update(&explicit), small);
    let slot_1 = FrameHeader {
        size: FrameSize::Reference(1),
        refresh: 0,
        ..referring
    };
    assert_eq!(references.update(&slot_1), small);
    assert_eq!(references.update(&referring), SIZE);
}

#[test]
fn leb128_is_read_and_written() {
    for value in [
        0,
        1,
        127,
        128,
        300,
        16_383,
        16_384,
        70_000,
        u32::MAX as usize,
    ] {
        let mut bytes = Vec::new();
        write_leb128(value, &mut bytes);
        bytes.push(9);
        assert_eq!(read_leb128(&bytes), Some((value, &[9][..])));
    }
    assert_eq!(read_leb128(&[0x80, 0x80]), None);
    assert_eq!(read_leb128(&[0xff; 9]), None);
    // 2^32, and a zero in eight bytes.
    assert_eq!(read_leb128(&[0x80, 0x80, 0x80, 0x80, 0x10]), None);
    let zero = [0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0];
    assert_eq!(read_leb128(&zero), Some((0, &[][..])));
}

proptest! {
    #[test]
    fn arbitrary_bytes_never_panic(units: Vec<Vec<u8>>) {
        let mut stream = Stream::default();
        for unit in units {
            stream.next(&unit);
            let _ = SequenceHeader::parse(&unit).map(|sequence| sequence.codec_string());
            let _ = without_delimiters(&Bytes::from(unit));
        }
    }

    #[test]
    fn damaged_headers_never_panic(
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 1..4)
    ) {
        let mut unit = SEQUENCE.to_vec();
        for (at, value) in damage {
            let at = 2 + at.index(unit.len() - 2);
            unit[at] = value;
        }
        let mut stream = Stream::default();
        stream.next(&unit);
        for frame in frames {
            let mut unit = vec![0x32, frame.len() as u8];
            unit.extend(frame);
            stream.next(&unit);
            let _ = Configuration::from_keyframe(&unit);
        }
    }
}
