//! Opus by libopus, with concealment of lost packets and in-band forward error correction.

use super::libopus::Decoder;
use super::{AudioDecoder, DecodeError};
use crate::codec::Codec;
use crate::frame::{AudioFrame, EncodedFrame};

/// Longest packet, and longest stretch of sound that is made up at once, in microseconds: after
/// that libopus has faded to silence.
const MAX_DURATION_US: i64 = 120_000;
/// What Opus durations are multiples of, in microseconds.
const GRAIN_US: i64 = 2_500;

/// Decodes Opus packets.
pub(crate) struct OpusDecoder {
    decoder: Decoder,
    sample_rate: u32,
    num_channels: u32,
    /// The time at which the sound given out so far ends.
    end_us: i64,
}

impl OpusDecoder {
    pub(crate) fn new(sample_rate: u32, num_channels: u32) -> Result<Self, DecodeError> {
        if !matches!(sample_rate, 8_000 | 12_000 | 16_000 | 24_000 | 48_000) {
            return Err(DecodeError::OptionOutOfRange {
                option: "sample_rate",
                value: sample_rate.to_string(),
                allowed: "8000, 12000, 16000, 24000 or 48000 Hz",
            });
        }
        if !matches!(num_channels, 1 | 2) {
            return Err(DecodeError::OptionOutOfRange {
                option: "num_channels",
                value: num_channels.to_string(),
                allowed: "1 or 2",
            });
        }
        Ok(Self {
            decoder: Decoder::new(sample_rate, num_channels)?,
            sample_rate,
            num_channels,
            end_us: 0,
        })
    }

    fn samples_of(&self, duration_us: i64) -> usize {
        (duration_us * i64::from(self.sample_rate) / 1_000_000) as usize
    }

    fn frame(&mut self, samples: Vec<i16>, timestamp_us: i64) -> AudioFrame {
        let frame = AudioFrame {
            samples,
            sample_rate: self.sample_rate,
            num_channels: self.num_channels,
            timestamp_us,
        };
        self.end_us = timestamp_us.saturating_add(frame.duration_us());
        frame
    }

    /// Fills a gap with the help of the packet behind it, if there is one.
    fn fill(&mut self, duration_us: i64, next: Option<&[u8]>) -> Result<AudioFrame, DecodeError> {
        let duration_us = duration_us.clamp(0, MAX_DURATION_US) / GRAIN_US * GRAIN_US;
        let samples = self.samples_of(duration_us);
        let pcm = if samples == 0 {
            Vec::new()
        } else {
            self.decoder.decode(next, samples, next.is_some())?
        };
        Ok(self.frame(pcm, self.end_us))
    }
}

impl AudioDecoder for OpusDecoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<AudioFrame, DecodeError> {
        if frame.data.is_empty() {
            return Err(DecodeError::Corrupt {
                codec: Codec::Opus,
                reason: "an empty packet".to_owned(),
            });
        }
        let longest = self.samples_of(MAX_DURATION_US);
        let pcm = self.decoder.decode(Some(&frame.data), longest, false)?;
        Ok(self.frame(pcm, frame.timestamp_us))
    }

    /// Gives at most 120 ms, a multiple of 2.5 ms, that start where the sound before ended.
    fn conceal(&mut self, duration_us: i64) -> Result<AudioFrame, DecodeError> {
        self.fill(duration_us, None)
    }

    fn recover(
        &mut self,
        duration_us: i64,
        next: &EncodedFrame,
    ) -> Result<AudioFrame, DecodeError> {
        let packet = (!next.data.is_empty()).then_some(&next.data[..]);
        self.fill(duration_us, packet)
    }
}

#[cfg(test)]
mod tests;
