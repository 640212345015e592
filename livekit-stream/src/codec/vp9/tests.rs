use proptest::prelude::*;

use super::*;
use crate::frame::ffmpeg::{ffmpeg, ivf_frames};

/// The first bytes of keyframes of 322x182 by libvpx: profile 0, profile 1 (4:4:4), profile 2
/// (10 bits).
const PROFILE_0: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0b, 0x56, 0x06];
const PROFILE_1: [u8; 10] = [0xa2, 0x49, 0x83, 0x42, 0x00, 0x02, 0x82, 0x01, 0x6a, 0xc0];
const PROFILE_2: [u8; 10] = [0x92, 0x49, 0x83, 0x42, 0x00, 0x0a, 0x08, 0x05, 0xab, 0x03];

const SIZE: VideoSize = VideoSize {
    width: 322,
    height: 182,
};

/// Bits to bytes, filled up with zeros.
fn bytes(bits: &str) -> Vec<u8> {
    let bits: Vec<_> = bits.bytes().filter(|b| b"01".contains(b)).collect();
    let byte = |chunk: &[u8]| {
        let bits = chunk.iter().chain(b"0000000").take(8);
        bits.fold(0, |byte, bit| byte << 1 | (bit - b'0'))
    };
    bits.chunks(8).map(byte).collect()
}

#[test]
fn keyframes_tell_size_and_colour() {
    for (frame, profile, bit_depth, subsampled) in [
        (PROFILE_0, 0, 8, true),
        (PROFILE_1, 1, 8, false),
        (PROFILE_2, 2, 10, true),
    ] {
        let header = FrameHeader::parse(&frame).unwrap();
        assert!(header.keyframe && header.shown && is_keyframe(&frame));
        assert_eq!((header.profile, header.refresh), (profile, 0xff));
        assert_eq!(header.size, FrameSize::Explicit(SIZE));
        let color = header.color.unwrap();
        assert_eq!(
            (color.bit_depth, color.subsampling_x),
            (bit_depth, subsampled)
        );
        for cut in 0..9 {
            assert_eq!(FrameHeader::parse(&frame[..cut]), None, "{cut} bytes");
        }
    }
}

#[test]
fn codec_strings_name_profile_level_and_depth() {
    let string = |frame: &[u8]| Configuration::from_keyframe(frame).unwrap().codec_string();
    assert_eq!(string(&PROFILE_0), "vp09.00.11.08");
    assert_eq!(string(&PROFILE_1), "vp09.01.11.08.03.02.02.02.00");
    assert_eq!(string(&PROFILE_2), "vp09.02.11.10");
    let level = |width, height| level(VideoSize { width, height });
    assert_eq!(
        [
            level(640, 360),
            level(1280, 720),
            level(1920, 1080),
            level(3840, 2160)
        ],
        [21, 31, 40, 50]
    );
    assert_eq!(level(65_536, 65_536), HIGHEST_LEVEL);
}

#[test]
fn frames_between_keyframes_take_their_size_from_a_reference_or_tell_it() {
    // marker, profile, show_existing_frame, frame_type, show_frame, error_resilient_mode,
    // reset_frame_context, refresh_frame_flags, three references, found_ref
    let same = bytes("10 00 0 1 1 0 00 00000001 000 0 001 0 010 0 01");
    let smaller =
        bytes("10 00 0 1 1 1 00000100 000 0 001 0 010 0 000 0000000010011111 0000000001011001");
    let shown_again = bytes("10 00 1 010");
    let intra_only = [
        &bytes("10 00 0 1 0 1 1")[..1],
        &bytes("1 01001001 10000011 01000010 10000000 0000000000001111 0000000000001111"),
    ]
    .concat();
    let mut references = References::default();
    let mut next = |frame: &[u8]| {
        let header = FrameHeader::parse(frame).unwrap();
        (references.update(&header), header.keyframe)
    };
    let small = VideoSize {
        width: 160,
        height: 90,
    };
    let tiny = VideoSize {
        width: 16,
        height: 16,
    };
    assert_eq!(next(&PROFILE_0), (SIZE, true));
    assert_eq!(next(&same), (SIZE, false));
    assert_eq!(next(&smaller), (small, false));
    assert_eq!(next(&shown_again), (small, false));
    assert_eq!(next(&intra_only), (tiny, false));
    assert_eq!(next(&same), (SIZE, false));
}

#[test]
fn what_is_no_header_is_refused() {
    assert_eq!(FrameHeader::parse(&[0x42, 0x49, 0x83, 0x42]), None);
    let mut wrong_sync_code = PROFILE_0;
    wrong_sync_code[2] = 0;
    assert_eq!(FrameHeader::parse(&wrong_sync_code), None);
    // Profile 0 has no RGB.
    let mut rgb = PROFILE_0;
    rgb[4] = 0xe0;
    assert_eq!(FrameHeader::parse(&rgb), None);
}

fn join(frames: &[&[u8]]) -> Option<Vec<u8>> {
    let lengths: Vec<_> = frames.iter().map(|frame| frame.len()).collect();
    let mut superframe = frames.concat();
    append_index(&mut superframe, &lengths).map(|()| superframe)
}

#[test]
fn superframes_are_split_and_joined() {
    let upper = vec![0x86; 70_000];
    let layers: [&[u8]; 3] = [&PROFILE_0, &[0x86; 300], &upper];
    let superframe = join(&layers).unwrap();
    assert_eq!(superframe.len(), 70_310 + 2 + 3 * 3);
    assert_eq!(frames(&superframe).unwrap(), layers);
    assert!(is_keyframe(&superframe));
    assert_eq!(frames(&PROFILE_0).unwrap(), [&PROFILE_0[..]]);
    assert_eq!(join(&[&[1][..]; 9]), None);
    assert_eq!((join(&[]), frames(&[])), (None, None));
    assert_eq!(append_index(&mut vec![1, 2], &[1]), None);
    // The index claims more than there is.
    assert_eq!(frames(&[1, 2, 0xc1, 9, 9, 0xc1]), None);
}

/// The frames of a clip by libvpx, and the IVF file.
fn clip(size: &str, options: &str) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let file = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s={size}:r=30 -frames:v 6 -pix_fmt yuv420p -c:v libvpx-vp9 -b:v 800k -deadline realtime -cpu-used 8 -lag-in-frames 0 {options} -f ivf -"
        ),
        &[],
    )?;
    let list = ivf_frames(&file);
    Some((file, list))
}

#[test]
fn a_hidden_frame_decodes_to_what_it_was() {
    for (size, options) in [
        ("320x180", ""),
        ("322x182", "-error-resilient default"),
        ("1280x720", "-tile-columns 2 -aq-mode 3"),
        ("4096x64", "-tile-columns 4 -tile-rows 1 -frame-parallel 1"),
    ] {
        let Some((file, frames)) = clip(size, options) else {
            return;
        };
        let width = size.split('x').next().unwrap().parse().unwrap();
        let pixels = |file: &[u8]| {
            ffmpeg("-xerror -f ivf -i - -fps_mode passthrough -f md5 -", file).unwrap()
        };
        let wanted = pixels(&file);
        // The last frame that is kept as a reference is hidden, and then shown from there.
        let parse = |frame: &Vec<u8>| FrameHeader::parse(frame).unwrap();
        let index = frames.iter().rposition(|frame| parse(frame).refresh != 0);
        let index = index.unwrap();
        assert!(index > 0, "{size}: an inter frame");
        let slot = parse(&frames[index]).refresh.trailing_zeros() as u8;
        let hidden = hide(&frames[index], width).unwrap();
        assert!(!parse(&hidden).shown && parse(&hidden).refresh == parse(&frames[index]).refresh);
        let show = [0b1000_1000 | slot];
        let lengths = [hidden.len(), 1];
        let mut superframe = [&hidden[..], &show].concat();
        append_index(&mut superframe, &lengths).unwrap();
        let mut changed = file[..32].to_vec();
        for (number, frame) in frames.iter().enumerate() {
            let frame = if number == index { &superframe } else { frame };
            changed.extend((frame.len() as u32).to_le_bytes());
            changed.extend((number as u64).to_le_bytes());
            changed.extend(frame);
        }
        // What follows would look at the frame before it for motion.
        if index + 1 == frames.len() || options.contains("resilient") {
            assert_eq!(pixels(&changed), wanted, "{size} {options}");
        }
        assert_eq!(hide(&hidden, width), None);
    }
    let keyframe = hide(&PROFILE_0, 322).unwrap();
    let header = FrameHeader::parse(&keyframe).unwrap();
    assert!(header.keyframe && !header.shown);
    assert_eq!(header.size, FrameSize::Explicit(SIZE));
}

proptest! {
    #[test]
    fn hiding_arbitrary_bytes_never_panics(bytes: Vec<u8>, width: u32) {
        let _ = hide(&bytes, width);
        let _ = hide(&[&[0x86, 0][..], &bytes].concat(), width);
    }

    #[test]
    fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
        let _ = FrameHeader::parse(&bytes);
        let _ = Configuration::from_keyframe(&bytes).map(|config| config.codec_string());
    }

    #[test]
    fn damaged_headers_never_panic(at in 0..10_usize, value: u8, cut in 0..=10_usize) {
        let mut frame = PROFILE_2;
        frame[at] = value;
        let _ = Configuration::from_keyframe(&frame[..cut]).map(|config| config.codec_string());
    }

    #[test]
    fn what_is_joined_is_split_again(
        frames_in in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 2..=8)
    ) {
        let slices: Vec<_> = frames_in.iter().map(Vec::as_slice).collect();
        let superframe = join(&slices).unwrap();
        prop_assert_eq!(frames(&superframe).unwrap(), slices);
    }

    #[test]
    fn arbitrary_indexes_never_panic(mut bytes: Vec<u8>, marker in 0xc0..=0xdf_u8) {
        let count = usize::from(marker & 7) + 1;
        let length = count * (usize::from(marker >> 3 & 3) + 1);
        bytes.push(marker);
        bytes.extend(std::iter::repeat_n(7, length));
        bytes.push(marker);
        let _ = frames(&bytes);
    }
}
