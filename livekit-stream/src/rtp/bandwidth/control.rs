//! The estimate itself: up while no queue grows, down to what came through when one does
//! (draft-ietf-rmcat-gcc-02 section 5.5).

use super::trend::Usage;

/// The estimate begins with what comes after so long.
const START_US: i64 = 1_000_000;

/// The share of what comes through that is left after an overuse: the queue has to drain.
const DECREASE: f64 = 0.85;

/// A decrease is given so long to show.
const DECREASE_INTERVAL_US: i64 = 200_000;

/// Growth a second while the way's limit is not known.
const INCREASE: f64 = 1.08;

/// How long a sender takes to follow, which decides how fast to grow near the limit: one packet
/// for each.
const RESPONSE_S: f64 = 0.3;

/// A packet, in bits.
const PACKET_BITS: f64 = 1200.0 * 8.0;

/// More than this times what comes has not been tried by anybody.
const HEADROOM: f64 = 1.5;
const HEADROOM_BITS: f64 = 10_000.0;

const LOWEST: f64 = 10_000.0;

/// Loss that a way has by itself, and loss that it has because it is full (section 6).
const LOW_LOSS: f64 = 0.02;
const HIGH_LOSS: f64 = 0.1;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum State {
    #[default]
    Hold,
    Increase,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct RateControl {
    estimate: Option<f64>,
    state: State,
    since_us: Option<i64>,
    changed_us: i64,
    decreased_us: Option<i64>,
    /// The last known share that was lost.
    loss: f64,
    /// The most that came at once since then.
    peak: f64,
    limit: Limit,
}

impl RateControl {
    pub(super) fn bits_per_second(&self) -> Option<f64> {
        self.estimate
    }

    /// Takes what the delays say, and what comes, if that is known.
    pub(super) fn update(&mut self, now_us: i64, usage: Usage, incoming: Option<f64>) {
        let since_us = *self.since_us.get_or_insert(now_us);
        let Some(incoming) = incoming else { return };
        self.peak = self.peak.max(incoming);
        if self.estimate.is_none() && (now_us - since_us >= START_US || usage == Usage::Over) {
            self.estimate = Some(incoming.max(LOWEST));
            self.changed_us = now_us;
        }
        let Some(estimate) = self.estimate else {
            return;
        };
        let new = match usage {
            Usage::Over => {
                self.state = State::Hold;
                self.decrease(now_us, estimate, incoming)
            }
            Usage::Under => {
                self.state = State::Hold;
                estimate
            }
            Usage::Normal if self.state == State::Hold => {
                self.state = State::Increase;
                self.changed_us = now_us;
                estimate.max(incoming)
            }
            Usage::Normal => self.increase(now_us, estimate, incoming),
        };
        self.estimate = Some(new.max(LOWEST));
        self.changed_us = now_us;
    }

    /// Takes the share that was lost since the last call.
    pub(super) fn lose(&mut self, share: f64) {
        self.loss = share;
        let peak = std::mem::take(&mut self.peak).max(LOWEST);
        if share > HIGH_LOSS && peak > LOWEST {
            // More than came through does not.
            self.estimate = self.estimate.map(|estimate| estimate.min(peak));
        }
    }

    fn increase(&mut self, now_us: i64, estimate: f64, incoming: f64) -> f64 {
        if incoming > self.limit.highest() {
            self.limit = Limit::default();
        }
        // Whatever comes through without a queue, the way carries.
        let carried = estimate.max(incoming);
        if self.loss > LOW_LOSS {
            return carried;
        }
        let seconds = ((now_us - self.changed_us) as f64 / 1e6).clamp(0.0, 1.0);
        let grown = if self.limit.mean.is_some() {
            estimate + PACKET_BITS / RESPONSE_S * seconds
        } else {
            estimate * INCREASE.powf(seconds)
        };
        carried.max(grown.min(HEADROOM * incoming + HEADROOM_BITS))
    }

    fn decrease(&mut self, now_us: i64, estimate: f64, incoming: f64) -> f64 {
        let recent = |at: i64| now_us - at < DECREASE_INTERVAL_US;
        if self.decreased_us.is_some_and(recent) {
            return estimate;
        }
        self.decreased_us = Some(now_us);
        if incoming < self.limit.lowest() {
            self.limit = Limit::default();
        }
        self.limit.add(incoming);
        estimate.min(DECREASE * incoming)
    }
}

/// What came through whenever the way was full: its mean and how far it scatters.
#[derive(Debug, Clone, Copy)]
struct Limit {
    mean: Option<f64>,
    /// The variance, divided by the mean, in kb/s.
    variance: f64,
}

/// The share of a new value in the mean and in the variance.
const NEW: f64 = 0.05;

impl Default for Limit {
    fn default() -> Self {
        Self {
            mean: None,
            variance: 0.4,
        }
    }
}

impl Limit {
    fn add(&mut self, value: f64) {
        let mean = self.mean.unwrap_or(value);
        let off = value - mean;
        let mean = mean + NEW * off;
        self.mean = Some(mean);
        let scatter = off * off / mean.max(1.0) / 1e3;
        self.variance = ((1.0 - NEW) * self.variance + NEW * scatter).clamp(0.4, 2.5);
    }

    /// Three standard deviations.
    fn margin(&self, mean: f64) -> f64 {
        3.0 * (self.variance * mean * 1e3).sqrt()
    }

    fn highest(&self) -> f64 {
        self.mean
            .map_or(f64::INFINITY, |mean| mean + self.margin(mean))
    }

    fn lowest(&self) -> f64 {
        self.mean.map_or(0.0, |mean| mean - self.margin(mean))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Updates every 50 ms for so long, with loss every 500; the estimate at the end.
    fn run(control: &mut RateControl, ms: std::ops::Range<i64>, incoming: f64, loss: f64) -> u64 {
        for at in ms.step_by(50) {
            control.update(at * 1000, Usage::Normal, Some(incoming));
            if at % 500 == 0 {
                control.lose(loss);
            }
        }
        control.estimate.unwrap_or_default() as u64
    }

    #[test]
    fn it_grows_to_half_as_much_again_as_comes_and_keeps_that() {
        let mut control = RateControl::default();
        assert_eq!(run(&mut control, 0..1000, 1e6, 0.0), 0);
        let second = run(&mut control, 1000..2100, 1e6, 0.0);
        assert!((1_060_000..1_100_000).contains(&second), "{second}");
        assert_eq!(run(&mut control, 2100..20_000, 1e6, 0.0), 1_510_000);
        // A picture that stands still says nothing about the way.
        assert_eq!(run(&mut control, 20_000..40_000, 1e5, 0.0), 1_510_000);
    }

    #[test]
    fn an_overuse_leaves_less_than_comes_and_growth_is_slow_then() {
        let mut control = RateControl::default();
        run(&mut control, 0..20_000, 1e6, 0.0);
        for at in [20_000, 20_050, 20_100] {
            control.update(at * 1000, Usage::Over, Some(1e6));
        }
        assert_eq!(control.estimate, Some(0.85e6));
        control.update(20_200_000, Usage::Under, Some(1e6));
        assert_eq!(control.estimate, Some(0.85e6));
        let grown = run(&mut control, 20_300..22_350, 0.85e6, 0.0);
        assert!((900_000..930_000).contains(&grown), "{grown}");
        // More comes than ever did when it was full: the limit is another.
        let more = run(&mut control, 22_350..24_400, 2e6, 0.0);
        assert!(more > 2_200_000, "{more}");
    }

    #[test]
    fn some_loss_keeps_it_and_much_loss_leaves_what_comes() {
        let mut control = RateControl::default();
        assert_eq!(run(&mut control, 0..10_000, 1e6, 0.05), 1_000_000);
        let grown = run(&mut control, 10_000..20_000, 1e6, 0.0);
        assert_eq!(run(&mut control, 20_000..21_050, 8e5, 0.3), 800_000);
        assert!(grown > 1_500_000);
    }
}
