//! Sound on the capture's clock, the newest seconds of it.

use std::collections::VecDeque;

use crate::frame::AudioFrame;

/// How much is kept.
const KEPT_US: i64 = 10_000_000;
/// A difference between timestamps and count that is more than their rounding.
const JUMP_US: i64 = 10_000;
/// A gap that is filled with silence; after a longer one the count starts anew.
const FILLED_US: i64 = 2_000_000;

/// Samples without a gap, and the time of the first.
#[derive(Debug)]
pub(super) struct Sound {
    sample_rate: u32,
    num_channels: u32,
    samples: VecDeque<i16>,
    /// The time that samples are counted from, and how many instants came since.
    origin_us: i64,
    count: i64,
    started: bool,
    /// Where [`read`](Self::read) goes on.
    cursor_us: Option<i64>,
    /// Instants that nobody had read when they were dropped.
    pub(super) dropped: u64,
}

impl Sound {
    pub(super) fn new(sample_rate: u32, num_channels: u32) -> Self {
        Self {
            sample_rate,
            num_channels,
            samples: VecDeque::new(),
            origin_us: 0,
            count: 0,
            started: false,
            cursor_us: None,
            dropped: 0,
        }
    }

    fn us(&self, instants: i64) -> i64 {
        instants.saturating_mul(1_000_000) / i64::from(self.sample_rate)
    }

    fn instants(&self, us: i64) -> i64 {
        // Half an instant more, or times that were rounded down lose one.
        let doubled = us.saturating_mul(2 * i64::from(self.sample_rate));
        doubled.saturating_add(1_000_000).div_euclid(2_000_000)
    }

    fn held(&self) -> i64 {
        self.samples.len() as i64 / i64::from(self.num_channels)
    }

    /// When what is held ends.
    pub(super) fn end_us(&self) -> Option<i64> {
        self.started
            .then(|| self.origin_us.saturating_add(self.us(self.count)))
    }

    /// When what is held begins.
    fn start_us(&self) -> i64 {
        self.origin_us
            .saturating_add(self.us(self.count - self.held()))
    }

    /// Takes sound of the right rate and channels.
    pub(super) fn push(&mut self, frame: &AudioFrame) {
        let channels = self.num_channels as usize;
        let mut samples = &frame.samples[..];
        let jump = self
            .end_us()
            .map(|end| frame.timestamp_us.saturating_sub(end));
        match jump {
            Some(jump) if jump.abs() <= JUMP_US => {}
            Some(jump) if (0..=FILLED_US).contains(&jump) => {
                let silence = self.instants(jump).max(0);
                self.append(std::iter::repeat_n(0, silence as usize * channels), silence);
            }
            Some(jump) if (-FILLED_US..0).contains(&jump) => {
                // It is there already.
                let known = self.instants(-jump).max(0) as usize * channels;
                samples = samples.get(known..).unwrap_or_default();
            }
            _ => {
                self.samples.clear();
                (self.origin_us, self.count) = (frame.timestamp_us, 0);
                self.started = true;
            }
        }
        let instants = (samples.len() / channels) as i64;
        self.append(samples.iter().copied(), instants);
        let kept = self.instants(KEPT_US);
        let surplus = self.held() - kept;
        if surplus > 0 {
            let unread = self.cursor_us.map_or(i64::MIN, |cursor| cursor);
            let first_unread = self.instants(unread.saturating_sub(self.start_us()).max(0));
            self.dropped += (surplus - first_unread.min(surplus)) as u64;
            self.samples.drain(..surplus as usize * channels);
        }
    }

    fn append(&mut self, samples: impl Iterator<Item = i16>, instants: i64) {
        self.samples.extend(samples);
        self.count += instants;
    }

    /// The sound from `start_us` to `end_us`; silence where there is none.
    pub(super) fn window(&self, start_us: i64, end_us: i64) -> AudioFrame {
        let channels = self.num_channels as usize;
        let length = self.instants(end_us.saturating_sub(start_us)).max(0) as usize;
        let mut samples = Vec::with_capacity(length * channels);
        let offset = self.instants(start_us.saturating_sub(self.start_us()));
        for instant in offset..offset.saturating_add(length as i64) {
            for channel in 0..channels {
                let index = usize::try_from(instant)
                    .ok()
                    .map(|n| n * channels + channel);
                let sample = index.and_then(|index| self.samples.get(index));
                samples.push(sample.copied().unwrap_or(0));
            }
        }
        AudioFrame {
            samples,
            sample_rate: self.sample_rate,
            num_channels: self.num_channels,
            timestamp_us: start_us,
        }
    }

    /// The next `duration_us` that were not read; `None` while they are not all there. With
    /// `ended`, whatever is left.
    pub(super) fn read(&mut self, duration_us: i64, ended: bool) -> Option<AudioFrame> {
        let end_us = self.end_us()?;
        let start_us = self.cursor_us.map_or(self.start_us(), |cursor| {
            // What was dropped cannot be read, and a clock that was set back starts anew.
            cursor.clamp(self.start_us(), end_us)
        });
        let until_us = start_us.saturating_add(duration_us);
        if self.instants(until_us.saturating_sub(end_us)) > 0 && !ended {
            return None;
        }
        let until_us = until_us.min(end_us);
        let frame = self.window(start_us, until_us);
        if frame.samples.is_empty() {
            return None;
        }
        self.cursor_us = Some(until_us);
        Some(frame)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// So many samples that count up from `first`.
    fn ramp(first: i16, count: i16, timestamp_us: i64) -> AudioFrame {
        AudioFrame {
            samples: (first..first + count).collect(),
            sample_rate: 1_000,
            num_channels: 1,
            timestamp_us,
        }
    }

    #[test]
    fn sound_is_found_by_its_time_and_silence_where_there_is_none() {
        let mut sound = Sound::new(1_000, 1);
        sound.push(&ramp(1, 100, 5_000_000));
        // Rounded times do not move it.
        sound.push(&ramp(101, 100, 5_101_000));
        assert_eq!(sound.end_us(), Some(5_200_000));
        assert_eq!(
            sound.window(5_098_000, 5_103_000).samples,
            [99, 100, 101, 102, 103]
        );
        assert_eq!(sound.window(4_998_000, 5_002_000).samples, [0, 0, 1, 2]);
        assert_eq!(sound.window(5_199_000, 5_202_000).samples, [200, 0, 0]);
        // A gap.
        sound.push(&ramp(300, 10, 5_250_000));
        assert_eq!(sound.window(5_199_000, 5_201_000).samples, [200, 0]);
        assert_eq!(sound.window(5_249_000, 5_252_000).samples, [0, 300, 301]);
        // What is there already.
        sound.push(&ramp(0, 100, 5_200_000));
        assert_eq!(sound.end_us(), Some(5_300_000));
        // Another clock.
        sound.push(&ramp(7, 3, 60_000_000));
        assert_eq!(sound.window(60_000_000, 60_003_000).samples, [7, 8, 9]);
    }

    #[test]
    fn reading_goes_on_where_it_stopped() {
        let mut sound = Sound::new(1_000, 1);
        assert_eq!(sound.read(10_000, true), None);
        sound.push(&ramp(0, 25, 0));
        let read = |sound: &mut Sound, ended| sound.read(10_000, ended).map(|f| f.samples.len());
        assert_eq!(read(&mut sound, false), Some(10));
        assert_eq!(sound.read(10_000, false).map(|f| f.samples[0]), Some(10));
        assert_eq!(read(&mut sound, false), None);
        assert_eq!(read(&mut sound, true), Some(5));
        assert_eq!(read(&mut sound, true), None);
    }

    #[test]
    fn the_newest_ten_seconds_are_kept_and_what_nobody_read_is_counted() {
        let mut sound = Sound::new(1_000, 1);
        for second in 0..15 {
            sound.push(&ramp(0, 1_000, second * 1_000_000));
            if second == 1 {
                sound.read(1_000_000, false);
            }
        }
        assert_eq!(sound.held(), 10_000);
        assert_eq!(sound.dropped, 4_000);
        assert_eq!(
            sound.read(1_000, false).map(|f| f.timestamp_us),
            Some(5_000_000)
        );
    }
}
