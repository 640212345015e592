use std::sync::Arc;
use std::time::Duration;

use super::segment::Settings;
use super::{EncoderError, FragmentedMp4Encoder};
use crate::codec::Codec;
use crate::encode::{H264Encoder, Preset, VideoOptions, video_encoder};
use crate::frame::{VideoFormat, VideoSize};
use crate::mux::AudioTrack;
use crate::mux::fmp4::{FragmentPolicy, Options, ParameterSetPlacement};

/// Options of a [`FragmentedMp4Encoder`].
///
/// ```
/// use livekit_stream::output::fmp4::FragmentedMp4Encoder;
///
/// let encoder = FragmentedMp4Encoder::builder(1280, 720, 30.0)
///     .segment_idx(3)
///     .stream_id("camera-1")
///     .bit_rate(3_000_000)
///     .build()?;
/// assert_eq!(encoder.stream_id(), "camera-1");
/// // Without a name of its own, a stream gets 32 random hex digits.
/// let unnamed = FragmentedMp4Encoder::builder(1280, 720, 30.0).build()?;
/// assert_eq!(unnamed.stream_id().len(), 32);
/// # Ok::<(), livekit_stream::output::fmp4::EncoderError>(())
/// ```
#[derive(Debug, Clone)]
#[must_use]
pub struct FragmentedMp4EncoderBuilder {
    size: VideoSize,
    fps: f32,
    segment_idx: u32,
    stream_id: Option<String>,
    video: VideoOptions,
    pixel_format_out: VideoFormat,
    fragment: FragmentPolicy,
    parameter_sets: ParameterSetPlacement,
    base_decode_time: Duration,
    audio: Option<AudioTrack>,
}

impl FragmentedMp4EncoderBuilder {
    pub(super) fn new(width: u32, height: u32, fps: f32) -> Self {
        let video = VideoOptions {
            frame_rate: fps,
            ..VideoOptions::default()
        };
        Self {
            size: VideoSize { width, height },
            fps,
            segment_idx: 0,
            stream_id: None,
            video,
            pixel_format_out: VideoFormat::I420,
            fragment: FragmentPolicy::Keyframe {
                max: Duration::from_secs(1),
            },
            parameter_sets: ParameterSetPlacement::OutOfBand,
            base_decode_time: Duration::ZERO,
            audio: None,
        }
    }

    /// The segment's number, written on its chunks. Default 0.
    pub fn segment_idx(mut self, segment_idx: u32) -> Self {
        self.segment_idx = segment_idx;
        self
    }

    /// The stream's name, written on its chunks. Default: 32 random hex digits.
    pub fn stream_id(mut self, stream_id: impl Into<String>) -> Self {
        self.stream_id = Some(stream_id.into());
        self
    }

    /// Speed against quality. Default: the fastest.
    pub fn preset(mut self, preset: Preset) -> Self {
        self.video.preset = preset;
        self
    }

    /// Which encoder makes the H.264. Default [`H264Encoder::OpenH264`].
    pub fn encoder(mut self, encoder: H264Encoder) -> Self {
        self.video.encoder = encoder;
        self
    }

    /// Target bits a second. Default: chosen from size and frame rate.
    pub fn bit_rate(mut self, bit_rate: u32) -> Self {
        self.video.bit_rate = Some(bit_rate);
        self
    }

    /// The longest distance between keyframes in frames. Default 60.
    pub fn gop_size(mut self, gop_size: u32) -> Self {
        self.video.gop_size = gop_size;
        self
    }

    /// The pixel format that is encoded. Only I420, the default, can be.
    pub fn pixel_format_out(mut self, format: VideoFormat) -> Self {
        self.pixel_format_out = format;
        self
    }

    /// When a fragment ends. Default: at keyframes, and after one second.
    pub fn fragment(mut self, policy: FragmentPolicy) -> Self {
        self.fragment = policy;
        self
    }

    /// Where parameter sets go. Default: out of band (`avc1`), which every player knows; choose in
    /// band (`avc3`) for encoded frames whose size changes.
    pub fn parameter_sets(mut self, placement: ParameterSetPlacement) -> Self {
        self.parameter_sets = placement;
        self
    }

    /// Where on the stream's timeline the segment starts. Default 0.
    pub fn base_decode_time(mut self, time: Duration) -> Self {
        self.base_decode_time = time;
        self
    }

    /// Adds a track for encoded audio frames, which are to be given among the others.
    pub fn audio(mut self, track: AudioTrack) -> Self {
        self.audio = Some(track);
        self
    }

    /// The encoder.
    ///
    /// # Errors
    ///
    /// When an option is out of range, or the pixel format is not I420.
    pub fn build(self) -> Result<FragmentedMp4Encoder, EncoderError> {
        if self.pixel_format_out != VideoFormat::I420 {
            return Err(EncoderError::PixelFormat {
                format: self.pixel_format_out,
            });
        }
        let VideoSize { width, height } = self.size;
        if VideoFormat::I420.frame_len(width, height).is_none() {
            return Err(EncoderError::Option {
                option: "size",
                value: format!("{width}x{height}"),
                allowed: "1 to 16384 pixels a side",
            });
        }
        // The encoder checks its options when it is made.
        video_encoder(Codec::H264, self.video.clone())?;
        let base_decode_time_us =
            i64::try_from(self.base_decode_time.as_micros()).map_err(|_| EncoderError::Option {
                option: "base_decode_time",
                value: format!("{:?}", self.base_decode_time),
                allowed: "up to 2^63 microseconds",
            })?;
        let mux = Options {
            fragment: self.fragment,
            parameter_sets: self.parameter_sets,
            base_decode_time_us,
            default_video_duration: Duration::from_secs_f64(1.0 / f64::from(self.fps)),
            ..Options::default()
        };
        let stream_id = self
            .stream_id
            .unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
        Ok(FragmentedMp4Encoder {
            settings: Arc::new(Settings {
                size: self.size,
                fps: f64::from(self.fps),
                segment_idx: self.segment_idx,
                stream_id: stream_id.into(),
                video: self.video,
                mux,
                audio: self.audio,
            }),
        })
    }
}
