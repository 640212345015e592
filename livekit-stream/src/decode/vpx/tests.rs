use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::decode::{video_decoder, video_decoder_with};
use crate::frame::ffmpeg::ffmpeg;
use crate::frame::{VideoRotation, VideoSize};

fn frame(data: &[u8]) -> EncodedFrame {
    EncodedFrame {
        codec: Codec::Vp8,
        data: Bytes::copy_from_slice(data),
        keyframe: data.first().is_some_and(|tag| tag & 1 == 0),
        timestamp_us: 0,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

/// A decoder, or `None`, after saying so, when libvpx is not installed and need not be.
fn decoder() -> Option<Box<dyn VideoDecoder>> {
    match video_decoder(Codec::Vp8) {
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

/// A VP8 stream in an IVF file, and its frames.
fn clip(width: u32, height: u32, frames: u32, options: &str) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let file = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=320x240:r=30,crop={width}:{height}:0:0:exact=1 -frames:v {frames} -pix_fmt yuv420p -c:v libvpx -b:v 500k -g 15 -deadline realtime -cpu-used 8 {options} -f ivf -"
        ),
        &[],
    )?;
    let mut rest = &file[32..];
    let mut list = Vec::new();
    while let Some((header, data)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        list.push(data[..length].to_vec());
        rest = &data[length..];
    }
    Some((file, list))
}

#[test]
fn every_picture_is_exact() {
    for (width, height) in [(320, 240), (161, 91)] {
        let (Some(mut decoder), Some((file, frames))) = (decoder(), clip(width, height, 20, ""))
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
        assert!(got == wanted, "{width}x{height}: pixels differ");
    }
}

#[test]
fn frames_that_are_only_references_show_nothing() {
    let options = "-deadline good -auto-alt-ref 1 -lag-in-frames 16 -cpu-used 4";
    let (Some(mut decoder), Some((file, frames))) = (decoder(), clip(320, 240, 40, options)) else {
        return;
    };
    let wanted = ffmpeg("-f ivf -i - -f rawvideo -pix_fmt yuv420p -", &file).expect("there");
    let pictures = frames
        .iter()
        .filter_map(|data| decoder.decode(&frame(data)).expect("decodes"));
    let got: Vec<u8> = pictures
        .flat_map(|picture| picture.data().to_vec())
        .collect();
    assert!(got == wanted, "pixels differ");
}

#[test]
fn the_size_may_change_in_mid_stream() {
    let (Some(mut decoder), Some((_, small)), Some((_, large))) =
        (decoder(), clip(160, 90, 2, ""), clip(320, 180, 2, ""))
    else {
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

#[test]
fn a_damaged_frame_is_an_error_and_the_next_keyframe_heals_it() {
    let (Some(mut decoder), Some((_, frames))) = (decoder(), clip(160, 90, 31, "")) else {
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
    assert_eq!(errors[0].1, "VP8 decoder: 2 bytes without a frame header");
    assert_eq!(shown, (0..5).chain(15..31).collect::<Vec<_>>());
}

#[test]
fn the_decoders_stride_is_kept_on_request() {
    let (Some(_), Some((file, frames))) = (decoder(), clip(161, 91, 1, "")) else {
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
    let Some(mut decoder) = decoder() else {
        return;
    };
    let header = [0x10, 0, 0, 0x9d, 0x01, 0x2a, 0xff, 0x3f, 0xff, 0x3f, 0, 0];
    let error = decoder.decode(&frame(&header)).expect_err("too large");
    assert_eq!(
        error.to_string(),
        "VP8 decoder: a picture of 16383x16383 pixels"
    );
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
        let Some(mut decoder) = decoder() else {
            return Ok(());
        };
        for bytes in frames {
            let _ = decoder.decode(&frame(&bytes));
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
        static CLIP: OnceLock<Option<Vec<Vec<u8>>>> = OnceLock::new();
        let clip = CLIP.get_or_init(|| Some(clip(160, 90, 6, "")?.1));
        let (Some(mut decoder), Some(clip)) = (decoder(), clip) else {
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
