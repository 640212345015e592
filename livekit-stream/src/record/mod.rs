//! Recording and restreaming participants: what is copied, what is transcoded, what fills gaps,
//! and the report that says so.
//!
//! Depends on [`crate::stream`], [`crate::output`], [`crate::encode`] and [`crate::decode`].

mod builder;
mod feed;
mod gap;
mod job;
mod recorder;
mod report;
mod restreamer;
mod selection;
mod transcode;
mod writer;

pub use builder::OutputBuilder;
pub use recorder::{Recorder, RecorderBuilder};
pub use report::{RecordError, RecordingReport, TrackReport, Treatment};
pub use restreamer::{RestreamReport, Restreamer, RestreamerBuilder, TargetReport};
pub use selection::{AudioMode, MediaSource, VideoMode};
