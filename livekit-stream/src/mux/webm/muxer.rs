use std::collections::VecDeque;

use bytes::Bytes;

use super::Options;
use super::ebml::{put_id, put_size, unknown_size, unsigned};
use super::header::{DocType, header, track_number};
use crate::codec::{Codec, MediaKind};
use crate::frame::EncodedFrame;
use crate::mux::fmp4::{MAX_FRAGMENT_BYTES, MAX_FRAGMENT_SAMPLES, MAX_FRAME_BYTES, video};
use crate::mux::{MuxError, Track};

/// The longest cluster in milliseconds: a block's time is 16 bits beside its cluster's, and
/// players seek to clusters.
const MAX_CLUSTER_MS: i64 = 5_000;

/// The unit of time, a millisecond. Frames of a track are apart by at least as much.
const TICK_US: i64 = 1_000;

/// What a [`Muxer`] did with the frames it was given. Counts never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that were written or wait for others.
    pub frames: u64,
    /// Clusters begun.
    pub clusters: u64,
    /// Video frames dropped because their track had no keyframe yet.
    pub before_keyframe: u64,
    /// Frames dropped because there was nothing to decode in them.
    pub empty: u64,
    /// Audio frames dropped because they came from before the origin.
    pub early_audio: u64,
    /// Frames that came after later ones were written: they begin clusters of their own.
    pub late: u64,
    /// Frames moved because they came less than a millisecond after the one before of their track.
    pub nudged: u64,
}

/// WebM or Matroska of any number of tracks: frames in, pieces of the file out.
///
/// Times are milliseconds, rounded from each frame's own, so rounding never adds up, and grow within
/// a track. A cluster
/// begins at each keyframe of the first video track and after five seconds.
///
/// ```
/// use livekit_stream::codec::Codec;
/// use livekit_stream::frame::{EncodedFrame, VideoRotation, VideoSize};
/// use livekit_stream::mux::AudioTrack;
/// use livekit_stream::mux::webm::{Muxer, Options};
///
/// let mut muxer = Muxer::new(vec![AudioTrack::opus(2).into()], Options::default())?;
/// let mut file = muxer.header().to_vec();
/// for packet in 0..100 {
///     let frame = EncodedFrame {
///         codec: Codec::Opus,
///         data: vec![0xfc, 0xff, 0xfe].into(),
///         keyframe: true,
///         timestamp_us: packet * 20_000,
///         rotation: VideoRotation::Deg0,
///         size: VideoSize::default(),
///         lost_packets: 0,
///     };
///     file.extend(muxer.write(0, frame)?.into_iter().flatten());
/// }
/// file.extend(muxer.finish().into_iter().flatten());
/// assert_eq!(muxer.mime_type(), "audio/webm; codecs=\"opus\"");
/// # Ok::<(), livekit_stream::mux::MuxError>(())
/// ```
pub struct Muxer {
    tracks: Vec<TrackState>,
    options: Options,
    doc_type: DocType,
    header: Bytes,
    origin_us: Option<i64>,
    /// The time of the cluster that is open.
    cluster_ms: Option<i64>,
    /// The time of the last block of that cluster.
    last_ms: i64,
    /// Blocks that are not handed out yet, and the time of the first.
    out: Vec<u8>,
    out_from_ms: i64,
    pending_bytes: usize,
    newest_us: i64,
    stats: Stats,
}

struct TrackState {
    track: Track,
    started: bool,
    /// The time of the last frame taken.
    last_us: Option<i64>,
    pending: VecDeque<Pending>,
}

struct Pending {
    time_us: i64,
    keyframe: bool,
    data: Bytes,
}

impl Muxer {
    /// Prepares a file with these tracks; their order gives the index for [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// When there is no track, or one's configuration cannot be written.
    pub fn new(tracks: Vec<Track>, options: Options) -> Result<Self, MuxError> {
        if tracks.is_empty() {
            return Err(MuxError::NoTracks);
        }
        // A block's track number would take more than one byte.
        if tracks.len() > 126 {
            return Err(MuxError::OutOfRange {
                field: "tracks",
                value: tracks.len() as u64,
                allowed: "at most 126",
            });
        }
        let doc_type = match DocType::of(&tracks) {
            DocType::WebM if !options.matroska => DocType::WebM,
            _ => DocType::Matroska,
        };
        let header = header(&tracks, doc_type, &options)?;
        let tracks = tracks.into_iter().map(|track| TrackState {
            track,
            started: false,
            last_us: None,
            pending: VecDeque::new(),
        });
        Ok(Self {
            tracks: tracks.collect(),
            doc_type,
            header,
            origin_us: options.origin_us,
            cluster_ms: None,
            last_ms: 0,
            out: Vec::new(),
            out_from_ms: 0,
            pending_bytes: 0,
            newest_us: i64::MIN,
            stats: Stats::default(),
            options,
        })
    }

    /// What the file begins with: everything up to the first cluster.
    #[must_use]
    pub fn header(&self) -> Bytes {
        self.header.clone()
    }

    /// WebM or Matroska.
    #[must_use]
    pub fn doc_type(&self) -> DocType {
        self.doc_type
    }

    /// The MIME type with codecs, as `MediaSource.isTypeSupported` takes it.
    #[must_use]
    pub fn mime_type(&self) -> String {
        let mut kind = "audio";
        let mut codecs = Vec::new();
        for state in &self.tracks {
            codecs.push(match &state.track {
                Track::Video(track) => {
                    kind = "video";
                    match track.codec {
                        Codec::Vp8 => "vp8".to_owned(),
                        _ => video::codec_string(
                            track,
                            crate::mux::fmp4::ParameterSetPlacement::OutOfBand,
                        ),
                    }
                }
                Track::Audio(track) if track.codec == Codec::Opus => "opus".to_owned(),
                Track::Audio(_) => "mp4a.40.2".to_owned(),
            });
        }
        let subtype = match self.doc_type {
            DocType::WebM => "webm",
            DocType::Matroska => "x-matroska",
        };
        format!("{kind}/{subtype}; codecs=\"{}\"", codecs.join(","))
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// Takes a frame of a track, in decoding order (no B-frames: `timestamp_us` is when it is
    /// decoded and shown). Returns what is to be written next, whole blocks, when
    /// [`Options::latency`] of it is there.
    ///
    /// Frames that cannot be used are dropped and counted, see [`Stats`].
    ///
    /// # Errors
    ///
    /// When there is no such track, the frame has another codec, or it is longer than 64 MiB. The
    /// muxer stays usable.
    pub fn write(
        &mut self,
        track_index: usize,
        frame: EncodedFrame,
    ) -> Result<Option<Bytes>, MuxError> {
        let count = self.tracks.len();
        let state = self
            .tracks
            .get_mut(track_index)
            .ok_or(MuxError::NoSuchTrack {
                index: track_index,
                count,
            })?;
        let expected = state.track.codec();
        if frame.codec != expected {
            return Err(MuxError::WrongCodec {
                index: track_index,
                expected,
                actual: frame.codec,
            });
        }
        if frame.data.len() > MAX_FRAME_BYTES {
            return Err(MuxError::too_large(frame.data.len()));
        }
        if !video::has_picture(frame.codec, &frame.data) {
            self.stats.empty += 1;
            return Ok(None);
        }
        if !state.started && !frame.keyframe {
            self.stats.before_keyframe += 1;
            return Ok(None);
        }
        state.started = true;
        let data = match &state.track {
            Track::Video(track) => video::sample(
                &frame.data,
                track,
                crate::mux::fmp4::ParameterSetPlacement::OutOfBand,
            ),
            Track::Audio(_) => frame.data,
        };
        let earliest = state.last_us.map(|last| last.saturating_add(TICK_US));
        let time_us = frame.timestamp_us.max(earliest.unwrap_or(i64::MIN));
        self.stats.nudged += u64::from(time_us != frame.timestamp_us);
        state.last_us = Some(time_us);
        self.newest_us = self.newest_us.max(time_us);
        self.pending_bytes += data.len();
        self.stats.frames += 1;
        state.pending.push_back(Pending {
            time_us,
            keyframe: frame.keyframe,
            data,
        });
        while let Some(index) = self.next(false) {
            self.block(index);
        }
        let collected = (self.last_ms - self.out_from_ms).unsigned_abs();
        let is_due = u128::from(collected) >= self.options.latency.as_millis()
            || self.out.len() >= MAX_FRAGMENT_BYTES;
        Ok(if is_due { self.take() } else { None })
    }

    /// All that was taken so far and not handed out; later frames go on behind it.
    pub fn flush(&mut self) -> Option<Bytes> {
        while let Some(index) = self.next(true) {
            self.block(index);
        }
        self.take()
    }

    /// Writes what is left. `None` when nothing is. There is no end to be written.
    pub fn finish(&mut self) -> Option<Bytes> {
        self.flush()
    }

    fn take(&mut self) -> Option<Bytes> {
        (!self.out.is_empty()).then(|| std::mem::take(&mut self.out).into())
    }

    /// The track whose frame comes next, once it is known that no earlier one comes.
    fn next(&self, all: bool) -> Option<usize> {
        let fronts = self.tracks.iter().enumerate();
        let fronts =
            fronts.filter_map(|(index, state)| Some((state.pending.front()?.time_us, index)));
        // The first of equals, so that a picture comes before the sound of its time.
        let (time_us, index) = fronts.min()?;
        let waited = self.newest_us.saturating_sub(time_us);
        let pending: usize = self.tracks.iter().map(|state| state.pending.len()).sum();
        let is_certain = all
            || self.tracks.iter().all(|state| !state.pending.is_empty())
            || i64::try_from(self.options.interleave.as_micros())
                .is_ok_and(|limit| waited >= limit)
            || pending >= MAX_FRAGMENT_SAMPLES
            || self.pending_bytes >= MAX_FRAGMENT_BYTES;
        is_certain.then_some(index)
    }

    /// Moves a track's first frame to `out`.
    fn block(&mut self, index: usize) {
        let primary = self
            .tracks
            .iter()
            .position(|state| matches!(state.track, Track::Video(_)));
        let Some(state) = self.tracks.get_mut(index) else {
            return;
        };
        let Some(frame) = state.pending.pop_front() else {
            return;
        };
        self.pending_bytes -= frame.data.len();
        let kind = state.track.codec().kind();
        let origin_us = *self.origin_us.get_or_insert(frame.time_us);
        let time_us = frame.time_us.saturating_sub(origin_us);
        if time_us < 0 && kind == MediaKind::Audio {
            self.stats.frames -= 1;
            self.stats.early_audio += 1;
            return;
        }
        // Pictures from before the origin are kept, since what follows needs them.
        let time_ms = (time_us.max(0).saturating_add(500)) / 1_000;
        let is_late = self.cluster_ms.is_some() && time_ms < self.last_ms;
        self.stats.late += u64::from(is_late);
        let begins = match self.cluster_ms {
            None => true,
            Some(start) => {
                is_late
                    || time_ms - start > MAX_CLUSTER_MS
                    || (frame.keyframe && Some(index) == primary && time_ms > start)
            }
        };
        if self.out.is_empty() {
            self.out_from_ms = time_ms;
        }
        if begins {
            unknown_size(&mut self.out, 0x1f43_b675);
            // Not below zero, see above.
            unsigned(&mut self.out, 0xe7, time_ms as u64);
            self.cluster_ms = Some(time_ms);
            self.stats.clusters += 1;
        }
        self.last_ms = time_ms;
        let offset = time_ms - self.cluster_ms.unwrap_or(time_ms);
        // SimpleBlock (RFC 9559 section 10.2): track, time, flags, frame.
        put_id(&mut self.out, 0xa3);
        put_size(&mut self.out, frame.data.len() as u64 + 4);
        put_size(&mut self.out, track_number(index));
        self.out.extend_from_slice(&(offset as i16).to_be_bytes());
        self.out.push(if frame.keyframe { 0x80 } else { 0 });
        self.out.extend_from_slice(&frame.data);
    }
}
