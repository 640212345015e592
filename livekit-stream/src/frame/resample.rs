//! Other sample rates and channel counts for sound.

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{
    Async, FixedAsync, Resampler as _, SincInterpolationParameters, SincInterpolationType,
    WindowFunction,
};

use super::AudioFrame;

/// Samples a second that are accepted.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
/// Channels that are accepted in the input.
const MAX_CHANNELS: u32 = 32;
/// Samples of the windowed sinc: 64 keep what is below 0.9 of the band.
const SINC_LENGTH: usize = 64;

/// Sound cannot be brought to another rate or channel count.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ResampleError {
    /// A rate that is not sound's.
    #[error("{0} samples a second are out of range (4000..=384000)")]
    SampleRate(u32),
    /// A channel count that is not taken or made.
    #[error("{actual} channels are out of range ({allowed})")]
    Channels {
        /// The count.
        actual: u32,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The samples are not a whole number of instants.
    #[error("{samples} samples are no multiple of {channels} channels")]
    Uneven {
        /// Samples given.
        samples: usize,
        /// Channels given.
        channels: u32,
    },
    /// The resampling library failed.
    #[error("resampler: {0}")]
    Failed(String),
}

/// Brings a stream of sound to one sample rate and channel count, whatever comes in.
///
/// Frames of any length are taken; of those at another rate the last few milliseconds come with
/// the next frame. Nothing is lost or added: after [`flush`](Self::flush) the samples out are the
/// samples in times the ratio of the rates, rounded up, and each frame's timestamp is that of its
/// first sample. Stereo becomes mono as the mean of both channels, mono goes to both; of more
/// channels the even ones go left and the odd ones right.
///
/// ```
/// use livekit_stream::frame::{AudioFrame, Resampler};
///
/// let mut resampler = Resampler::new(16_000, 1)?;
/// let stereo = AudioFrame {
///     samples: vec![100; 2 * 480],
///     sample_rate: 48_000,
///     num_channels: 2,
///     timestamp_us: 0,
/// };
/// let mut samples = resampler.process(&stereo)?.samples;
/// samples.extend(resampler.flush()?.samples);
/// assert_eq!(samples.len(), 160);
/// # Ok::<(), livekit_stream::frame::ResampleError>(())
/// ```
pub struct Resampler {
    sample_rate: u32,
    num_channels: u32,
    rate_change: Option<RateChange>,
}

impl Resampler {
    /// Makes sound of `sample_rate` samples a second in `num_channels` channels, 1 or 2.
    pub fn new(sample_rate: u32, num_channels: u32) -> Result<Self, ResampleError> {
        check_rate(sample_rate)?;
        if !(1..=2).contains(&num_channels) {
            return Err(ResampleError::Channels {
                actual: num_channels,
                allowed: "1 or 2",
            });
        }
        Ok(Self {
            sample_rate,
            num_channels,
            rate_change: None,
        })
    }

    /// Takes sound and gives what is ready. At a change of the input's rate it gives the end of
    /// the sound before it too.
    pub fn process(&mut self, frame: &AudioFrame) -> Result<AudioFrame, ResampleError> {
        check_rate(frame.sample_rate)?;
        if !(1..=MAX_CHANNELS).contains(&frame.num_channels) {
            return Err(ResampleError::Channels {
                actual: frame.num_channels,
                allowed: "1 to 32",
            });
        }
        if !frame
            .samples
            .len()
            .is_multiple_of(frame.num_channels as usize)
        {
            return Err(ResampleError::Uneven {
                samples: frame.samples.len(),
                channels: frame.num_channels,
            });
        }
        let before = self.rate_change.as_ref().map(|change| change.from);
        let mut ready = if before.is_some_and(|rate| rate != frame.sample_rate) {
            self.flush()?
        } else {
            self.frame(Vec::new(), frame.timestamp_us)
        };
        let mixed = mix(frame, self.num_channels as usize);
        if frame.sample_rate == self.sample_rate {
            if ready.samples.is_empty() {
                ready.timestamp_us = frame.timestamp_us;
            }
            ready.samples.extend(mixed);
            return Ok(ready);
        }
        let change = match self.rate_change.take() {
            Some(change) => self.rate_change.insert(change),
            None => self.rate_change.insert(RateChange::new(
                frame.sample_rate,
                self.sample_rate,
                self.num_channels as usize,
            )?),
        };
        let start = change.start_of_output(frame.timestamp_us);
        change.take(&mixed);
        if ready.samples.is_empty() {
            ready.timestamp_us = start;
        }
        change.give(&mut ready.samples)?;
        Ok(ready)
    }

    /// Gives the end of the sound; what comes next is a new stream.
    pub fn flush(&mut self) -> Result<AudioFrame, ResampleError> {
        let Some(mut change) = self.rate_change.take() else {
            return Ok(self.frame(Vec::new(), 0));
        };
        let start = change.start_of_output(change.end_us);
        let mut samples = Vec::new();
        change.finish(&mut samples)?;
        Ok(self.frame(samples, start))
    }

    fn frame(&self, samples: Vec<i16>, timestamp_us: i64) -> AudioFrame {
        AudioFrame {
            samples,
            sample_rate: self.sample_rate,
            num_channels: self.num_channels,
            timestamp_us,
        }
    }
}

impl AudioFrame {
    /// The whole frame at another rate and channel count; for a stream of frames take a
    /// [`Resampler`], which leaves no seams.
    pub fn resample(&self, sample_rate: u32, num_channels: u32) -> Result<Self, ResampleError> {
        let mut resampler = Resampler::new(sample_rate, num_channels)?;
        let mut frame = resampler.process(self)?;
        frame.samples.extend(resampler.flush()?.samples);
        frame.timestamp_us = self.timestamp_us;
        Ok(frame)
    }
}

fn check_rate(rate: u32) -> Result<(), ResampleError> {
    if RATES.contains(&rate) {
        Ok(())
    } else {
        Err(ResampleError::SampleRate(rate))
    }
}

/// The frame's samples in one or two channels.
fn mix(frame: &AudioFrame, channels: usize) -> Vec<i16> {
    let from = frame.num_channels as usize;
    if from == channels {
        return frame.samples.clone();
    }
    let mean = |samples: &mut dyn Iterator<Item = &i16>| {
        let (sum, count) = samples.fold((0, 0), |(sum, count), s| (sum + i32::from(*s), count + 1));
        (sum / count.max(1)) as i16
    };
    let instants = frame.samples.chunks_exact(from);
    match (from, channels) {
        (1, _) => frame.samples.iter().flat_map(|s| [*s, *s]).collect(),
        (_, 1) => instants.map(|i| mean(&mut i.iter())).collect(),
        _ => instants
            .flat_map(|i| {
                let (mut left, mut right) = (i.iter().step_by(2), i.iter().skip(1).step_by(2));
                [mean(&mut left), mean(&mut right)]
            })
            .collect(),
    }
}

/// The change from one rate to another: `rubato` works on pieces of fixed length and delays the
/// sound by half its filter; here both are hidden.
struct RateChange {
    from: u32,
    to: u32,
    channels: usize,
    inner: Async<f32>,
    /// Samples that wait for a piece to be full, interleaved.
    waiting: Vec<f32>,
    /// Output of the filter's delay that is still to be thrown away, in instants.
    skip: usize,
    taken: u64,
    given: u64,
    /// The time at which the input so far ends.
    end_us: i64,
}

impl RateChange {
    fn new(from: u32, to: u32, channels: usize) -> Result<Self, ResampleError> {
        let parameters = SincInterpolationParameters::new(SINC_LENGTH, WindowFunction::Blackman2)
            .interpolation(SincInterpolationType::Linear)
            .oversampling_factor(256);
        let inner = Async::new_sinc(
            f64::from(to) / f64::from(from),
            1.0,
            &parameters,
            // Pieces of 2.5 ms.
            (from / 400) as usize,
            channels,
            FixedAsync::Input,
        )
        .map_err(|e| ResampleError::Failed(e.to_string()))?;
        Ok(Self {
            from,
            to,
            channels,
            skip: inner.output_delay(),
            inner,
            waiting: Vec::new(),
            taken: 0,
            given: 0,
            end_us: 0,
        })
    }

    /// The time of the next sample out, given the time of the next sample in.
    fn start_of_output(&mut self, input_us: i64) -> i64 {
        let behind = i128::from(self.taken) * i128::from(self.to)
            - i128::from(self.given) * i128::from(self.from);
        let scale = i128::from(self.from) * i128::from(self.to);
        self.end_us = input_us;
        input_us.saturating_sub((behind * 1_000_000 / scale) as i64)
    }

    fn take(&mut self, samples: &[i16]) {
        let instants = (samples.len() / self.channels) as u64;
        self.taken += instants;
        let duration = instants * 1_000_000 / u64::from(self.from);
        self.end_us = self.end_us.saturating_add(duration as i64);
        self.waiting
            .extend(samples.iter().map(|s| f32::from(*s) / 32_768.0));
    }

    /// Filters all whole pieces.
    fn give(&mut self, out: &mut Vec<i16>) -> Result<(), ResampleError> {
        let mut used = 0;
        let mut buffer = vec![0.0; self.inner.output_frames_max() * self.channels];
        loop {
            let piece = self.inner.input_frames_next();
            let waiting = self.waiting.get(used..).unwrap_or_default();
            if waiting.len() < piece * self.channels {
                break;
            }
            let failed = |e: &dyn std::fmt::Display| ResampleError::Failed(e.to_string());
            let capacity = buffer.len() / self.channels;
            let input =
                InterleavedSlice::new(waiting, self.channels, piece).map_err(|e| failed(&e))?;
            let mut output = InterleavedSlice::new_mut(&mut buffer, self.channels, capacity)
                .map_err(|e| failed(&e))?;
            let (taken, given) = self
                .inner
                .process_into_buffer(&input, &mut output, None)
                .map_err(|e| failed(&e))?;
            used += taken * self.channels;
            let skip = self.skip.min(given);
            self.skip -= skip;
            self.given += (given - skip) as u64;
            let fresh = buffer.get(skip * self.channels..given * self.channels);
            out.extend(
                fresh
                    .unwrap_or_default()
                    .iter()
                    .map(|s| (s * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16),
            );
        }
        self.waiting.drain(..used);
        Ok(())
    }

    /// Filters what is left, with silence behind it, and cuts the result to its true length.
    fn finish(&mut self, out: &mut Vec<i16>) -> Result<(), ResampleError> {
        let wanted = (self.taken * u64::from(self.to)).div_ceil(u64::from(self.from));
        let start = self.given;
        while self.given < wanted {
            let piece = self.inner.input_frames_next() * self.channels;
            self.waiting.resize(self.waiting.len() + piece, 0.0);
            self.give(out)?;
        }
        out.truncate((wanted.saturating_sub(start)) as usize * self.channels);
        Ok(())
    }
}

#[cfg(test)]
mod tests;
