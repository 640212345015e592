//! AAC-LC by the Fraunhofer FDK library.

use bytes::Bytes;
use fdk_aac::enc::{
    AudioObjectType, BitRate, ChannelMode, Encoder, EncoderError, EncoderParams, Transport,
};

use super::framing::Framing;
use super::{AudioEncoder, AudioOptions, EncodeError, check_channels, sound};
use crate::codec::Codec;
use crate::frame::{AudioFrame, EncodedFrame};

/// Encodes to raw access units of 1024 samples.
pub(crate) struct AacEncoder {
    encoder: Encoder,
    framing: Framing,
    config: Bytes,
    /// Takes one access unit.
    buffer: Vec<u8>,
}

impl AacEncoder {
    pub(crate) fn new(options: &AudioOptions) -> Result<Self, EncodeError> {
        check_channels(options)?;
        if !matches!(
            options.sample_rate,
            8_000
                | 11_025
                | 12_000
                | 16_000
                | 22_050
                | 24_000
                | 32_000
                | 44_100
                | 48_000
                | 64_000
                | 88_200
                | 96_000
        ) {
            return Err(EncodeError::OptionOutOfRange {
                option: "sample_rate",
                value: options.sample_rate.to_string(),
                allowed: "a rate of ISO/IEC 14496-3 table 1.18, 8000 to 96000 Hz",
            });
        }
        // An access unit has at most 6144 bits a channel (ISO/IEC 14496-3 section 4.5.3.1).
        let highest = 6 * options.sample_rate * options.num_channels;
        if !(8_000..=highest).contains(&options.bit_rate) {
            return Err(EncodeError::OptionOutOfRange {
                option: "bit_rate",
                value: options.bit_rate.to_string(),
                allowed: "8000 to 6 bits for each sample of each channel",
            });
        }
        let encoder = Encoder::new(EncoderParams {
            bit_rate: BitRate::Cbr(options.bit_rate),
            sample_rate: options.sample_rate,
            transport: Transport::Raw,
            channels: if options.num_channels == 1 {
                ChannelMode::Mono
            } else {
                ChannelMode::Stereo
            },
            audio_object_type: AudioObjectType::Mpeg4LowComplexity,
        })
        .map_err(|e| failed(&e))?;
        let info = encoder.info().map_err(|e| failed(&e))?;
        let config = info
            .confBuf
            .get(..info.confSize as usize)
            .unwrap_or_default();
        Ok(Self {
            framing: Framing::new(
                Codec::Aac,
                options,
                info.frameLength as usize,
                info.nDelay as usize,
            )?,
            config: Bytes::copy_from_slice(config),
            buffer: vec![0; info.maxOutBufBytes as usize],
            encoder,
        })
    }

    fn encode_block(
        &mut self,
        block: &[i16],
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), EncodeError> {
        let mut rest = block;
        while !rest.is_empty() {
            let done = self
                .encoder
                .encode(rest, &mut self.buffer)
                .map_err(|e| failed(&e))?;
            if done.input_consumed == 0 && done.output_size == 0 {
                return Err(EncodeError::Failed {
                    codec: Codec::Aac,
                    reason: format!("{} samples were not taken", rest.len()),
                });
            }
            rest = rest.get(done.input_consumed..).unwrap_or_default();
            if done.output_size > 0
                && let Some(time) = self.framing.time_of_frame()
            {
                let unit = self.buffer.get(..done.output_size).unwrap_or_default();
                out.push(sound(Codec::Aac, unit.to_vec(), time));
            }
        }
        Ok(())
    }
}

impl AudioEncoder for AacEncoder {
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

    /// The AudioSpecificConfig of ISO/IEC 14496-3 section 1.6.2.1.
    fn codec_config(&self) -> Bytes {
        self.config.clone()
    }
}

fn failed(error: &EncoderError) -> EncodeError {
    EncodeError::Failed {
        codec: Codec::Aac,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
