//! Sound and pictures as they are given: arrays with a shape.

use bytes::Bytes;

use super::options::{SampleFormat, StreamName, VideoStreamOptions};
use super::{AudioStreamOptions, MediaEncoderError, PixelFormat};
use crate::frame::{AudioFrame, VideoFormat, VideoFrame};

/// Interleaved samples of one type.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Samples {
    /// Unsigned 8 bits, 128 is silence.
    U8(Vec<u8>),
    /// Signed 16 bits.
    S16(Vec<i16>),
    /// Signed 32 bits.
    S32(Vec<i32>),
    /// Signed 64 bits.
    S64(Vec<i64>),
    /// 32-bit floating point.
    Flt(Vec<f32>),
    /// 64-bit floating point.
    Dbl(Vec<f64>),
}

macro_rules! samples {
    ($($variant:ident $sample:ty),*) => {
        impl Samples {
            /// The type of the samples.
            #[must_use]
            pub fn format(&self) -> SampleFormat {
                match self { $(Self::$variant(_) => SampleFormat::$variant,)* }
            }

            /// Samples of all channels.
            #[must_use]
            pub fn len(&self) -> usize {
                match self { $(Self::$variant(samples) => samples.len(),)* }
            }

            /// Whether there are none.
            #[must_use]
            pub fn is_empty(&self) -> bool {
                self.len() == 0
            }
        }

        $(impl From<Vec<$sample>> for Samples {
            fn from(samples: Vec<$sample>) -> Self {
                Self::$variant(samples)
            }
        })*
    };
}

samples!(U8 u8, S16 i16, S32 i32, S64 i64, Flt f32, Dbl f64);

impl Samples {
    /// As 16-bit samples, which the native encoders take: wider integers are rounded, floating
    /// point beyond full scale is limited, what is no number is silence.
    pub(crate) fn to_s16(&self) -> Vec<i16> {
        let float = |sample: f64| (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0) as i16;
        let narrow = |sample: i64, bits: u32| {
            let half = 1_i64 << (bits - 1);
            (sample.saturating_add(half) >> bits).clamp(-32_768, 32_767) as i16
        };
        match self {
            Self::U8(samples) => samples.iter().map(|s| (i16::from(*s) - 128) << 8).collect(),
            Self::S16(samples) => samples.clone(),
            Self::S32(samples) => samples.iter().map(|s| narrow(i64::from(*s), 16)).collect(),
            Self::S64(samples) => samples.iter().map(|s| narrow(*s, 48)).collect(),
            Self::Flt(samples) => samples.iter().map(|s| float(f64::from(*s))).collect(),
            Self::Dbl(samples) => samples.iter().map(|s| float(*s)).collect(),
        }
    }
}

/// Sound of shape (frame, channel): the samples of all channels of one instant, then those of the
/// next.
#[derive(Debug, Clone, PartialEq)]
pub struct AudioChunk {
    pub(crate) samples: Samples,
    pub(crate) shape: [usize; 2],
}

impl AudioChunk {
    /// Samples, a vector of `u8`, `i16`, `i32`, `i64`, `f32` or `f64`, and how many frames and
    /// channels they are.
    ///
    /// # Errors
    ///
    /// [`MediaEncoderError::ChunkLength`] when the shape has another number of samples.
    pub fn new(samples: impl Into<Samples>, shape: [usize; 2]) -> Result<Self, MediaEncoderError> {
        let samples = samples.into();
        check_length(&shape, samples.len())?;
        Ok(Self { samples, shape })
    }

    /// Frames and channels.
    #[must_use]
    pub fn shape(&self) -> [usize; 2] {
        self.shape
    }

    pub(super) fn check(
        &self,
        stream: StreamName,
        options: &AudioStreamOptions,
    ) -> Result<(), MediaEncoderError> {
        let actual = self.samples.format();
        if actual != options.format {
            return Err(MediaEncoderError::SampleType {
                stream,
                expected: options.format,
                actual,
            });
        }
        let expected = options.num_channels as usize;
        if self.shape[1] != expected {
            return Err(MediaEncoderError::AudioShape {
                stream,
                expected,
                actual: self.shape,
            });
        }
        Ok(())
    }
}

/// The sound of a decoded frame; its time is not used.
impl From<AudioFrame> for AudioChunk {
    fn from(frame: AudioFrame) -> Self {
        let channels = frame.num_channels.max(1) as usize;
        let frames = frame.samples.len() / channels;
        let mut samples = frame.samples;
        samples.truncate(frames * channels);
        Self {
            samples: samples.into(),
            shape: [frames, channels],
        }
    }
}

/// Pictures: an array of shape (time, channel, height, width), or frames.
#[derive(Debug, Clone, PartialEq)]
pub struct VideoChunk {
    content: Content,
}

#[derive(Debug, Clone, PartialEq)]
enum Content {
    Array { data: Bytes, shape: [usize; 4] },
    Frames(Vec<VideoFrame>),
}

impl VideoChunk {
    /// Bytes, and how many pictures, channels, rows and pixels a row they are. All of a channel
    /// comes before the next channel.
    ///
    /// # Errors
    ///
    /// [`MediaEncoderError::ChunkLength`] when the shape has another number of bytes.
    pub fn new(data: impl Into<Bytes>, shape: [usize; 4]) -> Result<Self, MediaEncoderError> {
        let data = data.into();
        check_length(&shape, data.len())?;
        Ok(Self {
            content: Content::Array { data, shape },
        })
    }

    /// Pictures one after the other, converted to the stream's format where they have another.
    #[must_use]
    pub fn frames(frames: impl IntoIterator<Item = VideoFrame>) -> Self {
        Self {
            content: Content::Frames(frames.into_iter().collect()),
        }
    }

    pub(super) fn check(
        &self,
        stream: StreamName,
        options: &VideoStreamOptions,
    ) -> Result<(), MediaEncoderError> {
        match &self.content {
            Content::Array { shape, .. } => {
                let Some(channels) = options.format.channels() else {
                    return Err(MediaEncoderError::FramesOnly {
                        stream,
                        format: options.format,
                    });
                };
                let expected = [channels, options.height as usize, options.width as usize];
                if shape[1..] != expected {
                    return Err(MediaEncoderError::VideoShape {
                        stream,
                        expected,
                        actual: *shape,
                    });
                }
            }
            Content::Frames(frames) => {
                let expected = (options.width, options.height);
                for frame in frames {
                    let actual = (frame.width(), frame.height());
                    if actual != expected {
                        return Err(MediaEncoderError::PictureSize {
                            stream,
                            expected,
                            actual,
                        });
                    }
                }
            }
        }
        Ok(())
    }

    /// How many pictures they are.
    #[must_use]
    pub fn len(&self) -> usize {
        match &self.content {
            Content::Array { shape, .. } => shape[0],
            Content::Frames(frames) => frames.len(),
        }
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The picture at `index` in memory order of `format`, which is the stream's: packed for
    /// `rgb24` and `bgr24`.
    pub(crate) fn picture(
        &self,
        index: usize,
        options: &VideoStreamOptions,
    ) -> Result<Picture, MediaEncoderError> {
        let (width, height) = (options.width as usize, options.height as usize);
        let format = options.format;
        let data = match &self.content {
            Content::Array { data, .. } => {
                let length = format.picture_len(width, height);
                let planes = data.slice(index * length..(index + 1) * length);
                match format {
                    PixelFormat::Rgb24 | PixelFormat::Bgr24 => interleave(&planes),
                    _ => planes,
                }
            }
            Content::Frames(frames) => match frames.get(index) {
                Some(frame) => from_frame(frame, format)?,
                None => Bytes::new(),
            },
        };
        Ok(Picture {
            format,
            width: options.width,
            height: options.height,
            data,
        })
    }
}

impl From<VideoFrame> for VideoChunk {
    fn from(frame: VideoFrame) -> Self {
        Self::frames([frame])
    }
}

/// One picture, tightly packed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Picture {
    pub(crate) format: PixelFormat,
    pub(crate) width: u32,
    pub(crate) height: u32,
    pub(crate) data: Bytes,
}

impl Picture {
    /// As a frame of this crate: grey and BGR as RGB.
    pub(crate) fn to_frame(&self) -> Result<VideoFrame, MediaEncoderError> {
        let (format, data) = match self.format {
            PixelFormat::Rgb24 => (VideoFormat::Rgb24, self.data.clone()),
            PixelFormat::Yuv444p => (VideoFormat::I444, self.data.clone()),
            PixelFormat::Yuv420p => (VideoFormat::I420, self.data.clone()),
            PixelFormat::Gray8 => {
                let rgb: Vec<u8> = self.data.iter().flat_map(|grey| [*grey; 3]).collect();
                (VideoFormat::Rgb24, rgb.into())
            }
            PixelFormat::Bgr24 => (VideoFormat::Rgb24, swap(&self.data)),
        };
        Ok(VideoFrame::new(format, self.width, self.height, data)?)
    }
}

fn from_frame(frame: &VideoFrame, format: PixelFormat) -> Result<Bytes, MediaEncoderError> {
    let tight = |to| -> Result<Bytes, MediaEncoderError> {
        Ok(frame.convert(to, false)?.tight().data().clone())
    };
    Ok(match format {
        PixelFormat::Rgb24 => tight(VideoFormat::Rgb24)?,
        PixelFormat::Bgr24 => swap(&tight(VideoFormat::Rgb24)?),
        PixelFormat::Yuv444p => tight(VideoFormat::I444)?,
        PixelFormat::Yuv420p => tight(VideoFormat::I420)?,
        PixelFormat::Gray8 => {
            // Luma of full range: ITU-R BT.601's weights of red, green and blue.
            let rgb = tight(VideoFormat::Rgb24)?;
            let grey = rgb.as_chunks::<3>().0.iter().map(|[r, g, b]| {
                let sum = 299 * u32::from(*r) + 587 * u32::from(*g) + 114 * u32::from(*b);
                ((sum + 500) / 1_000) as u8
            });
            grey.collect::<Vec<u8>>().into()
        }
    })
}

/// Three planes to pixels of three bytes.
fn interleave(planes: &[u8]) -> Bytes {
    let plane = planes.len() / 3;
    let (first, rest) = planes.split_at(plane);
    let (second, third) = rest.split_at(plane);
    let mut pixels = vec![0; 3 * plane];
    let sources = first.iter().zip(second).zip(third);
    for (pixel, ((a, b), c)) in pixels.as_chunks_mut::<3>().0.iter_mut().zip(sources) {
        *pixel = [*a, *b, *c];
    }
    pixels.into()
}

fn swap(pixels: &[u8]) -> Bytes {
    let mut swapped = pixels.to_vec();
    for pixel in swapped.as_chunks_mut::<3>().0 {
        pixel.swap(0, 2);
    }
    swapped.into()
}

fn check_length(shape: &[usize], actual: usize) -> Result<(), MediaEncoderError> {
    let expected = shape
        .iter()
        .try_fold(1_usize, |product, side| product.checked_mul(*side));
    if expected == Some(actual) {
        return Ok(());
    }
    Err(MediaEncoderError::ChunkLength {
        shape: shape.to_vec(),
        expected: expected.unwrap_or(usize::MAX),
        actual,
    })
}
