//! The thread that encodes for all targets of an output.

use std::sync::Arc;

use futures::StreamExt;
use futures::channel::mpsc;
use futures::executor::block_on;
use tokio::sync::watch;

use super::RtmpPublisher;
use crate::codec::Codec;
use crate::encode::{
    AudioEncoder, AudioOptions, EncodeError, VideoEncoder, VideoOptions, audio_encoder,
    video_encoder,
};
use crate::frame::{AudioFrame, EncodedFrame, VideoFrameEvent, VideoSize};
use crate::mux::AudioTrack;
use crate::output::OutputError;

/// What callers hand to the thread.
#[derive(Debug)]
pub(super) enum Input {
    Picture(VideoFrameEvent),
    Sound(AudioFrame),
    Encoded(EncodedFrame),
    AudioTrack(AudioTrack),
}

/// The size that is asked for; what is not asked for is the picture's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct TargetSize {
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
}

impl TargetSize {
    fn of(self, picture: VideoSize) -> VideoSize {
        VideoSize {
            width: self.width.unwrap_or(picture.width),
            height: self.height.unwrap_or(picture.height),
        }
    }
}

/// The encoder of sound, and its track until the first sound announces it.
struct Sound {
    encoder: Box<dyn AudioEncoder>,
    track: Option<AudioTrack>,
}

impl Sound {
    /// `None` where no AAC encoder is built in.
    fn new(options: AudioOptions) -> Result<Option<Self>, EncodeError> {
        let (sample_rate, num_channels) = (options.sample_rate, options.num_channels);
        match audio_encoder(Codec::Aac, options) {
            Ok(encoder) => Ok(Some(Self {
                track: Some(AudioTrack {
                    codec: Codec::Aac,
                    sample_rate,
                    num_channels,
                    codec_config: encoder.codec_config(),
                }),
                encoder,
            })),
            Err(EncodeError::UnsupportedCodec { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }
}

/// Encodes once and gives each frame to every target.
pub(super) struct Worker {
    targets: Arc<[RtmpPublisher]>,
    size: TargetSize,
    video: Box<dyn VideoEncoder>,
    /// `None`: no AAC encoder is built in, which an output without sound does not need.
    audio: Option<Sound>,
    keyframe_requests: watch::Receiver<u64>,
    encoded: Vec<EncodedFrame>,
}

impl Worker {
    /// # Errors
    ///
    /// When an encoder does not take the options.
    pub(super) fn new(
        targets: Arc<[RtmpPublisher]>,
        size: TargetSize,
        video_options: VideoOptions,
        audio_options: AudioOptions,
        keyframe_requests: watch::Receiver<u64>,
    ) -> Result<Self, OutputError> {
        Ok(Self {
            targets,
            size,
            video: video_encoder(Codec::H264, video_options)?,
            audio: Sound::new(audio_options)?,
            keyframe_requests,
            encoded: Vec::new(),
        })
    }

    /// Runs until the callers' end of `input` is closed.
    pub(super) fn run(mut self, mut input: mpsc::Receiver<Input>) -> Result<(), OutputError> {
        while let Some(input) = block_on(input.next()) {
            match input {
                Input::Picture(event) => self.picture(&event)?,
                Input::Sound(frame) => self.sound(&frame)?,
                Input::Encoded(frame) => self.deliver(&frame),
                Input::AudioTrack(track) => self.announce(&track),
            }
        }
        if let Some(audio) = &mut self.audio {
            audio.encoder.flush(&mut self.encoded)?;
        }
        self.deliver_encoded();
        Ok(())
    }

    fn picture(&mut self, event: &VideoFrameEvent) -> Result<(), OutputError> {
        let force_keyframe = self.keyframe_requests.has_changed().unwrap_or(false);
        if force_keyframe {
            self.keyframe_requests.mark_unchanged();
        }
        let size = self.size.of(event.frame.size());
        let scaled = if size == event.frame.size() {
            None
        } else {
            Some(event.frame.scale(size.width, size.height)?)
        };
        let frame = scaled.as_ref().unwrap_or(&event.frame);
        let encoded = self
            .video
            .encode(frame, event.timestamp_us, force_keyframe)?;
        if let Some(mut encoded) = encoded {
            encoded.rotation = event.rotation;
            self.deliver(&encoded);
        }
        Ok(())
    }

    fn sound(&mut self, frame: &AudioFrame) -> Result<(), OutputError> {
        let Some(audio) = &mut self.audio else {
            return Ok(());
        };
        let track = audio.track.take();
        audio.encoder.encode(frame, &mut self.encoded)?;
        if let Some(track) = track {
            self.announce(&track);
        }
        self.deliver_encoded();
        Ok(())
    }

    fn announce(&self, track: &AudioTrack) {
        for target in self.targets.iter() {
            target.set_audio_track(track.clone());
        }
    }

    fn deliver_encoded(&mut self) {
        for frame in std::mem::take(&mut self.encoded) {
            self.deliver(&frame);
        }
    }

    /// A target that failed does not disturb the others; its state tells why it takes nothing.
    fn deliver(&self, frame: &EncodedFrame) {
        for target in self.targets.iter() {
            if target.send(frame.clone()).is_err() {
                tracing::trace!(target = %target.stats().target, "the target takes no frames");
            }
        }
    }
}
