use super::*;
use crate::decode::audio_decoder;
use crate::encode::audio_encoder;
use crate::encode::sweep::{best_lag, encode_sweep};
use crate::frame::ffmpeg::ffmpeg;

#[test]
fn a_decoder_hears_every_sample_at_its_time() {
    for (sample_rate, num_channels) in [(48_000, 2), (48_000, 1), (16_000, 1)] {
        let mut encoder = audio_encoder(
            Codec::Opus,
            AudioOptions {
                bit_rate: 96_000,
                sample_rate,
                num_channels,
            },
        )
        .expect("in range");
        let (frames, sweep) = encode_sweep(&mut *encoder, 0);
        let mut decoder = audio_decoder(Codec::Opus, sample_rate, 1).expect("in range");
        let mut heard = Vec::new();
        for (index, frame) in frames.iter().enumerate() {
            assert_eq!(frame.timestamp_us, index as i64 * 20_000);
            let decoded = decoder.decode(frame).expect("decodes");
            assert_eq!(decoded.timestamp_us, frame.timestamp_us);
            assert_eq!(decoded.samples.len(), (sample_rate / 50) as usize);
            heard.extend(decoded.samples);
        }
        let wanted = sweep.resample(sample_rate, 1).expect("resamples");
        let (lag, similarity) = best_lag(&heard, &wanted.samples);
        assert!(lag.abs() <= 1, "{lag} samples at {sample_rate} Hz");
        assert!(similarity > 0.95, "{similarity}");
    }
}

/// An Ogg page (RFC 3533 section 6) of one packet.
fn page(packet: &[u8], kind: u8, position: u64, number: u32) -> Vec<u8> {
    let mut page = b"OggS\0".to_vec();
    page.push(kind);
    page.extend(position.to_le_bytes());
    page.extend([7, 0, 0, 0]);
    page.extend(number.to_le_bytes());
    page.extend([0; 4]);
    page.push((packet.len() / 255 + 1) as u8);
    page.extend(std::iter::repeat_n(255, packet.len() / 255));
    page.push((packet.len() % 255) as u8);
    page.extend(packet);
    let mut crc = 0_u32;
    for byte in &page {
        crc ^= u32::from(*byte) << 24;
        for _ in 0..8 {
            crc = crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 };
        }
    }
    page[22..26].copy_from_slice(&crc.to_le_bytes());
    page
}

#[test]
fn ffmpeg_hears_every_sample_at_its_time() {
    let mut encoder = audio_encoder(Codec::Opus, AudioOptions::default()).expect("in range");
    let (frames, sweep) = encode_sweep(&mut *encoder, 0);
    let mut file = page(&encoder.codec_config(), 2, 0, 0);
    file.extend(page(b"OpusTags\0\0\0\0\0\0\0\0", 0, 0, 1));
    for (index, frame) in frames.iter().enumerate() {
        let last = if index + 1 == frames.len() { 4 } else { 0 };
        let position = (index as u64 + 1) * 960;
        file.extend(page(&frame.data, last, position, index as u32 + 2));
    }
    let Some(raw) = ffmpeg("-f ogg -i - -ac 1 -f s16le -", &file) else {
        return;
    };
    let words = raw.as_chunks::<2>().0.iter();
    let heard: Vec<_> = words.map(|b| i16::from_le_bytes(*b)).collect();
    assert_eq!(heard.len(), frames.len() * 960);
    let (lag, similarity) = best_lag(&heard, &sweep.samples);
    assert!(lag.abs() <= 1, "{lag} samples");
    assert!(similarity > 0.95, "{similarity}");
}

#[test]
fn the_head_has_nothing_to_skip() {
    let encoder = OpusEncoder::new(&AudioOptions::default()).expect("in range");
    let head = encoder.codec_config();
    assert_eq!(&head[..12], b"OpusHead\x01\x02\0\0");
}

#[test]
fn options_out_of_range_are_named() {
    let with = |change: fn(&mut AudioOptions)| {
        let mut options = AudioOptions::default();
        change(&mut options);
        audio_encoder(Codec::Opus, options)
            .err()
            .expect("out of range")
            .to_string()
    };
    assert!(with(|o| o.bit_rate = 5_999).starts_with("bit_rate = 5999 is out of range"));
    assert!(with(|o| o.sample_rate = 44_100).starts_with("sample_rate = 44100"));
    assert!(with(|o| o.num_channels = 0).starts_with("num_channels = 0"));
}
