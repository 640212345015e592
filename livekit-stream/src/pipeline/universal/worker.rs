//! The thread that reads packets and writes fragments.

use std::io::Read;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use futures::SinkExt;
use futures::channel::mpsc;
use futures::executor::block_on;

use super::audio::Audio;
use super::source::{SharedState, lock};
use super::video::{Picture, Video};
use super::{UniversalError, UniversalOptions, UniversalStats};
use crate::ffmpeg::{Input, InputPacket};
use crate::frame::EncodedFrame;
use crate::mux::Track;
use crate::mux::fmp4::{FragmentPolicy, Muxer, Options};

/// What may wait for the other track to be known; then it is given up.
const MAX_WAITING: usize = 2_000;

/// Something for the muxer.
enum Unit {
    Picture(Picture),
    Sound(EncodedFrame),
}

pub(super) struct Worker {
    options: UniversalOptions,
    state: SharedState,
    stats: Arc<Mutex<UniversalStats>>,
    out: mpsc::Sender<Result<Bytes, UniversalError>>,
    video: Option<Video>,
    audio: Option<Audio>,
    /// The tracks' numbers in the source.
    indices: (Option<usize>, Option<usize>),
    video_codec: String,
    /// Units that came before all tracks were known.
    waiting: Vec<Unit>,
    muxer: Option<Muxer>,
    /// The first picture's time, or the first sound's where there are no pictures.
    origin_us: Option<i64>,
    /// Whether pictures, or sound, have come to the longest duration.
    full: (bool, bool),
}

/// Why the work ends early.
enum Stop {
    /// Nobody takes what is made any more.
    Gone,
    Failed(UniversalError),
}

impl<E> From<E> for Stop
where
    E: std::error::Error,
    UniversalError: From<E>,
{
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

impl Worker {
    pub(super) fn new(
        options: UniversalOptions,
        state: SharedState,
        stats: Arc<Mutex<UniversalStats>>,
        out: mpsc::Sender<Result<Bytes, UniversalError>>,
    ) -> Self {
        Self {
            options,
            state,
            stats,
            out,
            video: None,
            audio: None,
            indices: (None, None),
            video_codec: String::new(),
            waiting: Vec::new(),
            muxer: None,
            origin_us: None,
            full: (false, false),
        }
    }

    pub(super) fn run(&mut self, reader: impl Read + Send + 'static) -> Result<(), UniversalError> {
        self.options.start_us()?;
        let mut input = match Input::open(reader) {
            Ok(input) => input,
            Err(reason) => return Err(self.unreadable(reason, false)),
        };
        self.select(&input)?;
        let mut failure = None;
        while self.full != (true, true) {
            match input.next() {
                Ok(Some(packet)) => match self.packet(packet) {
                    Ok(()) => {}
                    Err(Stop::Gone) => return Ok(()),
                    Err(Stop::Failed(error)) => {
                        failure = Some(error);
                        break;
                    }
                },
                Ok(None) => break,
                Err(reason) => {
                    failure = Some(self.unreadable(reason, true));
                    break;
                }
            }
        }
        // The source is closed before what is left is written.
        drop(input);
        // FFmpeg takes some failures of the source for its end.
        if let Some(error) = lock(&self.state).error.take() {
            failure = Some(UniversalError::Source(error));
        }
        match (failure, self.finish()) {
            (Some(failure), _) => Err(failure),
            (None, Err(Stop::Failed(error))) => Err(error),
            (None, Ok(()) | Err(Stop::Gone)) => Ok(()),
        }
    }

    fn unreadable(&self, reason: String, recognized: bool) -> UniversalError {
        let mut state = lock(&self.state);
        let bytes = state.bytes;
        match state.error.take() {
            Some(error) => UniversalError::Source(error),
            None if bytes == 0 => UniversalError::Empty,
            None if recognized => UniversalError::Damaged { bytes, reason },
            None => UniversalError::Unrecognized { bytes, reason },
        }
    }

    fn select(&mut self, input: &Input) -> Result<(), UniversalError> {
        let (video, audio) = input.best();
        if video.is_none() && audio.is_none() {
            let codecs = input.codecs();
            return Err(UniversalError::NoUsableTrack {
                tracks: if codecs.is_empty() {
                    "no track".to_owned()
                } else {
                    codecs.join(", ")
                },
            });
        }
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(info) = &video {
            let video = Video::new(info, &self.options)?;
            self.video_codec.clone_from(&info.name);
            stats.video_codec.clone_from(&info.name);
            stats.video_reencoded = video.reencodes();
            self.video = Some(video);
        }
        if let Some(info) = &audio {
            let audio = Audio::new(info, &self.options)?;
            stats.audio_codec.clone_from(&info.name);
            stats.audio_reencoded = audio.reencodes();
            self.audio = Some(audio);
        }
        self.full = (self.video.is_none(), self.audio.is_none());
        self.indices = (video.map(|info| info.index), audio.map(|info| info.index));
        Ok(())
    }

    fn packet(&mut self, packet: InputPacket) -> Result<(), Stop> {
        let mut dropped = 0;
        let mut units = Vec::new();
        if Some(packet.track) == self.indices.0 && !self.full.0 {
            let mut pictures = Vec::new();
            if let Some(video) = &mut self.video {
                video.packet(packet, &mut pictures, &mut dropped)?;
            }
            self.count(|stats| stats.dropped_video += dropped);
            units.extend(pictures.into_iter().map(Unit::Picture));
        } else if Some(packet.track) == self.indices.1 && !self.full.1 {
            let mut sound = Vec::new();
            if self
                .video
                .as_ref()
                .is_some_and(|video| !video.has_started())
            {
                // Before the first picture there is nothing to be heard.
                dropped += 1;
            } else if let Some(audio) = &mut self.audio {
                audio.packet(packet, &mut sound, &mut dropped)?;
            }
            self.count(|stats| stats.dropped_audio += dropped);
            units.extend(sound.into_iter().map(Unit::Sound));
        }
        self.units(units)
    }

    fn units(&mut self, units: Vec<Unit>) -> Result<(), Stop> {
        for unit in units {
            if self.origin_us.is_none() {
                self.origin_us = match &unit {
                    Unit::Picture(picture) => Some(picture.time_us()),
                    Unit::Sound(sound) if self.video.is_none() => Some(sound.timestamp_us),
                    Unit::Sound(_) => None,
                };
            }
            if self.muxer.is_some() {
                self.write(unit)?;
                continue;
            }
            self.waiting.push(unit);
            if self.waiting.len() > MAX_WAITING && self.audio_is_missing() {
                // Its configuration does not come.
                self.audio = None;
                self.full.1 = true;
            }
            self.start(false)?;
        }
        Ok(())
    }

    fn audio_is_missing(&self) -> bool {
        self.audio.as_ref().is_some_and(|one| one.track().is_none())
    }

    /// Makes the muxer once all tracks are known, or with those that are.
    fn start(&mut self, now: bool) -> Result<(), Stop> {
        if now && self.audio_is_missing() {
            self.audio = None;
        }
        let mut tracks = Vec::new();
        let mut media_starts = Vec::new();
        if let Some(video) = &self.video {
            let Some(track) = video.track() else {
                return Ok(());
            };
            tracks.push(Track::from(track.clone()));
            let shift = u64::try_from(video.shift_us()).unwrap_or(0);
            media_starts.push(Duration::from_micros(shift));
        }
        if let Some(audio) = &self.audio {
            let Some(track) = audio.track() else {
                return Ok(());
            };
            tracks.push(Track::from(track.clone()));
            media_starts.push(Duration::ZERO);
        }
        let Some(origin_us) = self.origin_us.filter(|_| !tracks.is_empty()) else {
            return Ok(());
        };
        if media_starts.iter().all(Duration::is_zero) {
            media_starts.clear();
        }
        let options = Options {
            fragment: FragmentPolicy::Keyframe {
                max: self.options.fragment_duration,
            },
            parameter_sets: self.options.parameter_sets,
            origin_us: Some(origin_us),
            base_decode_time_us: self.options.start_us()?,
            media_starts,
            ..Options::default()
        };
        let muxer = Muxer::new(tracks, options)?;
        let init = muxer.init_segment();
        self.muxer = Some(muxer);
        if self.options.emit_init_segment {
            self.send(init)?;
        }
        for unit in std::mem::take(&mut self.waiting) {
            self.write(unit)?;
        }
        Ok(())
    }

    fn write(&mut self, unit: Unit) -> Result<(), Stop> {
        let origin_us = self.origin_us.unwrap_or_default();
        let longest_us = self.options.longest_us();
        let audio_index = usize::from(self.video.is_some());
        let (time_us, is_picture) = match &unit {
            Unit::Picture(picture) => (picture.time_us(), true),
            Unit::Sound(sound) => (sound.timestamp_us, false),
        };
        let time_us = time_us.saturating_sub(origin_us);
        if time_us >= longest_us {
            if is_picture {
                self.full.0 = true;
            } else {
                self.full.1 = true;
            }
            return Ok(());
        }
        if !is_picture && (self.audio.is_none() || time_us < 0) {
            self.count(|stats| stats.dropped_audio += 1);
            return Ok(());
        }
        let Some(muxer) = &mut self.muxer else {
            return Ok(());
        };
        let fragment = match unit {
            Unit::Picture(Picture::Sample(sample, _)) => muxer.write_sample(0, sample)?,
            Unit::Picture(Picture::Frame(frame)) => muxer.write(0, frame)?,
            Unit::Sound(sound) => muxer.write(audio_index, sound)?,
        };
        self.count(|stats| {
            if is_picture {
                stats.video_frames += 1;
            } else {
                stats.audio_frames += 1;
            }
        });
        match fragment {
            Some(fragment) => self.send(fragment),
            None => Ok(()),
        }
    }

    fn finish(&mut self) -> Result<(), Stop> {
        let (mut pictures, mut sound) = (Vec::new(), Vec::new());
        if let Some(video) = self.video.as_mut().filter(|_| !self.full.0) {
            video.flush(&mut pictures)?;
        }
        self.units(pictures.into_iter().map(Unit::Picture).collect())?;
        if let Some(audio) = self.audio.as_mut().filter(|_| !self.full.1) {
            audio.flush(&mut sound)?;
        }
        self.units(sound.into_iter().map(Unit::Sound).collect())?;
        if self.muxer.is_none() {
            self.start(true)?;
        }
        let Some(muxer) = &mut self.muxer else {
            let codec = self.video_codec.clone();
            return Err(UniversalError::NoKeyframe { codec }.into());
        };
        match muxer.finish()? {
            Some(fragment) => self.send(fragment),
            None => Ok(()),
        }
    }

    fn send(&mut self, bytes: Bytes) -> Result<(), Stop> {
        block_on(self.out.send(Ok(bytes))).map_err(|_| Stop::Gone)
    }

    fn count(&self, change: impl FnOnce(&mut UniversalStats)) {
        change(&mut self.stats.lock().unwrap_or_else(PoisonError::into_inner));
    }
}
