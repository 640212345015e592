//! Whether the delay grows: a line through the delays of the last groups, and how steep it may be.

use super::groups::Delta;

/// Groups that the line goes through.
const WINDOW: usize = 20;

/// How much of the delay so far stays in the smoothed one at each group.
const SMOOTHING: f64 = 0.9;

/// A slope is worth more the more groups it was seen in, up to so many.
const MOST_GROUPS: f64 = 60.0;

/// Brings the slope, milliseconds a millisecond, to the threshold's scale.
const GAIN: f64 = 4.0;

/// The threshold to begin with, and what it stays within (draft-ietf-rmcat-gcc-02 section 5.4).
const THRESHOLD_MS: f64 = 12.5;
const THRESHOLDS_MS: std::ops::RangeInclusive<f64> = 6.0..=600.0;

/// How fast the threshold follows a trend beyond it, and how fast it comes back, for each
/// millisecond: K_u and K_d of the draft.
const RAISING: f64 = 0.01;
const LOWERING: f64 = 0.00018;

/// A trend so far beyond the threshold is an accident, and not what the way is like.
const OUTLIER_MS: f64 = 15.0;

/// A gap between groups counts as no more than this for the threshold.
const LONGEST_STEP_MS: f64 = 100.0;

/// How long a trend has to be beyond the threshold.
const OVERUSE_MS: f64 = 10.0;

/// What the delays say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) enum Usage {
    /// No queue grows or shrinks.
    #[default]
    Normal,
    /// A queue grows: more is sent than the way carries.
    Over,
    /// A queue drains.
    Under,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Trend {
    /// Time of arrival and smoothed delay of the last groups, in milliseconds.
    delays: [(f64, f64); WINDOW],
    groups: usize,
    delay_ms: f64,
    smoothed_ms: f64,
    threshold_ms: f64,
    slope: f64,
    /// How long it has been beyond the threshold, and for how many groups.
    beyond_ms: f64,
    beyond: u32,
    updated_us: Option<i64>,
    usage: Usage,
}

impl Default for Trend {
    fn default() -> Self {
        Self {
            delays: [(0.0, 0.0); WINDOW],
            groups: 0,
            delay_ms: 0.0,
            smoothed_ms: 0.0,
            threshold_ms: THRESHOLD_MS,
            slope: 0.0,
            beyond_ms: 0.0,
            beyond: 0,
            updated_us: None,
            usage: Usage::Normal,
        }
    }
}

impl Trend {
    pub(super) fn usage(&self) -> Usage {
        self.usage
    }

    /// Takes the next difference between groups.
    pub(super) fn add(&mut self, delta: Delta) -> Usage {
        self.delay_ms += (delta.arrived - delta.sent) as f64 / 1e3;
        self.smoothed_ms = SMOOTHING * self.smoothed_ms + (1.0 - SMOOTHING) * self.delay_ms;
        self.delays[self.groups % WINDOW] = (delta.at as f64 / 1e3, self.smoothed_ms);
        self.groups = self.groups.wrapping_add(1);
        if self.groups >= WINDOW {
            let slope = slope(&self.delays).unwrap_or(self.slope);
            self.judge(slope, delta);
        }
        self.usage
    }

    fn judge(&mut self, slope: f64, delta: Delta) {
        let trend_ms = slope * (self.groups as f64).min(MOST_GROUPS) * GAIN;
        if trend_ms > self.threshold_ms {
            let sent_ms = delta.sent as f64 / 1e3;
            // It went beyond somewhere between the two groups.
            self.beyond_ms += if self.beyond == 0 {
                sent_ms / 2.0
            } else {
                sent_ms
            };
            self.beyond += 1;
            if self.beyond > 1 && self.beyond_ms > OVERUSE_MS && slope >= self.slope {
                self.usage = Usage::Over;
                (self.beyond, self.beyond_ms) = (0, 0.0);
            }
        } else {
            (self.beyond, self.beyond_ms) = (0, 0.0);
            self.usage = if trend_ms < -self.threshold_ms {
                Usage::Under
            } else {
                Usage::Normal
            };
        }
        self.slope = slope;
        self.adapt(trend_ms.abs(), delta.at);
    }

    /// Makes the threshold follow what the way is like, so that one that is restless by itself is
    /// not taken for full, nor one that shares a queue with others starved by them.
    fn adapt(&mut self, trend_ms: f64, at_us: i64) {
        let since = self.updated_us.replace(at_us).unwrap_or(at_us);
        if trend_ms > self.threshold_ms + OUTLIER_MS {
            return;
        }
        let rate = if trend_ms > self.threshold_ms {
            RAISING
        } else {
            LOWERING
        };
        let step_ms = ((at_us - since) as f64 / 1e3).min(LONGEST_STEP_MS);
        self.threshold_ms = (self.threshold_ms + rate * (trend_ms - self.threshold_ms) * step_ms)
            .clamp(*THRESHOLDS_MS.start(), *THRESHOLDS_MS.end());
    }
}

/// Least squares; `None` when all arrived at the same time.
fn slope(points: &[(f64, f64)]) -> Option<f64> {
    let count = points.len() as f64;
    let (x, y) = points
        .iter()
        .fold((0.0, 0.0), |(x, y), point| (x + point.0, y + point.1));
    let (x, y) = (x / count, y / count);
    let (mut above, mut below) = (0.0, 0.0);
    for point in points {
        above += (point.0 - x) * (point.1 - y);
        below += (point.0 - x) * (point.0 - x);
    }
    (below > 0.0).then(|| above / below)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Groups every 33 ms, each so many microseconds later than the one before.
    fn feed(trend: &mut Trend, count: i64, later_us: i64) -> Vec<Usage> {
        let from = trend.groups as i64;
        (from..from + count)
            .map(|group| {
                trend.add(Delta {
                    sent: 33_000,
                    arrived: 33_000 + later_us,
                    at: group * (33_000 + later_us),
                })
            })
            .collect()
    }

    #[test]
    fn a_growing_delay_is_overuse_and_a_shrinking_one_is_not() {
        let mut trend = Trend::default();
        assert!(
            feed(&mut trend, 60, 0)
                .iter()
                .all(|it| *it == Usage::Normal)
        );
        assert!(feed(&mut trend, 20, 5_000).contains(&Usage::Over));
        let after = feed(&mut trend, 60, -3_000);
        assert_eq!(after.last(), Some(&Usage::Under));
    }

    #[test]
    fn the_threshold_follows_and_comes_back_slowly() {
        let mut trend = Trend::default();
        for group in 0..200 {
            trend.adapt(20.0, group * 33_000);
        }
        let raised = trend.threshold_ms;
        assert!(raised > 19.0, "{raised}");
        for group in 200..230 {
            trend.adapt(0.0, group * 33_000);
        }
        assert!(trend.threshold_ms > 0.75 * raised, "{}", trend.threshold_ms);
        trend.adapt(500.0, 8_000_000);
        assert!(trend.threshold_ms < raised);
    }
}
