//! How much is lost on the way, before anything is repaired.

use std::collections::HashMap;

/// How long packets are counted.
const WINDOW_US: i64 = 500_000;

/// Of fewer packets a share says nothing.
const FEWEST: u32 = 20;

/// The most streams that are counted; a peer that sends more is not told of their loss here.
const MOST_STREAMS: usize = 1024;

/// A jump of the sequence numbers beyond this, either way, is a stream that began anew.
const LARGEST_JUMP: u16 = 1000;

#[derive(Debug, Clone, Copy)]
struct Stream {
    highest: u16,
    /// The window in which its last packet came.
    window: u32,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Losses {
    streams: HashMap<u32, Stream>,
    window: u32,
    expected: u32,
    received: u32,
    since_us: i64,
}

impl Losses {
    pub(super) fn add(&mut self, ssrc: u32, sequence_number: u16) {
        let Some(stream) = self.streams.get_mut(&ssrc) else {
            if self.streams.len() < MOST_STREAMS {
                let stream = Stream {
                    highest: sequence_number,
                    window: self.window,
                };
                self.streams.insert(ssrc, stream);
            }
            return;
        };
        let ahead = sequence_number.wrapping_sub(stream.highest);
        // What a stream lost before it fell silent, as retransmissions do, was lost then.
        let silent = self.window.wrapping_sub(stream.window) > 1;
        stream.window = self.window;
        if silent || (LARGEST_JUMP + 1..=u16::MAX - LARGEST_JUMP).contains(&ahead) {
            stream.highest = sequence_number;
            return;
        }
        if ahead <= LARGEST_JUMP {
            self.expected += u32::from(ahead);
            stream.highest = sequence_number;
        }
        self.received += 1;
    }

    /// The share that was lost, 0 to 1, each time that long enough was counted.
    pub(super) fn poll(&mut self, now_us: i64) -> Option<f64> {
        if now_us - self.since_us < WINDOW_US {
            return None;
        }
        let lost = self.expected.saturating_sub(self.received);
        let share = if self.expected >= FEWEST {
            f64::from(lost) / f64::from(self.expected)
        } else {
            0.0
        };
        (self.expected, self.received, self.since_us) = (0, 0, now_us);
        self.window = self.window.wrapping_add(1);
        Some(share)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenth_of_two_streams_is_a_tenth() {
        let mut losses = Losses::default();
        for number in 65_500u32..65_700 {
            for ssrc in [1, 2] {
                if number % 10 != 0 {
                    losses.add(ssrc, number as u16);
                }
            }
        }
        assert_eq!(losses.poll(100_000), None);
        let share = losses.poll(1_000_000).unwrap_or_default();
        assert!((share - 0.1).abs() < 0.01, "{share}");
        assert_eq!(losses.poll(2_000_000), Some(0.0));
    }

    #[test]
    fn reordering_and_a_new_beginning_are_no_loss() {
        let mut losses = Losses::default();
        for number in [1u16, 2, 4, 3, 5, 7, 6].into_iter().chain(30_000..30_100) {
            losses.add(1, number);
        }
        assert_eq!(losses.poll(1_000_000), Some(0.0));
    }

    #[test]
    fn a_silent_streams_loss_is_not_that_of_now() {
        let mut losses = Losses::default();
        (0..100).for_each(|number| losses.add(1, number));
        for at_us in [1_000_000, 2_000_000] {
            losses.poll(at_us);
        }
        (200..300).for_each(|number| losses.add(1, number));
        assert_eq!(losses.poll(3_000_000), Some(0.0));
    }
}
