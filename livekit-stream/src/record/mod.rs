//! Recording and restreaming participants: what is copied, what is transcoded, what fills gaps,
//! and the report that says so.
//!
//! Depends on [`crate::stream`], [`crate::output`], [`crate::encode`], [`crate::decode`] and
//! [`crate::monitor`].

mod builder;
mod container;
mod feed;
mod gap;
mod job;
mod monitored;
mod punctuality;
mod recorder;
mod report;
mod restreamer;
mod selection;
mod takes;
mod transcode;
mod writer;

pub use builder::OutputBuilder;
pub use monitored::Monitored;
pub use recorder::{Recorder, RecorderBuilder};
pub use report::{RecordError, RecordingReport, TrackReport, Treatment};
pub use restreamer::{RestreamReport, Restreamer, RestreamerBuilder, TargetReport};
pub use selection::{AudioMode, MediaSource, VideoMode};
