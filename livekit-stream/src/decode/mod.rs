//! Decoders: encoded frames in, pictures and sound out. One file per backend. Depends on
//! [`crate::frame`] and [`crate::codec`].

#[cfg(feature = "aac")]
mod aac;
#[cfg(feature = "av1")]
mod av1;
mod libopus;
mod openh264;
mod opus;
mod sound;
mod vpx;

use bytes::{Bytes, BytesMut};

use crate::codec::Codec;
use crate::frame::{
    AudioFrame, ColorSpace, EncodedFrame, Plane, VideoFormat, VideoFrame, VideoSize,
};

pub use sound::{AudioFormat, PacketDecoder, any_audio_decoder};

/// A frame could not be decoded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    /// No decoder for this codec is built in.
    #[error("no decoder for {codec}{hint}")]
    UnsupportedCodec {
        /// The codec.
        codec: Codec,
        /// Why, and what to do about it; may be empty.
        hint: &'static str,
    },
    /// No decoder for this codec, which [`Codec`] does not have, is built in.
    #[error("no decoder for {name:?}{hint}")]
    UnknownCodec {
        /// The codec as it was asked for.
        name: String,
        /// Why, and what to do about it; may be empty.
        hint: &'static str,
    },
    /// A decoder of FFmpeg's, such as that of [`any_audio_decoder`], refused a packet or its
    /// configuration.
    #[error("{name} decoder: {reason}")]
    Other {
        /// The codec as it was asked for.
        name: String,
        /// What the decoder said.
        reason: String,
    },
    /// A library that is opened at run time is not installed.
    #[error("{library} is not installed: {hint}")]
    LibraryMissing {
        /// The library, such as `libvpx`.
        library: &'static str,
        /// Which package to install.
        hint: String,
    },
    /// An option is out of the decoder's range.
    #[error("{option} = {value} is out of range: {allowed}")]
    OptionOutOfRange {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// The decoder refused the frame.
    #[error("{codec} decoder: {reason}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// What the decoder said.
        reason: String,
    },
}

/// What a video decoder is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Whether rows are packed tightly; otherwise they lie as far apart as in the decoder's own
    /// memory. Default true.
    pub normalize_stride: bool,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            normalize_stride: true,
        }
    }
}

/// Turns the frames of one video track into pictures, each at once: no picture waits for a later
/// frame unless the stream says that its pictures are shown in another order than they are sent in
/// (H.265 alone is decoded so).
///
/// After an error the decoder goes on at the next keyframe and shows nothing for the frames
/// before it, which would refer to what is missing.
pub trait VideoDecoder: Send {
    /// Decodes one frame. `Ok(None)`: nothing to show for it.
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError>;
    /// When the picture that [`decode`](Self::decode) gave for `frame` is to be shown: the frame's
    /// own time, or an earlier frame's where pictures are put in order.
    fn timestamp_us(&self, frame: &EncodedFrame) -> i64 {
        frame.timestamp_us
    }
    /// After the last frame: the next picture that waits to be shown, and its time.
    fn flush(&mut self) -> Result<Option<(VideoFrame, i64)>, DecodeError> {
        Ok(None)
    }
}

/// Turns the frames of one audio track into sound.
pub trait AudioDecoder: Send {
    /// Decodes one frame.
    fn decode(&mut self, frame: &EncodedFrame) -> Result<AudioFrame, DecodeError>;
    /// Fills a gap of `duration_us` that ended just before the next frame (packet loss
    /// concealment); shorter output is allowed.
    fn conceal(&mut self, duration_us: i64) -> Result<AudioFrame, DecodeError>;
    /// As [`conceal`](Self::conceal) when the frame behind the gap is at hand: it may carry a
    /// copy of the sound that was lost (Opus in-band forward error correction, RFC 6716 section
    /// 2.1.7). `next` is still to be decoded afterwards.
    fn recover(
        &mut self,
        duration_us: i64,
        next: &EncodedFrame,
    ) -> Result<AudioFrame, DecodeError> {
        let _ = next;
        self.conceal(duration_us)
    }
}

/// The decoder for `codec`.
///
/// # Errors
///
/// [`DecodeError::UnsupportedCodec`] for a codec that carries no pictures, for H.265 without the
/// feature `ffmpeg`, and for AV1 without the feature `av1`; [`DecodeError::LibraryMissing`] for VP8 and VP9 when libvpx is not
/// installed.
pub fn video_decoder(codec: Codec) -> Result<Box<dyn VideoDecoder>, DecodeError> {
    video_decoder_with(codec, &VideoOptions::default())
}

/// As [`video_decoder`], with options.
///
/// # Errors
///
/// As [`video_decoder`].
pub fn video_decoder_with(
    codec: Codec,
    options: &VideoOptions,
) -> Result<Box<dyn VideoDecoder>, DecodeError> {
    match codec {
        Codec::H264 => Ok(Box::new(openh264::OpenH264Decoder::new(options)?)),
        Codec::Vp8 | Codec::Vp9 => Ok(Box::new(vpx::VpxDecoder::new(codec, options)?)),
        #[cfg(feature = "av1")]
        Codec::Av1 => Ok(Box::new(av1::Av1Decoder::new(options)?)),
        #[cfg(not(feature = "av1"))]
        Codec::Av1 => Err(DecodeError::UnsupportedCodec {
            codec,
            hint: ": build livekit-stream with its feature `av1`, or take the frames as they are",
        }),
        #[cfg(feature = "ffmpeg")]
        Codec::H265 => Ok(Box::new(crate::ffmpeg::FfmpegDecoder::new(codec, options)?)),
        #[cfg(not(feature = "ffmpeg"))]
        Codec::H265 => Err(DecodeError::UnsupportedCodec {
            codec,
            hint: ": build livekit-stream with its feature `ffmpeg`, or take the frames as they \
                   are (copied to MP4, or as encoded frames)",
        }),
        Codec::Opus | Codec::Aac => Err(DecodeError::UnsupportedCodec {
            codec,
            hint: ": it does not carry pictures",
        }),
    }
}

/// The decoder for `codec`, giving sound of `sample_rate` hertz in `num_channels` channels. Opus
/// decodes at 8, 12, 16, 24 or 48 kHz to one or two channels;
/// [`Resampler`](crate::frame::Resampler) makes any other rate of it.
///
/// # Errors
///
/// [`DecodeError::UnsupportedCodec`] for a codec without a decoder, and
/// [`DecodeError::OptionOutOfRange`].
pub fn audio_decoder(
    codec: Codec,
    sample_rate: u32,
    num_channels: u32,
) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    match codec {
        Codec::Opus => Ok(Box::new(opus::OpusDecoder::new(sample_rate, num_channels)?)),
        Codec::Aac => Err(DecodeError::UnsupportedCodec {
            codec,
            hint: " without its configuration: see `aac_decoder`",
        }),
        Codec::H264 | Codec::H265 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => {
            Err(DecodeError::UnsupportedCodec {
                codec,
                hint: ": it does not carry sound",
            })
        }
    }
}

/// The decoder of AAC streams with this AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1). It
/// gives sound at the stream's own rate, in one channel or two.
///
/// # Errors
///
/// [`DecodeError::Corrupt`] for a configuration that cannot be used, and
/// [`DecodeError::UnsupportedCodec`] without the feature `aac`.
pub fn aac_decoder(audio_specific_config: &[u8]) -> Result<Box<dyn AudioDecoder>, DecodeError> {
    #[cfg(feature = "aac")]
    return Ok(Box::new(aac::AacDecoder::new(audio_specific_config)?));
    #[cfg(not(feature = "aac"))]
    {
        let _ = audio_specific_config;
        Err(DecodeError::UnsupportedCodec {
            codec: Codec::Aac,
            hint: ": build livekit-stream with its feature `aac`",
        })
    }
}

/// Largest picture that is decoded, in pixels: 8192x8192. A few bytes of a hostile keyframe
/// header could otherwise claim gigabytes.
pub(crate) const MAX_PIXELS: u64 = 1 << 26;

/// The memory of a decoder's last picture, for the next one if nobody holds the last any more: fresh
/// memory of that size costs the system a page fault every 4 KiB.
#[derive(Default)]
pub(crate) struct LastPicture(Bytes);

impl LastPicture {
    fn memory(&mut self, capacity: usize) -> BytesMut {
        match std::mem::take(&mut self.0).try_into_mut() {
            Ok(mut memory) => {
                memory.clear();
                memory.reserve(capacity);
                memory
            }
            Err(_) => BytesMut::with_capacity(capacity),
        }
    }
}

/// The format of a picture whose chroma planes have `shifts` (columns, rows) fewer, halved once or
/// not at all, with samples of `bits`; `None` for one that there is no format for.
fn planar_format(shifts: (u32, u32), bits: u32) -> Option<VideoFormat> {
    match (shifts, bits) {
        ((1, 1), 8) => Some(VideoFormat::I420),
        ((1, 0), 8) => Some(VideoFormat::I422),
        ((0, 0), 8) => Some(VideoFormat::I444),
        ((1, 1), 10) => Some(VideoFormat::I010),
        _ => None,
    }
}

/// What [`planar_format`] has, for errors.
const PLANAR_FORMATS: &str =
    "only 4:2:0, 4:2:2 and 4:4:4 of 8 bits and 4:2:0 of 10 bits are decoded";

/// Copies I420 planes out of a decoder's memory: `(bytes, stride)` each.
fn copy_i420(
    codec: Codec,
    size: VideoSize,
    color: ColorSpace,
    source: [(&[u8], usize); 3],
    normalize_stride: bool,
    last: &mut LastPicture,
) -> Result<VideoFrame, DecodeError> {
    let format = VideoFormat::I420;
    let picture = copy_planes(codec, format, size, source, normalize_stride, last)?;
    Ok(picture.with_color(color))
}

/// As [`copy_i420`], of any format with three planes.
pub(crate) fn copy_planes(
    codec: Codec,
    format: VideoFormat,
    size: VideoSize,
    source: [(&[u8], usize); 3],
    normalize_stride: bool,
    last: &mut LastPicture,
) -> Result<VideoFrame, DecodeError> {
    let corrupt = |reason: String| DecodeError::Corrupt { codec, reason };
    let mut planes = format
        .tight_planes(size.width, size.height)
        .ok_or_else(|| corrupt(format!("a picture of {}x{}", size.width, size.height)))?;
    let row_length = |plane: &Plane, stride: usize| {
        if normalize_stride {
            plane.row_bytes
        } else {
            stride
        }
    };
    let planes_and_source = planes.iter().zip(&source);
    let capacity = planes_and_source.map(|(p, (_, stride))| row_length(p, *stride) * p.rows);
    let mut data = last.memory(capacity.sum());
    for (plane, (bytes, stride)) in planes.iter_mut().zip(source) {
        plane.offset = data.len();
        if stride < plane.row_bytes || bytes.len() < stride * (plane.rows - 1) + plane.row_bytes {
            return Err(corrupt(format!("a plane of {} bytes", bytes.len())));
        }
        if normalize_stride && stride != plane.row_bytes {
            for row in bytes.chunks(stride).take(plane.rows) {
                data.extend_from_slice(&row[..plane.row_bytes]);
            }
        } else {
            plane.stride = stride;
            data.extend_from_slice(&bytes[..stride * (plane.rows - 1) + plane.row_bytes]);
        }
    }
    let frame = VideoFrame::with_planes(format, size.width, size.height, data, planes)
        .map_err(|e| corrupt(e.to_string()))?;
    last.0 = frame.data().clone();
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memory_of_a_picture_is_used_again_once_nobody_holds_it() {
        let mut last = LastPicture::default();
        let mut copy = |value: u8| {
            let (y, chroma) = (vec![value; 64 * 36], vec![value; 32 * 18]);
            let planes = [(&*y, 64), (&*chroma, 32), (&*chroma, 32)];
            let size = VideoSize {
                width: 64,
                height: 36,
            };
            let color = ColorSpace::default();
            copy_i420(Codec::Vp8, size, color, planes, true, &mut last).expect("a picture")
        };
        let first = copy(1);
        let at = first.data().as_ptr();
        drop(first);
        let second = copy(2);
        assert_eq!(second.data().as_ptr(), at);
        let third = copy(3);
        assert_ne!(third.data().as_ptr(), at);
        assert!(second.data().iter().all(|&byte| byte == 2));
        assert!(third.data().iter().all(|&byte| byte == 3));
    }
}
