use super::*;
use crate::encode::video_encoder;
use crate::frame::ffmpeg::{ffmpeg, psnr};

fn encoder(options: VideoOptions) -> Box<dyn VideoEncoder> {
    video_encoder(Codec::H264, options).expect("options are in range")
}

/// Pictures of a moving test card made by ffmpeg.
fn test_card(
    width: u32,
    height: u32,
    frames: usize,
    format: VideoFormat,
) -> Option<Vec<VideoFrame>> {
    let name = if format == VideoFormat::Rgb24 {
        "rgb24"
    } else {
        "yuv420p"
    };
    let raw = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s={width}x{height}:r=30 -frames:v {frames} -pix_fmt {name} -f rawvideo -"
        ),
        &[],
    )?;
    let size = format.frame_len(width, height).expect("in range");
    Some(
        raw.chunks_exact(size)
            .map(|data| VideoFrame::new(format, width, height, data.to_vec()).expect("whole"))
            .collect(),
    )
}

/// The NAL unit types of an access unit in Annex B form.
fn nal_types(data: &[u8]) -> Vec<u8> {
    (0..data.len().saturating_sub(4))
        .filter(|&at| data[at..].starts_with(&[0, 0, 0, 1]))
        .map(|at| data[at + 4] & 31)
        .collect()
}

#[test]
fn ffmpeg_decodes_every_picture_as_it_was_encoded() {
    let Some(frames) = test_card(320, 240, 40, VideoFormat::Rgb24) else {
        return;
    };
    let options = VideoOptions {
        bit_rate: Some(2_000_000),
        gop_size: 15,
        ..VideoOptions::default()
    };
    let mut encoder = encoder(options);
    let mut stream = Vec::new();
    for (index, frame) in frames.iter().enumerate() {
        let encoded = encoder.encode(frame, index as i64 * 33_333, false);
        let encoded = encoded.expect("encodes").expect("nothing is skipped");
        assert_eq!(encoded.keyframe, index % 15 == 0, "frame {index}");
        let slice = if encoded.keyframe {
            vec![7, 8, 5]
        } else {
            vec![1]
        };
        assert_eq!(nal_types(&encoded.data), slice, "frame {index}");
        assert_eq!(encoded.timestamp_us, index as i64 * 33_333);
        stream.extend_from_slice(&encoded.data);
    }
    let decoded = ffmpeg("-f h264 -i - -f rawvideo -pix_fmt yuv420p -", &stream).expect("there");
    let size = 320 * 240 * 3 / 2;
    assert_eq!(decoded.len(), frames.len() * size);
    for (frame, decoded) in frames.iter().zip(decoded.chunks_exact(size)) {
        let wanted = frame.convert(VideoFormat::I420, false).expect("converts");
        let quality = psnr(wanted.data(), decoded);
        assert!(quality > 32.0, "{quality} dB");
    }
}

#[test]
fn the_stream_is_constrained_baseline_of_a_sufficient_level() {
    for (width, height, rate, level) in [
        (320, 240, 30.0, 12),
        (1280, 720, 30.0, 31),
        (1920, 1080, 60.0, 42),
    ] {
        let options = VideoOptions {
            frame_rate: rate,
            ..VideoOptions::default()
        };
        let black = VideoFrame::blank(VideoFormat::I420, width, height).expect("in range");
        let frame = encoder(options)
            .encode(&black, 0, false)
            .expect("encodes")
            .expect("a frame");
        let sps = crate::codec::h264::ParameterSets::from_access_unit(&frame.data).sps;
        // profile_idc 66 with constraint_set1_flag is constrained baseline (A.2.1.1).
        assert_eq!((sps[0][1], sps[0][2] & 0x40), (66, 0x40));
        assert!(sps[0][3] >= level, "{width}x{height}: level {}", sps[0][3]);
    }
}

#[test]
fn a_keyframe_comes_when_asked_for() {
    let Some(frames) = test_card(160, 90, 12, VideoFormat::I420) else {
        return;
    };
    let mut encoder = encoder(VideoOptions::default());
    let keyframes: Vec<_> = frames
        .iter()
        .enumerate()
        .map(|(i, frame)| {
            encoder
                .encode(frame, 0, i % 5 == 0)
                .expect("ok")
                .expect("a frame")
                .keyframe
        })
        .collect();
    assert_eq!(keyframes, (0..12).map(|i| i % 5 == 0).collect::<Vec<_>>());
}

#[test]
fn a_new_size_starts_a_new_sequence() {
    let (Some(small), Some(large)) = (
        test_card(160, 90, 2, VideoFormat::I420),
        test_card(320, 180, 2, VideoFormat::I420),
    ) else {
        return;
    };
    let mut encoder = encoder(VideoOptions::default());
    let mut decoder = crate::decode::video_decoder(Codec::H264).expect("built in");
    for (index, frame) in small.iter().chain(&large).chain(&small).enumerate() {
        let encoded = encoder
            .encode(frame, 0, false)
            .expect("encodes")
            .expect("a frame");
        assert_eq!(encoded.keyframe, index % 2 == 0);
        assert_eq!(encoded.size, frame.size());
        let picture = decoder
            .decode(&encoded)
            .expect("decodes")
            .expect("a picture");
        assert_eq!(picture.size(), frame.size());
        assert!(psnr(picture.data(), frame.data()) > 30.0);
    }
}

#[test]
fn an_odd_size_loses_its_last_column_and_row() {
    let Some(even) = test_card(162, 92, 3, VideoFormat::Rgb24) else {
        return;
    };
    let options = VideoOptions {
        bit_rate: Some(4_000_000),
        ..VideoOptions::default()
    };
    let mut encoder = encoder(options);
    let mut decoder = crate::decode::video_decoder(Codec::H264).expect("built in");
    for frame in even {
        let rows = frame
            .rows(0)
            .take(91)
            .flat_map(|row| row[..161 * 3].to_vec());
        let odd = VideoFrame::new(VideoFormat::Rgb24, 161, 91, rows.collect::<Vec<_>>());
        let odd = odd.expect("length fits");
        for format in [VideoFormat::Rgb24, VideoFormat::I420, VideoFormat::Nv12] {
            let odd = odd.convert(format, false).expect("converts");
            let encoded = encoder
                .encode(&odd, 0, false)
                .expect("encodes")
                .expect("a frame");
            assert_eq!((encoded.size.width, encoded.size.height), (160, 90));
            let picture = decoder
                .decode(&encoded)
                .expect("decodes")
                .expect("a picture");
            let shown = picture
                .convert(VideoFormat::Rgb24, false)
                .expect("converts");
            let wanted = frame.convert(VideoFormat::I420, false).expect("converts");
            let wanted: Vec<_> = wanted
                .convert(VideoFormat::Rgb24, false)
                .expect("converts")
                .rows(0)
                .take(90)
                .flat_map(|row| row[..160 * 3].to_vec())
                .collect();
            let quality = psnr(shown.data(), &wanted);
            assert!(quality > 30.0, "{format:?}: {quality} dB");
        }
    }
}

#[test]
fn the_colour_space_is_in_the_stream() {
    let mut decoder = crate::decode::video_decoder(Codec::H264).expect("built in");
    let mut encoder = encoder(VideoOptions::default());
    for matrix in [ColorMatrix::Bt601, ColorMatrix::Bt709] {
        for range in [ColorRange::Limited, ColorRange::Full] {
            let color = ColorSpace { matrix, range };
            let black = VideoFrame::blank(VideoFormat::I420, 64, 64).expect("in range");
            let encoded = encoder.encode(&black.with_color(color), 0, false);
            let encoded = encoded.expect("encodes").expect("a frame");
            assert!(encoded.keyframe, "new parameter sets start a sequence");
            let picture = decoder
                .decode(&encoded)
                .expect("decodes")
                .expect("a picture");
            assert_eq!(picture.color(), color);
        }
    }
}

#[test]
fn the_bit_rate_is_kept_without_skipping() {
    let Some(raw) = ffmpeg(
        "-f lavfi -i testsrc2=s=320x180:r=30,noise=alls=30:allf=t -frames:v 120 -pix_fmt yuv420p -f rawvideo -",
        &[],
    ) else {
        return;
    };
    for bit_rate in [400_000, 1_000_000] {
        let options = VideoOptions {
            bit_rate: Some(bit_rate),
            ..VideoOptions::default()
        };
        let mut encoder = encoder(options);
        let mut bytes = 0;
        for data in raw.chunks_exact(320 * 180 * 3 / 2) {
            let frame = VideoFrame::new(VideoFormat::I420, 320, 180, data.to_vec()).expect("whole");
            let encoded = encoder.encode(&frame, 0, false).expect("encodes");
            bytes += encoded.expect("nothing is skipped").data.len();
        }
        let got = bytes as f64 * 8.0 / 4.0;
        let ratio = got / f64::from(bit_rate);
        assert!(
            (0.8..1.2).contains(&ratio),
            "{got} of {bit_rate} bits a second"
        );
    }
}

#[test]
fn what_cannot_be_encoded_is_named() {
    let with = |change: fn(&mut VideoOptions)| {
        let mut options = VideoOptions::default();
        change(&mut options);
        video_encoder(Codec::H264, options)
            .err()
            .expect("out of range")
            .to_string()
    };
    assert!(with(|o| o.bit_rate = Some(0)).starts_with("bit_rate = 0 is out of range"));
    assert!(with(|o| o.frame_rate = f32::NAN).starts_with("frame_rate = NaN is out of range"));
    assert!(with(|o| o.gop_size = 0).starts_with("gop_size = 0 is out of range"));
    for (width, height) in [(1, 1), (15, 16), (4096, 4096)] {
        let frame = VideoFrame::blank(VideoFormat::I420, width, height).expect("in range");
        let mut encoder = encoder(VideoOptions::default());
        let error = encoder.encode(&frame, 0, false).expect_err("out of range");
        assert!(error.to_string().starts_with("H.264 encoder: "), "{error}");
        let frame = VideoFrame::blank(VideoFormat::I420, 16, 16).expect("in range");
        let next = encoder
            .encode(&frame, 0, false)
            .expect("goes on")
            .expect("a frame");
        assert!(next.keyframe);
    }
}

/// `disable_deblocking_filter_idc` of each slice of a stream (ITU-T H.264 section 7.4.3).
fn deblocking(stream: &[u8]) -> Vec<u8> {
    use h264_reader::Context;
    use h264_reader::nal::pps::PicParameterSet;
    use h264_reader::nal::slice::SliceHeader;
    use h264_reader::nal::sps::SeqParameterSet;
    use h264_reader::nal::{Nal, RefNal};

    let mut context = Context::new();
    let mut found = Vec::new();
    for unit in crate::codec::h264::annexb_nal_units(stream) {
        let nal = RefNal::new(unit, &[], true);
        match unit[0] & 31 {
            7 => {
                let sps = SeqParameterSet::from_bits(nal.rbsp_bits()).expect("an SPS");
                context.put_seq_param_set(sps);
            }
            8 => {
                let pps = PicParameterSet::from_bits(&context, nal.rbsp_bits()).expect("a PPS");
                context.put_pic_param_set(pps);
            }
            1 | 5 => {
                let header = nal.header().expect("a header");
                let read = SliceHeader::from_bits(&context, &mut nal.rbsp_bits(), header, None);
                let (slice, _, pps) = read.expect("a slice");
                assert_eq!(pps.pic_parameter_set_id.id(), 0, "ids are constant");
                found.push(slice.disable_deblocking_filter_idc);
            }
            _ => {}
        }
    }
    found
}

#[test]
fn the_fastest_preset_does_without_deblocking() {
    for (preset, expected) in [
        (Preset::Ultrafast, 1),
        (Preset::Medium, 0),
        (Preset::Slow, 0),
    ] {
        let mut encoder = encoder(VideoOptions {
            preset,
            gop_size: 4,
            ..VideoOptions::default()
        });
        let mut stream = Vec::new();
        for index in 0..10_u8 {
            let luma = (0..64 * 64).map(|at: usize| (at as u8).wrapping_mul(index));
            let data: Vec<u8> = luma.chain([128; 64 * 32]).collect();
            let picture = VideoFrame::new(VideoFormat::I420, 64, 64, data).expect("a picture");
            let encoded = encoder.encode(&picture, i64::from(index) * 33_333, false);
            stream.extend_from_slice(&encoded.expect("encodes").expect("a frame").data);
        }
        assert_eq!(deblocking(&stream), [expected; 10], "{preset:?}");
    }
}
