use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use super::alert::{Alert, AlertEvent, AlertRule, AlertState, Watcher, is_of};
use super::metric::Metric;
use super::source::{Counters, Sample};

/// Metrics and alerts from samples and the time, which counts from wherever the caller likes and
/// does not go back.
///
/// ```
/// use std::time::Duration;
/// use livekit_stream::monitor::{Core, Counters, Metric, Sample};
///
/// let mut core = Core::new(Duration::from_secs(2));
/// for second in 0..3 {
///     let mut counters = Counters::default();
///     counters.bytes = second * 125_000;
///     core.observe("camera", Sample::new(counters), Duration::from_secs(second));
/// }
/// assert_eq!(core.metric(Metric::Bitrate, Some("camera")), Some(1_000_000.0));
/// assert_eq!(core.metric(Metric::Latency, None), None);
/// ```
#[derive(Debug)]
pub struct Core {
    window: Duration,
    streams: BTreeMap<String, Stream>,
    rules: Vec<AlertRule>,
    /// By rule and stream.
    watchers: BTreeMap<(usize, String), Watcher>,
    events: Vec<AlertEvent>,
}

#[derive(Debug, Default)]
struct Stream {
    /// Counts within the window, and the one before it.
    history: VecDeque<(Duration, Counters)>,
    last: Sample,
}

impl Core {
    /// Rates are over the last `window` of time.
    #[must_use]
    pub fn new(window: Duration) -> Self {
        Self {
            window,
            streams: BTreeMap::new(),
            rules: Vec::new(),
            watchers: BTreeMap::new(),
            events: Vec::new(),
        }
    }

    /// Adds a rule, for all streams that are or will be there.
    pub fn add_rule(&mut self, rule: AlertRule) {
        self.rules.push(rule);
    }

    /// Takes a stream's sample; a stream that is not known is new.
    pub fn observe(&mut self, stream: &str, sample: Sample, now: Duration) {
        let window = self.window;
        let entry = self.streams.entry(stream.to_owned()).or_default();
        entry.observe(sample, now, window);
        for (index, rule) in self.rules.iter().enumerate() {
            if !rule.applies_to(stream) {
                continue;
            }
            let value = entry.metric(rule.metric());
            let watcher = self.watchers.entry((index, stream.to_owned())).or_default();
            self.events.extend(watcher.update(rule, stream, value, now));
        }
    }

    /// Forgets a stream and those below it. Their alerts are over. Tells which they were.
    pub fn remove(&mut self, name: &str) -> Vec<String> {
        let gone: Vec<String> = self
            .streams
            .keys()
            .filter(|one| is_of(one, name))
            .cloned()
            .collect();
        for stream in &gone {
            self.streams.remove(stream);
        }
        let events = &mut self.events;
        self.watchers.retain(|(_, stream), watcher| {
            let stays = !gone.contains(stream);
            if !stays && let Some(alert) = watcher.raised.take() {
                events.push(AlertEvent {
                    state: AlertState::Cleared,
                    alert,
                });
            }
            stays
        });
        gone
    }

    /// The streams, in the order of their names.
    pub fn streams(&self) -> impl Iterator<Item = &str> {
        self.streams.keys().map(String::as_str)
    }

    /// What was counted of a stream when it was last seen.
    #[must_use]
    pub fn counters(&self, stream: &str) -> Option<Counters> {
        Some(self.streams.get(stream)?.last.counters)
    }

    /// The metric of a stream; of a name above several, or of all (`None`), the average of those
    /// that have it. `None`: not known, or not yet.
    #[must_use]
    pub fn metric(&self, metric: Metric, stream: Option<&str>) -> Option<f64> {
        if let Some(exact) = stream.and_then(|name| self.streams.get(name)) {
            return exact.metric(metric);
        }
        let chosen = |name: &str| stream.is_none_or(|above| is_of(name, above));
        let streams = self.streams.iter().filter(|(name, _)| chosen(name));
        let values: Vec<f64> = streams.filter_map(|(_, one)| one.metric(metric)).collect();
        (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
    }

    /// The alerts that are raised, of a stream and those below it or of all (`None`).
    #[must_use]
    pub fn alerts(&self, stream: Option<&str>) -> Vec<Alert> {
        let raised = self
            .watchers
            .values()
            .filter_map(|watcher| watcher.raised.as_ref());
        let chosen = raised.filter(|alert| stream.is_none_or(|name| is_of(&alert.stream, name)));
        chosen.cloned().collect()
    }

    /// The changes of alerts since the last call.
    pub fn take_events(&mut self) -> Vec<AlertEvent> {
        std::mem::take(&mut self.events)
    }
}

impl Stream {
    fn observe(&mut self, sample: Sample, now: Duration, window: Duration) {
        let restarted = self.history.back().is_some_and(|(_, last)| {
            let now = sample.counters;
            now.bytes < last.bytes || now.frames < last.frames || now.packets < last.packets
        });
        if restarted {
            self.history.clear();
        }
        self.last = sample;
        self.history.push_back((now, sample.counters));
        // One sample that is as old as the window stays: rates reach back to it.
        while self
            .history
            .get(1)
            .is_some_and(|(at, _)| now.saturating_sub(*at) >= window)
        {
            self.history.pop_front();
        }
    }

    fn metric(&self, metric: Metric) -> Option<f64> {
        let seconds = |us: f64| us / 1e6;
        match metric {
            Metric::Latency => self.last.latency_us.map(|us| seconds(us as f64)),
            Metric::Jitter => self.last.jitter_us.map(|us| seconds(us as f64)),
            Metric::AvOffset => self.last.av_offset_us.map(|us| seconds(us as f64)),
            Metric::Bitrate => self.rate(|counters| counters.bytes).map(|rate| 8.0 * rate),
            Metric::Fps => self.rate(|counters| counters.frames),
            Metric::Drops => self.rate(|counters| counters.frames_dropped),
            Metric::Loss => {
                let lost = self.difference(|counters| counters.packets_lost)?;
                let came = self.difference(|counters| counters.packets)?;
                (lost + came > 0.0).then(|| lost / (lost + came))
            }
        }
    }

    fn difference(&self, of: impl Fn(&Counters) -> u64) -> Option<f64> {
        let ((_, first), (_, last)) = (self.history.front()?, self.history.back()?);
        // Packets that were given up may come after all.
        Some(of(last).saturating_sub(of(first)) as f64)
    }

    /// A second.
    fn rate(&self, of: impl Fn(&Counters) -> u64) -> Option<f64> {
        let ((from, _), (to, _)) = (self.history.front()?, self.history.back()?);
        let seconds = to.saturating_sub(*from).as_secs_f64();
        (seconds > 0.0).then(|| self.difference(of).map(|count| count / seconds))?
    }
}
