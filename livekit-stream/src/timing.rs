//! How steadily frames come or go: their latency, their jitter, pictures against sound. Depends on
//! [`crate::codec`] alone.

use std::time::Instant;

use serde::Serialize;

use crate::codec::MediaKind;

/// Least delays are looked for over one to two such periods. At a drift of 100 ppm the oldest is
/// wrong by 1 ms.
const PERIOD_US: i64 = 5_000_000;

/// Times and timestamps that differ by more since the last frame are a discontinuity.
const MAX_JUMP_US: i64 = 5_000_000;

/// How steadily the frames of a track pass, or those of a stream of both: then of its pictures, or
/// of its sound where there are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
#[non_exhaustive]
pub struct Timing {
    /// Age of frames when they pass, smoothed, in microseconds, against the one that came the
    /// quickest way in the last five to ten seconds: what queues and the network add to it. A delay
    /// that lasts longer before frames come is taken for the way. `None`: no frame passed.
    pub latency_us: Option<i64>,
    /// How unevenly they pass, in microseconds: the interarrival jitter of RFC 3550 (appendix
    /// A.8), of frames instead of packets.
    pub jitter_us: Option<u64>,
    /// How much later than their sound pictures pass, in microseconds.
    pub av_offset_us: Option<i64>,
}

/// The least of the values seen during the last one to two periods.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct LeastOf {
    begun_us: Option<i64>,
    current: Option<i64>,
    previous: Option<i64>,
}

impl LeastOf {
    pub(crate) fn observe(&mut self, now_us: i64, value: i64) -> i64 {
        let begun = *self.begun_us.get_or_insert(now_us);
        if now_us - begun >= PERIOD_US {
            let only_one_ago = now_us - begun < 2 * PERIOD_US;
            self.previous = self.current.take().filter(|_| only_one_ago);
            self.begun_us = Some(now_us);
        }
        let current = self.current.map_or(value, |least| least.min(value));
        self.current = Some(current);
        self.previous.map_or(current, |least| least.min(current))
    }

    pub(crate) fn get(&self) -> Option<i64> {
        self.current.into_iter().chain(self.previous).min()
    }
}

/// The ages of frames whose times are of a clock that is not known: against those that came the
/// quickest way.
#[derive(Debug, Default)]
pub(crate) struct Quickest {
    epoch: Option<Instant>,
    least: LeastOf,
    /// How much later than its timestamp the last picture came, and the last sound.
    last_us: [i64; 2],
}

impl Quickest {
    /// A frame came.
    pub(crate) fn come(&mut self, kind: MediaKind, timestamp_us: i64, now: Instant) {
        let now_us = self.time_us(now);
        let late_us = now_us.saturating_sub(timestamp_us);
        let [video_us, audio_us] = &mut self.last_us;
        let last_us = match kind {
            MediaKind::Video => video_us,
            MediaKind::Audio => audio_us,
        };
        if late_us.saturating_sub(*last_us).saturating_abs() > MAX_JUMP_US {
            self.least = LeastOf::default();
        }
        *last_us = late_us;
        self.least.observe(now_us, late_us);
    }

    /// How old a frame is that came by [`come`](Self::come).
    pub(crate) fn age_us(&mut self, timestamp_us: i64, now: Instant) -> i64 {
        let late_us = self.time_us(now).saturating_sub(timestamp_us);
        late_us.saturating_sub(self.least.get().unwrap_or(late_us))
    }

    fn time_us(&mut self, now: Instant) -> i64 {
        let epoch = *self.epoch.get_or_insert(now);
        i64::try_from(now.saturating_duration_since(epoch).as_micros()).unwrap_or(i64::MAX)
    }
}

/// The mean of differences, as RFC 3550 (appendix A.8) estimates jitter from them, in its integer
/// form, which rounds to the nearest.
#[derive(Debug, Default)]
pub(crate) struct MeanDifference {
    sixteenths: u64,
}

impl MeanDifference {
    pub(crate) fn add(&mut self, difference: u64) {
        self.sixteenths = self.sixteenths + difference - ((self.sixteenths + 8) >> 4);
    }

    pub(crate) fn get(&self) -> u64 {
        self.sixteenths >> 4
    }
}

/// One track's.
#[derive(Debug, Default)]
struct Pace {
    /// Of the last frame, and smoothed.
    age_us: i64,
    latency_us: Option<i64>,
    jitter: MeanDifference,
}

impl Pace {
    fn pass(&mut self, age_us: i64) {
        match &mut self.latency_us {
            None => self.latency_us = Some(age_us),
            Some(latency_us) => {
                // As RFC 3550 smoothes jitter.
                *latency_us += age_us.saturating_sub(*latency_us) / 16;
                let difference = age_us.abs_diff(self.age_us);
                if difference <= MAX_JUMP_US as u64 {
                    self.jitter.add(difference);
                } else {
                    *latency_us = age_us;
                }
            }
        }
        self.age_us = age_us;
    }

    fn timing(&self) -> Timing {
        Timing {
            latency_us: self.latency_us,
            jitter_us: self.latency_us.map(|_| self.jitter.get()),
            av_offset_us: None,
        }
    }
}

/// Follows the frames of a stream.
#[derive(Debug, Default)]
pub(crate) struct Paces {
    video: Pace,
    audio: Pace,
}

impl Paces {
    /// A frame of this age passes.
    pub(crate) fn pass(&mut self, kind: MediaKind, age_us: i64) {
        match kind {
            MediaKind::Video => self.video.pass(age_us),
            MediaKind::Audio => self.audio.pass(age_us),
        }
    }

    /// One track's; the offset to the sound is that of the pictures.
    pub(crate) fn of(&self, kind: MediaKind) -> Timing {
        let (video, audio) = (self.video.timing(), self.audio.timing());
        match kind {
            MediaKind::Video => Timing {
                av_offset_us: video
                    .latency_us
                    .zip(audio.latency_us)
                    .map(|(video, audio)| video.saturating_sub(audio)),
                ..video
            },
            MediaKind::Audio => audio,
        }
    }

    /// The whole stream's.
    pub(crate) fn timing(&self) -> Timing {
        match self.video.latency_us {
            Some(_) => self.of(MediaKind::Video),
            None => self.of(MediaKind::Audio),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn nothing_has_passed() {
        assert_eq!(Paces::default().timing(), Timing::default());
    }

    #[test]
    fn what_waits_has_latency_however_long_it_goes_on() {
        let (start, mut quickest, mut paces) =
            (Instant::now(), Quickest::default(), Paces::default());
        let at = |us: i64| start + Duration::from_micros(us as u64);
        for n in 0..900_i64 {
            // The sender's clock began at 7 s, and the way takes 3 ms; then a queue 400 ms.
            let (sent, came) = (n * 33_000, n * 33_000 + 3_000);
            quickest.come(MediaKind::Video, 7_000_000 + sent, at(came));
            let age_us = quickest.age_us(7_000_000 + sent, at(came + 400_000));
            paces.pass(MediaKind::Video, age_us);
            quickest.come(MediaKind::Audio, 7_000_000 + sent, at(came));
            let age_us = quickest.age_us(7_000_000 + sent, at(came + 100_000));
            paces.pass(MediaKind::Audio, age_us);
        }
        let timing = paces.timing();
        assert_eq!(timing.latency_us, Some(400_000));
        assert_eq!(timing.jitter_us, Some(0));
        assert_eq!(timing.av_offset_us, Some(300_000));
        assert_eq!(paces.of(MediaKind::Audio).latency_us, Some(100_000));
        assert_eq!(paces.of(MediaKind::Audio).av_offset_us, None);
    }

    #[test]
    fn uneven_frames_jitter_by_their_mean_difference() {
        let mut paces = Paces::default();
        for n in 0..1_000_i64 {
            paces.pass(MediaKind::Audio, n % 2 * 8_000);
        }
        let jitter_us = paces.timing().jitter_us;
        assert!(
            jitter_us.is_some_and(|jitter| jitter.abs_diff(8_000) <= 16),
            "{jitter_us:?}"
        );
    }

    #[test]
    fn sound_far_behind_its_pictures_is_no_new_timeline() {
        let (start, mut quickest, mut paces) =
            (Instant::now(), Quickest::default(), Paces::default());
        for n in 0..200_i64 {
            let now = start + Duration::from_millis(40 * n as u64);
            for (kind, late_us) in [(MediaKind::Video, 0), (MediaKind::Audio, 7_000_000)] {
                let timestamp_us = n * 40_000 - late_us;
                quickest.come(kind, timestamp_us, now);
                paces.pass(kind, quickest.age_us(timestamp_us, now));
            }
        }
        assert_eq!(paces.timing().av_offset_us, Some(-7_000_000));
    }

    #[test]
    fn a_new_timeline_is_no_latency() {
        let (start, mut quickest, mut paces) =
            (Instant::now(), Quickest::default(), Paces::default());
        for n in 0..100_i64 {
            let now = start + Duration::from_millis(40 * n as u64);
            let timestamp_us = if n < 50 { 3_600_000_000 } else { 0 } + n * 40_000;
            quickest.come(MediaKind::Video, timestamp_us, now);
            paces.pass(MediaKind::Video, quickest.age_us(timestamp_us, now));
        }
        assert_eq!(paces.timing().latency_us, Some(0));
        assert_eq!(paces.timing().jitter_us, Some(0));
    }

    #[test]
    fn impossible_timestamps_do_not_overflow() {
        let (start, mut quickest, mut paces) =
            (Instant::now(), Quickest::default(), Paces::default());
        for timestamp_us in [i64::MIN, i64::MAX, 0, i64::MIN, i64::MAX] {
            quickest.come(MediaKind::Audio, timestamp_us, start);
            paces.pass(MediaKind::Video, quickest.age_us(timestamp_us, start));
            paces.pass(MediaKind::Audio, quickest.age_us(timestamp_us, start));
        }
        let _ = paces.timing();
    }
}
