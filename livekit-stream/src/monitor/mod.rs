//! The health of streams while they run: [`StreamMonitor`] measures rooms, recordings, restreams,
//! RTMP captures and RTMP outputs, and raises alerts by rules.
//!
//! [`Core`] has neither threads nor a clock: it is given samples and the time. Depends on
//! `room`, [`crate::input`] and [`crate::output`] for what it watches.

mod alert;
mod core;
mod export;
mod metric;
mod source;
#[cfg(test)]
mod tests;
mod watch;

pub use self::core::Core;
pub use alert::{Alert, AlertEvent, AlertRule, AlertState};
pub use metric::{Metric, UnknownMetric};
pub(crate) use source::Targets;
pub use source::{Counters, MonitorSource, RoomSource, Sample};
pub use watch::{Alerts, MonitorOptions, StreamMonitor};
