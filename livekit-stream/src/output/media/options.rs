//! What a stream is like: the shape of its chunks, and how they are encoded.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use super::MediaEncoderError;

/// The type of audio samples, by FFmpeg's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SampleFormat {
    /// `u8`: unsigned 8 bits, 128 is silence.
    U8,
    /// `s16`: signed 16 bits.
    S16,
    /// `s32`: signed 32 bits.
    S32,
    /// `s64`: signed 64 bits.
    S64,
    /// `flt`: 32-bit floating point, full scale is -1 to 1.
    #[default]
    Flt,
    /// `dbl`: 64-bit floating point, full scale is -1 to 1.
    Dbl,
}

const SAMPLE_FORMATS: [(&str, SampleFormat); 6] = [
    ("u8", SampleFormat::U8),
    ("s16", SampleFormat::S16),
    ("s32", SampleFormat::S32),
    ("s64", SampleFormat::S64),
    ("flt", SampleFormat::Flt),
    ("dbl", SampleFormat::Dbl),
];

/// The layout of pixels in a video chunk, by FFmpeg's names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum PixelFormat {
    /// `gray8`: one channel, 0 is black and 255 white.
    Gray8,
    /// `rgb24`: three channels, red, green, blue.
    #[default]
    Rgb24,
    /// `bgr24`: three channels, blue, green, red.
    Bgr24,
    /// `yuv444p`: three channels, Y, U, V.
    Yuv444p,
    /// `yuv420p`: what decoders give. Its planes differ in size, so it comes as
    /// [`VideoFrame`](crate::frame::VideoFrame)s only.
    Yuv420p,
}

const PIXEL_FORMATS: [(&str, PixelFormat); 5] = [
    ("gray8", PixelFormat::Gray8),
    ("rgb24", PixelFormat::Rgb24),
    ("bgr24", PixelFormat::Bgr24),
    ("yuv444p", PixelFormat::Yuv444p),
    ("yuv420p", PixelFormat::Yuv420p),
];

impl PixelFormat {
    /// The channels of a chunk, its second dimension; `None` when the format has no such chunk.
    #[must_use]
    pub fn channels(self) -> Option<usize> {
        match self {
            Self::Gray8 => Some(1),
            Self::Rgb24 | Self::Bgr24 | Self::Yuv444p => Some(3),
            Self::Yuv420p => None,
        }
    }

    /// Bytes of one picture.
    pub(crate) fn picture_len(self, width: usize, height: usize) -> usize {
        match self {
            Self::Gray8 => width * height,
            Self::Rgb24 | Self::Bgr24 | Self::Yuv444p => 3 * width * height,
            Self::Yuv420p => width * height + 2 * width.div_ceil(2) * height.div_ceil(2),
        }
    }
}

fn name_of<T: Copy + PartialEq>(table: &'static [(&'static str, T)], value: T) -> &'static str {
    table
        .iter()
        .find(|row| row.1 == value)
        .map_or("", |row| row.0)
}

fn parse<T: Copy>(
    option: &'static str,
    table: &[(&str, T)],
    name: &str,
    allowed: &'static str,
) -> Result<T, MediaEncoderError> {
    let found = table.iter().find(|row| row.0 == name).map(|row| row.1);
    found.ok_or_else(|| MediaEncoderError::option(None, option, name, allowed))
}

impl fmt::Display for SampleFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&SAMPLE_FORMATS, *self))
    }
}

impl FromStr for SampleFormat {
    type Err = MediaEncoderError;

    fn from_str(name: &str) -> Result<Self, MediaEncoderError> {
        parse(
            "format",
            &SAMPLE_FORMATS,
            name,
            "u8, s16, s32, s64, flt, dbl",
        )
    }
}

impl fmt::Display for PixelFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(name_of(&PIXEL_FORMATS, *self))
    }
}

impl FromStr for PixelFormat {
    type Err = MediaEncoderError;

    fn from_str(name: &str) -> Result<Self, MediaEncoderError> {
        let allowed = "gray8, rgb24, bgr24, yuv444p, yuv420p";
        parse("format", &PIXEL_FORMATS, name, allowed)
    }
}

/// What encoders are told besides their own options. `None` leaves the encoder's default.
///
/// Natively, `bit_rate` and `gop_size` are used and `max_b_frames` may be 0, which is what the
/// native encoder makes; the rest needs the feature `ffmpeg`.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct CodecConfig {
    /// Bits a second.
    pub bit_rate: Option<u32>,
    /// How hard lossless and other encoders try; the range is the encoder's.
    pub compression_level: Option<i32>,
    /// Quality, in place of a bit rate; the range is the encoder's.
    pub qscale: Option<i32>,
    /// Longest distance between keyframes in frames.
    pub gop_size: Option<u32>,
    /// Most B-frames in a row.
    pub max_b_frames: Option<u32>,
}

impl CodecConfig {
    /// Nothing but the encoder's defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Bits a second.
    #[must_use]
    pub fn bit_rate(mut self, bits: u32) -> Self {
        self.bit_rate = Some(bits);
        self
    }

    /// How hard the encoder tries.
    #[must_use]
    pub fn compression_level(mut self, level: i32) -> Self {
        self.compression_level = Some(level);
        self
    }

    /// Quality in place of a bit rate.
    #[must_use]
    pub fn qscale(mut self, quality: i32) -> Self {
        self.qscale = Some(quality);
        self
    }

    /// Longest distance between keyframes in frames.
    #[must_use]
    pub fn gop_size(mut self, frames: u32) -> Self {
        self.gop_size = Some(frames);
        self
    }

    /// Most B-frames in a row.
    #[must_use]
    pub fn max_b_frames(mut self, frames: u32) -> Self {
        self.max_b_frames = Some(frames);
        self
    }
}

/// Methods that both kinds of stream have.
macro_rules! common_options {
    () => {
        /// The encoder, by FFmpeg's name or the codec's. Default: what the container usually
        /// holds. Natively: `h264` (`libopenh264`), `aac` (`libfdk_aac`), `opus` (`libopus`).
        #[must_use]
        pub fn encoder(mut self, name: impl Into<String>) -> Self {
            self.encoder = Some(name.into());
            self
        }

        /// An option of the encoder's own, by its name in FFmpeg; may be called again for
        /// another. `threads` and `thread_type` are for encoders that have threads, which the
        /// native ones have not.
        #[must_use]
        pub fn encoder_option(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
            self.encoder_option.insert(name.into(), value.into());
            self
        }

        /// The format that is encoded, by FFmpeg's name, for encoders that take several.
        #[must_use]
        pub fn encoder_format(mut self, name: impl Into<String>) -> Self {
            self.encoder_format = Some(name.into());
            self
        }

        /// Bit rate, distance of keyframes and the like.
        #[must_use]
        pub fn codec_config(mut self, config: CodecConfig) -> Self {
            self.codec_config = config;
            self
        }

        /// A filter graph that the media goes through before it is encoded, as FFmpeg describes
        /// them. Needs the feature `ffmpeg`.
        #[must_use]
        pub fn filter_desc(mut self, description: impl Into<String>) -> Self {
            self.filter_desc = Some(description.into());
            self
        }
    };
}

/// An audio stream of a [`StreamingMediaEncoder`](super::StreamingMediaEncoder).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct AudioStreamOptions {
    /// Samples a second and channel of the chunks.
    pub sample_rate: u32,
    /// Channels of the chunks.
    pub num_channels: u32,
    /// The type of their samples. Default [`SampleFormat::Flt`].
    pub format: SampleFormat,
    /// See [`encoder`](Self::encoder).
    pub encoder: Option<String>,
    /// See [`encoder_option`](Self::encoder_option).
    pub encoder_option: BTreeMap<String, String>,
    /// See [`encoder_sample_rate`](Self::encoder_sample_rate).
    pub encoder_sample_rate: Option<u32>,
    /// See [`encoder_num_channels`](Self::encoder_num_channels).
    pub encoder_num_channels: Option<u32>,
    /// See [`encoder_format`](Self::encoder_format).
    pub encoder_format: Option<String>,
    /// See [`codec_config`](Self::codec_config).
    pub codec_config: CodecConfig,
    /// See [`filter_desc`](Self::filter_desc).
    pub filter_desc: Option<String>,
}

impl AudioStreamOptions {
    /// A stream of `sample_rate` samples a second in `num_channels` channels.
    #[must_use]
    pub fn new(sample_rate: u32, num_channels: u32) -> Self {
        Self {
            sample_rate,
            num_channels,
            format: SampleFormat::default(),
            encoder: None,
            encoder_option: BTreeMap::new(),
            encoder_sample_rate: None,
            encoder_num_channels: None,
            encoder_format: None,
            codec_config: CodecConfig::default(),
            filter_desc: None,
        }
    }

    /// The type of the samples. Default [`SampleFormat::Flt`].
    #[must_use]
    pub fn format(mut self, format: SampleFormat) -> Self {
        self.format = format;
        self
    }

    /// The rate that is encoded. Default: that of the chunks where the encoder takes it, else the
    /// encoder's own.
    #[must_use]
    pub fn encoder_sample_rate(mut self, hertz: u32) -> Self {
        self.encoder_sample_rate = Some(hertz);
        self
    }

    /// The channels that are encoded. Default: those of the chunks where the encoder takes them,
    /// else what is nearest.
    #[must_use]
    pub fn encoder_num_channels(mut self, channels: u32) -> Self {
        self.encoder_num_channels = Some(channels);
        self
    }

    common_options!();
}

/// A video stream of a [`StreamingMediaEncoder`](super::StreamingMediaEncoder).
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoStreamOptions {
    /// Pictures a second in the chunks.
    pub frame_rate: f64,
    /// Pixels a row.
    pub width: u32,
    /// Rows.
    pub height: u32,
    /// The layout of the pixels. Default [`PixelFormat::Rgb24`].
    pub format: PixelFormat,
    /// See [`encoder`](Self::encoder).
    pub encoder: Option<String>,
    /// See [`encoder_option`](Self::encoder_option).
    pub encoder_option: BTreeMap<String, String>,
    /// See [`encoder_frame_rate`](Self::encoder_frame_rate).
    pub encoder_frame_rate: Option<f64>,
    /// See [`encoder_width`](Self::encoder_width).
    pub encoder_width: Option<u32>,
    /// See [`encoder_height`](Self::encoder_height).
    pub encoder_height: Option<u32>,
    /// See [`encoder_format`](Self::encoder_format).
    pub encoder_format: Option<String>,
    /// See [`codec_config`](Self::codec_config).
    pub codec_config: CodecConfig,
    /// See [`filter_desc`](Self::filter_desc).
    pub filter_desc: Option<String>,
    /// See [`hw_accel`](Self::hw_accel).
    pub hw_accel: Option<String>,
}

impl VideoStreamOptions {
    /// A stream of `frame_rate` pictures a second, `width` x `height` pixels each.
    #[must_use]
    pub fn new(frame_rate: f64, width: u32, height: u32) -> Self {
        Self {
            frame_rate,
            width,
            height,
            format: PixelFormat::default(),
            encoder: None,
            encoder_option: BTreeMap::new(),
            encoder_frame_rate: None,
            encoder_width: None,
            encoder_height: None,
            encoder_format: None,
            codec_config: CodecConfig::default(),
            filter_desc: None,
            hw_accel: None,
        }
    }

    /// The layout of the pixels. Default [`PixelFormat::Rgb24`].
    #[must_use]
    pub fn format(mut self, format: PixelFormat) -> Self {
        self.format = format;
        self
    }

    /// The rate that is encoded: pictures are repeated or left out so that each instant shows
    /// what it did. Default: that of the chunks.
    #[must_use]
    pub fn encoder_frame_rate(mut self, rate: f64) -> Self {
        self.encoder_frame_rate = Some(rate);
        self
    }

    /// Pixels a row that are encoded. Default: those of the chunks.
    #[must_use]
    pub fn encoder_width(mut self, pixels: u32) -> Self {
        self.encoder_width = Some(pixels);
        self
    }

    /// Rows that are encoded. Default: those of the chunks.
    #[must_use]
    pub fn encoder_height(mut self, pixels: u32) -> Self {
        self.encoder_height = Some(pixels);
        self
    }

    /// The device that encodes, such as `cuda:0`. Needs the feature `ffmpeg`.
    #[must_use]
    pub fn hw_accel(mut self, device: impl Into<String>) -> Self {
        self.hw_accel = Some(device.into());
        self
    }

    common_options!();
}

/// What a stream is like, either kind.
#[derive(Debug, Clone, PartialEq)]
pub enum StreamOptions {
    /// Sound.
    Audio(AudioStreamOptions),
    /// Pictures.
    Video(VideoStreamOptions),
}

/// A stream as errors name it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StreamName {
    /// Its index.
    pub index: usize,
    /// Whether it carries sound or pictures.
    pub kind: crate::codec::MediaKind,
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            crate::codec::MediaKind::Audio => "audio",
            crate::codec::MediaKind::Video => "video",
        };
        write!(f, "{kind} stream {}", self.index)
    }
}

impl StreamOptions {
    pub(crate) fn name(&self, index: usize) -> StreamName {
        let kind = match self {
            Self::Audio(_) => crate::codec::MediaKind::Audio,
            Self::Video(_) => crate::codec::MediaKind::Video,
        };
        StreamName { index, kind }
    }

    /// What no backend could take.
    pub(crate) fn check(&self, index: usize) -> Result<(), MediaEncoderError> {
        let name = Some(self.name(index));
        let wrong = |option, value: &dyn fmt::Display, allowed| {
            Err(MediaEncoderError::option(
                name,
                option,
                &value.to_string(),
                allowed,
            ))
        };
        match self {
            Self::Audio(audio) => {
                for (option, rate) in [
                    ("sample_rate", Some(audio.sample_rate)),
                    ("encoder_sample_rate", audio.encoder_sample_rate),
                ] {
                    if let Some(rate) = rate
                        && !(4_000..=384_000).contains(&rate)
                    {
                        return wrong(option, &rate, "4000 to 384000 Hz");
                    }
                }
                for (option, channels) in [
                    ("num_channels", Some(audio.num_channels)),
                    ("encoder_num_channels", audio.encoder_num_channels),
                ] {
                    if let Some(channels) = channels
                        && !(1..=32).contains(&channels)
                    {
                        return wrong(option, &channels, "1 to 32");
                    }
                }
            }
            Self::Video(video) => {
                for (option, rate) in [
                    ("frame_rate", Some(video.frame_rate)),
                    ("encoder_frame_rate", video.encoder_frame_rate),
                ] {
                    if let Some(rate) = rate
                        && !(0.1..=1_000.0).contains(&rate)
                    {
                        return wrong(option, &rate, "0.1 to 1000 pictures a second");
                    }
                }
                for (option, side) in [
                    ("width", Some(video.width)),
                    ("height", Some(video.height)),
                    ("encoder_width", video.encoder_width),
                    ("encoder_height", video.encoder_height),
                ] {
                    if let Some(side) = side
                        && !(1..=16_384).contains(&side)
                    {
                        return wrong(option, &side, "1 to 16384 pixels");
                    }
                }
            }
        }
        Ok(())
    }
}
