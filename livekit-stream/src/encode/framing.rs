//! Sound cut into an encoder's blocks, and the times of the frames it makes of them.

use std::collections::VecDeque;

use super::{AudioOptions, EncodeError};
use crate::codec::Codec;
use crate::frame::{AudioFrame, ResampleError, Resampler};

/// A difference between timestamps and count beyond which the sound follows at once.
const JUMP_US: i64 = 100_000;
/// A jump beyond which neither silence is made nor sound is dropped.
const RESTART_US: i64 = 10_000_000;
/// A difference that is drift when it lasts, not jitter.
const DRIFT_US: i64 = 20_000;
/// How long drift must last.
const DRIFT_LASTS_US: i64 = 500_000;

/// Brings sound to the encoder's rate, keeps it on its timestamps, and cuts it into blocks.
///
/// The blocks are shifted by a little silence at the start so that the encoder's delay is a
/// whole number of frames: these priming frames are dropped, and every later frame decodes to a
/// whole block of the input.
pub(super) struct Framing {
    codec: Codec,
    resampler: Resampler,
    sample_rate: i64,
    channels: usize,
    /// Samples of each channel in a block.
    block: usize,
    /// Priming frames that the encoder still has to give out.
    priming: usize,
    /// Samples that wait for a block to be full, interleaved.
    waiting: VecDeque<i16>,
    /// Times of the frames that hold the sound taken so far and are not given out yet.
    times: VecDeque<i64>,
    /// The time that samples are counted from, and their count; `None` before the first.
    count: Option<(i64, usize)>,
    /// What is added to the input's timestamps since its clock restarted.
    clock_offset_us: i64,
    /// For how long the difference has been drift, negative when the sound is ahead of its
    /// timestamps.
    drifting_us: i64,
    /// Sound is dropped until its timestamps have come up with the count.
    dropping: bool,
}

impl Framing {
    /// `block` and the encoder's `delay` are samples of each channel.
    pub(super) fn new(
        codec: Codec,
        options: &AudioOptions,
        block: usize,
        delay: usize,
    ) -> Result<Self, EncodeError> {
        let channels = options.num_channels as usize;
        let priming = delay.div_ceil(block);
        let shift = priming * block - delay;
        Ok(Self {
            codec,
            resampler: Resampler::new(options.sample_rate, options.num_channels)
                .map_err(|e| failed(codec, &e))?,
            sample_rate: i64::from(options.sample_rate),
            channels,
            block,
            priming,
            waiting: std::iter::repeat_n(0, shift * channels).collect(),
            times: VecDeque::new(),
            count: None,
            clock_offset_us: 0,
            drifting_us: 0,
            dropping: false,
        })
    }

    /// Takes sound.
    pub(super) fn push(&mut self, frame: &AudioFrame) -> Result<(), EncodeError> {
        let frame = self
            .resampler
            .process(frame)
            .map_err(|e| failed(self.codec, &e))?;
        self.append(&frame);
        Ok(())
    }

    fn append(&mut self, frame: &AudioFrame) {
        if frame.samples.is_empty() {
            return;
        }
        let duration = frame.duration_us();
        let timestamp = frame.timestamp_us.saturating_add(self.clock_offset_us);
        let (start, taken) = *self.count.get_or_insert((timestamp, 0));
        let expected = start.saturating_add(self.duration_of(taken));
        let difference = timestamp.saturating_sub(expected);
        if difference.abs() <= DRIFT_US {
            self.drifting_us = 0;
        } else if difference.signum() == self.drifting_us.signum() {
            self.drifting_us += difference.signum() * duration;
        } else {
            self.drifting_us = difference.signum() * duration;
        }
        if difference > RESTART_US {
            self.restart(timestamp);
        } else if difference < -RESTART_US {
            self.clock_offset_us = self.clock_offset_us.saturating_sub(difference);
        } else if difference > JUMP_US || self.drifting_us >= DRIFT_LASTS_US {
            let samples = self.samples_of(difference.max(0));
            self.extend(std::iter::repeat_n(0, samples));
            self.drifting_us = 0;
        } else if difference < -JUMP_US || self.drifting_us <= -DRIFT_LASTS_US {
            self.dropping = true;
        }
        let mut skip = 0;
        if self.dropping {
            skip = self.samples_of(-difference.clamp(-RESTART_US, 0));
            self.dropping = skip > frame.samples.len();
            self.drifting_us = 0;
        }
        self.extend(frame.samples.iter().skip(skip).copied());
    }

    /// The samples of all channels that last as long.
    fn samples_of(&self, duration_us: i64) -> usize {
        (duration_us * self.sample_rate / 1_000_000) as usize * self.channels
    }

    /// Fills the block up and counts from a new time.
    fn restart(&mut self, timestamp: i64) {
        if let Some((_, taken)) = self.count {
            let rest = taken.next_multiple_of(self.block) - taken;
            self.extend(std::iter::repeat_n(0, rest * self.channels));
        }
        self.count = Some((timestamp, 0));
        self.drifting_us = 0;
    }

    fn extend(&mut self, samples: impl Iterator<Item = i16>) {
        let before = self.waiting.len();
        self.waiting.extend(samples);
        let added = (self.waiting.len() - before) / self.channels;
        if let Some((start, taken)) = self.count {
            let first = taken.div_ceil(self.block);
            let end = (taken + added).div_ceil(self.block);
            for frame in first..end {
                let time = start.saturating_add(self.duration_of(frame * self.block));
                self.times.push_back(time);
            }
            self.count = Some((start, taken + added));
        }
    }

    fn duration_of(&self, samples: usize) -> i64 {
        (samples as i64).saturating_mul(1_000_000) / self.sample_rate
    }

    /// The next full block, interleaved.
    pub(super) fn next_block(&mut self) -> Option<Vec<i16>> {
        let length = self.block * self.channels;
        (self.waiting.len() >= length).then(|| self.waiting.drain(..length).collect())
    }

    /// At the end of the sound: takes what the resampler holds back.
    pub(super) fn finish(&mut self) -> Result<(), EncodeError> {
        let rest = self.resampler.flush().map_err(|e| failed(self.codec, &e))?;
        self.append(&rest);
        Ok(())
    }

    /// After [`finish`](Self::finish): a block of what is left and silence, as long as frames
    /// with sound in them are still to come.
    pub(super) fn last_block(&mut self) -> Option<Vec<i16>> {
        if self.times.is_empty() {
            return None;
        }
        let length = self.block * self.channels;
        let mut block: Vec<_> = self
            .waiting
            .drain(..length.min(self.waiting.len()))
            .collect();
        block.resize(length, 0);
        Some(block)
    }

    /// The time of the next frame that the encoder gave; `None` for a priming frame.
    pub(super) fn time_of_frame(&mut self) -> Option<i64> {
        if self.priming > 0 {
            self.priming -= 1;
            return None;
        }
        self.times.pop_front()
    }
}

fn failed(codec: Codec, error: &ResampleError) -> EncodeError {
    EncodeError::Failed {
        codec,
        reason: error.to_string(),
    }
}

#[cfg(test)]
mod tests;
