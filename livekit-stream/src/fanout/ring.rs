//! A queue between one writer that never waits and one reader that may be slow.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

/// What to give up when the ring is full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// The oldest item: what is kept are the newest `capacity` items.
    DropOldest,
    /// Everything queued, and what follows until an item that starts anew: half a group of
    /// pictures is of no use to a decoder.
    DropUntilStart,
}

/// Whether a reader can start with an item.
pub(crate) trait Start {
    fn is_start(&self) -> bool;
}

impl Start for crate::frame::EncodedFrame {
    fn is_start(&self) -> bool {
        self.keyframe
    }
}

impl Start for crate::frame::AudioFrame {
    fn is_start(&self) -> bool {
        true
    }
}

impl<T, E> Start for Result<T, E> {
    fn is_start(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct State<T> {
    items: VecDeque<T>,
    dropped: u64,
    waits_for_start: bool,
    started: bool,
    closed: bool,
    reader: Option<Waker>,
}

/// See the module. `capacity` 0 is unbounded.
#[derive(Debug)]
pub(crate) struct Ring<T> {
    capacity: usize,
    overflow: Overflow,
    state: Mutex<State<T>>,
}

/// What became of a pushed item.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It is queued.
    Queued,
    /// Something was dropped, and the reader can only go on with a starting item.
    WaitsForStart,
    /// The reader is gone.
    Closed,
}

impl<T: Start> Ring<T> {
    pub(crate) fn new(capacity: usize, overflow: Overflow) -> Self {
        let state = State {
            items: VecDeque::new(),
            dropped: 0,
            waits_for_start: overflow == Overflow::DropUntilStart,
            started: false,
            closed: false,
            reader: None,
        };
        Self {
            capacity,
            overflow,
            state: Mutex::new(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // The state is consistent at every unlock, so a panic elsewhere does not taint it.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Queues `item` without waiting.
    pub(crate) fn push(&self, item: T) -> Pushed {
        let mut state = self.lock();
        if state.closed {
            return Pushed::Closed;
        }
        if self.capacity != 0 && state.items.len() >= self.capacity {
            match self.overflow {
                Overflow::DropOldest => {
                    state.items.pop_front();
                    state.dropped += 1;
                }
                Overflow::DropUntilStart => {
                    state.dropped += state.items.len() as u64;
                    state.items.clear();
                    state.waits_for_start = true;
                }
            }
        }
        if state.waits_for_start {
            if !item.is_start() {
                // What comes before the very first start was never this reader's to lose.
                state.dropped += u64::from(state.started);
                // Somebody who has stopped reading must not make the publisher send keyframes.
                return if state.reader.is_some() {
                    Pushed::WaitsForStart
                } else {
                    Pushed::Queued
                };
            }
            state.waits_for_start = false;
            state.started = true;
        }
        state.items.push_back(item);
        let reader = state.reader.take();
        drop(state);
        if let Some(reader) = reader {
            reader.wake();
        }
        Pushed::Queued
    }

    /// The next item; `None` once the ring is closed and empty.
    pub(crate) fn poll_next(&self, cx: &mut Context<'_>) -> Poll<Option<T>> {
        let mut state = self.lock();
        if let Some(item) = state.items.pop_front() {
            return Poll::Ready(Some(item));
        }
        if state.closed {
            return Poll::Ready(None);
        }
        state.reader = Some(cx.waker().clone());
        Poll::Pending
    }

    pub(crate) async fn next(&self) -> Option<T> {
        std::future::poll_fn(|cx| self.poll_next(cx)).await
    }

    /// Ends the ring: what is queued can still be read, nothing more is taken.
    pub(crate) fn close(&self) {
        let reader = {
            let mut state = self.lock();
            state.closed = true;
            state.reader.take()
        };
        if let Some(reader) = reader {
            reader.wake();
        }
    }

    pub(crate) fn dropped(&self) -> u64 {
        self.lock().dropped
    }
}

#[cfg(test)]
mod tests {
    use futures::executor::block_on;

    use super::*;

    #[derive(Debug, PartialEq, Eq)]
    struct Item(u32, bool);

    impl Start for Item {
        fn is_start(&self) -> bool {
            self.1
        }
    }

    fn drain(ring: &Ring<Item>) -> Vec<u32> {
        ring.close();
        block_on(async {
            let mut seen = Vec::new();
            while let Some(Item(n, _)) = ring.next().await {
                seen.push(n);
            }
            seen
        })
    }

    #[test]
    fn keeps_the_newest_when_the_oldest_are_dropped() {
        let ring = Ring::new(3, Overflow::DropOldest);
        for n in 0..10 {
            ring.push(Item(n, false));
        }
        assert_eq!(ring.dropped(), 7);
        assert_eq!(drain(&ring), [7, 8, 9]);
    }

    #[test]
    fn capacity_zero_keeps_everything() {
        let ring = Ring::new(0, Overflow::DropOldest);
        for n in 0..10_000 {
            ring.push(Item(n, false));
        }
        assert_eq!(ring.dropped(), 0);
        assert_eq!(drain(&ring).len(), 10_000);
    }

    #[test]
    fn starts_anew_at_a_keyframe_after_an_overflow() {
        let ring = Ring::new(3, Overflow::DropUntilStart);
        ring.push(Item(0, false));
        for n in 1..4 {
            assert_eq!(ring.push(Item(n, n == 1)), Pushed::Queued);
        }
        ring.push(Item(4, false));
        assert_eq!(ring.push(Item(5, true)), Pushed::Queued);
        assert_eq!(ring.dropped(), 4);
        assert_eq!(drain(&ring), [5]);
    }

    #[test]
    fn only_a_reader_who_waits_asks_for_a_start() {
        let ring = Ring::new(1, Overflow::DropUntilStart);
        assert_eq!(ring.push(Item(0, false)), Pushed::Queued);
        let mut cx = Context::from_waker(Waker::noop());
        assert!(ring.poll_next(&mut cx).is_pending());
        assert_eq!(ring.push(Item(1, false)), Pushed::WaitsForStart);
    }

    #[test]
    fn a_closed_ring_takes_nothing_and_still_gives_what_it_holds() {
        let ring = Ring::new(3, Overflow::DropOldest);
        ring.push(Item(1, true));
        ring.close();
        assert_eq!(ring.push(Item(2, true)), Pushed::Closed);
        assert_eq!(drain(&ring), [1]);
    }
}
