//! Rules, and what becomes of them stream by stream.

use std::time::Duration;

use super::Metric;

/// Which side of the threshold is bad.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Side {
    Above,
    Below,
}

/// When an alert is raised and when it is over.
///
/// It is raised when the metric has been beyond the threshold for the hold time, and is over when
/// the metric has been back at `clear_at` or better for `clear_hold`: between the two nothing
/// changes, so a value that trembles about the threshold makes one alert and not many.
///
/// ```
/// use std::time::Duration;
/// use livekit_stream::monitor::{AlertRule, Metric};
///
/// let rule = AlertRule::above("loss", Metric::Loss, 0.05)
///     .hold(Duration::from_secs(3))
///     .clear_at(0.01)
///     .clear_hold(Duration::from_secs(10));
/// assert_eq!(rule.name(), "loss");
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct AlertRule {
    name: String,
    metric: Metric,
    stream: Option<String>,
    side: Side,
    threshold: f64,
    clear_at: f64,
    hold: Duration,
    clear_hold: Duration,
}

impl AlertRule {
    /// Raised while the metric is above the threshold.
    #[must_use]
    pub fn above(name: impl Into<String>, metric: Metric, threshold: f64) -> Self {
        Self::new(name.into(), metric, threshold, Side::Above)
    }

    /// Raised while the metric is below the threshold.
    #[must_use]
    pub fn below(name: impl Into<String>, metric: Metric, threshold: f64) -> Self {
        Self::new(name.into(), metric, threshold, Side::Below)
    }

    fn new(name: String, metric: Metric, threshold: f64, side: Side) -> Self {
        Self {
            name,
            metric,
            stream: None,
            side,
            threshold,
            clear_at: threshold,
            hold: Duration::ZERO,
            clear_hold: Duration::ZERO,
        }
    }

    /// Of this stream, and those below it, alone. Default: of every stream.
    #[must_use]
    pub fn stream(mut self, name: impl Into<String>) -> Self {
        self.stream = Some(name.into());
        self
    }

    /// How long the metric has to be beyond the threshold. Default: not at all.
    #[must_use]
    pub fn hold(mut self, time: Duration) -> Self {
        self.hold = time;
        self
    }

    /// Where the metric has to come back to. Default: the threshold. A value on the bad side of
    /// the threshold is taken for the threshold.
    #[must_use]
    pub fn clear_at(mut self, value: f64) -> Self {
        self.clear_at = match self.side {
            Side::Above => value.min(self.threshold),
            Side::Below => value.max(self.threshold),
        };
        self
    }

    /// How long the metric has to be back. Default: not at all.
    #[must_use]
    pub fn clear_hold(mut self, time: Duration) -> Self {
        self.clear_hold = time;
        self
    }

    /// The rule's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The metric it looks at.
    #[must_use]
    pub fn metric(&self) -> Metric {
        self.metric
    }

    pub(super) fn applies_to(&self, stream: &str) -> bool {
        self.stream
            .as_deref()
            .is_none_or(|name| is_of(stream, name))
    }

    fn is_bad(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value > self.threshold,
            Side::Below => value < self.threshold,
        }
    }

    fn is_good(&self, value: f64) -> bool {
        match self.side {
            Side::Above => value <= self.clear_at,
            Side::Below => value >= self.clear_at,
        }
    }
}

/// Whether a stream is the one of this name, or below it.
pub(super) fn is_of(stream: &str, name: &str) -> bool {
    let rest = stream.strip_prefix(name);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// An alert that is, or was, raised.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Alert {
    /// The rule's name.
    pub rule: String,
    /// The stream.
    pub stream: String,
    /// The metric.
    pub metric: Metric,
    /// Its value: now, or when it was over.
    pub value: f64,
    /// When it was raised, on the monitor's clock.
    pub since: Duration,
}

/// What happened to an alert.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlertState {
    /// It was raised.
    Raised,
    /// It is over, or its stream was detached.
    Cleared,
}

/// A change of an alert.
#[derive(Debug, Clone, PartialEq)]
pub struct AlertEvent {
    /// Raised or cleared.
    pub state: AlertState,
    /// The alert.
    pub alert: Alert,
}

/// A rule's view of one stream.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    /// Since when the metric is on the other side than the alert says.
    turned: Option<Duration>,
    pub(super) raised: Option<Alert>,
}

impl Watcher {
    /// Takes the metric's value; one that is not known changes nothing but the hold time, which
    /// begins anew.
    pub(super) fn update(
        &mut self,
        rule: &AlertRule,
        stream: &str,
        value: Option<f64>,
        now: Duration,
    ) -> Option<AlertEvent> {
        let Some(value) = value else {
            self.turned = None;
            return None;
        };
        if let Some(alert) = &mut self.raised {
            alert.value = value;
        }
        let (turned, hold) = match self.raised {
            None => (rule.is_bad(value), rule.hold),
            Some(_) => (rule.is_good(value), rule.clear_hold),
        };
        if !turned {
            self.turned = None;
            return None;
        }
        let since = *self.turned.get_or_insert(now);
        if now.saturating_sub(since) < hold {
            return None;
        }
        self.turned = None;
        if let Some(alert) = self.raised.take() {
            return Some(AlertEvent {
                state: AlertState::Cleared,
                alert,
            });
        }
        let alert = Alert {
            rule: rule.name.clone(),
            stream: stream.to_owned(),
            metric: rule.metric,
            value,
            since: now,
        };
        self.raised = Some(alert.clone());
        Some(AlertEvent {
            state: AlertState::Raised,
            alert,
        })
    }
}
