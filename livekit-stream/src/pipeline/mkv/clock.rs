//! Where copied packets of sound go on the timeline.

use crate::demux::mkv::Frame;

/// Gives copied frames their places: one after the other as long as their times agree with it.
#[derive(Debug)]
pub(super) struct Clock {
    rate: u32,
    scale_ns: u64,
    /// Where frames of a segment are counted from.
    origin_ms: Option<f64>,
    /// Where the next frame starts if there is no gap.
    next: Option<i64>,
}

impl Clock {
    pub(super) fn new(rate: u32, scale_ns: u64, origin_ms: Option<f64>) -> Self {
        Self {
            rate,
            scale_ns,
            origin_ms,
            next: None,
        }
    }

    pub(super) fn place(&mut self, frame: &Frame, duration: u32) -> i64 {
        let told = self.samples(frame.timestamp_ns.into());
        // Rounding takes up to half a tick; as much again, and 1 ms, is left to other writers.
        let tolerance = self.samples(i128::from(self.scale_ns) + 1_000_000);
        let start = match self.next {
            Some(next) if frame.lace_index > 0 => next,
            // What overlaps goes on behind.
            Some(next) if told - next <= tolerance => next,
            Some(next) => self.aligned(told, duration).max(next),
            None => self.aligned(told, duration),
        };
        self.next = Some(start.saturating_add(i64::from(duration)));
        start
    }

    fn samples(&self, ns: i128) -> i64 {
        let scaled = ns * i128::from(self.rate) + 500_000_000;
        let samples = scaled.div_euclid(1_000_000_000);
        samples.clamp(i128::from(i64::MIN / 4), i128::from(i64::MAX / 4)) as i64
    }

    /// The start of a frame that does not follow another one. Its time may be rounded to a tick;
    /// where it is about that of a frame counted from the origin, it is taken for one. In a
    /// segment it always is, unless frames last whole ticks, so that their times are exact.
    fn aligned(&self, told: i64, duration: u32) -> i64 {
        let duration = i64::from(duration.max(1));
        let ticks = u128::from(duration.unsigned_abs()) * 1_000_000_000;
        let is_exact = ticks % (u128::from(self.rate) * u128::from(self.scale_ns)) == 0;
        let origin = self
            .origin_ms
            .map_or(0.0, |ms| ms * f64::from(self.rate) / 1_000.0);
        let origin = origin.round() as i64;
        let from_origin = told.saturating_sub(origin).saturating_add(duration / 2);
        let counted = from_origin.div_euclid(duration) * duration + origin;
        let is_near = (counted - told).abs() <= self.samples(i128::from(self.scale_ns));
        if is_near || (!is_exact && self.origin_ms.is_some()) {
            counted
        } else {
            told
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn frame(ms: f64, lace_index: u8) -> Frame {
        Frame::of_sound(2, Bytes::from_static(b"x"), (ms * 1e6) as i64, lace_index)
    }

    fn places(clock: &mut Clock, times: &[f64], duration: u32) -> Vec<i64> {
        let place = |ms: &f64| clock.place(&frame(*ms, 0), duration);
        times.iter().map(place).collect()
    }

    #[test]
    fn rounded_times_make_neither_gaps_nor_overlaps() {
        let mut clock = Clock::new(48_000, 1_000_000, None);
        let times = [0.0, 21.0, 43.0, 64.0, 85.0, 107.0];
        assert_eq!(
            places(&mut clock, &times, 1024),
            [0, 1024, 2048, 3072, 4096, 5120]
        );
    }

    #[test]
    fn a_gap_stays_and_what_overlaps_follows() {
        let mut clock = Clock::new(48_000, 1_000_000, None);
        let times = [100.0, 120.0, 200.0, 201.0, 240.0];
        assert_eq!(
            places(&mut clock, &times, 960),
            [4800, 5760, 9600, 10_560, 11_520]
        );
    }

    #[test]
    fn any_frame_of_a_segment_is_where_the_whole_has_it() {
        for origin in [0.0, 7.0] {
            let whole: Vec<i64> = (0..500)
                .map(|n: i64| n * 1024 + (origin * 48.0) as i64)
                .collect();
            for (index, start) in whole.iter().enumerate() {
                let ms = (*start as f64 / 48.0).round();
                let mut clock = Clock::new(48_000, 1_000_000, Some(origin));
                assert_eq!(clock.place(&frame(ms, 0), 1024), *start, "frame {index}");
            }
        }
    }

    #[test]
    fn frames_of_a_lace_follow_each_other() {
        let mut clock = Clock::new(48_000, 1_000_000, None);
        let starts: Vec<i64> = (0..4).map(|n| clock.place(&frame(5.0, n), 960)).collect();
        assert_eq!(starts, [240, 1200, 2160, 3120]);
    }

    #[test]
    fn times_that_are_exact_are_kept() {
        let mut clock = Clock::new(48_000, 1_000_000, Some(0.0));
        assert_eq!(clock.place(&frame(7.0, 0), 960), 336);
    }
}
