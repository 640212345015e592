use super::*;
use crate::encode::audio_encoder;
use crate::encode::sweep::{best_lag, encode_sweep};
use crate::frame::ffmpeg::ffmpeg;

/// The access units behind ADTS headers (ISO/IEC 14496-3 section 1.A.3.2) without CRC.
fn adts(config: &[u8], frames: &[EncodedFrame]) -> Vec<u8> {
    let rate_index = (config[0] & 7) << 1 | config[1] >> 7;
    let channels = config[1] >> 3 & 15;
    let mut out = Vec::new();
    for frame in frames {
        let length = frame.data.len() + 7;
        out.extend_from_slice(&[
            0xff,
            0xf1,
            1 << 6 | rate_index << 2 | channels >> 2,
            (channels & 3) << 6 | (length >> 11) as u8,
            (length >> 3) as u8,
            (length << 5) as u8 | 0x1f,
            0xfc,
        ]);
        out.extend_from_slice(&frame.data);
    }
    out
}

#[test]
fn ffmpeg_hears_every_sample_at_its_time() {
    for (sample_rate, num_channels) in [(48_000, 2), (44_100, 1), (16_000, 1)] {
        let mut encoder = audio_encoder(
            Codec::Aac,
            AudioOptions {
                bit_rate: 96_000,
                sample_rate,
                num_channels,
            },
        )
        .expect("in range");
        let (frames, sweep) = encode_sweep(&mut *encoder, 3_000_000);
        assert_eq!(frames[0].timestamp_us, 3_000_000);
        for (index, frame) in frames.iter().enumerate() {
            let time = index as i64 * 1024 * 1_000_000 / i64::from(sample_rate);
            assert_eq!(frame.timestamp_us, 3_000_000 + time);
        }
        let Some(raw) = ffmpeg(
            &format!("-f aac -i - -ar {sample_rate} -ac 1 -f s16le -"),
            &adts(&encoder.codec_config(), &frames),
        ) else {
            return;
        };
        let heard: Vec<_> = raw
            .as_chunks::<2>()
            .0
            .iter()
            .map(|b| i16::from_le_bytes(*b))
            .collect();
        assert_eq!(heard.len(), frames.len() * 1024);
        let wanted = sweep.resample(sample_rate, 1).expect("resamples");
        let (lag, similarity) = best_lag(&heard, &wanted.samples);
        assert_eq!(lag, 0, "{sample_rate} Hz");
        assert!(similarity > 0.98, "{similarity}");
    }
}

#[test]
fn the_configuration_is_that_of_aac_lc() {
    let encoder = AacEncoder::new(&AudioOptions::default()).expect("in range");
    // Object type 2, frequency index 3 (48 kHz), 2 channels, frames of 1024 samples.
    assert_eq!(encoder.codec_config()[..], [0x11, 0x90]);
}

#[test]
fn options_out_of_range_are_named() {
    let with = |change: fn(&mut AudioOptions)| {
        let mut options = AudioOptions::default();
        change(&mut options);
        audio_encoder(Codec::Aac, options)
            .err()
            .expect("out of range")
            .to_string()
    };
    assert!(with(|o| o.bit_rate = 0).starts_with("bit_rate = 0 is out of range"));
    assert!(with(|o| o.bit_rate = u32::MAX).starts_with("bit_rate = 4294967295"));
    assert!(with(|o| o.sample_rate = 48_001).starts_with("sample_rate = 48001"));
    assert!(with(|o| o.num_channels = 3).starts_with("num_channels = 3"));
}
