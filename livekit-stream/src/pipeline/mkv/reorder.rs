//! Decoding times, which Matroska does not have.
//!
//! Pictures come in decoding order with the times at which they are shown. The n-th picture to be
//! decoded gets the n-th of all times in ascending order, so decoding goes as evenly as showing,
//! and a run of pictures that fills a span of time is decoded in that span. With B-frames some
//! pictures would then be decoded after they are shown; all composition times are therefore moved
//! back by a constant that an edit list takes off again. Where that is not enough, as with uneven
//! frame rates, the decoding time gives way and not the time at which the picture is shown.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};

/// More than a tick of 1/90000 s, so that decoding times that differ by it differ in ticks.
const STEP_US: i64 = 12;

/// A picture with its times, in microseconds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Timed<T> {
    pub(super) picture: T,
    /// When it is shown.
    pub(super) shown_us: i64,
    pub(super) decode_us: i64,
    /// When the next one is decoded; `None` for the last.
    pub(super) end_us: Option<i64>,
}

/// Pictures that wait until the times before theirs are known.
#[derive(Debug)]
pub(super) struct Reorder<T> {
    /// How many pictures may stand before one that is shown earlier.
    depth: usize,
    /// How much later than shown the composition times are.
    shift_us: i64,
    waiting: VecDeque<(T, i64)>,
    /// The times that no picture has got for its decoding yet: as many as pictures wait.
    times: BinaryHeap<Reverse<i64>>,
    last_us: Option<i64>,
    /// The decoding time of the first picture that waits, once it has been told.
    next_us: Option<i64>,
}

impl<T> Reorder<T> {
    pub(super) fn new(depth: usize, shift_us: i64) -> Self {
        Self {
            depth,
            shift_us,
            waiting: VecDeque::new(),
            times: BinaryHeap::new(),
            last_us: None,
            next_us: None,
        }
    }

    pub(super) fn push(&mut self, picture: T, shown_us: i64) {
        self.waiting.push_back((picture, shown_us));
        self.times.push(Reverse(shown_us));
    }

    /// The next picture in decoding order, if its times are settled, or if there are no more.
    pub(super) fn pop(&mut self, finished: bool) -> Option<Timed<T>> {
        // Of more than `depth` pictures the earliest time is shown before all that follow. One
        // more makes the next one's time known.
        if !finished && self.waiting.len() < self.depth + 2 {
            return None;
        }
        let decode_us = self.next_us.or_else(|| self.decode_time())?;
        self.times.pop();
        self.last_us = Some(decode_us);
        let (picture, shown_us) = self.waiting.pop_front()?;
        self.next_us = self.decode_time();
        Some(Timed {
            picture,
            shown_us,
            decode_us,
            end_us: self.next_us,
        })
    }

    /// The decoding time of the first picture that waits.
    fn decode_time(&self) -> Option<i64> {
        let Reverse(slot) = *self.times.peek()?;
        // No later than it is shown, and early enough for all that are shown soon after it.
        let latest = self
            .waiting
            .iter()
            .zip(0_i64..)
            .map(|((_, shown_us), behind)| {
                shown_us
                    .saturating_add(self.shift_us)
                    .saturating_sub(behind * STEP_US)
            })
            .min();
        let time = latest.map_or(slot, |latest| slot.min(latest));
        let earliest = self.last_us.map(|last| last.saturating_add(STEP_US));
        Some(earliest.map_or(time, |earliest| time.max(earliest)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run(depth: usize, shift_us: i64, times: &[i64]) -> Vec<Timed<usize>> {
        let mut reorder = Reorder::new(depth, shift_us);
        let mut out = Vec::new();
        for (index, &time) in times.iter().enumerate() {
            reorder.push(index, time);
            out.extend(std::iter::from_fn(|| reorder.pop(false)));
        }
        out.extend(std::iter::from_fn(|| reorder.pop(true)));
        out
    }

    fn decode_times(timed: &[Timed<usize>]) -> Vec<i64> {
        timed.iter().map(|timed| timed.decode_us).collect()
    }

    #[test]
    fn pictures_are_decoded_as_evenly_as_they_are_shown() {
        // I P B B P B B with two pictures of delay.
        let times = [0, 120, 40, 80, 240, 160, 200].map(|ms| ms * 1_000);
        let timed = run(1, 40_000, &times);
        assert_eq!(
            decode_times(&timed),
            [0, 40, 80, 120, 160, 200, 240].map(|ms| ms * 1_000)
        );
        assert!(
            timed
                .iter()
                .all(|timed| timed.shown_us + 40_000 >= timed.decode_us)
        );
        assert_eq!(timed[6].end_us, None);
    }

    #[test]
    fn without_room_the_decoding_time_gives_way() {
        let timed = run(1, 0, &[0, 120_000, 40_000, 80_000]);
        assert_eq!(decode_times(&timed), [0, 39_988, 40_000, 80_000]);
    }

    #[test]
    fn pictures_in_order_do_not_wait_longer_than_for_the_next() {
        let mut reorder = Reorder::new(0, 0);
        reorder.push('a', 0);
        assert_eq!(reorder.pop(false), None);
        reorder.push('b', 40);
        let first = reorder
            .pop(false)
            .map(|timed| (timed.decode_us, timed.end_us));
        assert_eq!(first, Some((0, Some(40))));
    }

    proptest! {
        #[test]
        fn decoding_times_grow_and_each_picture_comes_out_once(
            times in prop::collection::vec(prop_oneof![any::<i64>(), 0..10_000_000_i64], 0..60),
            depth in 0_usize..=16,
            shift in 0..1_000_000_i64,
        ) {
            let timed = run(depth, shift, &times);
            prop_assert!(timed.iter().map(|timed| timed.picture).eq(0..times.len()));
            prop_assert!(timed.iter().map(|timed| timed.shown_us).eq(times.iter().copied()));
            let decode = decode_times(&timed);
            prop_assert!(decode.windows(2).all(|pair| pair[0] < pair[1] || pair[1] == i64::MAX));
        }

        #[test]
        fn no_picture_is_shown_before_it_is_decoded(
            gaps in prop::collection::vec(2_000_i64..100_000, 1..60),
            group in 1_usize..=4,
            shift in 0..100_000_i64,
        ) {
            // Times that grow, each group's last picture decoded first.
            let mut shown = Vec::new();
            let mut time = 0;
            for gap in gaps {
                time += gap;
                shown.push(time);
            }
            let order: Vec<i64> = shown
                .chunks(group)
                .flat_map(|group| group.last().into_iter().chain(&group[..group.len() - 1]))
                .copied()
                .collect();
            for timed in run(1, shift, &order) {
                prop_assert!(timed.decode_us <= timed.shown_us + shift, "{timed:?}");
            }
        }
    }
}
