//! Pictures in the order they are shown, at the rate asked for.

use std::collections::VecDeque;

use crate::frame::VideoFrame;

/// Pictures that wait for those shown before them: twice what H.264 allows.
const MAX_REORDERED: usize = 32;
/// A hole in the source that is not filled with copies of the picture before it.
const HOLE_US: f64 = 1_000_000.0;

/// Pictures come as they are decoded and leave as they are shown.
#[derive(Debug, Default)]
pub(super) struct Reorder(VecDeque<(i64, VideoFrame)>);

impl Reorder {
    pub(super) fn push(&mut self, timestamp_us: i64, picture: VideoFrame) {
        let at = self.0.partition_point(|(time, _)| *time <= timestamp_us);
        self.0.insert(at, (timestamp_us, picture));
    }

    /// The next picture that nothing decoded after `decode_us` can come before: a picture is not
    /// shown before it is decoded.
    pub(super) fn pop(&mut self, decode_us: i64) -> Option<(i64, VideoFrame)> {
        let due = self.0.front().is_some_and(|(time, _)| *time <= decode_us);
        (due || self.0.len() > MAX_REORDERED).then(|| self.0.pop_front())?
    }
}

/// The source's pictures at even distances, each the nearest in time.
#[derive(Debug)]
pub(super) struct Rate {
    interval_us: f64,
    /// When the count began, and how many pictures were given since.
    origin_us: Option<i64>,
    given: u64,
    previous: Option<(i64, VideoFrame)>,
}

impl Rate {
    pub(super) fn new(fps: f64) -> Self {
        Self {
            interval_us: 1_000_000.0 / fps,
            origin_us: None,
            given: 0,
            previous: None,
        }
    }

    /// Takes the source's next picture, and gives those that are due.
    pub(super) fn push(
        &mut self,
        timestamp_us: i64,
        picture: &VideoFrame,
        mut give: impl FnMut(i64, &VideoFrame),
    ) {
        let mut origin = *self.origin_us.get_or_insert(timestamp_us);
        let due = self.given as f64 * self.interval_us;
        let behind = timestamp_us.saturating_sub(origin) as f64 - due;
        if behind.abs() > HOLE_US.max(2.0 * self.interval_us) {
            (self.given, self.previous) = (0, None);
            self.origin_us = Some(timestamp_us);
            origin = timestamp_us;
        }
        loop {
            let slot = origin.saturating_add((self.given as f64 * self.interval_us) as i64);
            if slot > timestamp_us {
                break;
            }
            let nearest = match &self.previous {
                Some((time, previous))
                    if slot.saturating_sub(*time) <= timestamp_us.saturating_sub(slot) =>
                {
                    previous
                }
                _ => picture,
            };
            give(slot, nearest);
            self.given += 1;
        }
        self.previous = Some((timestamp_us, picture.clone()));
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::frame::VideoFormat;

    fn picture(value: u8) -> VideoFrame {
        VideoFrame::new(VideoFormat::Rgb24, 1, 1, vec![value; 3]).unwrap()
    }

    /// Times out, and which picture of the source each is.
    fn convert(fps: f64, times_us: &[i64]) -> Vec<(i64, u8)> {
        let mut rate = Rate::new(fps);
        let mut out = Vec::new();
        for (index, time) in times_us.iter().enumerate() {
            rate.push(*time, &picture(index as u8), |time, picture| {
                out.push((time, picture.data()[0]));
            });
        }
        out
    }

    #[test]
    fn fewer_and_more_pictures_are_the_nearest_ones() {
        let source: Vec<i64> = (0..8).map(|n| n * 40_000).collect();
        assert_eq!(convert(10.0, &source), [(0, 0), (100_000, 2), (200_000, 5)]);
        let doubled = convert(50.0, &source[..3]);
        assert_eq!(
            doubled,
            [(0, 0), (20_000, 0), (40_000, 1), (60_000, 1), (80_000, 2)]
        );
    }

    #[test]
    fn a_hole_is_not_filled() {
        let out = convert(25.0, &[0, 40_000, 9_000_000, 9_040_000]);
        assert_eq!(out, [(0, 0), (40_000, 1), (9_000_000, 2), (9_040_000, 3)]);
    }

    #[test]
    fn pictures_leave_in_the_order_they_are_shown() {
        let mut reorder = Reorder::default();
        let mut out = Vec::new();
        // I P B B P B B as decoded: shown 80, 200, 120, 160, 320, 240, 280.
        for (index, shown) in [80, 200, 120, 160, 320, 240, 280].into_iter().enumerate() {
            reorder.push(shown, picture(0));
            while let Some((time, _)) = reorder.pop(index as i64 * 40) {
                out.push(time);
            }
        }
        while let Some((time, _)) = reorder.pop(i64::MAX) {
            out.push(time);
        }
        assert_eq!(out, [80, 120, 160, 200, 240, 280, 320]);
        // Without reordering each leaves at once.
        reorder.push(5, picture(0));
        assert!(reorder.pop(5).is_some());
    }

    proptest! {
        #[test]
        fn times_out_grow_evenly_and_no_hole_is_filled(
            fps in 1.0..120.0_f64,
            steps in prop::collection::vec(0_i64..3_000_000, 1..40),
        ) {
            let times: Vec<i64> = steps.iter().scan(0, |time, step| { *time += step; Some(*time) }).collect();
            let out = convert(fps, &times);
            prop_assert!(out.is_sorted_by(|a, b| a.0 < b.0 || (a.0 == b.0 && a.1 <= b.1)));
            prop_assert!(out.len() <= times.len() * (2 + fps as usize * 2));
        }
    }
}
