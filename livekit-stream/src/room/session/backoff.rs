//! How long to wait before the next attempt to connect.

use std::time::{Duration, Instant};

/// A connection that has lasted so long is tried again at once when it is lost; one that has not
/// goes on with the pauses where they were.
const STABLE: Duration = Duration::from_secs(10);

/// Pauses that double up to a limit. The first is none at all.
#[derive(Debug, Clone)]
pub(super) struct Backoff {
    first: Duration,
    longest: Duration,
    next: Option<Duration>,
    connected: Option<Instant>,
}

impl Backoff {
    pub(super) fn new(first: Duration, longest: Duration) -> Self {
        Self {
            first,
            longest,
            next: None,
            connected: None,
        }
    }

    /// The connection is back.
    pub(super) fn connected(&mut self, now: Instant) {
        self.connected = Some(now);
    }

    /// The connection is lost.
    pub(super) fn lost(&mut self, now: Instant) {
        let lasted = |since: Instant| now.saturating_duration_since(since) >= STABLE;
        if self.connected.take().is_some_and(lasted) {
            self.next = None;
        }
    }

    /// The pause before the next attempt. `random`, from 0 to 1, takes up to half of it away, so
    /// that the clients of a server that was restarted do not all come back at the same moment.
    pub(super) fn pause(&mut self, random: f64) -> Duration {
        let Some(pause) = self.next else {
            self.next = Some(self.first.min(self.longest));
            return Duration::ZERO;
        };
        self.next = Some(pause.saturating_mul(2).min(self.longest));
        pause.mul_f64(1.0 - random.clamp(0.0, 1.0) / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_up_to_the_longest_and_lose_up_to_half() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(300), ms(1000));
        let pauses: Vec<Duration> = (0..5).map(|_| backoff.pause(0.0)).collect();
        assert_eq!(pauses, [ms(0), ms(300), ms(600), ms(1000), ms(1000)]);
        assert_eq!(backoff.pause(1.0), ms(500));
    }

    #[test]
    fn only_a_connection_that_lasts_is_tried_again_at_once() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(300), ms(1000));
        let now = Instant::now();
        backoff.pause(0.0);
        backoff.connected(now);
        backoff.lost(now + ms(100));
        assert_eq!(backoff.pause(0.0), ms(300));
        backoff.connected(now);
        backoff.lost(now + STABLE);
        assert_eq!(backoff.pause(0.0), ms(0));
        assert_eq!(backoff.pause(0.5), ms(225));
    }
}
