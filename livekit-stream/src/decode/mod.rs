//! Decoders: encoded frames in, pictures and sound out. One file per backend. Depends on
//! [`crate::frame`] and [`crate::codec`].

#[cfg(feature = "av1")]
mod av1;
mod libopus;
mod openh264;
mod opus;
mod vpx;

use bytes::{Bytes, BytesMut};

use crate::codec::Codec;
use crate::frame::{
    AudioFrame, ColorSpace, EncodedFrame, Plane, VideoFormat, VideoFrame, VideoSize,
};

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
/// frame.
///
/// After an error the decoder goes on at the next keyframe and shows nothing for the frames
/// before it, which would refer to what is missing.
pub trait VideoDecoder: Send {
    /// Decodes one frame. `Ok(None)`: nothing to show for it.
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError>;
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
/// [`DecodeError::UnsupportedCodec`] for a codec that carries no pictures, for H.265, and for AV1
/// without the feature `av1`; [`DecodeError::LibraryMissing`] for VP8 and VP9 when libvpx is not
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
        Codec::H265 => Err(DecodeError::UnsupportedCodec {
            codec,
            hint: ": take its frames as they are (copied to MP4, or as encoded frames); a decoder \
                   will come with the feature `ffmpeg`, which this version does not have",
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
        Codec::Aac => Err(DecodeError::UnsupportedCodec { codec, hint: "" }),
        Codec::H264 | Codec::H265 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => {
            Err(DecodeError::UnsupportedCodec {
                codec,
                hint: ": it does not carry sound",
            })
        }
    }
}

/// Largest picture that is decoded, in pixels: 8192x8192. A few bytes of a hostile keyframe
/// header could otherwise claim gigabytes.
const MAX_PIXELS: u64 = 1 << 26;

/// The memory of a decoder's last picture, for the next one if nobody holds the last any more: fresh
/// memory of that size costs the system a page fault every 4 KiB.
#[derive(Default)]
struct LastPicture(Bytes);

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

/// Copies I420 planes out of a decoder's memory: `(bytes, stride)` each.
fn copy_i420(
    codec: Codec,
    size: VideoSize,
    color: ColorSpace,
    source: [(&[u8], usize); 3],
    normalize_stride: bool,
    last: &mut LastPicture,
) -> Result<VideoFrame, DecodeError> {
    let corrupt = |reason: String| DecodeError::Corrupt { codec, reason };
    let mut planes = VideoFormat::I420
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
    let frame = VideoFrame::with_planes(VideoFormat::I420, size.width, size.height, data, planes)
        .map_err(|e| corrupt(e.to_string()))?;
    last.0 = frame.data().clone();
    Ok(frame.with_color(color))
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
