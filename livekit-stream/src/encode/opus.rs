//! Opus by libopus: packets of 20 ms, tuned for music and speech alike, without DTX.

use bytes::Bytes;

use super::framing::Framing;
use super::libopus::Encoder;
use super::{AudioEncoder, AudioOptions, EncodeError, check_channels, sound};
use crate::codec::Codec;
use crate::codec::opus::OpusHead;
use crate::frame::{AudioFrame, EncodedFrame};

/// Encodes to Opus packets.
pub(crate) struct OpusEncoder {
    encoder: Encoder,
    framing: Framing,
    num_channels: u32,
    sample_rate: u32,
}

impl OpusEncoder {
    pub(crate) fn new(options: &AudioOptions) -> Result<Self, EncodeError> {
        if !matches!(
            options.sample_rate,
            8_000 | 12_000 | 16_000 | 24_000 | 48_000
        ) {
            return Err(EncodeError::OptionOutOfRange {
                option: "sample_rate",
                value: options.sample_rate.to_string(),
                allowed: "8000, 12000, 16000, 24000 or 48000 Hz",
            });
        }
        check_channels(options)?;
        if !(6_000..=510_000).contains(&options.bit_rate) {
            return Err(EncodeError::OptionOutOfRange {
                option: "bit_rate",
                value: options.bit_rate.to_string(),
                allowed: "6000 to 510000 bits a second",
            });
        }
        let mut encoder =
            Encoder::new(options.sample_rate, options.num_channels, options.bit_rate)?;
        let block = (options.sample_rate / 50) as usize;
        let framing = Framing::new(Codec::Opus, options, block, encoder.delay())?;
        Ok(Self {
            encoder,
            framing,
            num_channels: options.num_channels,
            sample_rate: options.sample_rate,
        })
    }

    fn encode_block(
        &mut self,
        block: &[i16],
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), EncodeError> {
        let packet = self.encoder.encode(block)?;
        if let Some(time) = self.framing.time_of_frame() {
            out.push(sound(Codec::Opus, packet, time));
        }
        Ok(())
    }
}

impl AudioEncoder for OpusEncoder {
    fn encode(
        &mut self,
        frame: &AudioFrame,
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), EncodeError> {
        self.framing.push(frame)?;
        while let Some(block) = self.framing.next_block() {
            self.encode_block(&block, out)?;
        }
        Ok(())
    }

    fn flush(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), EncodeError> {
        self.framing.finish()?;
        while let Some(block) = self.framing.last_block() {
            self.encode_block(&block, out)?;
        }
        Ok(())
    }

    /// The `OpusHead` of RFC 7845 section 5.1. Its pre-skip is zero: the priming samples are in
    /// packets that are not given out.
    fn codec_config(&self) -> Bytes {
        let mut head = OpusHead::new(self.num_channels as u8);
        head.pre_skip = 0;
        head.input_sample_rate = self.sample_rate;
        head.to_bytes().into()
    }
}

#[cfg(test)]
mod tests;
