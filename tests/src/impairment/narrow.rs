//! A link that carries so many bits per second, with a queue before it.

use std::collections::VecDeque;
use std::io::IoSliceMut;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use webrtc::runtime::RecvMeta;

/// The link, which all sockets of a network share.
#[derive(Debug, Default)]
pub(super) struct Link {
    bits_per_second: Option<f64>,
    longest_wait: Duration,
    /// When all that is in the queue has passed.
    free_at: Option<Instant>,
}

impl Link {
    /// Bits per second, `None` for any number; and how long the queue may become.
    pub(super) fn set(&mut self, bits_per_second: Option<f64>, longest_wait: Duration) {
        self.bits_per_second = bits_per_second;
        self.longest_wait = longest_wait;
    }

    pub(super) fn is_narrow(&self) -> bool {
        self.bits_per_second.is_some()
    }

    /// When a datagram has passed that comes now; `None` when the queue is full.
    pub(super) fn pass(&mut self, now: Instant, bytes: usize) -> Option<Instant> {
        let free_at = self.free_at.map_or(now, |at| at.max(now));
        let Some(bits_per_second) = self.bits_per_second else {
            return Some(free_at);
        };
        if free_at - now > self.longest_wait {
            return None;
        }
        let passed = free_at + Duration::from_secs_f64(bytes as f64 * 8.0 / bits_per_second);
        self.free_at = Some(passed);
        Some(passed)
    }
}

/// Datagrams of one socket on their way over the link.
#[derive(Debug, Default)]
pub(super) struct Queue {
    datagrams: VecDeque<(Instant, RecvMeta, Vec<u8>)>,
    timer: Option<Pin<Box<tokio::time::Sleep>>>,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    pub(super) fn push(&mut self, at: Instant, mut meta: RecvMeta, datagram: &[u8]) {
        (meta.len, meta.stride) = (datagram.len(), datagram.len());
        self.datagrams.push_back((at, meta, datagram.to_vec()));
    }

    /// Gives out what has passed, as a socket does.
    pub(super) fn poll_recv(
        &mut self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> Poll<usize> {
        loop {
            let now = Instant::now();
            let mut count = 0;
            for (buffer, meta) in buffers.iter_mut().zip(metas.iter_mut()) {
                if self.datagrams.front().is_none_or(|(at, ..)| *at > now) {
                    break;
                }
                let Some((_, first, datagram)) = self.datagrams.pop_front() else {
                    break;
                };
                buffer[..datagram.len()].copy_from_slice(&datagram);
                *meta = first;
                count += 1;
            }
            if count > 0 {
                return Poll::Ready(count);
            }
            let Some((at, ..)) = self.datagrams.front() else {
                return Poll::Pending;
            };
            let mut timer = Box::pin(tokio::time::sleep_until((*at).into()));
            if timer.as_mut().poll(cx).is_pending() {
                self.timer = Some(timer);
                return Poll::Pending;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_passes_as_much_as_it_carries_and_drops_what_finds_the_queue_full() {
        let mut link = Link::default();
        let start = Instant::now();
        assert_eq!(link.pass(start, 100_000), Some(start));
        link.set(Some(1e6), Duration::from_millis(300));
        // Twice as much as it carries, for a second.
        let passed: Vec<_> = (0..200u64)
            .map(|number| start + Duration::from_millis(number * 5))
            .filter_map(|now| link.pass(now, 1250).map(|at| at - now))
            .collect();
        assert!((125..=135).contains(&passed.len()), "{}", passed.len());
        let longest = passed.iter().max().expect("some pass");
        assert!((300..=310).contains(&longest.as_millis()), "{longest:?}");
        link.set(None, Duration::ZERO);
        let behind = link.pass(start + Duration::from_secs(1), 1250);
        assert!(
            behind > Some(start + Duration::from_millis(1200)),
            "{behind:?}"
        );
    }
}
