use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::decode::{video_decoder, video_decoder_with};
use crate::frame::ffmpeg::{ffmpeg, ivf_frames};
use crate::frame::{VideoFormat, VideoRotation, VideoSize};

const CODECS: [Codec; 2] = [Codec::Vp8, Codec::Vp9];

fn frame(data: &[u8]) -> EncodedFrame {
    EncodedFrame {
        codec: Codec::Vp8,
        data: Bytes::copy_from_slice(data),
        // The decoder looks for itself.
        keyframe: false,
        timestamp_us: 0,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

/// A decoder, or `None`, after saying so, when libvpx is not installed and need not be.
fn decoder(codec: Codec) -> Option<Box<dyn VideoDecoder>> {
    match video_decoder(codec) {
        Ok(decoder) => Some(decoder),
        Err(e) if std::env::var("PEERS").is_ok_and(|v| v == "required") => {
            panic!("PEERS=required, but {e}")
        }
        Err(_) => {
            println!("skipped: libvpx is not installed");
            None
        }
    }
}

/// A stream in an IVF file, and its frames.
fn clip(
    codec: Codec,
    width: u32,
    height: u32,
    frames: u32,
    options: &str,
) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    clip_in("yuv420p", codec, width, height, frames, options)
}

/// As [`clip`], of pixels in any format of FFmpeg's.
fn clip_in(
    pixels: &str,
    codec: Codec,
    width: u32,
    height: u32,
    frames: u32,
    options: &str,
) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let encoder = match codec {
        Codec::Vp9 => "libvpx-vp9",
        _ => "libvpx",
    };
    let file = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=320x240:r=30,crop={width}:{height}:0:0:exact=1 -frames:v {frames} -pix_fmt {pixels} -c:v {encoder} -b:v 500k -g 15 -deadline realtime -cpu-used 8 {options} -f ivf -"
        ),
        &[],
    )?;
    let list = ivf_frames(&file);
    Some((file, list))
}

#[test]
fn every_picture_is_exact() {
    for (codec, width, height) in CODECS
        .into_iter()
        .flat_map(|codec| [(codec, 320, 240), (codec, 161, 91)])
    {
        let (Some(mut decoder), Some((file, frames))) =
            (decoder(codec), clip(codec, width, height, 20, ""))
        else {
            return;
        };
        let wanted = ffmpeg("-f ivf -i - -f rawvideo -pix_fmt yuv420p -", &file).expect("there");
        let mut got = Vec::new();
        for data in &frames {
            let picture = decoder
                .decode(&frame(data))
                .expect("decodes")
                .expect("no delay");
            assert_eq!((picture.width(), picture.height()), (width, height));
            assert!(picture.is_tight());
            got.extend_from_slice(picture.data());
        }
        assert!(got == wanted, "{codec} {width}x{height}: pixels differ");
    }
}

#[test]
fn profiles_beyond_4_2_0_of_8_bits_are_exact_or_named() {
    let (width, height) = (162, 91);
    for (pixels, format) in [
        ("yuv422p", Some(VideoFormat::I422)),
        ("yuv444p", Some(VideoFormat::I444)),
        ("yuv420p10le", Some(VideoFormat::I010)),
        ("yuv420p12le", None),
        ("yuv440p", None),
    ] {
        let (Some(mut decoder), Some((file, frames))) = (
            decoder(Codec::Vp9),
            clip_in(pixels, Codec::Vp9, width, height, 5, ""),
        ) else {
            return;
        };
        let wanted = format!("-f ivf -i - -f rawvideo -pix_fmt {pixels} -");
        let wanted = ffmpeg(&wanted, &file).expect("there");
        let mut got = Vec::new();
        for data in &frames {
            match (decoder.decode(&frame(data)), format) {
                (Ok(picture), Some(format)) => {
                    let picture = picture.expect("no delay");
                    assert_eq!(picture.format(), format);
                    got.extend_from_slice(picture.data());
                }
                (Err(error), None) => {
                    let text = error.to_string();
                    assert!(text.starts_with("VP9 decoder: image format 0x"), "{text}");
                    assert!(text.ends_with("and 4:2:0 of 10 bits are decoded"), "{text}");
                }
                (Ok(picture), None) => assert!(picture.is_none(), "{pixels}"),
                (Err(error), Some(_)) => panic!("{pixels}: {error}"),
            }
        }
        assert!(format.is_none() || got == wanted, "{pixels}: pixels differ");
    }
}

#[test]
fn frames_that_are_only_references_show_nothing() {
    let options = "-deadline good -auto-alt-ref 1 -lag-in-frames 16 -cpu-used 4";
    for codec in CODECS {
        let (Some(mut decoder), Some((file, frames))) =
            (decoder(codec), clip(codec, 320, 240, 40, options))
        else {
            return;
        };
        let wanted = ffmpeg("-f ivf -i - -f rawvideo -pix_fmt yuv420p -", &file).expect("there");
        let pictures = frames
            .iter()
            .filter_map(|data| decoder.decode(&frame(data)).expect("decodes"));
        let got: Vec<u8> = pictures
            .flat_map(|picture| picture.data().to_vec())
            .collect();
        assert!(got == wanted, "{codec}: pixels differ");
    }
}

#[test]
fn the_size_may_change_in_mid_stream() {
    for codec in CODECS {
        let (Some(mut decoder), Some((_, small)), Some((_, large))) = (
            decoder(codec),
            clip(codec, 160, 90, 2, ""),
            clip(codec, 320, 180, 2, ""),
        ) else {
            return;
        };
        for (clip, width) in [(&small, 160), (&large, 320), (&small, 160)] {
            for data in clip {
                let picture = decoder
                    .decode(&frame(data))
                    .expect("decodes")
                    .expect("no delay");
                assert_eq!(picture.width(), width);
            }
        }
    }
}

#[test]
fn a_damaged_frame_is_an_error_and_the_next_keyframe_heals_it() {
    for codec in CODECS {
        let (Some(mut decoder), Some((_, frames))) = (decoder(codec), clip(codec, 160, 90, 31, ""))
        else {
            return;
        };
        let mut shown = Vec::new();
        let mut errors = Vec::new();
        for (index, data) in frames.iter().enumerate() {
            let data = if index == 5 { &data[..2] } else { &data[..] };
            match decoder.decode(&frame(data)) {
                Ok(picture) => shown.extend(picture.map(|_| index)),
                Err(e) => errors.push((index, e.to_string())),
            }
        }
        assert_eq!(errors.len(), 1, "{errors:?}");
        let wanted = format!("{codec} decoder: 2 bytes without a frame header");
        assert_eq!(errors[0].1, wanted);
        assert_eq!(shown, (0..5).chain(15..31).collect::<Vec<_>>());
    }
}

#[test]
fn the_decoders_stride_is_kept_on_request() {
    let (Some(_), Some((file, frames))) = (decoder(Codec::Vp8), clip(Codec::Vp8, 161, 91, 1, ""))
    else {
        return;
    };
    let options = VideoOptions {
        normalize_stride: false,
    };
    let mut decoder = video_decoder_with(Codec::Vp8, &options).expect("libvpx is there");
    let picture = decoder
        .decode(&frame(&frames[0]))
        .expect("decodes")
        .expect("a picture");
    assert!(picture.planes()[0].stride > 161);
    let wanted = ffmpeg("-f ivf -i - -f rawvideo -pix_fmt yuv420p -", &file).expect("there");
    assert!(picture.tight().data()[..] == wanted);
}

#[test]
fn a_header_that_claims_too_much_is_refused() {
    let vp8 = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0];
    let vp9 = [
        0x82, 0x49, 0x83, 0x42, 0x0f, 0xff, 0xff, 0xff, 0xf0, 0, 0, 0,
    ];
    for (codec, header, side) in [(Codec::Vp8, vp8, 16_383), (Codec::Vp9, vp9, 65_536)] {
        let Some(mut decoder) = decoder(codec) else {
            return;
        };
        let error = decoder.decode(&frame(&header)).expect_err("too large");
        let wanted = format!("{codec} decoder: a picture of {side}x{side} pixels");
        assert_eq!(error.to_string(), wanted);
    }
}

#[test]
fn a_missing_library_is_named_with_its_packages() {
    let error = Library::open(&["libvpx-that-is-not-there.so"])
        .err()
        .expect("missing");
    assert_eq!(
        error.to_string(),
        "libvpx is not installed: install the Debian package libvpx7 (or libvpx9), or `brew install libvpx`"
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn garbage_is_never_more_than_an_error(
        frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 1..8),
        width in 0..600_u16,
        height in 0..600_u16,
    ) {
        let (Some(mut decoder), Some(mut vp9)) = (decoder(Codec::Vp8), decoder(Codec::Vp9)) else {
            return Ok(());
        };
        for bytes in frames {
            let _ = decoder.decode(&frame(&bytes));
            // Size and quantizers of a real keyframe, so that what follows is decoded.
            let start = [0x82, 0x49, 0x83, 0x42, 0, 0x09, 0xf0, 0x05, 0x98, 0x20, 0x20];
            let _ = vp9.decode(&frame(&[&start[..], &bytes].concat()));
            let mut keyframe = vec![0x10, 2, 0, 0x9d, 0x01, 0x2a];
            keyframe.extend(width.to_le_bytes());
            keyframe.extend(height.to_le_bytes());
            keyframe.extend(&bytes);
            let _ = decoder.decode(&frame(&keyframe));
        }
    }

    #[test]
    fn damage_is_never_more_than_an_error(
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        use std::sync::OnceLock;
        type Clips = Option<Vec<(Codec, Vec<Vec<u8>>)>>;
        static CLIPS: OnceLock<Clips> = OnceLock::new();
        let make = |codec| Some((codec, clip(codec, 160, 90, 6, "")?.1));
        let Some(clips) = CLIPS.get_or_init(|| CODECS.into_iter().map(make).collect()) else {
            return Ok(());
        };
        for (codec, clip) in clips {
            let Some(mut decoder) = decoder(*codec) else {
                return Ok(());
            };
            for data in clip {
                let mut data = data[..=cut.index(data.len())].to_vec();
                for (at, value) in &flips {
                    // The size in the first ten bytes stays, so that what follows is decoded.
                    let at = at.index(data.len());
                    if at >= 10 {
                        data[at] ^= value;
                    }
                }
                let _ = decoder.decode(&frame(&data));
            }
        }
    }
}
