use std::fmt::Write as _;

use proptest::prelude::*;

use crate::frame::ffmpeg::{ffmpeg, psnr, psnr_10_bit};
use crate::frame::{ColorRange, ColorSpace, Plane, VideoFormat, VideoFrame};

fn ffmpeg_name(format: VideoFormat) -> &'static str {
    match format {
        VideoFormat::Rgba => "rgba",
        VideoFormat::Abgr => "abgr",
        VideoFormat::Argb => "argb",
        VideoFormat::Bgra => "bgra",
        VideoFormat::Rgb24 => "rgb24",
        VideoFormat::I420 => "yuv420p",
        VideoFormat::I420A => "yuva420p",
        VideoFormat::I422 => "yuv422p",
        VideoFormat::I444 => "yuv444p",
        VideoFormat::I010 => "yuv420p10le",
        VideoFormat::Nv12 => "nv12",
    }
}

/// Chroma samples for each four pixels of a block of two by two.
fn chroma_density(format: VideoFormat) -> u32 {
    match format {
        VideoFormat::I420 | VideoFormat::I420A | VideoFormat::I010 | VideoFormat::Nv12 => 1,
        VideoFormat::I422 => 2,
        _ => 4,
    }
}

/// A colourful, partly transparent picture in `format`.
fn test_card(format: VideoFormat, width: u32, height: u32) -> Option<VideoFrame> {
    let name = ffmpeg_name(format);
    let data = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=320x240:alpha=100,format=rgba,crop={width}:{height}:0:0:exact=1 -frames:v 1 -pix_fmt {name} -f rawvideo -"
        ),
        &[],
    )?;
    Some(VideoFrame::new(format, width, height, data).expect("ffmpeg's layout is ours"))
}

/// `frame` in the formats `to` by ffmpeg's scaler.
fn by_ffmpeg(frame: &VideoFrame, to: &[VideoFormat]) -> Option<Vec<VideoFrame>> {
    let (width, height) = (frame.width(), frame.height());
    let from = frame.format();
    let directory = std::env::temp_dir().join(format!(
        "livekit-stream-convert-{}-{from:?}-{width}",
        std::process::id()
    ));
    std::fs::create_dir_all(&directory).expect("the temporary folder takes a folder");
    let path = |format: VideoFormat| directory.join(ffmpeg_name(format));
    let mut arguments = format!(
        "-f rawvideo -pix_fmt {} -s {width}x{height} -i -",
        ffmpeg_name(from)
    );
    for &format in to {
        // Chroma is repeated when it grows and averaged when it shrinks, as ours is.
        let kernel = if chroma_density(format) < chroma_density(from) {
            "area"
        } else {
            "neighbor"
        };
        let name = ffmpeg_name(format);
        let path = path(format);
        let _ = write!(
            arguments,
            " -vf scale=flags={kernel}+accurate_rnd+full_chroma_int+full_chroma_inp:sws_dither=none:in_color_matrix=bt601:out_color_matrix=bt601,format={name} -f rawvideo -y {}",
            path.display()
        );
    }
    let done = ffmpeg(&arguments, frame.data());
    let frames = done.is_some().then(|| {
        to.iter()
            .map(|&format| {
                let data = std::fs::read(path(format)).expect("ffmpeg wrote it");
                VideoFrame::new(format, width, height, data).expect("ffmpeg's layout is ours")
            })
            .collect()
    });
    std::fs::remove_dir_all(&directory).expect("the folder is ours");
    frames
}

/// The bytes that make one step to the right in plane `index`.
fn step(format: VideoFormat, index: usize) -> usize {
    match (format, index) {
        (VideoFormat::Rgb24, _) => 3,
        (VideoFormat::Nv12, 1) | (VideoFormat::I010, _) => 2,
        (VideoFormat::Nv12, _) => 1,
        (format, _) if chroma_density(format) == 4 && format != VideoFormat::I444 => 4,
        _ => 1,
    }
}

/// The picture cut, or with its last column and row repeated, to another size.
fn with_size(frame: &VideoFrame, width: u32, height: u32) -> VideoFrame {
    let format = frame.format();
    let length = format.frame_len(width, height).expect("in range");
    let blank = VideoFrame::new(format, width, height, vec![0; length]).expect("length fits");
    let mut data = Vec::new();
    for (index, plane) in blank.planes().iter().enumerate() {
        let rows: Vec<_> = frame.rows(index).collect();
        for y in 0..plane.rows {
            let row = rows[y.min(rows.len() - 1)];
            let last = &row[row.len() - step(format, index)..];
            data.extend(row.iter().chain(last.iter().cycle()).take(plane.row_bytes));
        }
    }
    VideoFrame::new(format, width, height, data).expect("length fits")
}

#[test]
fn every_conversion_agrees_with_ffmpeg() {
    let mut results = Vec::new();
    for (width, height) in [(320, 240), (161, 91)] {
        for from in VideoFormat::ALL {
            let Some(source) = test_card(from, width, height) else {
                return;
            };
            let others: Vec<_> = VideoFormat::ALL
                .into_iter()
                .filter(|&f| f != from)
                .collect();
            // At an odd width ffmpeg's scaler stretches chroma over the picture instead of
            // giving each sample its two columns; made even it does what the formats say.
            let even = with_size(
                &source,
                width.next_multiple_of(2),
                height.next_multiple_of(2),
            );
            for wanted in by_ffmpeg(&even, &others).expect("ffmpeg is there") {
                let wanted = with_size(&wanted, width, height);
                let ours = source.convert(wanted.format(), false).expect("converts");
                let decibels = if ours.format() == VideoFormat::I010 {
                    psnr_10_bit(ours.data(), wanted.data())
                } else {
                    psnr(ours.data(), wanted.data())
                };
                results.push((decibels, from, ours.format(), width));
            }
        }
    }
    results.sort_by(|a, b| a.0.total_cmp(&b.0));
    println!("the lowest: {:?}", &results[..4]);
    let failed: Vec<_> = results.iter().take_while(|row| row.0 <= 45.0).collect();
    assert!(failed.is_empty(), "{failed:?}");
}

#[test]
fn matrix_and_range_are_those_of_the_picture() {
    let Some(source) = test_card(VideoFormat::Rgb24, 64, 64) else {
        return;
    };
    for matrix in [
        crate::frame::ColorMatrix::Bt601,
        crate::frame::ColorMatrix::Bt709,
    ] {
        for range in [ColorRange::Limited, ColorRange::Full] {
            let color = ColorSpace { matrix, range };
            let source = source.clone().with_color(color);
            let yuv = source.convert(VideoFormat::I444, false).expect("converts");
            assert_eq!(yuv.color(), color);
            let name = match matrix {
                crate::frame::ColorMatrix::Bt709 => "bt709",
                _ => "bt601",
            };
            let pc = if range == ColorRange::Full {
                "pc"
            } else {
                "tv"
            };
            let wanted = ffmpeg(
                &format!(
                    "-f rawvideo -pix_fmt rgb24 -s 64x64 -i - -vf scale=flags=accurate_rnd+full_chroma_int+full_chroma_inp:out_color_matrix={name}:out_range={pc},format=yuv444p -f rawvideo -"
                ),
                source.data(),
            )
            .expect("ffmpeg is there");
            let decibels = psnr(yuv.data(), &wanted);
            assert!(decibels > 45.0, "{color:?}: {decibels} dB");
            let back = yuv.convert(VideoFormat::Rgb24, false).expect("converts");
            let decibels = psnr(back.data(), source.data());
            assert!(decibels > 40.0, "{color:?}: {decibels} dB there and back");
        }
    }
}

/// The picture with `gap` bytes behind each row but the last.
fn padded(frame: &VideoFrame, gap: usize) -> VideoFrame {
    let mut data = Vec::new();
    let mut planes = Vec::new();
    for (index, plane) in frame.planes().iter().enumerate() {
        let stride = plane.row_bytes + gap;
        data.extend_from_slice(&[77; 3]);
        planes.push(Plane {
            offset: data.len(),
            stride,
            ..*plane
        });
        for (y, row) in frame.rows(index).enumerate() {
            data.extend_from_slice(row);
            if y + 1 < plane.rows {
                data.extend_from_slice(&vec![99; gap]);
            }
        }
    }
    VideoFrame::with_planes(frame.format(), frame.width(), frame.height(), data, planes)
        .expect("the planes fit")
}

/// Any picture up to 70 pixels a side.
fn picture() -> impl Strategy<Value = VideoFrame> {
    let formats = prop::sample::select(VideoFormat::ALL.to_vec());
    (formats, 1..70_u32, 1..70_u32, any::<u64>()).prop_map(|(format, width, height, seed)| {
        let length = format.frame_len(width, height).expect("in range");
        let mut state = seed | 1;
        let mut data: Vec<u8> = (0..length)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1);
                (state >> 56) as u8
            })
            .collect();
        if format == VideoFormat::I010 {
            data.iter_mut()
                .skip(1)
                .step_by(2)
                .for_each(|high| *high &= 3);
        }
        VideoFrame::new(format, width, height, data).expect("length fits")
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn rows_apart_convert_as_tight_ones(frame in picture(), gap in 0..9_usize) {
        let apart = padded(&frame, gap);
        prop_assert_eq!(&apart.tight(), &frame);
        for format in VideoFormat::ALL {
            let wanted = frame.convert(format, false).expect("converts");
            let got = apart.convert(format, false).expect("converts").tight();
            prop_assert_eq!(got, wanted, "{:?} to {:?}", frame.format(), format);
        }
    }

    #[test]
    fn flip_turns_the_result_upside_down(frame in picture()) {
        for format in VideoFormat::ALL {
            let upright = frame.convert(format, false).expect("converts");
            let flipped = frame.convert(format, true).expect("converts");
            for index in 0..upright.planes().len() {
                let mut rows: Vec<_> = upright.rows(index).collect();
                rows.reverse();
                prop_assert!(flipped.rows(index).eq(rows), "{:?} to {:?}", frame.format(), format);
            }
        }
    }

    #[test]
    fn richer_formats_lose_nothing(frame in picture(), full in any::<bool>()) {
        let range = if full { ColorRange::Full } else { ColorRange::Limited };
        let frame = frame.with_color(ColorSpace { range, ..ColorSpace::default() });
        let richer: &[VideoFormat] = match frame.format() {
            VideoFormat::I420 => &[VideoFormat::I420A, VideoFormat::I422, VideoFormat::I444, VideoFormat::I010, VideoFormat::Nv12],
            VideoFormat::Nv12 => &[VideoFormat::I420, VideoFormat::I420A, VideoFormat::I422, VideoFormat::I444, VideoFormat::I010],
            VideoFormat::I422 => &[VideoFormat::I444],
            VideoFormat::Rgb24 => &[VideoFormat::Rgba, VideoFormat::Abgr, VideoFormat::Argb, VideoFormat::Bgra],
            VideoFormat::Rgba | VideoFormat::Abgr | VideoFormat::Argb | VideoFormat::Bgra => {
                &[VideoFormat::Rgba, VideoFormat::Abgr, VideoFormat::Argb, VideoFormat::Bgra]
            }
            _ => &[],
        };
        for &format in richer {
            let there = frame.convert(format, false).expect("converts");
            let back = there.convert(frame.format(), false).expect("converts");
            prop_assert_eq!(&back, &frame, "by {:?}", format);
        }
    }
}

#[test]
fn wrong_buffers_are_refused_by_name() {
    let short = VideoFrame::new(VideoFormat::I420, 4, 4, vec![0; 23]).expect_err("too short");
    assert_eq!(
        short.to_string(),
        "a 4x4 I420 picture takes 24 bytes, 23 were given"
    );
    let none = VideoFrame::new(VideoFormat::I420, 0, 4, vec![]).expect_err("no columns");
    assert_eq!(
        none.to_string(),
        "a picture of 0x4 pixels is out of range (1..=16384 each)"
    );
    let good = Plane {
        offset: 0,
        stride: 12,
        row_bytes: 12,
        rows: 2,
    };
    let rgb = |planes| VideoFrame::with_planes(VideoFormat::Rgb24, 4, 2, vec![0; 24], planes);
    assert!(rgb(vec![good]).is_ok());
    for bad in [
        Plane { offset: 1, ..good },
        Plane {
            offset: usize::MAX,
            ..good
        },
        Plane { stride: 11, ..good },
        Plane {
            stride: usize::MAX,
            ..good
        },
        Plane { rows: 1, ..good },
        Plane {
            row_bytes: 13,
            ..good
        },
    ] {
        assert!(rgb(vec![bad]).is_err(), "{bad:?}");
    }
    assert!(rgb(vec![]).is_err());
    assert!(rgb(vec![good, good]).is_err());
}

#[test]
fn blank_pictures_are_black_and_opaque() {
    for format in VideoFormat::ALL {
        let blank = VideoFrame::blank(format, 5, 3).expect("in range");
        let rgba = blank.convert(VideoFormat::Rgba, false).expect("converts");
        let black = rgba.data().chunks(4).all(|pixel| pixel == [0, 0, 0, 255]);
        assert!(black, "{format:?}: {rgba:?}");
    }
}

#[test]
fn the_last_columns_are_converted_as_the_first_ones() {
    let noise = |format: VideoFormat| {
        let length = format.frame_len(96, 4).expect("in range");
        let mut state = 1_u32;
        let mut data: Vec<u8> = (0..length)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            })
            .collect();
        if format == VideoFormat::I010 {
            data.iter_mut()
                .skip(1)
                .step_by(2)
                .for_each(|high| *high &= 3);
        }
        VideoFrame::new(format, 96, 4, data).expect("length fits")
    };
    for from in VideoFormat::ALL {
        let wide = noise(from);
        for to in VideoFormat::ALL {
            let wanted = wide.convert(to, false).expect("converts");
            for width in 1..=70 {
                // At an odd edge averages are over the last column alone.
                if width % 2 == 1 && chroma_density(to) < chroma_density(from) {
                    continue;
                }
                let narrow = with_size(&wide, width, 4)
                    .convert(to, false)
                    .expect("converts");
                let wanted = with_size(&wanted, width, 4);
                let pairs = narrow.data().iter().zip(wanted.data());
                let worst = pairs.map(|(a, b)| a.abs_diff(*b)).max();
                assert!(
                    worst <= Some(2),
                    "{from:?} to {to:?}, {width} columns: {worst:?}"
                );
            }
        }
    }
}
