use std::time::Duration;

use bytes::Bytes;

use super::fragment::{Run, fragment};
use super::init::{self, init_segment, timescale};
use super::timeline::{Arrival, Origin, Timeline};
use super::{
    FragmentPolicy, MAX_FRAGMENT_BYTES, MAX_FRAGMENT_SAMPLES, MAX_FRAME_BYTES, Options, Sample,
    video,
};
use crate::codec::{Codec, aac, opus};
use crate::frame::EncodedFrame;
use crate::mux::{MuxError, Track};

/// What a [`Muxer`] did with the frames it was given. Counts never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Frames that are in fragments or wait for one.
    pub frames: u64,
    /// Fragments handed out.
    pub fragments: u64,
    /// Video frames dropped because their track had no keyframe yet.
    pub before_keyframe: u64,
    /// Frames dropped because there was nothing to decode in them: no bytes, or no coded picture.
    pub empty: u64,
    /// Audio frames dropped because they came, after the first fragment, from before the origin.
    pub early_audio: u64,
    /// Video frames from before the origin. They are kept, since what follows needs them, and
    /// stand at the start of the timeline one tick apart.
    pub early_video: u64,
    /// Frames moved because their time did not advance by at least one tick.
    pub nudged: u64,
    /// Video frames to be turned another way than the track says, which MP4 cannot express.
    pub other_rotation: u64,
}

/// Fragmented MP4 of any number of tracks: frames in, initialization segment and fragments out.
///
/// Video counts in 1/90000 s, audio in its sampling rate. A sample starts at the tick nearest to
/// its `timestamp_us` and lasts until the next one of its track starts, so rounding never adds up,
/// gaps stay gaps on the timeline, and every `tfdt` is the true time of its fragment. A sample
/// therefore waits for the next one of its track; the last one is written by
/// [`finish`](Self::finish). No edit list is used: a track that starts later has a first `tfdt`
/// above zero.
///
/// ```
/// use bytes::Bytes;
/// use livekit_stream::codec::Codec;
/// use livekit_stream::frame::{EncodedFrame, VideoRotation, VideoSize};
/// use livekit_stream::mux::AudioTrack;
/// use livekit_stream::mux::fmp4::{Muxer, Options};
///
/// let mut muxer = Muxer::new(vec![AudioTrack::opus(2).into()], Options::default())?;
/// let mut file = muxer.init_segment().to_vec();
/// for packet in 0..100 {
///     let frame = EncodedFrame {
///         codec: Codec::Opus,
///         data: Bytes::from_static(&[0xfc, 0xff, 0xfe]),
///         keyframe: true,
///         timestamp_us: packet * 20_000,
///         rotation: VideoRotation::Deg0,
///         size: VideoSize::default(),
///         lost_packets: 0,
///     };
///     file.extend(muxer.write(0, frame)?.into_iter().flatten());
/// }
/// file.extend(muxer.finish()?.into_iter().flatten());
/// assert_eq!(muxer.mime_type(), "audio/mp4; codecs=\"opus\"");
/// assert_eq!(muxer.stats().fragments, 2);
/// # Ok::<(), livekit_stream::mux::MuxError>(())
/// ```
pub struct Muxer {
    tracks: Vec<TrackState>,
    options: Options,
    init: Bytes,
    start_us: Option<i64>,
    /// Start of the fragment that is being collected, on the frames' clock.
    span_start_us: Option<i64>,
    sequence_number: u32,
    stats: Stats,
}

struct TrackState {
    track: Track,
    timeline: Timeline,
    started: bool,
}

impl Muxer {
    /// Prepares a file with these tracks; their order gives the index for [`write`](Self::write).
    ///
    /// # Errors
    ///
    /// When there is no track, a codec has no place in MP4 (VP8) or a track's configuration cannot
    /// be written.
    pub fn new(tracks: Vec<Track>, options: Options) -> Result<Self, MuxError> {
        if tracks.is_empty() {
            return Err(MuxError::NoTracks);
        }
        if options.base_decode_time_us < 0 {
            return Err(MuxError::OutOfRange {
                field: "base_decode_time_us (its distance below zero)",
                value: options.base_decode_time_us.unsigned_abs(),
                allowed: "not negative",
            });
        }
        let init = init_segment(&tracks, &options)?;
        let tracks = tracks
            .into_iter()
            .map(|track| TrackState {
                timeline: Timeline::new(timescale(&track), default_duration(&track, &options)),
                track,
                started: false,
            })
            .collect();
        Ok(Self {
            tracks,
            init,
            start_us: options.origin_us,
            span_start_us: None,
            sequence_number: 0,
            stats: Stats::default(),
            options,
        })
    }

    /// The initialization segment: exactly `ftyp` and `moov`.
    #[must_use]
    pub fn init_segment(&self) -> Bytes {
        self.init.clone()
    }

    /// The tracks' codecs as RFC 6381 writes them, such as `avc1.42e01f,opus`.
    #[must_use]
    pub fn codecs(&self) -> String {
        let names: Vec<String> = self
            .tracks
            .iter()
            .map(|state| match &state.track {
                Track::Video(track) => video::codec_string(track, self.options.parameter_sets),
                Track::Audio(track) if track.codec == Codec::Opus => "opus".to_owned(),
                Track::Audio(_) => "mp4a.40.2".to_owned(),
            })
            .collect();
        names.join(",")
    }

    /// The MIME type with codecs, as `MediaSource.isTypeSupported` takes it.
    #[must_use]
    pub fn mime_type(&self) -> String {
        let has_video = self
            .tracks
            .iter()
            .any(|state| matches!(state.track, Track::Video(_)));
        let kind = if has_video { "video" } else { "audio" };
        format!("{kind}/mp4; codecs=\"{}\"", self.codecs())
    }

    /// What was done so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            nudged: self.tracks.iter().fold(0, |sum: u64, state| {
                sum.saturating_add(state.timeline.nudged)
            }),
            ..self.stats
        }
    }

    /// Takes a frame of a track, in decoding order (no B-frames: `timestamp_us` is when it is
    /// decoded and shown). Returns the fragment that it completed: one `moof` and one `mdat` with
    /// the samples of all tracks in that span.
    ///
    /// Frames that cannot be used are dropped and counted, see [`Stats`].
    ///
    /// # Errors
    ///
    /// When there is no such track, the frame has another codec, or it is longer than
    /// [`MAX_FRAME_BYTES`]. The muxer stays usable.
    pub fn write(
        &mut self,
        track_index: usize,
        frame: EncodedFrame,
    ) -> Result<Option<Bytes>, MuxError> {
        let count = self.tracks.len();
        let placement = self.options.parameter_sets;
        let origin = self.origin();
        let state = self
            .tracks
            .get_mut(track_index)
            .ok_or(MuxError::NoSuchTrack {
                index: track_index,
                count,
            })?;
        if frame.codec != state.track.codec() {
            return Err(MuxError::WrongCodec {
                index: track_index,
                expected: state.track.codec(),
                actual: frame.codec,
            });
        }
        if frame.data.len() > MAX_FRAME_BYTES {
            return Err(MuxError::too_large(frame.data.len()));
        }
        let nominal = nominal_duration(frame.codec, &frame.data);
        let is_early = origin.is_some_and(|origin| origin.offset(frame.timestamp_us) < 0);
        let data = match &state.track {
            Track::Video(track) => {
                if !video::has_picture(frame.codec, &frame.data) {
                    self.stats.empty += 1;
                    return Ok(None);
                }
                if !state.started && !frame.keyframe {
                    self.stats.before_keyframe += 1;
                    return Ok(None);
                }
                self.stats.early_video += u64::from(is_early);
                self.stats.other_rotation += u64::from(frame.rotation != track.rotation);
                video::sample(&frame.data, track, placement)
            }
            Track::Audio(_) => {
                if frame.data.is_empty() {
                    self.stats.empty += 1;
                    return Ok(None);
                }
                if is_early {
                    self.stats.early_audio += 1;
                    return Ok(None);
                }
                frame.data
            }
        };
        let sample = Arrival {
            data,
            sync: frame.keyframe || matches!(state.track, Track::Audio(_)),
            time_us: frame.timestamp_us,
            nominal,
            ..Arrival::default()
        };
        self.place(track_index, sample)
    }

    /// Takes a sample of a track, in decoding order, that is in MP4's form already and may be
    /// shown at another time than it is decoded. Returns the fragment that it completed, as
    /// [`write`](Self::write) does.
    ///
    /// # Errors
    ///
    /// When there is no such track or the sample is longer than [`MAX_FRAME_BYTES`]. The muxer
    /// stays usable.
    pub fn write_sample(
        &mut self,
        track_index: usize,
        sample: Sample,
    ) -> Result<Option<Bytes>, MuxError> {
        if sample.data.len() > MAX_FRAME_BYTES {
            return Err(MuxError::too_large(sample.data.len()));
        }
        self.place(
            track_index,
            Arrival {
                data: sample.data,
                sync: sample.sync,
                time_us: sample.decode_us,
                composition_us: Some(sample.composition_us),
                end_us: sample.end_us,
                nominal: None,
            },
        )
    }

    fn place(&mut self, track_index: usize, sample: Arrival) -> Result<Option<Bytes>, MuxError> {
        let count = self.tracks.len();
        let primary = self
            .tracks
            .iter()
            .position(|state| matches!(state.track, Track::Video(_)));
        let state = self
            .tracks
            .get_mut(track_index)
            .ok_or(MuxError::NoSuchTrack {
                index: track_index,
                count,
            })?;
        let sync = sample.sync;
        state.started = true;
        self.stats.frames += 1;
        let (time_us, gap_too_long) = state.timeline.push(sample);

        let span_start = *self.span_start_us.get_or_insert(time_us);
        let span = time_us.saturating_sub(span_start);
        let lasted = |limit: Duration| {
            i64::try_from(limit.as_micros()).is_ok_and(|limit| span >= limit) && span > 0
        };
        let is_due = match self.options.fragment {
            FragmentPolicy::EveryFrame => false,
            FragmentPolicy::Duration(limit) => lasted(limit),
            FragmentPolicy::Keyframe { max } => {
                (Some(track_index) == primary && sync && span > 0) || lasted(max)
            }
        };
        let is_full = self.pending(Timeline::pending_bytes)
            >= self.options.max_fragment_bytes.min(MAX_FRAGMENT_BYTES)
            || self.pending(Timeline::pending_samples) >= MAX_FRAGMENT_SAMPLES;
        if gap_too_long || is_full || self.options.fragment == FragmentPolicy::EveryFrame {
            self.span_start_us = Some(time_us);
            self.cut(None, false)
        } else if is_due {
            let fragment = self.cut(Some(time_us), false)?;
            if fragment.is_some() {
                self.span_start_us = Some(time_us);
            }
            Ok(fragment)
        } else {
            Ok(None)
        }
    }

    /// Ends the current fragment with all samples whose duration is known: all but the last of
    /// each track. `None` when there are none.
    ///
    /// # Errors
    ///
    /// When the fragment cannot be written.
    pub fn flush(&mut self) -> Result<Option<Bytes>, MuxError> {
        let fragment = self.cut(None, false)?;
        if fragment.is_some() {
            // The next frame starts the span.
            self.span_start_us = None;
        }
        Ok(fragment)
    }

    /// Writes what is left. The last sample of a track lasts as long as its packet says (Opus,
    /// AAC) or as the picture before. `None` when nothing is left. Frames written afterwards go on
    /// at their true times.
    ///
    /// # Errors
    ///
    /// When the fragment cannot be written.
    pub fn finish(&mut self) -> Result<Option<Bytes>, MuxError> {
        self.span_start_us = None;
        self.cut(None, true)
    }

    fn pending(&self, of: impl Fn(&Timeline) -> usize) -> usize {
        self.tracks.iter().fold(0, |sum: usize, state| {
            sum.saturating_add(of(&state.timeline))
        })
    }

    fn origin(&self) -> Option<Origin> {
        self.start_us.map(|start_us| Origin {
            start_us,
            base_us: self.options.base_decode_time_us,
        })
    }

    fn cut(&mut self, boundary_us: Option<i64>, finish: bool) -> Result<Option<Bytes>, MuxError> {
        let earliest = self
            .tracks
            .iter()
            .filter_map(|state| state.timeline.first_time_us())
            .min();
        let Some(earliest) = earliest else {
            return Ok(None);
        };
        let had_origin = self.start_us.is_some();
        self.start_us.get_or_insert(earliest);
        let Some(origin) = self.origin() else {
            return Ok(None);
        };
        let mut runs = Vec::with_capacity(self.tracks.len());
        for (index, state) in self.tracks.iter_mut().enumerate() {
            let samples = state.timeline.drain(origin, boundary_us, finish);
            if !samples.is_empty() {
                runs.push(Run {
                    track_id: init::track_id(index),
                    default_flags: init::default_flags(&state.track),
                    samples,
                });
            }
        }
        if runs.is_empty() {
            // Nothing was placed yet, so an earlier frame may still set the origin.
            if !had_origin {
                self.start_us = None;
            }
            return Ok(None);
        }
        self.sequence_number = self.sequence_number.wrapping_add(1);
        self.stats.fragments += 1;
        fragment(self.sequence_number, &runs).map(Some)
    }
}

fn default_duration(track: &Track, options: &Options) -> u32 {
    match track {
        Track::Video(_) => {
            let ticks =
                options.default_video_duration.as_nanos() * u128::from(init::VIDEO_TIMESCALE);
            u32::try_from((ticks + 500_000_000) / 1_000_000_000).unwrap_or(u32::MAX)
        }
        Track::Audio(track) => track.sample_rate / 50,
    }
}

/// How long a frame lasts by its own bytes, in ticks of its track.
fn nominal_duration(codec: Codec, data: &[u8]) -> Option<u32> {
    match codec {
        Codec::Opus => opus::duration(data),
        Codec::Aac => Some(aac::SAMPLES_PER_FRAME),
        _ => None,
    }
}
