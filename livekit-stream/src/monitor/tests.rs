#![allow(clippy::unwrap_used)]

use std::time::Duration;

use super::*;

fn at(tenths: u64) -> Duration {
    Duration::from_millis(100 * tenths)
}

fn counted(bytes: u64, frames: u64, packets: u64, packets_lost: u64) -> Sample {
    Sample::new(Counters {
        bytes,
        frames,
        packets,
        packets_lost,
        frames_dropped: 0,
    })
}

#[test]
fn rates_are_over_the_window_and_begin_anew_with_the_stream() {
    let mut core = Core::new(Duration::from_secs(2));
    let metric = |core: &Core, metric| core.metric(metric, Some("a"));
    core.observe("a", counted(0, 0, 0, 0), at(0));
    assert_eq!(metric(&core, Metric::Fps), None);
    core.observe("a", counted(1_000, 30, 10, 0), at(10));
    assert_eq!(metric(&core, Metric::Fps), Some(30.0));
    assert_eq!(metric(&core, Metric::Bitrate), Some(8_000.0));
    assert_eq!(metric(&core, Metric::Loss), Some(0.0));
    // Only the last two seconds count: 10 frames in each, one packet of four lost.
    core.observe("a", counted(2_000, 40, 13, 1), at(20));
    core.observe("a", counted(3_000, 50, 16, 2), at(30));
    assert_eq!(metric(&core, Metric::Fps), Some(10.0));
    assert_eq!(metric(&core, Metric::Loss), Some(0.25));
    // Counts that go back are another stream's.
    core.observe("a", counted(10, 1, 1, 0), at(40));
    assert_eq!(metric(&core, Metric::Fps), None);
    core.observe("a", counted(20, 6, 2, 0), at(45));
    assert_eq!(metric(&core, Metric::Fps), Some(10.0));
}

#[test]
fn a_name_above_several_and_no_name_are_averages_of_those_that_have_it() {
    let mut core = Core::new(Duration::from_secs(2));
    for (name, latency_us) in [
        ("r/a/cam", Some(10_000)),
        ("r/b/cam", Some(30_000)),
        ("f", None),
    ] {
        let sample = Sample {
            latency_us,
            ..Sample::default()
        };
        core.observe(name, sample, at(0));
    }
    let latency = |stream| core.metric(Metric::Latency, stream);
    assert_eq!(latency(Some("r/a/cam")), Some(0.01));
    assert_eq!(latency(Some("r")), Some(0.02));
    assert_eq!(latency(None), Some(0.02));
    assert_eq!(latency(Some("f")), None);
    assert_eq!(latency(Some("r/a/ca")), None);
    assert_eq!(
        core.streams().collect::<Vec<_>>(),
        ["f", "r/a/cam", "r/b/cam"]
    );
}

fn latency(ms: i64) -> Sample {
    Sample {
        latency_us: Some(ms * 1_000),
        ..Sample::default()
    }
}

#[test]
fn an_alert_is_held_before_it_is_raised_and_clears_with_hysteresis() {
    let mut core = Core::new(Duration::from_secs(2));
    let rule = AlertRule::above("late", Metric::Latency, 0.100)
        .hold(at(10))
        .clear_at(0.050)
        .clear_hold(at(20));
    core.add_rule(rule);
    let mut changes = Vec::new();
    for (tenths, ms) in [
        // Too short.
        (0, 150),
        (5, 150),
        (8, 90),
        // Long enough.
        (10, 150),
        (15, 120),
        (20, 130),
        // Between the two thresholds, and back for too short a time.
        (25, 80),
        (30, 120),
        (40, 40),
        (50, 60),
        (60, 40),
        (79, 40),
        (80, 40),
    ] {
        core.observe("s", latency(ms), at(tenths));
        for event in core.take_events() {
            changes.push((tenths, event.state, event.alert.value, event.alert.since));
        }
        let raised = core.alerts(Some("s"));
        assert_eq!(
            raised.len(),
            usize::from((20..80).contains(&tenths)),
            "at {tenths}"
        );
    }
    assert_eq!(
        changes,
        [
            (20, AlertState::Raised, 0.130, at(20)),
            (80, AlertState::Cleared, 0.040, at(20)),
        ]
    );
}

#[test]
fn a_value_that_is_not_known_changes_nothing_and_one_that_is_low_can_be_bad() {
    let mut core = Core::new(at(10));
    core.add_rule(
        AlertRule::below("slow", Metric::Fps, 10.0)
            .stream("cam")
            .hold(at(5)),
    );
    for (tenths, frames) in [(0, 0), (5, 2), (10, 4)] {
        core.observe("cam", counted(0, frames, 0, 0), at(tenths));
        core.observe("camera", counted(0, frames, 0, 0), at(tenths));
    }
    let events = core.take_events();
    assert_eq!(events.len(), 1, "{events:?}");
    assert_eq!(
        (&*events[0].alert.stream, events[0].alert.value),
        ("cam", 4.0)
    );
    // A new stream of this name: nothing is known of it yet.
    core.observe("cam", counted(0, 1, 0, 0), at(15));
    assert_eq!(core.take_events(), []);
    assert_eq!(core.alerts(None).len(), 1);
    // Whoever goes takes his alerts along.
    assert_eq!(core.remove("cam"), ["cam"]);
    assert_eq!(core.take_events()[0].state, AlertState::Cleared);
    assert_eq!(core.alerts(None), []);
}

#[test]
fn clearing_beyond_the_threshold_is_clearing_at_it() {
    let rule = AlertRule::above("a", Metric::Loss, 0.1).clear_at(0.5);
    assert_eq!(rule, AlertRule::above("a", Metric::Loss, 0.1));
}

#[test]
fn metrics_have_names() {
    for metric in Metric::ALL {
        assert_eq!(metric.name().parse(), Ok(metric));
        assert!(metric.exported_name().starts_with("livekit_stream_"));
    }
    let error = "speed".parse::<Metric>().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("\"speed\" is not one of bitrate, fps"),
        "{error}"
    );
}

/// Counts upwards and ends when told.
struct Fake(std::sync::atomic::AtomicU64);

impl MonitorSource for Fake {
    fn samples(&self) -> Vec<(String, Sample)> {
        let count = self.0.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        let mut sample = latency(500);
        sample.counters.frames = count;
        vec![("x".to_owned(), sample)]
    }

    fn is_ended(&self) -> bool {
        self.0.load(std::sync::atomic::Ordering::SeqCst) >= 5
    }
}

#[tokio::test]
async fn sources_are_looked_at_and_leave_by_themselves() {
    use futures::StreamExt;

    let options = MonitorOptions {
        metrics: vec![Metric::Latency],
        interval: Duration::from_millis(2),
        ..MonitorOptions::default()
    };
    let monitor = StreamMonitor::with_options(options);
    let mut alerts = monitor.alerts();
    monitor.add_rule(AlertRule::above("late", Metric::Latency, 0.1));
    monitor.attach("fake", Fake(0.into()));
    let raised = alerts.next().await.unwrap();
    assert_eq!(
        (&*raised.alert.stream, raised.state),
        ("fake/x", AlertState::Raised)
    );
    assert_eq!(monitor.get_metric(Metric::Fps, None), None, "not measured");
    let cleared = alerts.next().await.unwrap();
    assert_eq!(cleared.state, AlertState::Cleared);
    assert_eq!(monitor.streams(), [""; 0]);
    assert!(!monitor.detach("fake"), "it has gone by itself");

    monitor.attach("other", Fake(0.into()));
    assert_eq!(alerts.next().await.unwrap().state, AlertState::Raised);
    assert!(monitor.detach("other"));
    assert_eq!(alerts.next().await.unwrap().state, AlertState::Cleared);
    assert_eq!(alerts.missed(), 0);
    drop(monitor);
    assert_eq!(alerts.next().await, None);
}
