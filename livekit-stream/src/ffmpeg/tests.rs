use super::*;
use crate::codec::Codec;
use crate::codec::h265::{self, annexb_nal_units};
use crate::decode::{
    AudioFormat, DecodeError, VideoDecoder, VideoOptions, any_audio_decoder, video_decoder,
    video_decoder_with,
};
use crate::frame::ffmpeg::{ffmpeg, run};
use crate::frame::{AudioFrame, EncodedFrame, VideoFormat, VideoRotation, VideoSize};

fn frame(data: &[u8], timestamp_us: i64) -> EncodedFrame {
    EncodedFrame {
        codec: Codec::H265,
        data: data.to_vec().into(),
        keyframe: h265::is_keyframe(data),
        timestamp_us,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

/// An H.265 stream and its access units, each of which begins with a delimiter.
fn clip(
    size: (u32, u32),
    frames: u32,
    format: &str,
    x265: &str,
) -> Option<(Vec<u8>, Vec<Vec<u8>>)> {
    let (width, height) = size;
    let stream = ffmpeg(
        &format!(
            "-f lavfi -i testsrc2=s=640x480:r=30,crop={width}:{height}:0:0:exact=1 -frames:v {frames} -pix_fmt {format} -c:v libx265 -preset ultrafast -x265-params log-level=none:aud=1:repeat-headers=1:keyint=10:{x265} -f hevc -"
        ),
        &[],
    )?;
    let mut units: Vec<Vec<u8>> = Vec::new();
    for unit in annexb_nal_units(&stream) {
        // AUD_NUT (ITU-T H.265 table 7-1).
        if unit[0] >> 1 == 35 {
            units.push(Vec::new());
        }
        let access_unit = units.last_mut().expect("a delimiter first");
        access_unit.extend_from_slice(&[0, 0, 0, 1]);
        access_unit.extend_from_slice(unit);
    }
    assert_eq!(units.len(), frames as usize);
    Some((stream, units))
}

fn decoded(stream: &[u8], format: &str) -> Vec<u8> {
    let args = format!("-f hevc -i - -f rawvideo -pix_fmt {format} -");
    ffmpeg(&args, stream).expect("there")
}

fn decoder() -> Box<dyn VideoDecoder> {
    video_decoder(Codec::H265).expect("built in")
}

#[test]
fn every_picture_is_exact_and_at_once() {
    for (size, format, ours) in [
        ((320, 240), "yuv420p", VideoFormat::I420),
        ((162, 90), "yuv420p", VideoFormat::I420),
        ((320, 240), "yuv420p10le", VideoFormat::I010),
        ((320, 240), "yuv422p", VideoFormat::I422),
        ((320, 240), "yuv444p", VideoFormat::I444),
    ] {
        let Some((stream, units)) = clip(size, 20, format, "bframes=0") else {
            return;
        };
        let mut decoder = decoder();
        let mut got = Vec::new();
        for (index, unit) in (0..).zip(&units) {
            let unit = frame(unit, index * 33_333);
            let picture = decoder.decode(&unit).expect("decodes").expect("no delay");
            assert_eq!((picture.width(), picture.height()), size);
            assert_eq!(picture.format(), ours);
            assert!(picture.is_tight());
            assert_eq!(decoder.timestamp_us(&unit), unit.timestamp_us);
            got.extend_from_slice(picture.data());
        }
        assert!(decoder.flush().expect("flushes").is_none());
        assert!(
            got == decoded(&stream, format),
            "{size:?} {format}: pixels differ"
        );
    }
}

#[test]
fn formats_that_there_are_none_for_are_converted() {
    let Some((stream, units)) = clip((320, 240), 2, "yuv422p10le", "bframes=0") else {
        return;
    };
    let picture = decoder().decode(&frame(&units[0], 0)).expect("decodes");
    let picture = picture.expect("no delay");
    assert_eq!(picture.format(), VideoFormat::I010);
    let wanted = decoded(&stream, "yuv420p10le");
    let got = picture.data();
    let psnr = crate::frame::ffmpeg::psnr_10_bit(got, &wanted[..got.len()]);
    assert!(psnr > 45.0, "{psnr} dB");
}

#[test]
fn pictures_that_are_reordered_come_in_order_with_their_own_times() {
    let Some((stream, units)) = clip((320, 240), 25, "yuv420p", "bframes=3:b-adapt=0") else {
        return;
    };
    let mut decoder = decoder();
    let (mut got, mut times) = (Vec::new(), Vec::new());
    for (index, unit) in (0..).zip(&units) {
        let unit = frame(unit, index);
        if let Some(picture) = decoder.decode(&unit).expect("decodes") {
            got.extend_from_slice(picture.data());
            times.push(decoder.timestamp_us(&unit));
        }
    }
    assert!(times.len() < units.len(), "some are held back");
    while let Some((picture, time)) = decoder.flush().expect("flushes") {
        got.extend_from_slice(picture.data());
        times.push(time);
    }
    assert!(got == decoded(&stream, "yuv420p"), "pixels differ");
    assert_ne!(times, (0..25).collect::<Vec<i64>>(), "they are reordered");
    times.sort_unstable();
    assert_eq!(times, (0..25).collect::<Vec<i64>>(), "each once");
}

#[test]
fn the_size_may_change_in_mid_stream() {
    let small = clip((160, 90), 2, "yuv420p", "bframes=0");
    let large = clip((320, 180), 2, "yuv420p", "bframes=0");
    let (Some((_, small)), Some((_, large))) = (small, large) else {
        return;
    };
    let mut decoder = decoder();
    for (clip, width) in [(&small, 160), (&large, 320), (&small, 160)] {
        for unit in clip {
            let picture = decoder.decode(&frame(unit, 0)).expect("decodes");
            assert_eq!(picture.expect("no delay").width(), width);
        }
    }
}

#[test]
fn rows_may_keep_the_decoders_stride() {
    let Some((_, units)) = clip((162, 90), 1, "yuv420p", "bframes=0") else {
        return;
    };
    let options = VideoOptions {
        normalize_stride: false,
    };
    let mut decoder = video_decoder_with(Codec::H265, &options).expect("built in");
    let picture = decoder.decode(&frame(&units[0], 0)).expect("decodes");
    let picture = picture.expect("no delay");
    assert!(picture.planes()[0].stride > 162);
    let tight = super::tests::decoder().decode(&frame(&units[0], 0));
    assert_eq!(Some(picture.tight()), tight.expect("decodes"));
}

#[test]
fn a_damaged_frame_is_an_error_and_the_next_keyframe_heals_it() {
    let Some((_, units)) = clip((160, 90), 21, "yuv420p", "bframes=0") else {
        return;
    };
    let mut decoder = decoder();
    let (mut shown, mut errors) = (Vec::new(), Vec::new());
    for (index, unit) in units.iter().enumerate() {
        // The slice ends in its header.
        let unit = if index == 5 { &unit[..14] } else { &unit[..] };
        match decoder.decode(&frame(unit, 0)) {
            Ok(picture) => shown.extend(picture.map(|_| index)),
            Err(error) => errors.push((index, error.to_string())),
        }
    }
    assert_eq!(errors.len(), 1, "{errors:?}");
    assert_eq!(errors[0].0, 5);
    assert!(errors[0].1.starts_with("H.265 decoder: "), "{errors:?}");
    assert_eq!(shown, (0..5).chain(10..21).collect::<Vec<_>>());
    assert!(decoder.decode(&frame(&[], 0)).is_err());
}

#[test]
fn damage_is_never_more_than_an_error() {
    let Some((_, units)) = clip((160, 90), 8, "yuv420p", "bframes=2") else {
        return;
    };
    // The same at each run (Numerical Recipes' generator).
    let mut state = 7_u32;
    let mut random = |below: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as usize % below
    };
    for _ in 0..150 {
        let mut decoder = decoder();
        for unit in &units {
            let mut unit = unit[..=random(unit.len())].to_vec();
            for _ in 0..random(8) {
                let at = random(unit.len());
                unit[at] ^= random(256) as u8;
            }
            let frame = EncodedFrame {
                keyframe: true,
                ..frame(&unit, 0)
            };
            let _ = decoder.decode(&frame);
        }
        while let Ok(Some(_)) = decoder.flush() {}
    }
}

/// A sound stream in a format without a container, cut to packets as FFmpeg cuts it.
fn packets(stream: &[u8], format: &str) -> Option<Vec<Vec<u8>>> {
    let args = format!("-f {format} -show_entries packet=size -of csv=p=0 -i -");
    let sizes = run("ffprobe", &args, stream)?.stdout;
    let mut rest = stream;
    let mut packets = Vec::new();
    for size in String::from_utf8_lossy(&sizes).lines() {
        let (packet, behind) = rest.split_at(size.trim_matches(',').parse().expect("a size"));
        packets.push(packet.to_vec());
        rest = behind;
    }
    assert!(rest.is_empty());
    Some(packets)
}

#[test]
fn sound_of_other_codecs_is_that_of_ffmpeg() {
    for (matroska, encoder, format, layout, samples) in [
        ("A_AC3", "ac3", "ac3", "5.1", 1536),
        ("A_EAC3", "eac3", "eac3", "5.1", 1536),
        ("A_DTS", "dca -strict -2", "dts", "stereo", 512),
        ("ac3", "ac3", "ac3", "stereo", 1536),
    ] {
        let Some(stream) = ffmpeg(
            &format!(
                "-f lavfi -i aevalsrc=0.4*sin(2*PI*440*t):s=48000:d=1 -af aformat=channel_layouts={layout} -c:a {encoder} -f {format} -"
            ),
            &[],
        ) else {
            return;
        };
        let packets = packets(&stream, format).expect("ffprobe is there");
        let mut decoder =
            any_audio_decoder(&AudioFormat::new(matroska), 48_000, 2).expect(matroska);
        let mut out: Vec<AudioFrame> = Vec::new();
        for (index, packet) in (0_i64..).zip(&packets) {
            let time_us = 1_000_000 + index * samples * 1_000_000 / 48_000;
            decoder.decode(packet, time_us, &mut out).expect("decodes");
        }
        decoder.flush(&mut out).expect("flushes");
        for pair in out.windows(2) {
            let gap = pair[1].timestamp_us - pair[0].timestamp_us - pair[0].duration_us();
            assert!(gap.abs() <= 25, "{matroska}: a gap of {gap} us");
        }
        let got: Vec<i16> = out.iter().flat_map(|one| one.samples.clone()).collect();
        let wanted = ffmpeg(&format!("-f {format} -i - -f s16le -ac 2 -"), &stream).expect("there");
        let wanted: Vec<i16> = wanted
            .chunks_exact(2)
            .map(|pair| i16::from_le_bytes([pair[0], pair[1]]))
            .collect();
        assert_eq!(got.len(), wanted.len(), "{matroska}");
        let worst = got.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(1), "{matroska}: samples differ by {worst:?}");
    }
}

#[test]
fn sound_of_another_rate_is_resampled_in_time() {
    let mut format = AudioFormat::new("A_PCM/INT/LIT");
    (
        format.sample_rate,
        format.num_channels,
        format.bits_per_sample,
    ) = (44_100, 1, 16);
    let mut decoder = any_audio_decoder(&format, 48_000, 2).expect("PCM");
    let mut out = Vec::new();
    for index in 0..100_i64 {
        let packet: Vec<u8> = (0..441_i64)
            .flat_map(|n| {
                let at = (index * 441 + n) as f64 / 44_100.0;
                (((at * 440.0 * std::f64::consts::TAU).sin() * 10_000.0) as i16).to_le_bytes()
            })
            .collect();
        decoder
            .decode(&packet, index * 10_000, &mut out)
            .expect("decodes");
    }
    decoder.flush(&mut out).expect("flushes");
    let samples: usize = out.iter().map(AudioFrame::samples_per_channel).sum();
    assert!(samples.abs_diff(48_000) <= 2, "{samples}");
    for sound in &out[2..] {
        assert_eq!((sound.sample_rate, sound.num_channels), (48_000, 2));
        for (n, pair) in sound.samples.chunks(2).enumerate().step_by(7) {
            let at = sound.timestamp_us as f64 / 1e6 + n as f64 / 48_000.0;
            if at > 0.99 {
                continue;
            }
            let wanted = (at * 440.0 * std::f64::consts::TAU).sin() * 10_000.0;
            assert_eq!(pair[0], pair[1]);
            let off = (f64::from(pair[0]) - wanted).abs();
            assert!(off < 120.0, "{off} at {at} s");
        }
    }
}

#[test]
fn sound_that_cannot_be_decoded_is_an_error_and_the_next_packet_is_heard() {
    let error = any_audio_decoder(&AudioFormat::new("A_NOTHING"), 48_000, 2).err();
    let error = error.expect("unknown");
    assert!(matches!(&error, DecodeError::UnknownCodec { name, .. } if name == "A_NOTHING"));
    let Some(stream) = ffmpeg("-f lavfi -i sine=d=0.5:r=48000 -c:a ac3 -f ac3 -", &[]) else {
        return;
    };
    let packets = packets(&stream, "ac3").expect("ffprobe is there");
    let mut decoder = any_audio_decoder(&AudioFormat::new("A_AC3"), 48_000, 2).expect("AC-3");
    let mut out = Vec::new();
    assert!(decoder.decode(&[], 0, &mut out).is_err());
    let error = decoder
        .decode(&[0x55; 300], 0, &mut out)
        .expect_err("no frame");
    assert!(error.to_string().starts_with("A_AC3 decoder: "), "{error}");
    assert!(out.is_empty());
    decoder.decode(&packets[1], 0, &mut out).expect("decodes");
    assert_eq!(out.len(), 1);
    for (rate, channels) in [(4_000, 2), (48_000, 6)] {
        let error = any_audio_decoder(&AudioFormat::new("A_AC3"), rate, channels).err();
        assert!(matches!(error, Some(DecodeError::OptionOutOfRange { .. })));
    }
}

#[test]
fn nothing_is_written_to_the_standard_error_stream() {
    start();
    assert!(matches!(log::get_level(), Ok(log::Level::Quiet)));
}
