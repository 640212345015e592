//! Events of the reader in, bytes of MP4 out; no input and output of its own.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::audio::{AudioLane, Sound, configuration_error};
use super::select::select;
use super::video::{VideoLane, to_us};
use super::window::{Progress, Window};
use super::{Segment, TranscodeError, TranscodeOptions, TranscodeStats};
use crate::demux::mkv::{Event, Frame, Header};
use crate::mux::Track;
use crate::mux::fmp4::{self, FragmentPolicy, Muxer, Sample};

/// What waits for a fragment stays below this, whatever a fragment's duration: it bounds the
/// memory.
const MAX_FRAGMENT_BYTES: usize = 8 << 20;
/// What may wait for the first keyframe where only that describes the pictures.
const MAX_WAITING_FRAMES: usize = 4_096;
const MAX_WAITING_BYTES: usize = 8 << 20;
/// How long the end of one track waits for the other: interleaving is never so bad.
const PATIENCE_US: i64 = 2_000_000;

pub(super) struct Remuxer {
    options: TranscodeOptions,
    /// `None` for the whole file.
    window: Option<Window>,
    segment: Option<Segment>,
    header: Option<Box<Header>>,
    video: Option<VideoLane>,
    audio: Option<AudioLane>,
    muxer: Option<Muxer>,
    /// Frames that came before the muxer could be made.
    waiting: VecDeque<Frame>,
    waiting_bytes: usize,
    out: VecDeque<Bytes>,
    sounds: Vec<Sound>,
    /// Where a whole file's longest duration ends.
    end_us: Option<i64>,
    progress: Progress,
    video_done: bool,
    audio_done: bool,
    finished: bool,
    stats: TranscodeStats,
}

impl Remuxer {
    pub(super) fn new(
        options: TranscodeOptions,
        segment: Option<Segment>,
    ) -> Result<Self, TranscodeError> {
        if let Some(ms) = options.max_duration_ms {
            time_us("max_duration_ms", ms)?;
        }
        let mut window = None;
        if let Some(segment) = segment {
            let start_us = time_us("start_decode_time_ms", segment.start_decode_time_ms)?;
            let duration_us = segment
                .max_duration_ms
                .map(|ms| time_us("max_duration_ms", ms))
                .transpose()?;
            time_us("audio_origin_ms", segment.audio_origin_ms)?;
            window = Some(Window {
                start_us,
                end_us: duration_us.map_or(i64::MAX, |us| start_us.saturating_add(us)),
                tolerance_us: 0,
            });
        }
        Ok(Self {
            options,
            window,
            segment,
            header: None,
            video: None,
            audio: None,
            muxer: None,
            waiting: VecDeque::new(),
            waiting_bytes: 0,
            out: VecDeque::new(),
            sounds: Vec::new(),
            end_us: None,
            progress: Progress::default(),
            video_done: false,
            audio_done: false,
            finished: false,
            stats: TranscodeStats::default(),
        })
    }

    pub(super) fn stats(&self) -> TranscodeStats {
        let video = self.video.as_ref();
        TranscodeStats {
            empty: video.map_or(0, |lane| lane.empty),
            before_keyframe: video.map_or(0, |lane| lane.before_keyframe),
            damaged_audio: self.audio.as_ref().map_or(0, |lane| lane.damaged),
            ..self.stats
        }
    }

    pub(super) fn mime_type(&self) -> Option<String> {
        self.muxer.as_ref().map(Muxer::mime_type)
    }

    /// The next bytes.
    pub(super) fn pop(&mut self) -> Option<Bytes> {
        self.out.pop_front()
    }

    /// Nothing that is still to come matters.
    pub(super) fn is_done(&self) -> bool {
        self.video_done && self.audio_done
    }

    pub(super) fn event(&mut self, event: Event) -> Result<(), TranscodeError> {
        match event {
            Event::Header(header) => self.begin(header),
            Event::Frame(frame) => self.frame(frame),
        }
    }

    fn begin(&mut self, header: Box<Header>) -> Result<(), TranscodeError> {
        let selection = select(&header, &self.options)?;
        let scale_ns = header.timestamp_scale_ns;
        if let Some(window) = &mut self.window {
            window.tolerance_us = (scale_ns / 1_000).clamp(1, 10_000) as i64;
        }
        self.audio = selection
            .audio
            .map(|track| AudioLane::new(&track, scale_ns, self.segment, &self.options))
            .transpose()?;
        self.video = selection.video.map(|track| VideoLane::new(track, scale_ns));
        self.video_done = self.video.is_none();
        self.audio_done = self.audio.is_none();
        self.header = Some(header);
        let described = match &mut self.video {
            Some(lane) => lane.describe()?.map(Some),
            None => Some(None),
        };
        match described {
            Some(video) => self.make_muxer(video.map(Track::Video)),
            None => Ok(()),
        }
    }

    /// Video is the first track of the MP4, where there is any.
    fn make_muxer(&mut self, video: Option<Track>) -> Result<(), TranscodeError> {
        let mut media_starts = Vec::new();
        let mut tracks = Vec::new();
        if let (Some(lane), Some(track)) = (&self.video, video) {
            media_starts.push(Duration::from_micros(lane.shift_us().unsigned_abs()));
            tracks.push(track);
        }
        if let Some(lane) = &self.audio {
            media_starts.push(lane.codec_delay());
            tracks.push(lane.track().clone().into());
        }
        let mut options = fmp4::Options::default();
        options.fragment = FragmentPolicy::Duration(self.options.fragment_duration);
        options.parameter_sets = self.options.parameter_sets;
        options.origin_us = Some(0);
        options.media_starts = media_starts;
        options.max_fragment_bytes = MAX_FRAGMENT_BYTES;
        options.duration = self.duration();
        let muxer = Muxer::new(tracks, options).map_err(|error| match &self.audio {
            // The pictures were read already, so it is the sound.
            Some(lane) if self.video.is_none() || is_about_sound(&error) => {
                configuration_error(lane, &error, &self.codec_of(lane.number()))
            }
            _ => error.into(),
        })?;
        if self.window.is_none() {
            self.give(muxer.init_segment());
        }
        self.muxer = Some(muxer);
        for frame in std::mem::take(&mut self.waiting) {
            self.frame(frame)?;
        }
        Ok(())
    }

    fn codec_of(&self, number: u64) -> String {
        let tracks = self.header.iter().flat_map(|header| &header.tracks);
        tracks
            .filter(|track| track.number == number)
            .map(|track| track.codec_id.clone())
            .collect()
    }

    /// How long the whole will be, as far as the file says.
    fn duration(&self) -> Option<Duration> {
        let told = self
            .header
            .as_ref()?
            .duration_ns
            .map(Duration::from_nanos)?;
        let longest = self
            .longest_us()
            .map(|us| Duration::from_micros(us.unsigned_abs()));
        Some(longest.map_or(told, |longest| told.min(longest)))
    }

    fn frame(&mut self, frame: Frame) -> Result<(), TranscodeError> {
        let is_video = self
            .video
            .as_ref()
            .is_some_and(|lane| lane.number() == frame.track);
        let is_audio = self
            .audio
            .as_ref()
            .is_some_and(|lane| lane.number() == frame.track);
        if self.finished || !(is_video || is_audio) {
            return Ok(());
        }
        if self.muxer.is_none() {
            return self.wait(frame, is_video);
        }
        if is_video {
            self.lose_patience(to_us(frame.timestamp_ns));
            if let Some(lane) = &mut self.video {
                lane.push(&frame);
            }
            self.pictures(false)
        } else {
            if let Some(lane) = &mut self.audio {
                lane.push(&frame, &mut self.sounds)?;
            }
            self.sound()
        }
    }

    /// Keeps what comes until a keyframe describes the pictures.
    fn wait(&mut self, frame: Frame, is_video: bool) -> Result<(), TranscodeError> {
        if !is_video || frame.keyframe {
            self.waiting_bytes = self.waiting_bytes.saturating_add(frame.data.len());
            self.waiting.push_back(frame);
        } else {
            if let Some(lane) = &mut self.video {
                lane.before_keyframe += 1;
            }
            return Ok(());
        }
        if is_video {
            let keyframe = self.waiting.back().cloned();
            if let (Some(lane), Some(keyframe)) = (&mut self.video, keyframe) {
                if let Ok(track) = lane.describe_by(&keyframe) {
                    return self.make_muxer(Some(track.into()));
                }
                // The next one may.
                lane.before_keyframe += 1;
                self.waiting.pop_back();
                self.waiting_bytes = self.waiting_bytes.saturating_sub(keyframe.data.len());
            }
        }
        while self.waiting.len() > MAX_WAITING_FRAMES || self.waiting_bytes > MAX_WAITING_BYTES {
            let Some(dropped) = self.waiting.pop_front() else {
                break;
            };
            self.waiting_bytes = self.waiting_bytes.saturating_sub(dropped.data.len());
            self.stats.overflowed += 1;
        }
        Ok(())
    }

    /// Ends the sound when the pictures are long past the end.
    fn lose_patience(&mut self, video_us: i64) {
        let end_us = self.window.map(|window| window.end_us).or(self.end_us);
        if self.video_done
            && end_us.is_some_and(|end_us| video_us > end_us.saturating_add(PATIENCE_US))
        {
            self.audio_done = true;
        }
    }

    fn pictures(&mut self, finished: bool) -> Result<(), TranscodeError> {
        while let Some(lane) = &mut self.video
            && let Some(timed) = lane.pop(finished)
        {
            let shift_us = lane.shift_us();
            let keyframe = timed.picture.keyframe;
            let is_taken = self.takes_picture(keyframe, timed.shown_us, timed.decode_us);
            if !is_taken {
                self.stats.outside += 1;
                continue;
            }
            self.stats.video_frames += 1;
            self.write(
                0,
                Sample {
                    data: timed.picture.data,
                    sync: keyframe,
                    decode_us: timed.decode_us,
                    composition_us: timed.shown_us.saturating_add(shift_us),
                    end_us: timed.end_us,
                },
            )?;
        }
        Ok(())
    }

    /// Whether the next picture in decoding order is written.
    fn takes_picture(&mut self, keyframe: bool, shown_us: i64, decode_us: i64) -> bool {
        if let Some(window) = &self.window {
            let is_taken = window.takes(&mut self.progress, keyframe, shown_us);
            self.video_done = self.progress == Progress::After;
            return is_taken;
        }
        self.begin_at(decode_us);
        self.video_done |= self.end_us.is_some_and(|end_us| decode_us >= end_us);
        !self.video_done
    }

    /// Whether sound is written that starts here on its own timeline.
    fn takes_sound(&mut self, start_us: i64, delay_us: i64) -> bool {
        if let Some(window) = &self.window {
            // Frames are counted in samples, so no tolerance is needed.
            self.audio_done |= start_us >= window.end_us;
            return !self.audio_done && start_us >= window.start_us;
        }
        if self.video.is_none() {
            self.begin_at(start_us);
        }
        let shown_us = start_us.saturating_sub(delay_us);
        self.audio_done |= self.end_us.is_some_and(|end_us| shown_us >= end_us);
        !self.audio_done
    }

    /// The longest duration of a whole file counts from here, if this is its beginning.
    fn begin_at(&mut self, start_us: i64) {
        if self.end_us.is_none() {
            self.end_us = self.longest_us().map(|us| start_us.saturating_add(us));
        }
    }

    fn longest_us(&self) -> Option<i64> {
        let longest = self.options.max_duration_ms;
        longest.and_then(|ms| time_us("max_duration_ms", ms).ok())
    }

    fn sound(&mut self) -> Result<(), TranscodeError> {
        let Some(lane) = &self.audio else {
            return Ok(());
        };
        let rate = i64::from(lane.track().sample_rate.max(1));
        let delay_us = lane.codec_delay().as_micros() as i64;
        let index = usize::from(self.video.is_some());
        let to_us = |samples: i64| {
            let scaled = i128::from(samples) * 1_000_000 + i128::from(rate / 2);
            scaled.div_euclid(i128::from(rate)) as i64
        };
        for sound in std::mem::take(&mut self.sounds) {
            let start_us = to_us(sound.start);
            let is_taken = self.takes_sound(start_us, delay_us);
            if !is_taken {
                self.stats.outside += 1;
                continue;
            }
            self.stats.audio_frames += 1;
            let end = sound.start.saturating_add(i64::from(sound.duration));
            self.write(
                index,
                Sample {
                    data: sound.data,
                    sync: true,
                    decode_us: start_us,
                    composition_us: start_us,
                    end_us: Some(to_us(end)),
                },
            )?;
        }
        Ok(())
    }

    fn write(&mut self, index: usize, sample: Sample) -> Result<(), TranscodeError> {
        let Some(muxer) = &mut self.muxer else {
            return Ok(());
        };
        if let Some(fragment) = muxer.write_sample(index, sample)? {
            self.stats.fragments += 1;
            self.give(fragment);
        }
        Ok(())
    }

    fn give(&mut self, bytes: Bytes) {
        self.stats.bytes_out += bytes.len() as u64;
        self.out.push_back(bytes);
    }

    /// Writes what is left, once.
    pub(super) fn finish(&mut self) -> Result<(), TranscodeError> {
        if self.finished {
            return Ok(());
        }
        self.finished = true;
        self.pictures(true)?;
        if let Some(lane) = &mut self.audio
            && !self.audio_done
            && self.muxer.is_some()
        {
            lane.finish(&mut self.sounds)?;
            self.sound()?;
        }
        while let Some(muxer) = &mut self.muxer {
            let Some(fragment) = muxer.finish()? else {
                return Ok(());
            };
            self.stats.fragments += 1;
            self.give(fragment);
        }
        // The file ended before a keyframe told what its pictures are.
        match &self.video {
            Some(lane) => {
                let number = lane.number();
                Err(TranscodeError::Configuration {
                    number,
                    codec: self.codec_of(number),
                    reason: "no keyframe describes the pictures".to_owned(),
                })
            }
            None => Ok(()),
        }
    }
}

fn is_about_sound(error: &crate::mux::MuxError) -> bool {
    use crate::mux::MuxError;
    match error {
        MuxError::OpusHead { .. } | MuxError::Aac(_) => true,
        MuxError::OutOfRange { field, .. } => field.starts_with("the sample rate"),
        MuxError::UnsupportedCodec { codec, .. } => codec.kind() == crate::codec::MediaKind::Audio,
        _ => false,
    }
}

/// Milliseconds as microseconds.
fn time_us(name: &'static str, ms: f64) -> Result<i64, TranscodeError> {
    // 31 years.
    const MOST_MS: f64 = 1e12;
    if ms.is_finite() && (0.0..MOST_MS).contains(&ms) {
        Ok((ms * 1_000.0).round() as i64)
    } else {
        Err(TranscodeError::Time { name, value: ms })
    }
}
