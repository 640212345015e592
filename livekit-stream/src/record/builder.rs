//! What recorders and restreamers are told alike.

use std::time::Duration;

use super::selection::{AudioMode, MediaSource, VideoMode};
use crate::encode::VideoOptions;
use crate::room::Presence;

/// Which of a participant's media are taken, for how long, and what becomes of them.
#[derive(Debug, Clone, Default)]
pub(super) struct Selection {
    pub(super) source: MediaSource,
    pub(super) video: VideoMode,
    pub(super) audio: AudioMode,
    pub(super) duration: Option<Duration>,
    pub(super) encoder: VideoOptions,
}

/// How a [`Recorder`](super::Recorder) or a [`Restreamer`](super::Restreamer) is made: see
/// [`RecorderBuilder`](super::RecorderBuilder) and [`RestreamerBuilder`](super::RestreamerBuilder).
#[derive(Debug, Clone)]
#[must_use]
pub struct OutputBuilder<O> {
    pub(super) presence: Presence,
    pub(super) selection: Selection,
    /// What only this kind of output is told.
    pub(super) output: O,
}

impl<O: Default> OutputBuilder<O> {
    pub(super) fn new(presence: Presence) -> Self {
        Self {
            presence,
            selection: Selection::default(),
            output: O::default(),
        }
    }
}

impl<O> OutputBuilder<O> {
    /// Camera (the default) or screen.
    pub fn source(mut self, source: MediaSource) -> Self {
        self.selection.source = source;
        self
    }

    /// What becomes of the pictures. Default [`VideoMode::Auto`].
    pub fn video(mut self, mode: VideoMode) -> Self {
        self.selection.video = mode;
        self
    }

    /// What becomes of the sound. Default [`AudioMode::Auto`], which makes AAC of it for RTMP.
    pub fn audio(mut self, mode: AudioMode) -> Self {
        self.selection.audio = mode;
        self
    }

    /// Ends after this much media. Default: when the participant leaves, or when it is stopped.
    pub fn duration(mut self, duration: Duration) -> Self {
        self.selection.duration = Some(duration);
        self
    }

    /// How pictures are encoded that are not copied.
    pub fn encoder(mut self, options: VideoOptions) -> Self {
        self.selection.encoder = options;
        self
    }
}
