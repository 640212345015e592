//! Frames of several streams in the order of their times.

use std::collections::VecDeque;

use crate::frame::EncodedFrame;

/// How far one stream may be ahead of another before it is not held back any more: what FFmpeg's
/// muxers wait as well.
const MAX_AHEAD_US: i64 = 10_000_000;

/// Frames held back at most, whatever their times.
const MAX_FRAMES: usize = 16_384;

pub(super) struct Interleaver {
    streams: Vec<VecDeque<EncodedFrame>>,
    frames: usize,
    newest_us: i64,
}

impl Interleaver {
    pub(super) fn new(streams: usize) -> Self {
        Self {
            streams: std::iter::repeat_with(VecDeque::new)
                .take(streams)
                .collect(),
            frames: 0,
            newest_us: i64::MIN,
        }
    }

    pub(super) fn push(&mut self, index: usize, frame: EncodedFrame) {
        self.newest_us = self.newest_us.max(frame.timestamp_us);
        if let Some(stream) = self.streams.get_mut(index) {
            stream.push_back(frame);
            self.frames += 1;
        }
    }

    /// The earliest frame, once no earlier one can come; with `all`, whatever is there.
    pub(super) fn next(&mut self, all: bool) -> Option<(usize, EncodedFrame)> {
        let fronts = self.streams.iter().enumerate();
        let fronts =
            fronts.filter_map(|(index, stream)| Some((stream.front()?.timestamp_us, index)));
        let (time_us, index) = fronts.min()?;
        let is_certain = all
            || self.streams.iter().all(|stream| !stream.is_empty())
            || self.newest_us.saturating_sub(time_us) > MAX_AHEAD_US
            || self.frames > MAX_FRAMES;
        if !is_certain {
            return None;
        }
        let frame = self.streams.get_mut(index)?.pop_front()?;
        self.frames -= 1;
        Some((index, frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use crate::mux::testing;

    #[test]
    fn the_earliest_comes_first_and_nobody_is_waited_for_longer_than_ten_seconds() {
        let mut interleaver = Interleaver::new(2);
        let frame = |seconds: i64| testing::frame(Codec::Opus, b"x", true, seconds * 1_000_000);
        let mut order = Vec::new();
        for (index, seconds) in [(0, 0), (0, 1), (1, 0), (1, 2), (0, 3), (0, 12), (0, 14)] {
            interleaver.push(index, frame(seconds));
            while let Some((index, frame)) = interleaver.next(false) {
                order.push((index, frame.timestamp_us / 1_000_000));
            }
        }
        assert_eq!(order, [(0, 0), (1, 0), (0, 1), (1, 2), (0, 3)]);
        while let Some((index, frame)) = interleaver.next(true) {
            order.push((index, frame.timestamp_us / 1_000_000));
        }
        assert_eq!(order[5..], [(0, 12), (0, 14)]);
    }
}
