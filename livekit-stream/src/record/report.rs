//! What a recording ends with.

use std::path::{Path, PathBuf};

use serde::Serialize;

use crate::fanout::TrackStats;
use crate::output::OutputError;
use crate::room::TrackSource;
use crate::timing::Timing;

/// Whether frames were taken as they came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Treatment {
    /// The publisher's own frames, untouched.
    Copied,
    /// Decoded and encoded again.
    Transcoded,
}

/// One track of a recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct TrackReport {
    /// The publisher's identity.
    pub participant: String,
    /// Camera, microphone, screen.
    pub source: TrackSource,
    /// The publisher's codec, such as `VP8`; the MIME type of one that cannot be read; empty if
    /// no frame came.
    pub codec: String,
    /// The codec written, such as `H.264`.
    pub written_codec: String,
    /// Copied or transcoded.
    pub treatment: Treatment,
    /// Width of the last picture in pixels; 0 for sound.
    pub width: u32,
    /// Height of the last picture in pixels; 0 for sound.
    pub height: u32,
    /// Frames written.
    pub frames: u64,
    /// Keyframes among them.
    pub keyframes: u64,
    /// Bytes of frames written.
    pub bytes: u64,
    /// RTP packets that never came.
    pub packets_lost: u64,
    /// RTP packets that came by retransmission.
    pub packets_recovered: u64,
    /// Frames that came and were not written: undecodable after a loss, dropped as the disk, the
    /// network or the encoder was behind, or sound from before the first picture.
    pub frames_dropped: u64,
    /// Silence put in where no sound came, in microseconds.
    pub silence_us: i64,
    /// The first frame's time minus the recording's start, in microseconds.
    pub start_offset_us: i64,
    /// From the first frame's time to the end of the last, in microseconds.
    pub duration_us: i64,
    /// How steadily frames were written, by the room's clock.
    #[serde(flatten)]
    pub timing: Timing,
}

/// A recording, or a restream, as it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RecordingReport {
    /// The participant's identity.
    pub participant: String,
    /// The file, or the server without its stream key.
    pub output: PathBuf,
    /// Files after the first: one is begun when pictures come to a recording of sound alone.
    pub further_outputs: Vec<PathBuf>,
    /// From the first frame's time to the end of the last, in microseconds.
    pub duration_us: i64,
    /// Bytes written.
    pub bytes: u64,
    /// Why it ended.
    pub ended_by: String,
    /// The tracks.
    pub tracks: Vec<TrackReport>,
}

impl RecordingReport {
    /// A report of nothing yet.
    pub(super) fn empty(participant: &str, output: &Path) -> Self {
        Self {
            participant: participant.to_owned(),
            output: output.to_owned(),
            further_outputs: Vec::new(),
            duration_us: 0,
            bytes: 0,
            ended_by: String::new(),
            tracks: Vec::new(),
        }
    }

    /// Whether there is something to play.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        self.tracks.iter().any(|track| track.frames > 0)
    }
}

/// A recording failed. What was written before is playable.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RecordError {
    /// The output failed.
    #[error(transparent)]
    Output(#[from] OutputError),
    /// A restream was given no target.
    #[error("no RTMP target was given")]
    NoTarget,
    /// The output does not take a track's codec, and copying was demanded or is all there is.
    #[error("cannot copy {codec} of {participant}'s {media_source} to {output}{hint}")]
    CannotCopy {
        /// The codec.
        codec: String,
        /// The publisher's identity.
        participant: String,
        /// The track's source.
        media_source: TrackSource,
        /// The output.
        output: String,
        /// What to do about it, or empty.
        hint: &'static str,
    },
    /// A track could not be transcoded.
    #[error("cannot transcode {participant}'s {media_source}: {reason}")]
    Transcode {
        /// The publisher's identity.
        participant: String,
        /// The track's source.
        media_source: TrackSource,
        /// What failed.
        reason: String,
    },
}

/// Adds what one subscription of a track received to what earlier ones did.
pub(super) fn add(total: &mut TrackStats, stats: &TrackStats) {
    total.packets += stats.packets;
    total.bytes += stats.bytes;
    total.packets_lost += stats.packets_lost;
    total.packets_recovered += stats.packets_recovered;
    total.frames += stats.frames;
    total.keyframes += stats.keyframes;
    total.frames_dropped += stats.frames_dropped;
    total.keyframe_requests += stats.keyframe_requests;
    total.jitter_us = stats.jitter_us;
    total.latency_us = stats.latency_us;
    total.synchronized = stats.synchronized;
    if stats.width > 0 {
        (total.width, total.height) = (stats.width, stats.height);
    }
}
