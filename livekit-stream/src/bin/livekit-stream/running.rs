//! A recording or a restream while it runs, and what it ends with.

use std::path::PathBuf;
use std::time::Instant;

use livekit_stream::{
    Monitored, RecordError, Recorder, RecordingReport, RestreamReport, Restreamer,
};
use serde::Serialize;

use crate::failure::causes;
use crate::figures::{self, Figures};

/// See the module.
pub(crate) enum Running {
    Recorder(Recorder),
    Restreamer(Restreamer),
}

/// A report as it is written to JSON.
#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(crate) enum Report {
    Recording(RecordingReport),
    Restream(RestreamReport),
}

/// How one of them ended.
#[derive(Debug, Serialize)]
pub(crate) struct Finished {
    #[serde(flatten)]
    pub(crate) report: Report,
    /// What ended it before its time.
    pub(crate) error: Option<String>,
}

impl Running {
    pub(crate) fn report(&self) -> Report {
        match self {
            Self::Recorder(recorder) => Report::Recording(recorder.progress()),
            Self::Restreamer(restreamer) => Report::Restream(restreamer.progress()),
        }
    }

    pub(crate) fn monitored(&self) -> Monitored {
        match self {
            Self::Recorder(recorder) => recorder.monitored(),
            Self::Restreamer(restreamer) => restreamer.monitored(),
        }
    }

    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Recorder(recorder) => recorder.is_finished(),
            Self::Restreamer(restreamer) => restreamer.is_finished(),
        }
    }

    /// Waits until it ends by itself.
    pub(crate) async fn finished(self) -> Finished {
        let last = self.report();
        let ended = match self {
            Self::Recorder(recorder) => recorder.finished().await.map(Report::Recording),
            Self::Restreamer(restreamer) => restreamer.finished().await.map(Report::Restream),
        };
        Finished::new(ended, last)
    }

    /// Ends it properly.
    pub(crate) async fn stop(self) -> Finished {
        let last = self.report();
        let ended = match self {
            Self::Recorder(recorder) => recorder.stop().await.map(Report::Recording),
            Self::Restreamer(restreamer) => restreamer.stop().await.map(Report::Restream),
        };
        Finished::new(ended, last)
    }
}

impl Report {
    /// Whether somebody can play something.
    pub(crate) fn is_playable(&self) -> bool {
        match self {
            Self::Recording(report) => report.is_playable(),
            Self::Restream(report) => report.is_playable(),
        }
    }

    /// The file it is written to.
    pub(crate) fn file(&self) -> Option<&PathBuf> {
        match self {
            Self::Recording(report) => Some(&report.output),
            Self::Restream(_) => None,
        }
    }

    pub(crate) fn participant(&self) -> &str {
        match self {
            Self::Recording(report) => &report.participant,
            Self::Restream(report) => &report.participant,
        }
    }

    pub(crate) fn ended_by(&self) -> &str {
        match self {
            Self::Recording(report) => &report.ended_by,
            Self::Restream(report) => &report.ended_by,
        }
    }

    /// Names and figures of its tracks and targets.
    pub(crate) fn lines(&self, figures: &mut Figures, now: Instant) -> Vec<(String, String)> {
        let (tracks, targets) = match self {
            Self::Recording(report) => (&report.tracks, &[][..]),
            Self::Restream(report) => (&report.tracks, report.targets.as_slice()),
        };
        let tracks = tracks.iter().map(|track| figures.track(track, now));
        tracks.chain(targets.iter().map(figures::target)).collect()
    }

    /// The line that tells how it ended.
    pub(crate) fn summary(&self) -> String {
        match self {
            Self::Recording(report) => format!(
                "{}: {} of {}, {}, {}",
                report.output.display(),
                figures::seconds(report.duration_us),
                report.participant,
                figures::bytes(report.bytes),
                report.ended_by
            ),
            Self::Restream(report) => {
                let duration = figures::seconds(report.duration_us);
                format!(
                    "{}: {duration} restreamed, {}",
                    report.participant, report.ended_by
                )
            }
        }
    }
}

impl Finished {
    /// An error's report is the last that was made before it.
    fn new(ended: Result<Report, RecordError>, mut last: Report) -> Self {
        match ended {
            Ok(report) => Self {
                report,
                error: None,
            },
            Err(error) => {
                let (Report::Recording(RecordingReport { ended_by, .. })
                | Report::Restream(RestreamReport { ended_by, .. })) = &mut last;
                "an error".clone_into(ended_by);
                Self {
                    report: last,
                    error: Some(causes(&error)),
                }
            }
        }
    }
}
