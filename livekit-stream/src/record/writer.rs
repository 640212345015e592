//! Writes a participant's frames to a file.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::container::{Container, Muxer};
use super::feed::is_video;
use super::gap::Filler;
use super::selection::{AudioMode, VideoMode};
use crate::codec::Codec;
use crate::frame::EncodedFrame;
use crate::mux::{AudioTrack, Track, VideoTrack};
use crate::output::{OutputError, SegmentFile};

/// How much a dying process may take with it: half a second in the muxer, besides the sample
/// whose duration is not known yet.
const FRAGMENT: Duration = Duration::from_millis(500);

/// Sound that came for so long without pictures, where none are announced, is recorded alone.
const AUDIO_ALONE_US: i64 = 2_000_000;

/// Announced pictures that have not come for so long are not waited for any more.
const LONGEST_WAIT_US: i64 = 10_000_000;

/// The rate and channels of AAC written, those of [`AudioOptions`](crate::encode::AudioOptions).
const AAC: (u32, u32) = (48_000, 2);

/// What was written of one track.
#[derive(Debug, Clone, Default)]
pub(super) struct Written {
    pub(super) codec: Option<Codec>,
    pub(super) frames: u64,
    pub(super) keyframes: u64,
    pub(super) bytes: u64,
    pub(super) first_us: Option<i64>,
    pub(super) end_us: i64,
    pub(super) dropped: u64,
}

impl Written {
    pub(super) fn count(&mut self, frame: &EncodedFrame) {
        self.codec = Some(frame.codec);
        self.frames += 1;
        self.keyframes += u64::from(frame.keyframe);
        self.bytes += frame.data.len() as u64;
        self.first_us.get_or_insert(frame.timestamp_us);
        self.end_us = self.end_us.max(frame.timestamp_us);
    }

    pub(super) fn duration_us(&self) -> i64 {
        self.first_us.map_or(0, |first| self.end_us - first)
    }
}

/// A file that is being written.
struct Open {
    file: SegmentFile,
    muxer: Muxer,
    video: Option<(usize, Codec)>,
    audio: Option<usize>,
    filler: Option<Filler>,
    start_us: i64,
}

/// See the module.
///
/// The file starts at the first keyframe. It has a track for sound from the start, as one cannot
/// be added later: while none comes, silence is written. Sound without pictures is recorded alone
/// if none are announced; pictures that come after all begin a further file, and so do pictures of
/// another codec.
pub(super) struct FileWriter {
    path: PathBuf,
    container: Container,
    further_paths: Vec<PathBuf>,
    /// The room's time when the recording was asked for.
    asked_us: i64,
    with_video: bool,
    with_audio: bool,
    aac: bool,
    waiting: VecDeque<EncodedFrame>,
    first_sound_us: Option<i64>,
    /// Whether sound that somebody sent was written.
    pub(super) has_sound: bool,
    /// Whether a keyframe that came could not be used.
    pub(super) wants_keyframe: bool,
    /// Created before there is something to write, so that a bad path is known at once.
    next_file: Option<SegmentFile>,
    open: Option<Open>,
    closed_bytes: u64,
    pub(super) video: Written,
    pub(super) audio: Written,
    pub(super) silence_us: i64,
}

impl FileWriter {
    pub(super) async fn create(
        path: &Path,
        asked_us: i64,
        video: VideoMode,
        audio: AudioMode,
    ) -> Result<Self, OutputError> {
        Ok(Self {
            path: path.to_owned(),
            container: Container::of(path),
            further_paths: Vec::new(),
            asked_us,
            with_video: video != VideoMode::None,
            with_audio: audio != AudioMode::None,
            aac: audio == AudioMode::Aac,
            waiting: VecDeque::new(),
            first_sound_us: None,
            has_sound: false,
            wants_keyframe: false,
            next_file: Some(SegmentFile::create(path).await?),
            open: None,
            closed_bytes: 0,
            video: Written::default(),
            audio: Written::default(),
            silence_us: 0,
        })
    }

    /// Whether something is being written.
    pub(super) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    pub(super) fn bytes(&self) -> u64 {
        self.closed_bytes + self.open.as_ref().map_or(0, |open| open.file.len())
    }

    /// The files after the first.
    pub(super) fn further_paths(&self) -> &[PathBuf] {
        &self.further_paths
    }

    /// When the first frame written was taken.
    pub(super) fn start_us(&self) -> Option<i64> {
        match (self.video.first_us, self.audio.first_us) {
            (Some(video), Some(audio)) => Some(video.min(audio)),
            (video, audio) => video.or(audio),
        }
    }

    pub(super) fn end_us(&self) -> i64 {
        self.video.end_us.max(self.audio.end_us)
    }

    /// Takes a frame. `video_expected` tells whether pictures are announced, so that sound is to
    /// wait for them.
    pub(super) async fn write(
        &mut self,
        frame: EncodedFrame,
        video_expected: impl FnOnce() -> bool,
    ) -> Result<(), OutputError> {
        let unannounced = is_video(&frame)
            && self
                .open
                .as_ref()
                .is_some_and(|open| open.video.is_none_or(|(_, codec)| codec != frame.codec));
        if unannounced {
            self.close().await?;
        }
        if self.open.is_some() {
            return self.append(frame).await;
        }
        if is_video(&frame) {
            if !frame.keyframe {
                self.video.dropped += 1;
                return Ok(());
            }
            let start_us = frame.timestamp_us;
            let Ok(track) = VideoTrack::from_keyframe(&frame) else {
                // Parameter sets that cannot be read: the next keyframe may have better ones.
                self.video.dropped += 1;
                self.wants_keyframe = true;
                return Ok(());
            };
            self.start(Some(track), start_us).await?;
            self.append(frame).await?;
            for sound in std::mem::take(&mut self.waiting) {
                // What sounded before the first picture is left out, as is usual.
                self.append(sound).await?;
            }
            return Ok(());
        }
        // From before it was asked for nobody has waited.
        let asked_us = self.asked_us;
        let first_us = *self
            .first_sound_us
            .get_or_insert(frame.timestamp_us.max(asked_us));
        let waited_us = frame.timestamp_us - first_us;
        self.waiting.push_back(frame);
        let span = match (self.waiting.front(), self.waiting.back()) {
            (Some(first), Some(last)) => last.timestamp_us - first.timestamp_us.max(asked_us),
            _ => 0,
        };
        if span < AUDIO_ALONE_US && self.with_video {
            return Ok(());
        }
        if self.with_video && waited_us < LONGEST_WAIT_US && video_expected() {
            // Still waiting for the first picture: only the newest sound may be needed.
            if let Some(sound) = self.waiting.pop_front() {
                self.leave_out(&sound);
            }
            return Ok(());
        }
        let start_us = self.waiting.front().map_or(0, |first| first.timestamp_us);
        self.start(None, start_us).await?;
        for sound in std::mem::take(&mut self.waiting) {
            self.append(sound).await?;
        }
        Ok(())
    }

    /// Counts sound that is not written, unless nobody had asked for it.
    fn leave_out(&mut self, sound: &EncodedFrame) {
        self.audio.dropped += u64::from(sound.timestamp_us >= self.asked_us);
    }

    /// Writes what is left.
    pub(super) async fn finish(&mut self) -> Result<(), OutputError> {
        if self.open.is_none() && !self.waiting.is_empty() {
            let start_us = self.waiting.front().map_or(0, |first| first.timestamp_us);
            self.start(None, start_us).await?;
            for sound in std::mem::take(&mut self.waiting) {
                self.append(sound).await?;
            }
        }
        self.close().await
    }

    async fn start(
        &mut self,
        pictures: Option<VideoTrack>,
        start_us: i64,
    ) -> Result<(), OutputError> {
        let mut tracks = Vec::new();
        let (mut video, mut audio, mut filler) = (None, None, None);
        if let Some(pictures) = pictures {
            video = Some((tracks.len(), pictures.codec));
            tracks.push(Track::from(pictures));
        }
        if self.with_audio {
            audio = Some(tracks.len());
            tracks.push(Track::from(if self.aac {
                AudioTrack::aac(AAC.0, AAC.1)?
            } else {
                filler = Some(Filler::new(start_us));
                AudioTrack::opus(2)
            }));
        }
        let muxer = Muxer::new(self.container, tracks, start_us, FRAGMENT)?;
        let mut file = if let Some(file) = self.next_file.take() {
            file
        } else {
            let path = self.part_path();
            self.further_paths.push(path.clone());
            SegmentFile::create(path).await?
        };
        file.append(&muxer.header()).await?;
        self.open = Some(Open {
            file,
            muxer,
            video,
            audio,
            filler,
            start_us,
        });
        Ok(())
    }

    /// The path of a further file: numbered, and never one that is there.
    fn part_path(&self) -> PathBuf {
        let stem = self.path.file_stem().unwrap_or_default().to_string_lossy();
        let extension = self.path.extension().unwrap_or_default().to_string_lossy();
        let numbered = |part: u32| {
            self.path
                .with_file_name(format!("{stem}-{part}.{extension}"))
        };
        let first = self.further_paths.len() as u32 + 2;
        let mut free = (first..=u32::MAX)
            .map(numbered)
            .filter(|path| !path.exists());
        free.next().unwrap_or_else(|| numbered(first))
    }

    async fn append(&mut self, frame: EncodedFrame) -> Result<(), OutputError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        if !is_video(&frame) && frame.timestamp_us < open.start_us {
            // What sounded before the first picture is left out, as is usual.
            self.leave_out(&frame);
            return Ok(());
        }
        self.has_sound |= !is_video(&frame);
        let mut ready = Vec::new();
        let video_us = is_video(&frame).then_some(frame.timestamp_us);
        match (&mut open.filler, video_us) {
            (Some(filler), Some(video_us)) => {
                ready.push(frame);
                filler.video_at(video_us, &mut ready);
            }
            (Some(filler), None) => filler.packet(frame, &mut ready),
            (None, _) => ready.push(frame),
        }
        self.mux(ready).await
    }

    async fn mux(&mut self, frames: Vec<EncodedFrame>) -> Result<(), OutputError> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        for frame in frames {
            let (index, written) = if is_video(&frame) {
                (open.video.map(|(index, _)| index), &mut self.video)
            } else {
                (open.audio, &mut self.audio)
            };
            let Some(index) = index else {
                written.dropped += 1;
                continue;
            };
            written.count(&frame);
            if let Some(fragment) = open.muxer.write(index, frame)? {
                open.file.append(&fragment).await?;
            }
        }
        Ok(())
    }

    async fn close(&mut self) -> Result<(), OutputError> {
        let end_us = self.video.end_us;
        let mut silence = Vec::new();
        if let Some(Open {
            filler: Some(filler),
            video: Some(_),
            ..
        }) = &mut self.open
        {
            filler.finish(end_us, &mut silence);
        }
        self.mux(silence).await?;
        let Some(mut open) = self.open.take() else {
            return Ok(());
        };
        let last = open.muxer.finish()?;
        if let Some(last) = last {
            open.file.append(&last).await?;
        }
        if let Some(filler) = &open.filler {
            self.silence_us += filler.filled_us();
            self.audio.dropped += filler.late_packets();
        }
        self.closed_bytes += open.file.len();
        Ok(())
    }
}
