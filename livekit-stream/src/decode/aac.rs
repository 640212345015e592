//! AAC by the Fraunhofer FDK library.

use fdk_aac::dec::{Decoder, DecoderError, Transport};

use super::{AudioDecoder, DecodeError};
use crate::codec::Codec;
use crate::frame::{AudioFrame, EncodedFrame};

/// The most samples an access unit decodes to: 2048 of each of eight channels, with SBR.
const LONGEST: usize = 2048 * 8;

/// More than this is not made up for a gap.
const MAX_CONCEALMENT_US: i64 = 120_000;

/// Decodes raw access units at the stream's own rate, to one or two channels.
pub(crate) struct AacDecoder {
    decoder: Decoder,
    pcm: Vec<i16>,
    /// What the last sound was: for gaps.
    last: AudioFrame,
}

impl AacDecoder {
    pub(crate) fn new(audio_specific_config: &[u8]) -> Result<Self, DecodeError> {
        // The shortest is two bytes; of none the library would take what it finds there.
        if audio_specific_config.len() < 2 {
            return Err(DecodeError::Corrupt {
                codec: Codec::Aac,
                reason: format!("a configuration of {} bytes", audio_specific_config.len()),
            });
        }
        let mut decoder = Decoder::new(Transport::Raw);
        decoder.config_raw(audio_specific_config).map_err(corrupt)?;
        decoder.set_max_output_channels(2).map_err(corrupt)?;
        Ok(Self {
            decoder,
            pcm: vec![0; LONGEST],
            last: AudioFrame::default(),
        })
    }
}

impl AudioDecoder for AacDecoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<AudioFrame, DecodeError> {
        let taken = self.decoder.fill(&frame.data).map_err(corrupt)?;
        if taken != frame.data.len() || taken == 0 {
            return Err(DecodeError::Corrupt {
                codec: Codec::Aac,
                reason: format!("an access unit of {} bytes", frame.data.len()),
            });
        }
        self.decoder.decode_frame(&mut self.pcm).map_err(corrupt)?;
        let info = self.decoder.stream_info();
        let (rate, channels) = (info.sampleRate.max(0), info.numChannels.clamp(0, 2));
        let samples = (info.frameSize.max(0) * channels) as usize;
        if rate == 0 || channels == 0 {
            return Err(DecodeError::Corrupt {
                codec: Codec::Aac,
                reason: format!("{channels} channels at {rate} Hz"),
            });
        }
        // The library's limiter and SBR give sound out late.
        let delay_us = i64::from(info.outputDelay) * 1_000_000 / i64::from(rate);
        let sound = AudioFrame {
            samples: self.pcm.get(..samples).unwrap_or_default().to_vec(),
            sample_rate: rate as u32,
            num_channels: channels as u32,
            timestamp_us: frame.timestamp_us.saturating_sub(delay_us),
        };
        self.last = AudioFrame {
            samples: Vec::new(),
            timestamp_us: sound.timestamp_us.saturating_add(sound.duration_us()),
            ..sound
        };
        Ok(sound)
    }

    /// Silence, at most 120 ms: AAC comes over connections that lose nothing.
    fn conceal(&mut self, duration_us: i64) -> Result<AudioFrame, DecodeError> {
        let duration_us = duration_us.clamp(0, MAX_CONCEALMENT_US);
        let count = duration_us * i64::from(self.last.sample_rate) / 1_000_000;
        Ok(AudioFrame {
            samples: vec![0; count as usize * self.last.num_channels as usize],
            ..self.last.clone()
        })
    }
}

fn corrupt(error: DecoderError) -> DecodeError {
    DecodeError::Corrupt {
        codec: Codec::Aac,
        reason: error.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::encode::{AudioOptions, audio_encoder};

    /// A second of silence with a click of 10 ms at 0.5 s.
    fn click(sample_rate: u32, num_channels: u32) -> AudioFrame {
        let at = |n: u32| (n * 1000 / sample_rate / 10) == 50;
        let samples = (0..sample_rate).flat_map(|n| {
            let wave = if n / 20 % 2 == 0 { 12_000 } else { -12_000 };
            let sample = if at(n) { wave } else { 0 };
            std::iter::repeat_n(sample, num_channels as usize)
        });
        AudioFrame {
            samples: samples.collect(),
            sample_rate,
            num_channels,
            timestamp_us: 3_000_000,
        }
    }

    #[test]
    fn sound_comes_out_at_its_time() {
        for (sample_rate, num_channels) in [(48_000, 2), (44_100, 1)] {
            let options = AudioOptions {
                sample_rate,
                num_channels,
                ..AudioOptions::default()
            };
            let mut encoder = audio_encoder(Codec::Aac, options).unwrap();
            let mut frames = Vec::new();
            encoder
                .encode(&click(sample_rate, num_channels), &mut frames)
                .unwrap();
            encoder.flush(&mut frames).unwrap();
            let mut decoder = AacDecoder::new(&encoder.codec_config()).unwrap();
            let mut loud_us = Vec::new();
            for frame in &frames {
                let sound = decoder.decode(frame).unwrap();
                assert_eq!(sound.sample_rate, sample_rate);
                assert_eq!(sound.num_channels, num_channels);
                assert_eq!(sound.samples_per_channel(), 1024);
                let channel = sound.samples.iter().step_by(num_channels as usize);
                loud_us.extend(
                    channel
                        .enumerate()
                        .filter(|(_, sample)| sample.abs() > 4_000)
                        .map(|(n, _)| {
                            sound.timestamp_us + n as i64 * 1_000_000 / i64::from(sample_rate)
                        }),
                );
            }
            let (first, last) = (loud_us[0], loud_us[loud_us.len() - 1]);
            assert!((first - 3_500_000).abs() < 3_000, "{first}");
            assert!((last - 3_510_000).abs() < 3_000, "{last}");
        }
    }

    #[test]
    fn nonsense_is_an_error_and_decoding_goes_on() {
        assert!(AacDecoder::new(&[]).is_err());
        let options = AudioOptions::default();
        let mut encoder = audio_encoder(Codec::Aac, options).unwrap();
        let mut frames = Vec::new();
        encoder.encode(&click(48_000, 2), &mut frames).unwrap();
        let mut decoder = AacDecoder::new(&encoder.codec_config()).unwrap();
        let mut broken = frames[0].clone();
        for data in [&[][..], &[0xff; 40], &[0; 7000]] {
            broken.data = bytes::Bytes::copy_from_slice(data);
            let _ = decoder.decode(&broken);
        }
        let _ = decoder.decode(&frames[1]);
        assert!(decoder.decode(&frames[2]).is_ok());
        assert_eq!(decoder.conceal(20_000).unwrap().samples_per_channel(), 960);
    }
}
