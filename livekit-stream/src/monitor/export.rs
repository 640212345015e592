//! Figures to the `metrics` facade: nothing happens there unless the program installs a recorder.
//!
//! Each has the label `stream`. Gauges are [`Metric::exported_name`]; counters are
//! `livekit_stream_bytes_total`, `livekit_stream_frames_total`, `livekit_stream_packets_total`,
//! `livekit_stream_packets_lost_total` and `livekit_stream_dropped_frames_total`; the gauge
//! `livekit_stream_alert` is 1 while the alert in its label `alert` is raised, then 0.

use metrics::{counter, gauge};

use super::alert::{AlertEvent, AlertState};
use super::core::Core;
use super::metric::Metric;

pub(super) fn export(core: &Core, wanted: &[Metric]) {
    for stream in core.streams() {
        for metric in wanted {
            if let Some(value) = core.metric(*metric, Some(stream)) {
                gauge!(metric.exported_name(), "stream" => stream.to_owned()).set(value);
            }
        }
        let Some(counters) = core.counters(stream) else {
            continue;
        };
        for (name, value) in [
            ("livekit_stream_bytes_total", counters.bytes),
            ("livekit_stream_frames_total", counters.frames),
            ("livekit_stream_packets_total", counters.packets),
            ("livekit_stream_packets_lost_total", counters.packets_lost),
            (
                "livekit_stream_dropped_frames_total",
                counters.frames_dropped,
            ),
        ] {
            counter!(name, "stream" => stream.to_owned()).absolute(value);
        }
    }
}

/// A stream that is gone has no values any more, which gauges say by NaN.
pub(super) fn forget(stream: &str, wanted: &[Metric]) {
    for metric in wanted {
        gauge!(metric.exported_name(), "stream" => stream.to_owned()).set(f64::NAN);
    }
}

pub(super) fn alert(event: &AlertEvent) {
    let (stream, rule) = (event.alert.stream.clone(), event.alert.rule.clone());
    let raised = event.state == AlertState::Raised;
    gauge!("livekit_stream_alert", "stream" => stream, "alert" => rule)
        .set(f64::from(u8::from(raised)));
}
