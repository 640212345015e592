//! The work on one segment, without threads or tasks.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{ChunkKind, EncoderError, FragmentedMp4Chunk, InputFrame};
use crate::codec::{Codec, MediaKind};
use crate::encode::{VideoEncoder, VideoOptions, video_encoder};
use crate::frame::{EncodedFrame, VideoFormat, VideoFrame, VideoRotation, VideoSize};
use crate::mux::fmp4::{Muxer, Options};
use crate::mux::{AudioTrack, MuxError, Track, VideoTrack};

/// Audio frames kept until the first picture tells what the file is like: five seconds of Opus.
/// Of more, the oldest are dropped.
const MAX_EARLY_AUDIO: usize = 256;

const VIDEO: usize = 0;
const AUDIO: usize = 1;

#[derive(Debug)]
pub(super) struct Settings {
    pub(super) size: VideoSize,
    pub(super) fps: f64,
    pub(super) segment_idx: u32,
    pub(super) stream_id: Arc<str>,
    pub(super) video: VideoOptions,
    pub(super) mux: Options,
    pub(super) audio: Option<AudioTrack>,
}

pub(super) struct Segment {
    settings: Arc<Settings>,
    encoder: Option<Box<dyn VideoEncoder>>,
    muxer: Option<Muxer>,
    early_audio: VecDeque<EncodedFrame>,
    /// Pictures without a time of their own so far.
    untimed: u64,
}

impl Segment {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Self {
            settings,
            encoder: None,
            muxer: None,
            early_audio: VecDeque::new(),
            untimed: 0,
        }
    }

    /// Takes a frame and appends the chunks that it completed.
    pub(super) fn push(
        &mut self,
        frame: InputFrame,
        chunks: &mut Vec<FragmentedMp4Chunk>,
    ) -> Result<(), EncoderError> {
        match frame {
            InputFrame::Picture(picture) => self.untimed_picture(&picture, chunks),
            InputFrame::Rgb24(data) => {
                let VideoSize { width, height } = self.settings.size;
                let picture = VideoFrame::new(VideoFormat::Rgb24, width, height, data)?;
                self.untimed_picture(&picture, chunks)
            }
            InputFrame::Event(event) => {
                self.picture(&event.frame, event.timestamp_us, event.rotation, chunks)
            }
            InputFrame::Encoded(frame) => self.encoded(frame, chunks),
        }
    }

    /// Appends what is left. A segment without a single picture has no chunks.
    pub(super) fn finish(
        &mut self,
        chunks: &mut Vec<FragmentedMp4Chunk>,
    ) -> Result<(), EncoderError> {
        if let Some(muxer) = &mut self.muxer {
            let fragment = muxer.finish()?;
            chunks.extend(fragment.map(|data| chunk(&self.settings, ChunkKind::Media, data)));
        }
        Ok(())
    }

    fn untimed_picture(
        &mut self,
        picture: &VideoFrame,
        chunks: &mut Vec<FragmentedMp4Chunk>,
    ) -> Result<(), EncoderError> {
        let time_us = (self.untimed as f64 * 1_000_000.0 / self.settings.fps).round() as i64;
        self.untimed = self.untimed.saturating_add(1);
        self.picture(picture, time_us, VideoRotation::Deg0, chunks)
    }

    fn picture(
        &mut self,
        picture: &VideoFrame,
        time_us: i64,
        rotation: VideoRotation,
        chunks: &mut Vec<FragmentedMp4Chunk>,
    ) -> Result<(), EncoderError> {
        let expected = self.settings.size;
        let actual = picture.size();
        if actual != expected {
            return Err(EncoderError::WrongSize {
                expected_width: expected.width,
                expected_height: expected.height,
                width: actual.width,
                height: actual.height,
            });
        }
        let encoder = match &mut self.encoder {
            Some(encoder) => encoder,
            none => none.insert(video_encoder(Codec::H264, self.settings.video.clone())?),
        };
        if let Some(mut frame) = encoder.encode(picture, time_us, false)? {
            frame.rotation = rotation;
            self.encoded(frame, chunks)?;
        }
        Ok(())
    }

    fn encoded(
        &mut self,
        frame: EncodedFrame,
        chunks: &mut Vec<FragmentedMp4Chunk>,
    ) -> Result<(), EncoderError> {
        let is_audio = frame.codec.kind() == MediaKind::Audio;
        if is_audio && self.settings.audio.is_none() {
            return Err(EncoderError::NoAudioTrack(frame.codec));
        }
        let muxer = match &mut self.muxer {
            Some(muxer) => muxer,
            None if is_audio => {
                if self.early_audio.len() == MAX_EARLY_AUDIO {
                    self.early_audio.pop_front();
                }
                self.early_audio.push_back(frame);
                return Ok(());
            }
            None if !frame.keyframe => return Ok(()),
            none => {
                let muxer = muxer(&self.settings, &frame)?;
                let init = muxer.init_segment();
                chunks.push(chunk(&self.settings, ChunkKind::Init, init));
                none.insert(muxer)
            }
        };
        let track = if is_audio { AUDIO } else { VIDEO };
        let early = self.early_audio.drain(..).map(|frame| (AUDIO, frame));
        for (track, frame) in early.chain([(track, frame)]) {
            let fragment = muxer.write(track, frame)?;
            chunks.extend(fragment.map(|data| chunk(&self.settings, ChunkKind::Media, data)));
        }
        Ok(())
    }
}

fn muxer(settings: &Settings, keyframe: &EncodedFrame) -> Result<Muxer, MuxError> {
    let mut tracks: Vec<Track> = vec![VideoTrack::from_keyframe(keyframe)?.into()];
    tracks.extend(settings.audio.clone().map(Track::from));
    Muxer::new(tracks, settings.mux.clone())
}

fn chunk(settings: &Settings, kind: ChunkKind, data: bytes::Bytes) -> FragmentedMp4Chunk {
    FragmentedMp4Chunk {
        kind,
        data,
        stream_id: settings.stream_id.clone(),
        segment_idx: settings.segment_idx,
    }
}
