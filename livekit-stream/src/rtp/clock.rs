//! RTP timestamps to microseconds on the room's media clock.
//!
//! Three clocks nest. The [`RoomClock`] counts from one instant for all tracks of a room. Each
//! participant has a [`ParticipantClock`]: one offset from his wall clock, which his sender
//! reports tell (RFC 3550 section 6.4.1), to the room's clock. Each track has a [`TrackClock`],
//! which follows the reports' relation of RTP time to the wall clock. As the offset is one for all
//! tracks of a participant, it cancels out between sound and picture.
//!
//! The offset is the least difference between arrival and wall clock that any recent packet of the
//! participant had, for delay in queues only ever adds.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use crate::timing::LeastOf;

/// Corrections smaller than this are not made: it is the precision of senders' reports, and the
/// distance of frames stays exactly what the sender's timestamps say.
const DEAD_BAND_US: i64 = 3_000;

/// Without reports a first frame that was late by less is not corrected: nobody sees it.
const LATE_US: i64 = 20_000;

/// A correction changes the distance of two frames by this part of it at most.
const SLEW: i64 = 8;

/// RTP time and arrival that differ by more since the last frame are a discontinuity.
const MAX_JUMP_US: i64 = 5_000_000;

/// Reports that contradict the ones before by more are not believed at once.
const MAX_REPORT_ERROR_US: i64 = 10_000_000;

/// So many reports in a row that are not believed are right after all: the sender's clock was set.
const REPORTS_TO_BELIEVE: u32 = 3;

/// Two reports that agree and contradict the ones before by more show that the wall clock was set.
const MIN_SETTING_US: u64 = 500_000;

/// Of so many reports the one in the middle is followed. A sender that is busy tells the wall clock
/// of a packet that it sent late, and is off by as much.
const REPORTS: usize = 5;

/// The media clock of a room: microseconds since an instant. Clones are the same clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RoomClock {
    epoch: Instant,
}

impl RoomClock {
    /// A clock that is 0 at `epoch`.
    #[must_use]
    pub fn new(epoch: Instant) -> Self {
        Self { epoch }
    }

    /// The instant at which the clock is 0.
    #[must_use]
    pub fn epoch(&self) -> Instant {
        self.epoch
    }

    /// The clock's time at an instant, negative before the epoch.
    #[must_use]
    pub fn time_us(&self, instant: Instant) -> i64 {
        let micros = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        match instant.checked_duration_since(self.epoch) {
            Some(since) => micros(since),
            None => -micros(self.epoch.saturating_duration_since(instant)),
        }
    }

    /// A clock for one more participant.
    #[must_use]
    pub fn participant(&self) -> ParticipantClock {
        ParticipantClock {
            room: *self,
            shared: Arc::default(),
        }
    }
}

/// The clock of one participant, whose tracks share it. Clones are the same clock.
#[derive(Debug, Clone)]
pub struct ParticipantClock {
    room: RoomClock,
    shared: Arc<Mutex<Shared>>,
}

#[derive(Debug, Default)]
struct Shared {
    least: LeastOf,
    /// Room time minus the participant's wall clock.
    offset_us: Option<i64>,
    /// Counts the changes of the offset, so that all tracks follow each.
    generation: u64,
    /// Counts how often the participant's wall clock was set.
    setting: u64,
}

impl Shared {
    /// Takes in how much later a packet came than the wall clock says.
    fn observe(&mut self, now_us: i64, delay_us: i64) {
        let least = self.least.observe(now_us, delay_us);
        if self
            .offset_us
            .is_none_or(|offset| (offset - least).abs() > DEAD_BAND_US)
        {
            self.offset_us = Some(least);
            self.generation += 1;
        }
    }
}

impl ParticipantClock {
    /// A clock for one more track, whose RTP timestamps count `clock_rate` times a second.
    #[must_use]
    pub fn track(&self, clock_rate: u32) -> TrackClock {
        TrackClock {
            participant: self.clone(),
            clock_rate: i64::from(clock_rate.max(1)),
            last: None,
            offset_us: 0,
            anchor_us: 0,
            least: LeastOf::default(),
            report: None,
            told: Told::default(),
            early: None,
            disbelieved: 0,
            generation: 0,
            slewing: false,
        }
    }

    /// The room's clock.
    #[must_use]
    pub fn room(&self) -> RoomClock {
        self.room
    }

    fn lock(&self) -> MutexGuard<'_, Shared> {
        // No code that can panic runs under the lock.
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The frame given a time last.
#[derive(Debug, Clone, Copy)]
struct Last {
    /// Its RTP timestamp, unwrapped.
    ticks: i64,
    arrival_us: i64,
    timestamp_us: i64,
}

/// A sender report's relation of RTP time to the wall clock.
#[derive(Debug, Clone, Copy)]
struct Report {
    ntp_us: i64,
    ticks: i64,
    /// Wall clock minus RTP time, as this report tells it.
    told_us: i64,
    /// The same in the middle of the last reports.
    wall_us: i64,
    /// The setting of the participant's wall clock that it is of.
    setting: u64,
}

/// What the last reports told of the wall clock, the newest at the end.
#[derive(Debug, Default)]
struct Told(VecDeque<i64>);

impl Told {
    /// Takes one more in and gives the one in the middle, of two the lesser: more often than not
    /// it is lateness that makes them differ.
    fn middle_with(&mut self, told_us: i64) -> i64 {
        if self.0.len() == REPORTS {
            self.0.pop_front();
        }
        self.0.push_back(told_us);
        let middle = self.middle();
        let mut newest = self.0.iter().rev();
        if let (Some(last), Some(before)) = (newest.next(), newest.next())
            && last.abs_diff(*before) <= DEAD_BAND_US as u64
            && last.abs_diff(middle) > MIN_SETTING_US
        {
            self.0.drain(..self.0.len() - 2);
            return self.middle();
        }
        middle
    }

    fn middle(&self) -> i64 {
        let mut sorted = [i64::MAX; REPORTS];
        for (place, told) in sorted.iter_mut().zip(&self.0) {
            *place = *told;
        }
        sorted.sort_unstable();
        sorted[self.0.len().saturating_sub(1) / 2]
    }
}

/// The clock of one track.
///
/// ```
/// # use std::time::{Duration, Instant};
/// # use livekit_stream::rtp::RoomClock;
/// let epoch = Instant::now();
/// let mut track = RoomClock::new(epoch).participant().track(90_000);
/// let arrival = epoch + Duration::from_millis(20);
/// // Without sender reports the arrival of the frame that came quickest is its time.
/// assert_eq!(track.timestamp_us(u32::MAX, arrival), 20_000);
/// let late = arrival + Duration::from_millis(1_030);
/// assert_eq!(track.timestamp_us(89_999, late), 1_020_000);
/// ```
#[derive(Debug)]
pub struct TrackClock {
    participant: ParticipantClock,
    clock_rate: i64,
    last: Option<Last>,
    /// Room time minus RTP time.
    offset_us: i64,
    /// The offset when the track was last set by arrival.
    anchor_us: i64,
    /// The least difference of arrival and RTP time.
    least: LeastOf,
    report: Option<Report>,
    told: Told,
    /// A report that came before the first frame: wall clock and RTP timestamp.
    early: Option<(i64, u32)>,
    disbelieved: u32,
    /// The generation of the participant's offset that this track follows.
    generation: u64,
    slewing: bool,
}

impl TrackClock {
    /// The time of a frame in microseconds on the room's clock, greater than that of any frame
    /// before. `rtp` is its RTP timestamp, `arrival` when its first packet came. To be called once
    /// for each frame, in decoding order.
    pub fn timestamp_us(&mut self, rtp: u32, arrival: Instant) -> i64 {
        let arrival_us = self.participant.room.time_us(arrival);
        let Some(last) = self.last else {
            return self.anchor(i64::from(rtp), arrival_us);
        };
        let ticks = last.ticks + i64::from(rtp.wrapping_sub(last.ticks as u32) as i32);
        let rtp_us = self.ticks_to_us(ticks);
        let elapsed_us = rtp_us - self.ticks_to_us(last.ticks);
        if (elapsed_us - (arrival_us - last.arrival_us)).abs() > MAX_JUMP_US {
            self.report = None;
            self.told = Told::default();
            self.least = LeastOf::default();
            return self.anchor(ticks, arrival_us);
        }
        self.least.observe(arrival_us, arrival_us - rtp_us);
        self.follow(arrival_us, arrival_us - rtp_us, elapsed_us.max(0));
        self.stamp(ticks, arrival_us)
    }

    /// Takes in a sender report: the wall clock in NTP format (seconds since 1900 in 32.32 fixed
    /// point) at the RTP timestamp, and when it came. Reports that cannot be are ignored.
    pub fn handle_sender_report(&mut self, ntp: u64, rtp: u32, arrival: Instant) {
        // A sender without wall clock reports zero (RFC 3550 section 6.4.1).
        if ntp == 0 {
            return;
        }
        let ntp_us =
            (ntp >> 32) as i64 * 1_000_000 + (((ntp & 0xffff_ffff) * 1_000_000) >> 32) as i64;
        match self.last {
            Some(last) => self.report(ntp_us, rtp, last, self.participant.room.time_us(arrival)),
            None => self.early = Some((ntp_us, rtp)),
        }
    }

    /// Whether sender reports place this track beside the participant's others.
    #[must_use]
    pub fn is_synchronized(&self) -> bool {
        self.report
            .is_some_and(|report| report.setting == self.participant.lock().setting)
    }

    /// The room's time at an instant, in microseconds: what frames' times are compared with.
    #[must_use]
    pub fn time_us(&self, instant: Instant) -> i64 {
        self.participant.room.time_us(instant)
    }

    /// By how much the track was moved since its start, where arrival alone placed it, in
    /// microseconds.
    #[must_use]
    pub fn correction_us(&self) -> i64 {
        self.offset_us - self.anchor_us
    }

    /// RTP time in microseconds.
    fn ticks_to_us(&self, ticks: i64) -> i64 {
        // In two parts: the product alone would overflow after some months.
        let (seconds, rest) = (
            ticks.div_euclid(self.clock_rate),
            ticks.rem_euclid(self.clock_rate),
        );
        seconds * 1_000_000 + rest * 1_000_000 / self.clock_rate
    }

    /// Places a frame at its arrival.
    fn anchor(&mut self, ticks: i64, arrival_us: i64) -> i64 {
        let rtp_us = self.ticks_to_us(ticks);
        self.offset_us = arrival_us - rtp_us;
        self.anchor_us = self.offset_us;
        self.slewing = false;
        self.least.observe(arrival_us, arrival_us - rtp_us);
        let timestamp_us = self.stamp(ticks, arrival_us);
        if let (Some((ntp_us, rtp)), Some(last)) = (self.early.take(), self.last) {
            self.report(ntp_us, rtp, last, arrival_us);
        }
        timestamp_us
    }

    fn stamp(&mut self, ticks: i64, arrival_us: i64) -> i64 {
        let mut timestamp_us = self.ticks_to_us(ticks) + self.offset_us;
        if let Some(last) = self.last {
            timestamp_us = timestamp_us.max(last.timestamp_us + 1);
        }
        self.last = Some(Last {
            ticks,
            arrival_us,
            timestamp_us,
        });
        timestamp_us
    }

    /// Moves this track's offset towards the participant's.
    fn follow(&mut self, arrival_us: i64, delay_us: i64, elapsed_us: i64) {
        let Some(report) = self.report else {
            self.hurry(elapsed_us);
            return;
        };
        let mut shared = self.participant.lock();
        if report.setting != shared.setting {
            return;
        }
        shared.observe(arrival_us, delay_us - report.wall_us);
        let Some(offset_us) = shared.offset_us else {
            return;
        };
        let error_us = report.wall_us + offset_us - self.offset_us;
        self.slewing |= shared.generation != self.generation || error_us.abs() > DEAD_BAND_US;
        self.generation = shared.generation;
        drop(shared);
        if self.slewing {
            let step = elapsed_us / SLEW;
            self.offset_us += error_us.clamp(-step, step);
            self.slewing = error_us.abs() > step;
        }
    }

    /// Without reports the frame that came quickest places the track. The first one is a keyframe,
    /// which is large, and often comes late.
    fn hurry(&mut self, elapsed_us: i64) {
        let late_us = self
            .least
            .get()
            .map_or(0, |least| self.offset_us.saturating_sub(least));
        self.slewing |= late_us > LATE_US;
        if self.slewing {
            let step = late_us.min(elapsed_us / SLEW).max(0);
            self.offset_us -= step;
            self.slewing = late_us > step;
        }
    }

    fn report(&mut self, ntp_us: i64, rtp: u32, last: Last, arrival_us: i64) {
        let ticks = last.ticks + i64::from(rtp.wrapping_sub(last.ticks as u32) as i32);
        let told_us = ntp_us - self.ticks_to_us(ticks);
        let mut shared = self.participant.lock();
        let far = |a: i64, b: i64| a.abs_diff(b) > MAX_REPORT_ERROR_US as u64;
        // Another track may have shown that the participant's clock was set; then this track's
        // last report says nothing any more.
        let previous = self
            .report
            .filter(|previous| previous.setting == shared.setting);
        let unbelievable = previous.is_some_and(|previous| {
            ntp_us <= previous.ntp_us || ticks < previous.ticks || far(previous.told_us, told_us)
        }) || shared
            .offset_us
            .is_some_and(|offset| far(ntp_us.saturating_add(offset), arrival_us))
            || far(
                self.ticks_to_us(ticks) - self.ticks_to_us(last.ticks),
                arrival_us - last.arrival_us,
            );
        if unbelievable {
            self.disbelieved += 1;
            if self.disbelieved < REPORTS_TO_BELIEVE {
                return;
            }
            shared.least = LeastOf::default();
            shared.offset_us = None;
            shared.setting += 1;
        }
        self.disbelieved = 0;
        if previous.is_none_or(|previous| previous.setting != shared.setting) {
            self.told = Told::default();
        }
        let wall_us = self.told.middle_with(told_us);
        if let Some(least) = self.least.get() {
            shared.observe(arrival_us, least - wall_us);
        }
        self.report = Some(Report {
            ntp_us,
            ticks,
            told_us,
            wall_us,
            setting: shared.setting,
        });
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
