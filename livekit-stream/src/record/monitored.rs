//! Recordings and restreams as a monitor sees them.

use tokio::sync::watch;

use super::report::{RecordingReport, TrackReport};
use super::restreamer::RestreamReport;
use crate::monitor::{Counters, MonitorSource, Sample};

/// The progress of a [`Recorder`](super::Recorder) or a [`Restreamer`](super::Restreamer): each
/// track as it is written, under its source's name, and each RTMP target under its own.
#[derive(Debug, Clone)]
pub struct Monitored(Progress);

#[derive(Debug, Clone)]
enum Progress {
    Recorder(watch::Receiver<RecordingReport>),
    Restreamer(watch::Receiver<RestreamReport>),
}

impl Monitored {
    pub(super) fn recorder(progress: watch::Receiver<RecordingReport>) -> Self {
        Self(Progress::Recorder(progress))
    }

    pub(super) fn restreamer(progress: watch::Receiver<RestreamReport>) -> Self {
        Self(Progress::Restreamer(progress))
    }
}

impl MonitorSource for Monitored {
    fn samples(&self) -> Vec<(String, Sample)> {
        match &self.0 {
            Progress::Recorder(progress) => progress.borrow().tracks.iter().map(track).collect(),
            Progress::Restreamer(progress) => {
                let report = progress.borrow();
                let targets = report.targets.iter().map(|target| {
                    let counters = Counters {
                        bytes: target.bytes,
                        frames: target.video_frames,
                        frames_dropped: target.frames_dropped,
                        ..Counters::default()
                    };
                    (
                        target.target.clone(),
                        Sample::new(counters).with(target.timing),
                    )
                });
                targets.chain(report.tracks.iter().map(track)).collect()
            }
        }
    }

    fn is_ended(&self) -> bool {
        match &self.0 {
            Progress::Recorder(progress) => progress.has_changed().is_err(),
            Progress::Restreamer(progress) => progress.has_changed().is_err(),
        }
    }
}

fn track(track: &TrackReport) -> (String, Sample) {
    let counters = Counters {
        bytes: track.bytes,
        frames: track.frames,
        frames_dropped: track.frames_dropped,
        ..Counters::default()
    };
    (
        track.source.to_string(),
        Sample::new(counters).with(track.timing),
    )
}
