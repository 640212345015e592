//! Simulated links: what a sender does, what a queue makes of it, what is estimated.

use proptest::prelude::*;

use super::*;

/// A sender of pictures, 30 a second, over a link with a queue, to an [`Estimator`].
struct Link {
    /// Bits per second the link carries, by the millisecond.
    capacity: fn(u64) -> f64,
    /// Bits per second that are sent, by the millisecond and the estimate.
    sends: fn(u64, Option<f64>) -> f64,
    /// Every so many pictures is ten times as large.
    keyframes: u64,
    /// The longest that the queue delays before it drops.
    queue_ms: f64,
    /// The most that a packet is delayed at random.
    jitter_ms: f64,
    /// The share that is lost at random.
    loss: f64,
    /// When the receiver, which gets to run at some moments only, next reads.
    reads: fn(f64) -> f64,
}

const EVER: f64 = 1e12;

impl Default for Link {
    fn default() -> Self {
        Self {
            capacity: |_| EVER,
            sends: |_, _| 2e6,
            keyframes: 0,
            queue_ms: 300.0,
            jitter_ms: 0.0,
            loss: 0.0,
            reads: |at_ms| at_ms,
        }
    }
}

struct Chance(u64);

impl Chance {
    /// 0 to 1 (splitmix64).
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1u64 << 53) as f64
    }
}

impl Link {
    /// The estimate at each tenth of a second; none is 0.
    fn run(&self, seconds: u64) -> Vec<f64> {
        let epoch = Instant::now();
        let mut estimator = Estimator::default();
        let mut chance = Chance(1);
        let mut sequence_number = 0u16;
        let (mut free_at_ms, mut last_arrival_ms) = (0.0f64, 0.0f64);
        let mut estimates = Vec::new();
        for picture in 0..seconds * 30 {
            let picture_ms = picture as f64 * 1000.0 / 30.0;
            while estimates.len() as f64 * 100.0 <= picture_ms {
                estimates.push(estimator.bits_per_second().unwrap_or_default());
            }
            let rate = (self.sends)(picture_ms as u64, estimator.bits_per_second());
            let large = self.keyframes > 0 && picture % self.keyframes == 0;
            let bytes = rate / 240.0 * if large { 10.0 } else { 0.5 + chance.next() };
            let packets = (bytes / 1200.0).ceil().max(1.0);
            for packet in 0..packets as u64 {
                let sent_ms = picture_ms + packet as f64 * 0.02;
                let size = bytes / packets;
                sequence_number = sequence_number.wrapping_add(1);
                let starts_ms = free_at_ms.max(sent_ms);
                if starts_ms - sent_ms > self.queue_ms || chance.next() < self.loss {
                    continue;
                }
                free_at_ms = starts_ms + size * 8e3 / (self.capacity)(sent_ms as u64);
                let arrival_ms = free_at_ms + 20.0 + chance.next() * self.jitter_ms;
                last_arrival_ms = last_arrival_ms.max((self.reads)(arrival_ms));
                estimator.handle_packet(
                    epoch + Duration::from_secs_f64(last_arrival_ms / 1e3),
                    Arrival {
                        ssrc: 1,
                        sequence_number,
                        send_time: ((sent_ms / 1e3 * 262_144.0) as u64 & 0xFF_FFFF) as u32,
                        size: size as usize,
                    },
                );
            }
        }
        estimates
    }
}

fn lowest(estimates: &[f64]) -> f64 {
    estimates.iter().copied().fold(f64::INFINITY, f64::min)
}

fn highest(estimates: &[f64]) -> f64 {
    estimates.iter().copied().fold(0.0, f64::max)
}

fn mean(estimates: &[f64]) -> f64 {
    estimates.iter().sum::<f64>() / estimates.len() as f64
}

/// Sends what is estimated, 3 Mb/s at most.
fn obeys(_: u64, estimate: Option<f64>) -> f64 {
    estimate.unwrap_or(3e5).min(3e6)
}

#[test]
fn a_sender_that_obeys_fills_a_link_without_filling_its_queue() {
    for capacity in [|_| 3e5, |_| 1e6, |_| 2.5e6] {
        let link = Link {
            capacity,
            sends: obeys,
            ..Link::default()
        };
        let estimates = link.run(90);
        let settled = mean(&estimates[400..]) / capacity(0);
        assert!((0.65..1.1).contains(&settled), "{settled} of the link");
        let most = highest(&estimates[400..]) / capacity(0);
        assert!(most < 1.6, "{most} of the link");
    }
}

#[test]
fn a_link_that_becomes_narrow_is_noticed_at_once() {
    let link = Link {
        capacity: |at_ms| if at_ms < 20_000 { 3e6 } else { 6e5 },
        sends: obeys,
        ..Link::default()
    };
    let estimates = link.run(40);
    assert!(estimates[199] > 1.2e6, "{}", estimates[199]);
    assert!(
        lowest(&estimates[200..215]) < 6.5e5,
        "{:?}",
        &estimates[200..230]
    );
    assert!(mean(&estimates[240..]) > 3.5e5);
}

#[test]
fn a_link_that_becomes_wide_is_found() {
    let link = Link {
        capacity: |at_ms| if at_ms < 20_000 { 6e5 } else { 3e6 },
        sends: obeys,
        ..Link::default()
    };
    let estimates = link.run(60);
    assert!(highest(&estimates[150..200]) < 8e5);
    assert!(estimates[500] > 1.2e6, "{:?}", &estimates[400..]);
}

#[test]
fn a_probe_raises_the_estimate_to_what_came_through() {
    let link = Link {
        sends: |at_ms, _| {
            if (10_000..11_000).contains(&at_ms) {
                3e6
            } else {
                4e5
            }
        },
        ..Link::default()
    };
    let estimates = link.run(15);
    assert!(highest(&estimates[..100]) < 1e6);
    assert!(lowest(&estimates[110..]) > 2.5e6, "{:?}", &estimates[90..]);
}

#[test]
fn a_sender_that_does_not_obey_gets_told_the_same_again_and_again() {
    let link = Link {
        capacity: |at_ms| if at_ms < 5_000 { 1e7 } else { 6e5 },
        ..Link::default()
    };
    let estimates = link.run(30);
    assert!(highest(&estimates[65..]) < 9.5e5, "{:?}", &estimates[50..]);
    assert!(lowest(&estimates[65..]) > 2e5, "{:?}", &estimates[50..]);
}

#[test]
fn a_wide_link_is_never_taken_for_narrow() {
    let jitters: [fn(f64) -> f64; 4] = [
        |at_ms| at_ms,
        // It runs every 10 ms.
        |at_ms| (at_ms / 10.0).ceil() * 10.0,
        // It runs when others let it: at times that are 0 to 80 ms apart.
        |at_ms| {
            let turn = (at_ms / 80.0).ceil();
            turn * 80.0 + Chance(turn as u64).next() * 80.0
        },
        // It stops for a second now and then.
        |at_ms| {
            if at_ms % 7_000.0 < 1_000.0 {
                (at_ms / 7_000.0).floor() * 7_000.0 + 1_000.0
            } else {
                at_ms
            }
        },
    ];
    for (number, reads) in jitters.into_iter().enumerate() {
        for (jitter_ms, keyframes) in [(0.0, 0), (30.0, 0), (5.0, 60)] {
            let link = Link {
                keyframes,
                jitter_ms,
                reads,
                ..Link::default()
            };
            let estimates = link.run(60);
            let least = lowest(&estimates[50..]);
            println!("reader {number}, {jitter_ms} ms, keyframes {keyframes}: {least}");
            assert!(
                least > 1.9e6,
                "{least} with reader {number}, {jitter_ms} ms, {keyframes}"
            );
        }
    }
}

#[test]
fn loss_by_chance_is_not_taken_for_a_full_link() {
    let link = Link {
        loss: 0.05,
        ..Link::default()
    };
    assert!(lowest(&link.run(30)[50..]) > 1.7e6);
}

#[test]
fn heavy_loss_leaves_what_comes_through() {
    let link = Link {
        loss: 0.3,
        ..Link::default()
    };
    assert!(highest(&link.run(30)[50..]) < 1.7e6);
}

#[test]
fn send_times_wrap_around_and_go_back() {
    assert_eq!(ticks_between(0xFF_FFFF, 0), 3);
    assert_eq!(ticks_between(0, 0xFF_FFFF), -4);
    assert_eq!(ticks_between(0, 1 << 18), 1_000_000);
    assert_eq!(ticks_between(1 << 23, 0), -32_000_000);
}

proptest! {
    #[test]
    fn no_packets_whatever_make_an_estimate_that_is_no_number(
        packets in proptest::collection::vec(
            (0u64..3_000_000, any::<u32>(), any::<u16>(), 0u32..3, 0usize..100_000), 0..300,
        )
    ) {
        let mut now = Instant::now();
        let mut estimator = Estimator::default();
        for (later_us, send_time, sequence_number, ssrc, size) in packets {
            now += Duration::from_micros(later_us);
            estimator.handle_packet(now, Arrival { ssrc, sequence_number, send_time, size });
            if let Some(estimate) = estimator.bits_per_second() {
                prop_assert!(estimate.is_finite() && estimate >= 10_000.0);
            }
        }
    }
}
