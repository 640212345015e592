use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::av1::is_keyframe;
use crate::decode::video_decoder;
use crate::frame::ffmpeg::{ffmpeg, ivf_frames};
use crate::frame::{VideoFormat, VideoRotation};

fn frame(data: &[u8]) -> EncodedFrame {
    EncodedFrame {
        codec: Codec::Av1,
        data: Bytes::copy_from_slice(data),
        keyframe: is_keyframe(data),
        timestamp_us: 0,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

fn decoder() -> Box<dyn VideoDecoder> {
    video_decoder(Codec::Av1).expect("built in")
}

/// A stream in an IVF file, and its frames, a keyframe every 15.
fn clip(width: u32, height: u32, frames: u32, format: &str) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let file = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=320x240:r=30,crop={width}:{height}:0:0:exact=1 -frames:v {frames} -pix_fmt {format} -c:v libaom-av1 -b:v 500k -g 15 -usage realtime -cpu-used 8 -f ivf -"
        ),
        &[],
    )?;
    let list = ivf_frames(&file);
    Some((file, list))
}

#[test]
fn every_picture_is_exact() {
    for (width, height, pixels, format) in [
        (320, 240, "yuv420p", VideoFormat::I420),
        (162, 90, "yuv420p", VideoFormat::I420),
        (162, 90, "yuv422p", VideoFormat::I422),
        (162, 90, "yuv444p", VideoFormat::I444),
        (162, 90, "yuv420p10le", VideoFormat::I010),
    ] {
        let Some((file, frames)) = clip(width, height, 20, pixels) else {
            return;
        };
        let wanted = format!("-f ivf -i - -f rawvideo -pix_fmt {pixels} -");
        let wanted = ffmpeg(&wanted, &file).expect("there");
        let mut decoder = decoder();
        let mut got = Vec::new();
        for data in &frames {
            let picture = decoder.decode(&frame(data)).expect("decodes");
            let picture = picture.expect("no delay");
            assert_eq!((picture.width(), picture.height()), (width, height));
            assert!(picture.is_tight() && picture.format() == format);
            got.extend_from_slice(picture.data());
        }
        assert!(got == wanted, "{width}x{height} {pixels}: pixels differ");
    }
}

#[test]
fn the_size_may_change_in_mid_stream() {
    let (Some((_, small)), Some((_, large))) =
        (clip(160, 90, 2, "yuv420p"), clip(320, 180, 2, "yuv420p"))
    else {
        return;
    };
    let mut decoder = decoder();
    for (clip, width) in [(&small, 160), (&large, 320), (&small, 160)] {
        for data in clip {
            let picture = decoder.decode(&frame(data)).expect("decodes");
            assert_eq!(picture.expect("no delay").width(), width);
        }
    }
}

#[test]
fn a_damaged_frame_is_an_error_and_the_next_keyframe_heals_it() {
    let Some((_, frames)) = clip(160, 90, 31, "yuv420p") else {
        return;
    };
    let mut decoder = decoder();
    let (mut shown, mut errors) = (Vec::new(), Vec::new());
    for (index, data) in frames.iter().enumerate() {
        // The frame's header says more than there is.
        let data = if index == 5 { &data[..5] } else { &data[..] };
        match decoder.decode(&frame(data)) {
            Ok(picture) => shown.extend(picture.map(|_| index)),
            Err(error) => errors.push((index, error.to_string())),
        }
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].0, 5);
    assert!(errors[0].1.starts_with("AV1 decoder: "), "{errors:?}");
    assert_eq!(shown, (0..5).chain(15..31).collect::<Vec<_>>());
}

#[test]
fn what_is_not_decoded_is_named() {
    let Some((_, frames)) = clip(160, 90, 1, "gray") else {
        return;
    };
    let error = decoder().decode(&frame(&frames[0])).expect_err("no chroma");
    assert_eq!(
        error.to_string(),
        "AV1 decoder: I400 of 8 bits, only 4:2:0, 4:2:2 and 4:4:4 of 8 bits and 4:2:0 of 10 bits \
         are decoded"
    );
    assert!(decoder().decode(&frame(&[])).expect("waits").is_none());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn damage_is_never_more_than_an_error(
        cut in any::<prop::sample::Index>(),
        flips in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        use std::sync::OnceLock;
        static CLIP: OnceLock<Option<Vec<Vec<u8>>>> = OnceLock::new();
        let Some(clip) = CLIP.get_or_init(|| Some(clip(160, 90, 6, "yuv420p")?.1)) else {
            return Ok(());
        };
        let mut decoder = decoder();
        for data in clip {
            let mut data = data[..=cut.index(data.len())].to_vec();
            for (at, value) in &flips {
                // The sequence header stays, so that what follows is decoded.
                let at = at.index(data.len());
                if at >= 20 {
                    data[at] ^= value;
                }
            }
            let _ = decoder.decode(&EncodedFrame { keyframe: true, ..frame(&data) });
        }
    }
}
