//! One track's samples on their way from microseconds to ticks. Knows nothing of bytes on disk.

use std::collections::VecDeque;

use bytes::Bytes;

/// A sample whose place on the timeline is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sample {
    pub(super) data: Bytes,
    pub(super) sync: bool,
    /// Decode time in ticks of the track.
    pub(super) start: u64,
    /// In ticks; never zero.
    pub(super) duration: u32,
    /// From the decode time to the composition time, in ticks.
    pub(super) composition_offset: i32,
}

/// A sample that comes in.
#[derive(Debug, Default)]
pub(super) struct Arrival {
    pub(super) data: Bytes,
    pub(super) sync: bool,
    /// When it is decoded.
    pub(super) time_us: i64,
    /// When it is shown, if that is not when it is decoded.
    pub(super) composition_us: Option<i64>,
    /// When the next sample is decoded, if that is known already.
    pub(super) end_us: Option<i64>,
    /// How long it lasts by its own bitstream, in ticks, if that says so.
    pub(super) nominal: Option<u32>,
}

struct Pending {
    sample: Arrival,
    /// Set once the sample before has been given its duration.
    start: Option<u64>,
}

/// Samples that wait for their successor, whose start gives them their duration.
pub(super) struct Timeline {
    timescale: u32,
    queue: VecDeque<Pending>,
    bytes: usize,
    /// The least start the next sample may have: one tick after the last sample's.
    earliest: u64,
    last_time_us: Option<i64>,
    last_duration: Option<u32>,
    default_duration: u32,
    /// Samples that were moved because their time did not advance by a tick.
    pub(super) nudged: u64,
}

/// From where microseconds are counted: `start` is the time of the tick that `base` microseconds
/// make.
#[derive(Debug, Clone, Copy)]
pub(super) struct Origin {
    pub(super) start_us: i64,
    pub(super) base_us: i64,
}

impl Origin {
    /// Microseconds on the file's timeline; negative before its start.
    pub(super) fn offset(self, time_us: i64) -> i128 {
        i128::from(time_us) - i128::from(self.start_us) + i128::from(self.base_us)
    }

    /// The nearest tick; times before the start of the timeline are its start.
    fn ticks(self, time_us: i64, timescale: u32) -> u64 {
        u64::try_from(self.signed_ticks(time_us, timescale).max(0)).unwrap_or(u64::MAX)
    }

    /// The nearest tick, also before the start of the timeline.
    fn signed_ticks(self, time_us: i64, timescale: u32) -> i128 {
        (self.offset(time_us) * i128::from(timescale) + 500_000).div_euclid(1_000_000)
    }
}

impl Timeline {
    /// `default_duration` in ticks is what a last sample takes when nothing else is known.
    pub(super) fn new(timescale: u32, default_duration: u32) -> Self {
        Self {
            timescale,
            queue: VecDeque::new(),
            bytes: 0,
            earliest: 0,
            last_time_us: None,
            last_duration: None,
            default_duration: default_duration.max(1),
            nudged: 0,
        }
    }

    /// Appends a sample. Returns its time, never less than that of the sample before, and whether
    /// the gap between the two is longer than a duration in `trun` can say.
    pub(super) fn push(&mut self, mut sample: Arrival) -> (i64, bool) {
        let last = self.last_time_us.unwrap_or(sample.time_us);
        let time_us = sample.time_us.max(last);
        sample.time_us = time_us;
        let gap = i128::from(time_us) - i128::from(last);
        let too_long = gap * i128::from(self.timescale) / 1_000_000 >= i128::from(u32::MAX);
        self.last_time_us = Some(time_us);
        self.bytes = self.bytes.saturating_add(sample.data.len());
        self.queue.push_back(Pending {
            sample,
            start: None,
        });
        (time_us, too_long)
    }

    pub(super) fn pending_bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn pending_samples(&self) -> usize {
        self.queue.len()
    }

    pub(super) fn first_time_us(&self) -> Option<i64> {
        self.queue.front().map(|pending| pending.sample.time_us)
    }

    /// Takes the samples before `boundary_us` (all of them for `None`) whose duration is known;
    /// with `finish` the last one too, which then lasts as long as its bitstream says, else as
    /// long as the sample before. The samples are contiguous: each ends where the next starts.
    pub(super) fn drain(
        &mut self,
        origin: Origin,
        boundary_us: Option<i64>,
        finish: bool,
    ) -> Vec<Sample> {
        let mut samples = Vec::new();
        while let Some(first) = self.queue.front() {
            if boundary_us.is_some_and(|boundary| first.sample.time_us >= boundary) {
                break;
            }
            let start = match first.start {
                Some(start) => start,
                None => self.place(origin, first.sample.time_us),
            };
            let successor = self.queue.get(1).map(|next| next.sample.time_us);
            if successor.is_none() && !finish {
                break;
            }
            self.earliest = start.saturating_add(1);
            let Some(Pending { sample: first, .. }) = self.queue.pop_front() else {
                break;
            };
            self.bytes = self.bytes.saturating_sub(first.data.len());
            let mut clamped = false;
            let duration = if let Some(time_us) = successor {
                let ticks = origin.ticks(time_us, self.timescale);
                if ticks < self.earliest {
                    self.nudged = self.nudged.saturating_add(1);
                }
                let next_start = ticks.max(self.earliest);
                if let Some(next) = self.queue.front_mut() {
                    next.start = Some(next_start);
                }
                u32::try_from(next_start.saturating_sub(start)).unwrap_or_else(|_| {
                    clamped = true;
                    u32::MAX
                })
            } else {
                let told = first.end_us.map(|end_us| {
                    let end = origin.ticks(end_us, self.timescale);
                    u32::try_from(end.saturating_sub(start)).unwrap_or(u32::MAX)
                });
                told.or(first.nominal)
                    .or(self.last_duration)
                    .unwrap_or(self.default_duration)
            };
            let duration = duration.max(1);
            self.last_duration = Some(duration);
            let composition_offset = first.composition_us.map_or(0, |time_us| {
                let ticks = origin.signed_ticks(time_us, self.timescale) - i128::from(start);
                ticks.clamp(i32::MIN.into(), i32::MAX.into()) as i32
            });
            samples.push(Sample {
                data: first.data,
                sync: first.sync,
                start,
                duration,
                composition_offset,
            });
            // What follows does not start where this sample ends, so it takes a `tfdt` of its own.
            if clamped {
                break;
            }
        }
        samples
    }

    fn place(&self, origin: Origin, time_us: i64) -> u64 {
        origin.ticks(time_us, self.timescale).max(self.earliest)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ZERO: Origin = Origin {
        start_us: 0,
        base_us: 0,
    };

    fn push(timeline: &mut Timeline, time_us: i64) -> (i64, bool) {
        timeline.push(Arrival {
            data: Bytes::from_static(b"x"),
            sync: true,
            time_us,
            ..Arrival::default()
        })
    }

    fn times(samples: &[Sample]) -> Vec<(u64, u32)> {
        samples.iter().map(|s| (s.start, s.duration)).collect()
    }

    #[test]
    fn thirty_frames_a_second_from_rounded_microseconds_do_not_drift() {
        let mut timeline = Timeline::new(90_000, 3_000);
        for frame in 0..3_001_i64 {
            push(&mut timeline, frame * 1_000_000 / 30);
        }
        let samples = timeline.drain(ZERO, None, true);
        for (frame, sample) in samples.iter().enumerate() {
            assert_eq!(sample.start, frame as u64 * 3_000);
            assert_eq!(sample.duration, 3_000);
        }
    }

    #[test]
    fn the_last_sample_waits_for_its_successor() {
        let mut timeline = Timeline::new(1_000_000, 7);
        push(&mut timeline, 10);
        assert!(timeline.drain(ZERO, None, false).is_empty());
        push(&mut timeline, 40);
        assert_eq!(times(&timeline.drain(ZERO, None, false)), [(10, 30)]);
        assert_eq!(times(&timeline.drain(ZERO, None, true)), [(40, 30)]);
    }

    #[test]
    fn a_lone_last_sample_lasts_what_its_bitstream_says_or_the_default() {
        let mut timeline = Timeline::new(48_000, 7);
        push(&mut timeline, 0);
        assert_eq!(times(&timeline.drain(ZERO, None, true)), [(0, 7)]);
        timeline.push(Arrival {
            time_us: 1_000_000,
            nominal: Some(960),
            ..Arrival::default()
        });
        assert_eq!(times(&timeline.drain(ZERO, None, true)), [(48_000, 960)]);
    }

    #[test]
    fn times_that_do_not_advance_are_moved_by_a_tick_and_counted() {
        let mut timeline = Timeline::new(1_000_000, 1);
        for time_us in [100, 100, 50, 103] {
            push(&mut timeline, time_us);
        }
        assert_eq!(
            times(&timeline.drain(ZERO, None, true)),
            [(100, 1), (101, 1), (102, 1), (103, 1)]
        );
        assert_eq!(timeline.nudged, 2);
    }

    #[test]
    fn a_gap_longer_than_a_duration_field_is_clamped_and_the_next_start_is_true() {
        let mut timeline = Timeline::new(90_000, 1);
        push(&mut timeline, 0);
        let (_, too_long) = push(&mut timeline, 100_000_000_000);
        assert!(too_long);
        assert_eq!(times(&timeline.drain(ZERO, None, true)), [(0, u32::MAX)]);
        assert_eq!(
            times(&timeline.drain(ZERO, None, true)),
            [(9_000_000_000, u32::MAX)]
        );
    }

    #[test]
    fn samples_from_the_boundary_on_stay() {
        let mut timeline = Timeline::new(1_000_000, 1);
        for time_us in [0, 10, 20, 30] {
            push(&mut timeline, time_us);
        }
        assert_eq!(
            times(&timeline.drain(ZERO, Some(20), false)),
            [(0, 10), (10, 10)]
        );
        assert_eq!(timeline.first_time_us(), Some(20));
        assert_eq!(timeline.pending_samples(), 2);
        assert_eq!(timeline.pending_bytes(), 2);
    }

    proptest! {
        #[test]
        fn samples_are_contiguous_in_order_and_never_panic(
            times_us in prop::collection::vec(prop_oneof![any::<i64>(), 0..10_000_000_i64], 1..50),
            start_us in any::<i64>(),
            base_us in any::<i64>(),
            every in 1_usize..10,
            timescale in 1_u32..200_000,
        ) {
            let origin = Origin { start_us, base_us };
            let mut timeline = Timeline::new(timescale, 1);
            let mut runs = Vec::new();
            for (index, &time_us) in times_us.iter().enumerate() {
                let (_, too_long) = push(&mut timeline, time_us);
                if too_long || index % every == 0 {
                    runs.push(timeline.drain(origin, None, false));
                }
            }
            while timeline.pending_samples() > 0 {
                runs.push(timeline.drain(origin, None, true));
            }
            let total: usize = runs.iter().map(Vec::len).sum();
            prop_assert_eq!(total, times_us.len());
            for run in &runs {
                for pair in run.windows(2) {
                    prop_assert_eq!(pair[0].start.saturating_add(u64::from(pair[0].duration)), pair[1].start);
                }
            }
            let starts: Vec<u64> = runs.iter().flatten().map(|s| s.start).collect();
            prop_assert!(starts.windows(2).all(|pair| pair[0] < pair[1] || pair[1] == u64::MAX));
        }

        #[test]
        fn increasing_times_are_rounded_to_the_nearest_tick(
            gaps in prop::collection::vec(1_000_i64..100_000, 1..100),
            start_us in -1_000_000_000_i64..1_000_000_000,
        ) {
            let origin = Origin { start_us, base_us: 0 };
            let mut timeline = Timeline::new(90_000, 1);
            let mut expected = Vec::new();
            let mut time_us = start_us;
            for gap in gaps {
                push(&mut timeline, time_us);
                expected.push((((time_us - start_us) as f64) * 0.09).round() as u64);
                time_us += gap;
            }
            let starts: Vec<u64> = timeline.drain(origin, None, true).iter().map(|s| s.start).collect();
            prop_assert_eq!(starts, expected);
        }
    }
}
