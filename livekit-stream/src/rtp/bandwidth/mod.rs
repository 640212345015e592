//! How many bits per second the way from a sender carries, as its receiver sees it.
//!
//! The receiver's half of Google congestion control (draft-ietf-rmcat-gcc-02): a queue that grows
//! somewhere on the way delays each burst of packets more than the one before, long before it
//! loses any. Send times come with the packets (abs-send-time), arrival times from the caller.
//! Depends on nothing and allocates nothing per packet.

mod control;
mod groups;
mod incoming;
mod loss;
mod trend;

use std::time::{Duration, Instant};

use control::RateControl;
use groups::Groups;
use incoming::IncomingRate;
use loss::Losses;
use trend::{Trend, Usage};

/// After such a silence what was measured before says nothing about now, and send times, which
/// wrap around every 64 seconds, may have done so.
const SILENCE_US: i64 = 2_000_000;

/// How often the estimate is looked at while nothing happens.
const INTERVAL_US: i64 = 50_000;

/// What a packet says about its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Arrival {
    /// The stream whose numbers it counts in.
    pub(crate) ssrc: u32,
    /// Its sequence number.
    pub(crate) sequence_number: u16,
    /// When it left, by the abs-send-time header extension: 24 bits, 2^18 a second.
    pub(crate) send_time: u32,
    /// Its bytes, header included.
    pub(crate) size: usize,
}

/// Estimates for all streams of one connection together.
#[derive(Debug, Default)]
pub(crate) struct Estimator {
    epoch: Option<Instant>,
    last: Option<Last>,
    looked_at_us: i64,
    groups: Groups,
    trend: Trend,
    incoming: IncomingRate,
    losses: Losses,
    control: RateControl,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    send_time: u32,
    send_us: i64,
    arrival_us: i64,
}

impl Estimator {
    /// Takes a packet that arrived `now`.
    pub(crate) fn handle_packet(&mut self, now: Instant, packet: Arrival) {
        let epoch = *self.epoch.get_or_insert(now);
        let arrival_us = micros(now.saturating_duration_since(epoch));
        let silent = |last: Last| arrival_us - last.arrival_us > SILENCE_US;
        if self.last.is_some_and(silent) {
            self.last = None;
            self.groups = Groups::default();
            self.trend = Trend::default();
        }
        let send_us = self.last.map_or(0, |last| {
            last.send_us + ticks_between(last.send_time, packet.send_time)
        });
        self.last = Some(Last {
            send_time: packet.send_time,
            send_us,
            arrival_us,
        });
        self.incoming.add(arrival_us, packet.size);
        self.losses.add(packet.ssrc, packet.sequence_number);
        let overused = match self.groups.add(send_us, arrival_us) {
            Some(delta) => self.trend.add(delta) == Usage::Over,
            None => false,
        };
        if overused || arrival_us - self.looked_at_us >= INTERVAL_US {
            self.looked_at_us = arrival_us;
            let incoming = self.incoming.bits_per_second(arrival_us);
            self.control
                .update(arrival_us, self.trend.usage(), incoming);
            if let Some(share) = self.losses.poll(arrival_us) {
                self.control.lose(share);
            }
        }
    }

    /// The estimate, once there is one.
    pub(crate) fn bits_per_second(&self) -> Option<f64> {
        self.control.bits_per_second()
    }
}

/// Microseconds from one send time to another, which may be the earlier.
fn ticks_between(from: u32, to: u32) -> i64 {
    let ticks = (to.wrapping_sub(from) << 8).cast_signed() >> 8;
    // 10^6 / 2^18
    (i64::from(ticks) * 15_625) >> 12
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
