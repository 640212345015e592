//! Sound of a stream: to 16 bits, to the encoder's rate and channels, encoded.

use super::plan::AudioPlan;
use crate::encode::{AudioEncoder, audio_encoder};
use crate::frame::{AudioFrame, EncodedFrame};
use crate::mux::AudioTrack;
use crate::output::media::MediaEncoderError;
use crate::output::media::chunk::Samples;

/// Frames that are converted at once: a long chunk does not make a copy of its own length.
const BLOCK: usize = 48_000;

pub(super) struct AudioPipe {
    encoder: Box<dyn AudioEncoder>,
    plan: AudioPlan,
}

impl AudioPipe {
    pub(super) fn new(plan: &AudioPlan) -> Result<Self, MediaEncoderError> {
        Ok(Self {
            encoder: audio_encoder(plan.codec, plan.options.clone())?,
            plan: plan.clone(),
        })
    }

    pub(super) fn track(&self) -> Result<AudioTrack, MediaEncoderError> {
        let options = &self.plan.options;
        let mut track = match self.plan.codec {
            crate::codec::Codec::Opus => AudioTrack::opus(options.num_channels),
            _ => AudioTrack::aac(options.sample_rate, options.num_channels)?,
        };
        track.codec_config = self.encoder.codec_config();
        Ok(track)
    }

    pub(super) fn write(
        &mut self,
        samples: &Samples,
        first: i64,
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), MediaEncoderError> {
        let channels = self.plan.num_channels as usize;
        let samples = samples.to_s16();
        for (block, at) in samples
            .chunks(BLOCK * channels)
            .zip((first..).step_by(BLOCK))
        {
            let frame = AudioFrame {
                samples: block.to_vec(),
                sample_rate: self.plan.sample_rate,
                num_channels: self.plan.num_channels,
                timestamp_us: super::plan::micros(at, f64::from(self.plan.sample_rate)),
            };
            self.encoder.encode(&frame, out)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), MediaEncoderError> {
        Ok(self.encoder.flush(out)?)
    }
}
