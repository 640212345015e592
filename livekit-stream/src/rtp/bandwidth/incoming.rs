//! What comes, over the last half second.

const BUCKETS: usize = 50;
const BUCKET_US: i64 = 10_000;

/// Less time than this says nothing about a rate.
const SHORTEST_US: i64 = 200_000;

/// See the module.
#[derive(Debug)]
pub(super) struct IncomingRate {
    /// Bytes of each of the last buckets, by the bucket's number modulo their count.
    bytes: [u64; BUCKETS],
    sum: u64,
    /// The number of the newest bucket.
    newest: i64,
    since_us: Option<i64>,
}

impl Default for IncomingRate {
    fn default() -> Self {
        Self {
            bytes: [0; BUCKETS],
            sum: 0,
            newest: 0,
            since_us: None,
        }
    }
}

impl IncomingRate {
    pub(super) fn add(&mut self, now_us: i64, size: usize) {
        self.advance(now_us);
        self.since_us.get_or_insert(now_us);
        self.bytes[index(self.newest)] += size as u64;
        self.sum += size as u64;
    }

    /// Bits per second, once long enough is known.
    pub(super) fn bits_per_second(&mut self, now_us: i64) -> Option<f64> {
        self.advance(now_us);
        let known_us = (now_us - self.since_us?).min(BUCKETS as i64 * BUCKET_US);
        (known_us >= SHORTEST_US).then(|| self.sum as f64 * 8e6 / known_us as f64)
    }

    fn advance(&mut self, now_us: i64) {
        let now = now_us / BUCKET_US;
        if now - self.newest >= BUCKETS as i64 {
            // Nothing came for all the time that is looked at: it begins anew.
            *self = Self {
                newest: now,
                ..Self::default()
            };
        }
        while self.newest < now {
            self.newest += 1;
            let oldest = std::mem::take(&mut self.bytes[index(self.newest)]);
            self.sum -= oldest;
        }
    }
}

fn index(bucket: i64) -> usize {
    bucket.rem_euclid(BUCKETS as i64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_that_of_the_last_half_second() {
        let mut incoming = IncomingRate::default();
        let mut last = None;
        for packet in 0..300 {
            incoming.add(packet * 10_000, if packet < 200 { 1250 } else { 625 });
            last = incoming.bits_per_second(packet * 10_000);
            match packet {
                0..20 => assert_eq!(last, None),
                20..200 => assert!(
                    last.is_some_and(|rate| (rate - 1e6).abs() < 6e4),
                    "{last:?}"
                ),
                _ => {}
            }
        }
        assert!(
            last.is_some_and(|rate| (rate - 5e5).abs() < 1e4),
            "{last:?}"
        );
        assert_eq!(incoming.bits_per_second(10_000_000), None);
    }
}
