use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use futures::Stream;
use tokio::task::JoinHandle;
use tokio::time::MissedTickBehavior;

use super::alert::{Alert, AlertEvent, AlertRule};
use super::core::Core;
use super::export;
use super::metric::Metric;
use super::source::{MonitorSource, RoomSource};
use crate::fanout::{Overflow, Ring, Start};
use crate::room::Room;

/// Changes of alerts kept for a reader that is behind.
const EVENTS: usize = 256;

/// How a [`StreamMonitor`] measures.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct MonitorOptions {
    /// What is measured and exported. Default: everything.
    pub metrics: Vec<Metric>,
    /// How often. Default 500 ms.
    pub interval: Duration,
    /// The time that rates are over. Default 2 s.
    pub window: Duration,
}

impl Default for MonitorOptions {
    fn default() -> Self {
        Self {
            metrics: Metric::ALL.to_vec(),
            interval: Duration::from_millis(500),
            window: Duration::from_secs(2),
        }
    }
}

/// Watches streams while they run: metrics of each and on average, alerts by rules, and all of it
/// to the `metrics` facade (names: [`Metric::exported_name`]).
///
/// Rooms, recorders, restreamers, RTMP publishers and tracks can be attached, and whatever else is
/// a [`MonitorSource`]. It looks at them twice a second, from a task of its own that ends when the
/// monitor is dropped.
///
/// ```no_run
/// use std::time::Duration;
/// use futures::StreamExt;
/// use livekit_stream::monitor::{AlertRule, Metric, StreamMonitor};
///
/// # async fn example(room: livekit_stream::Room, recorder: livekit_stream::Recorder) {
/// let monitor = StreamMonitor::new();
/// monitor.attach_room("room", &room);
/// monitor.attach("file", recorder.monitored());
/// monitor.add_rule(
///     AlertRule::above("loss", Metric::Loss, 0.05)
///         .hold(Duration::from_secs(3))
///         .clear_at(0.01),
/// );
/// let mut alerts = monitor.alerts();
/// while let Some(event) = alerts.next().await {
///     println!("{:?}: {} of {}", event.state, event.alert.rule, event.alert.stream);
///     println!("camera: {:?} fps", monitor.get_metric(Metric::Fps, Some("room/alice/camera")));
/// }
/// # }
/// ```
#[derive(Debug)]
pub struct StreamMonitor {
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    options: MonitorOptions,
    began: Instant,
    inner: Mutex<Inner>,
}

struct Inner {
    core: Core,
    sources: BTreeMap<String, Box<dyn MonitorSource>>,
    readers: Vec<std::sync::Weak<Ring<AlertEvent>>>,
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shared")
            .field("options", &self.options)
            .finish_non_exhaustive()
    }
}

impl StreamMonitor {
    /// A monitor of everything. Has to be called within a tokio runtime.
    #[must_use]
    pub fn new() -> Self {
        Self::with_options(MonitorOptions::default())
    }

    /// A monitor that measures as the options say. Has to be called within a tokio runtime.
    #[must_use]
    pub fn with_options(options: MonitorOptions) -> Self {
        let shared = Arc::new(Shared {
            inner: Mutex::new(Inner {
                core: Core::new(options.window),
                sources: BTreeMap::new(),
                readers: Vec::new(),
            }),
            began: Instant::now(),
            options,
        });
        let task = tokio::spawn(run(Arc::clone(&shared)));
        Self { shared, task }
    }

    /// Watches a source under this name, in place of what had it; its streams are
    /// `name/stream`. It is detached by itself when it ends.
    pub fn attach(&self, name: impl Into<String>, source: impl MonitorSource + 'static) {
        let name = name.into();
        let mut inner = self.shared.lock();
        if inner.sources.contains_key(&name) {
            self.shared.remove(&mut inner, &name);
        }
        inner.sources.insert(name, Box::new(source));
    }

    /// Watches every track of a room that is subscribed to, as `name/identity/source`.
    pub fn attach_room(&self, name: impl Into<String>, room: &Room) {
        self.attach(name, RoomSource::new(room));
    }

    /// Watches it no more. Its alerts are over. Tells whether there was one of this name.
    pub fn detach(&self, name: &str) -> bool {
        let mut inner = self.shared.lock();
        let was_there = inner.sources.contains_key(name);
        if was_there {
            self.shared.remove(&mut inner, name);
        }
        was_there
    }

    /// The streams that are watched now.
    #[must_use]
    pub fn streams(&self) -> Vec<String> {
        self.shared
            .lock()
            .core
            .streams()
            .map(str::to_owned)
            .collect()
    }

    /// The metric's value now: of a stream; of a source with several, or of all (`None`), the
    /// average of those that have it. `None` where it is not known, or not measured.
    #[must_use]
    pub fn get_metric(&self, metric: Metric, stream: Option<&str>) -> Option<f64> {
        if !self.shared.options.metrics.contains(&metric) {
            return None;
        }
        self.shared.lock().core.metric(metric, stream)
    }

    /// Adds a rule, for all streams that are or will be there.
    pub fn add_rule(&self, rule: AlertRule) {
        self.shared.lock().core.add_rule(rule);
    }

    /// The alerts that are raised, of a stream and those below it or of all (`None`).
    #[must_use]
    pub fn get_alerts(&self, stream: Option<&str>) -> Vec<Alert> {
        self.shared.lock().core.alerts(stream)
    }

    /// Alerts as they are raised and cleared, from now on; ends when the monitor is dropped. The
    /// newest 256 are kept for a reader that is behind.
    pub fn alerts(&self) -> Alerts {
        let ring = Arc::new(Ring::new(EVENTS, Overflow::DropOldest));
        self.shared.lock().readers.push(Arc::downgrade(&ring));
        Alerts { ring }
    }
}

impl Default for StreamMonitor {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for StreamMonitor {
    fn drop(&mut self) {
        self.task.abort();
        let readers = std::mem::take(&mut self.shared.lock().readers);
        for reader in readers.iter().filter_map(std::sync::Weak::upgrade) {
            reader.close();
        }
    }
}

impl Shared {
    /// Nothing panics while it is locked; a poisoned lock would still hold whole values.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn look(&self) {
        let mut inner = self.lock();
        let now = self.began.elapsed();
        let ended = inner.sources.iter().filter(|(_, source)| source.is_ended());
        let ended: Vec<String> = ended.map(|(name, _)| name.clone()).collect();
        for name in ended {
            self.remove(&mut inner, &name);
        }
        let mut seen: Vec<String> = Vec::new();
        let Inner { core, sources, .. } = &mut *inner;
        for (name, source) in sources.iter() {
            for (part, sample) in source.samples() {
                let stream = match part.as_str() {
                    "" => name.clone(),
                    part => format!("{name}/{part}"),
                };
                core.observe(&stream, sample, now);
                seen.push(stream);
            }
        }
        let gone = core
            .streams()
            .filter(|name| !seen.iter().any(|one| one == name));
        let gone: Vec<String> = gone.map(str::to_owned).collect();
        for stream in gone {
            core.remove(&stream);
            export::forget(&stream, &self.options.metrics);
        }
        export::export(core, &self.options.metrics);
        inner.tell();
    }

    fn remove(&self, inner: &mut Inner, name: &str) {
        inner.sources.remove(name);
        for stream in inner.core.remove(name) {
            export::forget(&stream, &self.options.metrics);
        }
        inner.tell();
    }
}

impl Inner {
    /// Passes on the changes of alerts.
    fn tell(&mut self) {
        for event in self.core.take_events() {
            export::alert(&event);
            self.readers.retain(|reader| {
                let reader = reader.upgrade();
                reader.is_some_and(|reader| {
                    reader.push(event.clone());
                    true
                })
            });
        }
    }
}

async fn run(shared: Arc<Shared>) {
    let mut tick = tokio::time::interval(shared.options.interval.max(Duration::from_millis(1)));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        shared.look();
    }
}

impl Start for AlertEvent {
    fn is_start(&self) -> bool {
        true
    }
}

/// See [`StreamMonitor::alerts`].
#[derive(Debug)]
pub struct Alerts {
    ring: Arc<Ring<AlertEvent>>,
}

impl Alerts {
    /// Changes that were not read in time.
    #[must_use]
    pub fn missed(&self) -> u64 {
        self.ring.dropped()
    }
}

impl Stream for Alerts {
    type Item = AlertEvent;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AlertEvent>> {
        let next = ready!(self.ring.poll_next(cx));
        Poll::Ready(next)
    }
}
