//! `--metrics`: the figures of a visit as Prometheus text over HTTP.

use std::net::SocketAddr;
use std::time::Duration;

use livekit_stream::{Room, StreamMonitor};
use metrics_exporter_prometheus::PrometheusBuilder;
use metrics_util::MetricKindMask;

use crate::display::say;
use crate::failure::Failure;
use crate::running::Running;

/// What was not measured for so long is not told any more.
const IDLE: Duration = Duration::from_secs(30);

/// The option.
#[derive(clap::Args)]
pub(crate) struct MetricsArgs {
    /// Serve figures of the room's tracks and of what is written as Prometheus text on this
    /// address, such as 127.0.0.1:9184
    #[arg(long = "metrics", value_name = "IP:PORT")]
    address: Option<SocketAddr>,
}

/// What is watched.
pub(crate) struct Metrics {
    monitor: StreamMonitor,
    task: tokio::task::JoinHandle<()>,
}

impl MetricsArgs {
    /// Starts to serve, if that was asked for.
    pub(crate) fn start(&self) -> Result<Option<Metrics>, Failure> {
        let Some(address) = self.address else {
            return Ok(None);
        };
        let failed = |error: &dyn std::error::Error| {
            Failure::failed(format!("cannot serve metrics on {address}: {error}"))
        };
        let builder = PrometheusBuilder::new()
            .with_http_listener(address)
            .idle_timeout(MetricKindMask::ALL, Some(IDLE));
        let (recorder, server) = builder.build().map_err(|error| failed(&error))?;
        metrics::set_global_recorder(recorder).map_err(|error| failed(&error))?;
        let task = tokio::spawn(async move {
            if server.await.is_err() {
                say("metrics are not served any more");
            }
        });
        say(&format!("metrics at http://{address}/metrics"));
        Ok(Some(Metrics {
            monitor: StreamMonitor::new(),
            task,
        }))
    }
}

impl Metrics {
    /// Watches what the room sends, as `room/IDENTITY/SOURCE`.
    pub(crate) fn watch_room(&self, room: &Room) {
        self.monitor.attach_room("room", room);
    }

    /// Watches what is made of it, as `output/IDENTITY/SOURCE` and `output/IDENTITY/TARGET`.
    pub(crate) fn watch(&self, identity: &str, running: &Running) {
        self.monitor
            .attach(format!("output/{identity}"), running.monitored());
    }
}

impl Drop for Metrics {
    fn drop(&mut self) {
        self.task.abort();
    }
}
