use super::*;
use crate::decode::video_decoder;
use crate::encode::video_encoder;
use crate::frame::ffmpeg::{ffmpeg, psnr};

fn options(preset: Preset) -> VideoOptions {
    VideoOptions {
        preset,
        encoder: H264Encoder::X264,
        ..VideoOptions::default()
    }
}

fn pictures(width: u32, height: u32, count: usize) -> Option<Vec<VideoFrame>> {
    let raw = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=640x480:r=30,crop={width}:{height}:0:0:exact=1 -frames:v {count} -pix_fmt yuv420p -f rawvideo -"
        ),
        &[],
    )?;
    let length = VideoFormat::I420.frame_len(width, height).expect("a size");
    let frames = raw.chunks(length).map(|one| {
        VideoFrame::new(VideoFormat::I420, width, height, one.to_vec()).expect("a picture")
    });
    Some(frames.collect())
}

#[test]
fn every_picture_becomes_one_access_unit_at_once() {
    let Some(pictures) = pictures(640, 360, 20) else {
        return;
    };
    let options = VideoOptions {
        gop_size: 8,
        bit_rate: Some(4_000_000),
        ..options(Preset::Veryfast)
    };
    let mut encoder = video_encoder(Codec::H264, options).expect("x264");
    let mut decoder = video_decoder(Codec::H264).expect("built in");
    let mut keyframes = Vec::new();
    for (index, picture) in pictures.iter().enumerate() {
        let time_us = 1_000_000 + index as i64 * 33_333;
        let frame = encoder
            .encode(picture, time_us, index == 13)
            .expect("encodes");
        let frame = frame.expect("no delay");
        assert_eq!((frame.codec, frame.timestamp_us), (Codec::H264, time_us));
        assert_eq!(frame.size, picture.size());
        if frame.keyframe {
            keyframes.push(index);
            assert!(frame.data.starts_with(&[0, 0, 0, 1, 0x67]), "its SPS first");
        }
        let normalized = access_unit(&frame.data);
        assert_eq!(normalized, frame.data, "start codes of four bytes");
        let shown = decoder.decode(&frame).expect("decodes").expect("no delay");
        let quality = psnr(shown.plane(0), picture.plane(0));
        assert!(quality > 30.0, "picture {index}: {quality} dB");
    }
    assert_eq!(keyframes, [0, 8, 13], "the next would be 21");
}

#[test]
fn presets_are_those_of_x264() {
    let Some(pictures) = pictures(320, 240, 1) else {
        return;
    };
    // What x264 writes of its options into the stream.
    for (preset, expected) in [
        (Preset::Ultrafast, ["subme=0", "cabac=0", "deblock=0"]),
        (Preset::Medium, ["subme=7", "cabac=1", "deblock=1"]),
        (Preset::Veryslow, ["subme=10", "trellis=2", "bframes=0"]),
    ] {
        let mut encoder = video_encoder(Codec::H264, options(preset)).expect("x264");
        let frame = encoder.encode(&pictures[0], 0, false).expect("encodes");
        let data = frame.expect("no delay").data;
        let text = String::from_utf8_lossy(&data);
        for option in expected {
            assert!(text.contains(option), "{preset}: no {option}");
        }
    }
}

#[test]
fn another_size_or_colour_space_starts_a_new_sequence() {
    let (Some(large), Some(odd)) = (pictures(320, 240, 2), pictures(161, 91, 2)) else {
        return;
    };
    let mut encoder = video_encoder(Codec::H264, options(Preset::Ultrafast)).expect("x264");
    let bt709 = ColorSpace {
        matrix: ColorMatrix::Bt709,
        range: ColorRange::Full,
    };
    let mut decoder = video_decoder(Codec::H264).expect("built in");
    let wide = large[0].convert(VideoFormat::Rgba, false).expect("RGBA");
    for (picture, size, keyframe) in [
        (large[0].clone(), (320, 240), true),
        (large[1].clone(), (320, 240), false),
        (odd[0].clone(), (160, 90), true),
        (large[1].clone().with_color(bt709), (320, 240), true),
        (wide.with_color(bt709), (320, 240), false),
    ] {
        let frame = encoder.encode(&picture, 0, false).expect("encodes");
        let frame = frame.expect("no delay");
        assert_eq!(frame.keyframe, keyframe);
        assert_eq!((frame.size.width, frame.size.height), size);
        let shown = decoder.decode(&frame).expect("decodes").expect("no delay");
        assert_eq!((shown.width(), shown.height()), size);
        assert_eq!(shown.color(), picture.color());
    }
    let tiny = VideoFrame::blank(VideoFormat::I420, 8, 8).expect("a picture");
    let error = encoder.encode(&tiny, 0, false).expect_err("too small");
    assert!(error.to_string().contains("8x8"), "{error}");
}

#[test]
fn hardware_that_is_not_there_is_an_error_that_lists_what_is() {
    let there = crate::encode::h264_encoders();
    assert!(there.contains(&H264Encoder::X264), "{there:?}");
    for encoder in KNOWN {
        let options = VideoOptions {
            encoder,
            ..VideoOptions::default()
        };
        let made = video_encoder(Codec::H264, options);
        assert_eq!(made.is_ok(), there.contains(&encoder), "{encoder}");
        if let Err(error) = made {
            let text = error.to_string();
            assert!(text.contains(encoder.name()), "{text}");
            assert!(text.contains("there are: openh264, libx264"), "{text}");
        }
    }
    let out_of_range = VideoOptions {
        gop_size: 0,
        ..options(Preset::Fast)
    };
    assert!(matches!(
        video_encoder(Codec::H264, out_of_range).err(),
        Some(EncodeError::OptionOutOfRange {
            option: "gop_size",
            ..
        })
    ));
}

#[test]
fn whatever_starts_encodes() {
    let Some(pictures) = pictures(640, 360, 30) else {
        return;
    };
    for encoder in crate::encode::h264_encoders() {
        let options = VideoOptions {
            encoder,
            ..VideoOptions::default()
        };
        let mut encoder = video_encoder(Codec::H264, options).expect("it starts");
        let mut decoder = video_decoder(Codec::H264).expect("built in");
        let mut shown = 0;
        for (index, picture) in (0..).zip(&pictures) {
            let frame = encoder.encode(picture, index, false).expect("encodes");
            if let Some(frame) = frame {
                shown += usize::from(decoder.decode(&frame).expect("decodes").is_some());
            }
        }
        assert!(shown > 20, "{shown} pictures");
    }
}
