//! What a running capture's tasks and its readers share.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use tokio::runtime::Handle;
use tokio::sync::watch;

use super::CaptureError;
use super::options::Options;
use super::sound::Sound;
use crate::codec::MediaKind;
use crate::demux::flv::Metadata;
use crate::fanout::{Overflow, Ring, Start, TrackHub};
use crate::frame::{EncodedFrame, VideoFrameEvent};
use crate::mux::AudioTrack;
use crate::timing::{Paces, Quickest, Timing};

/// Encoded pictures kept for a decoder that is behind: four seconds at 30 a second.
const ENCODED_PICTURES: usize = 120;
/// Encoded packets of sound, likewise, and more: they are small.
const ENCODED_SOUND: usize = 500;

/// What a capture is doing.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum CaptureState {
    /// The first connection is being made, or the first publisher waited for.
    #[default]
    Connecting,
    /// The server plays the stream, or a publisher sends it.
    Capturing,
    /// The connection was lost, or the stream was ended; another one is tried or waited for.
    Reconnecting,
    /// It failed for good.
    Failed(CaptureError),
    /// The stream has ended, or the capture was stopped.
    Ended,
}

impl CaptureState {
    /// Whether nothing more will come.
    #[must_use]
    pub fn is_final(&self) -> bool {
        matches!(self, Self::Failed(_) | Self::Ended)
    }
}

/// Counts since the capture was started.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct CaptureStats {
    /// The source without its stream key.
    pub source: String,
    /// What it is doing.
    pub state: CaptureState,
    /// Bytes of media received.
    pub bytes_received: u64,
    /// Encoded pictures received.
    pub video_frames: u64,
    /// Encoded packets of sound received.
    pub audio_frames: u64,
    /// Pictures decoded.
    pub pictures: u64,
    /// Pictures that were dropped as the reader was behind.
    pub pictures_dropped: u64,
    /// Samples of each channel that were dropped as nobody had read them.
    pub samples_dropped: u64,
    /// Encoded frames that were dropped as the decoder was behind.
    pub undecoded_dropped: u64,
    /// Frames that could not be decoded.
    pub decode_errors: u64,
    /// Messages that are no FLV, or of a codec that is not read.
    pub unreadable: u64,
    /// Frames of other tracks than the first.
    pub other_tracks: u64,
    /// How steadily frames come, against those that came quickest.
    pub timing: Timing,
    /// Connections made, or publishers taken, after the first.
    pub reconnects: u32,
    /// Why the last connection ended or could not be made, or the last frame not be decoded.
    pub last_error: Option<CaptureError>,
}

/// An encoded frame on its way to the decoder.
#[derive(Debug, Clone)]
pub(super) struct Undecoded {
    pub(super) frame: EncodedFrame,
    pub(super) decode_us: i64,
    /// Of sound: what it is.
    pub(super) track: Option<Arc<AudioTrack>>,
}

impl Start for Undecoded {
    fn is_start(&self) -> bool {
        self.frame.keyframe
    }
}

/// What readers take from.
#[derive(Debug)]
pub(super) struct Buffer {
    pub(super) pictures: VecDeque<VideoFrameEvent>,
    pub(super) sound: Sound,
    /// The time of the last picture that was decoded, and the distance to the one before.
    pub(super) newest_us: Option<i64>,
    pub(super) interval_us: Option<i64>,
    /// Where the last window of sound beside a picture ended.
    pub(super) window_end_us: Option<i64>,
    /// The decoders have taken all there was.
    pub(super) video_ended: bool,
    pub(super) audio_ended: bool,
    /// Pictures, or sound, cannot be decoded at all.
    pub(super) video_error: Option<CaptureError>,
    pub(super) audio_error: Option<CaptureError>,
    pub(super) counts: CaptureStats,
    pub(super) quickest: Quickest,
    pub(super) paces: Paces,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) options: Options,
    pub(super) buffer: Mutex<Buffer>,
    /// Counts what readers may wait for.
    pub(super) changes: watch::Sender<u64>,
    pub(super) state: watch::Sender<CaptureState>,
    pub(super) stopping: watch::Sender<bool>,
    pub(super) audio_track: watch::Sender<Option<Arc<AudioTrack>>>,
    pub(super) metadata: watch::Sender<Option<Metadata>>,
    pub(super) video: Arc<TrackHub>,
    pub(super) audio: Arc<TrackHub>,
    pub(super) undecoded_video: Ring<Undecoded>,
    pub(super) undecoded_audio: Ring<Undecoded>,
    pub(super) runtime: Handle,
}

impl Buffer {
    /// A frame came.
    pub(super) fn count(&mut self, kind: MediaKind, decode_us: i64, now: Instant) {
        match kind {
            MediaKind::Video => self.counts.video_frames += 1,
            MediaKind::Audio => self.counts.audio_frames += 1,
        }
        self.quickest.come(kind, decode_us, now);
        let age_us = self.quickest.age_us(decode_us, now);
        self.paces.pass(kind, age_us);
    }
}

impl Shared {
    pub(super) fn new(options: Options, runtime: Handle) -> Arc<Self> {
        let source = options.url.to_string();
        // Hubs are told a codec when they are made; each frame tells its own.
        let hub = |mime: &str, kind| TrackHub::new(source.clone(), mime.to_owned(), kind);
        Arc::new(Self {
            buffer: Mutex::new(Buffer {
                pictures: VecDeque::new(),
                sound: Sound::new(options.audio_sample_rate, options.audio_channels),
                newest_us: None,
                interval_us: None,
                window_end_us: None,
                video_ended: !options.decode,
                audio_ended: !options.decode,
                video_error: None,
                audio_error: None,
                counts: CaptureStats::default(),
                quickest: Quickest::default(),
                paces: Paces::default(),
            }),
            changes: watch::Sender::new(0),
            state: watch::Sender::new(CaptureState::Connecting),
            stopping: watch::Sender::new(false),
            audio_track: watch::Sender::new(None),
            metadata: watch::Sender::new(None),
            video: hub("video/H264", MediaKind::Video),
            audio: hub("audio/mpeg4-generic", MediaKind::Audio),
            undecoded_video: Ring::new(ENCODED_PICTURES, Overflow::DropUntilStart),
            undecoded_audio: Ring::new(ENCODED_SOUND, Overflow::DropOldest),
            runtime,
            options,
        })
    }

    /// Nothing panics while it is locked; a poisoned lock would still hold whole values.
    pub(super) fn lock(&self) -> MutexGuard<'_, Buffer> {
        self.buffer.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wakes readers.
    pub(super) fn changed(&self) {
        self.changes
            .send_modify(|count| *count = count.wrapping_add(1));
    }

    pub(super) fn note(&self, error: CaptureError) {
        self.lock().counts.last_error = Some(error);
    }

    /// Completes when the capture is to stop.
    pub(super) async fn stopped(&self) {
        // The sender is in `self`.
        let _ = self
            .stopping
            .subscribe()
            .wait_for(|stopping| *stopping)
            .await;
    }

    /// Nothing more will come.
    pub(super) fn end(&self, state: CaptureState) {
        self.state.send_replace(state);
        self.video.end();
        self.audio.end();
        self.undecoded_video.close();
        self.undecoded_audio.close();
        self.changed();
    }

    pub(super) fn stats(&self) -> CaptureStats {
        let buffer = self.lock();
        CaptureStats {
            source: self.options.url.to_string(),
            state: self.state.borrow().clone(),
            samples_dropped: buffer.sound.dropped,
            timing: buffer.paces.timing(),
            undecoded_dropped: self.undecoded_video.dropped() + self.undecoded_audio.dropped(),
            ..buffer.counts.clone()
        }
    }
}
