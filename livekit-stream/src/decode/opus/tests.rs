use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::codec::opus;
use crate::decode::audio_decoder;
use crate::frame::ffmpeg::ffmpeg;
use crate::frame::{VideoRotation, VideoSize};

fn frame(data: &[u8], timestamp_us: i64) -> EncodedFrame {
    EncodedFrame {
        codec: Codec::Opus,
        data: Bytes::copy_from_slice(data),
        keyframe: true,
        timestamp_us,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

/// The packets of an Ogg file (RFC 3533), without the two headers of Opus (RFC 7845 section 5).
fn packets(mut file: &[u8]) -> Vec<Vec<u8>> {
    let (mut packets, mut packet) = (Vec::new(), Vec::new());
    while file.len() > 27 {
        let segments = file[26] as usize;
        let (table, mut data) = file[27..].split_at(segments);
        for &length in table {
            let (segment, rest) = data.split_at(length as usize);
            packet.extend_from_slice(segment);
            data = rest;
            if length < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        file = data;
    }
    packets.split_off(2)
}

/// A second of music-like sound as an Ogg Opus file.
fn clip(options: &str) -> Option<Vec<u8>> {
    ffmpeg(
        &format!(
            "-f lavfi -i aevalsrc=0.3*sin(2*PI*440*t)+0.2*sin(2*PI*(300+900*t)*t)|0.3*sin(2*PI*550*t):s=48000:d=1 -c:a libopus {options} -f ogg -"
        ),
        &[],
    )
}

#[test]
fn sound_is_that_of_ffmpegs_decoder() {
    for (channels, options) in [(2, "-b:a 96k"), (1, "-ac 1 -b:a 24k -application voip")] {
        let Some(file) = clip(options) else {
            return;
        };
        let raw = ffmpeg("-c:a libopus -f ogg -i - -f s16le -", &file).expect("there");
        let wanted: Vec<_> = raw
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| i16::from_le_bytes(*b))
            .collect();
        let mut decoder = audio_decoder(Codec::Opus, 48_000, channels).expect("in range");
        let mut got = Vec::new();
        for (index, packet) in packets(&file).iter().enumerate() {
            let time = index as i64 * 20_000;
            let sound = decoder.decode(&frame(packet, time)).expect("decodes");
            assert_eq!(
                (sound.samples_per_channel(), sound.timestamp_us),
                (960, time)
            );
            got.extend(sound.samples);
        }
        // ffmpeg drops the 312 samples of pre-skip, and the padding at the end.
        let got = &got[312 * channels as usize..][..wanted.len()];
        let worst = got.iter().zip(&wanted).map(|(a, b)| a.abs_diff(*b)).max();
        assert!(worst <= Some(2), "{worst:?}");
    }
}

#[test]
fn every_rate_has_its_sample_count() {
    let Some(file) = clip("-b:a 64k") else {
        return;
    };
    let packet = &packets(&file)[10];
    for rate in [8_000, 12_000, 16_000, 24_000, 48_000] {
        for channels in [1, 2] {
            let mut decoder = audio_decoder(Codec::Opus, rate, channels).expect("in range");
            let sound = decoder.decode(&frame(packet, 0)).expect("decodes");
            assert_eq!(sound.samples.len(), (rate / 50 * channels) as usize);
            assert_eq!((sound.sample_rate, sound.num_channels), (rate, channels));
        }
    }
    for (rate, channels) in [(44_100, 2), (0, 1), (48_000, 0), (48_000, 3)] {
        let error = audio_decoder(Codec::Opus, rate, channels).err();
        assert!(matches!(error, Some(DecodeError::OptionOutOfRange { .. })));
    }
}

fn loudness(samples: &[i16]) -> f64 {
    let sum: f64 = samples.iter().map(|s| f64::from(*s).powi(2)).sum();
    (sum / samples.len() as f64).sqrt()
}

#[test]
fn a_lost_packet_is_made_up_for() {
    let Some(file) = clip("-b:a 96k") else {
        return;
    };
    let mut decoder = audio_decoder(Codec::Opus, 48_000, 2).expect("in range");
    let packets = packets(&file);
    let mut before = 0.0;
    for (index, packet) in packets[..20].iter().enumerate() {
        let sound = decoder
            .decode(&frame(packet, index as i64 * 20_000))
            .expect("decodes");
        before = loudness(&sound.samples);
    }
    let sound = decoder.conceal(20_000).expect("conceals");
    assert_eq!(
        (sound.samples_per_channel(), sound.timestamp_us),
        (960, 400_000)
    );
    assert!(loudness(&sound.samples) > before / 2.0);
    let more = decoder.conceal(i64::MAX).expect("conceals");
    assert_eq!((more.duration_us(), more.timestamp_us), (120_000, 420_000));
    assert!(decoder.conceal(-5).expect("nothing").samples.is_empty());
    let after = decoder
        .decode(&frame(&packets[27], 540_000))
        .expect("decodes");
    assert_eq!(after.samples_per_channel(), 960);
}

#[test]
fn the_packet_behind_a_gap_may_hold_the_lost_sound() {
    let Some(file) = clip("-ac 1 -ar 16000 -application voip -b:a 32k -fec 1 -packet_loss 30")
    else {
        return;
    };
    let packets = packets(&file);
    let decode = |index: usize, how: &dyn Fn(&mut dyn AudioDecoder) -> Vec<i16>| {
        let mut decoder = audio_decoder(Codec::Opus, 16_000, 1).expect("in range");
        for packet in &packets[..index] {
            decoder.decode(&frame(packet, 0)).expect("decodes");
        }
        how(&mut *decoder)
    };
    // Over all packets: on each alone chance decides.
    let (mut concealed, mut recovered) = (0.0, 0.0);
    for index in 5..packets.len() - 1 {
        let truth = decode(index, &|d| {
            d.decode(&frame(&packets[index], 0)).expect("ok").samples
        });
        let distance = |samples: Vec<i16>| {
            assert_eq!(samples.len(), 320);
            let pairs = samples.iter().zip(&truth);
            pairs
                .map(|(a, b)| f64::from(a.abs_diff(*b)).powi(2))
                .sum::<f64>()
        };
        let next = frame(&packets[index + 1], 0);
        concealed += distance(decode(index, &|d| d.conceal(20_000).expect("ok").samples));
        recovered += distance(decode(index, &|d| {
            d.recover(20_000, &next).expect("ok").samples
        }));
    }
    assert!(recovered < concealed / 2.0, "{recovered} of {concealed}");
}

proptest! {
    #[test]
    fn what_is_not_well_formed_is_refused_and_nothing_else(
        packet in prop::collection::vec(any::<u8>(), 1..80),
    ) {
        let mut decoder = audio_decoder(Codec::Opus, 48_000, 2).expect("in range");
        let decoded = decoder.decode(&frame(&packet, 0)).is_ok();
        let sound = opus::duration(&packet).is_some() && opus::is_well_formed(&packet);
        prop_assert_eq!(decoded, sound, "{:x?}", packet);
    }

    #[test]
    fn garbage_is_never_more_than_an_error(
        packets in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..200), 1..8),
        duration in any::<i64>(),
        timestamp in any::<i64>(),
    ) {
        let mut decoder = audio_decoder(Codec::Opus, 48_000, 2).expect("in range");
        for packet in packets {
            if let Ok(sound) = decoder.decode(&frame(&packet, timestamp)) {
                prop_assert!(sound.duration_us() <= 120_000);
            }
            let _ = decoder.recover(duration, &frame(&packet, timestamp));
            let _ = decoder.conceal(duration);
        }
    }
}
