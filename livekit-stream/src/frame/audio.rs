//! Decoded sound.

/// Interleaved signed 16-bit samples.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct AudioFrame {
    /// Samples, channel after channel for each instant: `samples_per_channel * num_channels` long.
    pub samples: Vec<i16>,
    /// Samples a second and channel.
    pub sample_rate: u32,
    /// Interleaved channels.
    pub num_channels: u32,
    /// Time of the first sample in microseconds on the room's media clock.
    pub timestamp_us: i64,
}

impl AudioFrame {
    /// The number of samples of each channel.
    #[must_use]
    pub fn samples_per_channel(&self) -> usize {
        self.samples.len() / (self.num_channels.max(1) as usize)
    }

    /// How long the frame sounds, in microseconds.
    #[must_use]
    pub fn duration_us(&self) -> i64 {
        (self.samples_per_channel() as i64 * 1_000_000) / i64::from(self.sample_rate.max(1))
    }
}
