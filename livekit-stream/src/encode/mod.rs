//! Encoders: pictures and sound in, encoded frames out. One file per backend. Depends on
//! [`crate::frame`] and [`crate::codec`].

#[cfg(feature = "aac")]
mod aac;
mod choice;
mod framing;
pub(crate) mod h264;
mod libopus;
mod openh264;
mod opus;
#[cfg(test)]
mod sweep;

use crate::codec::Codec;
use crate::frame::{AudioFrame, EncodedFrame, VideoFrame, VideoRotation, VideoSize};

/// A frame could not be encoded, or an encoder could not be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EncodeError {
    /// No encoder for this codec is built in.
    #[error("no encoder for {codec}{hint}")]
    UnsupportedCodec {
        /// The codec.
        codec: Codec,
        /// What to do about it, or empty.
        hint: &'static str,
    },
    /// The encoder asked for is not built in or does not start on this machine.
    #[error("the encoder {name} {reason}; there are: {available}")]
    EncoderMissing {
        /// The encoder's name.
        name: &'static str,
        /// Why it cannot be had.
        reason: String,
        /// The names of those that start.
        available: String,
    },
    /// An option is out of the encoder's range.
    #[error("{option} = {value} is out of range: {allowed}")]
    OptionOutOfRange {
        /// The option's name.
        option: &'static str,
        /// The value given.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A picture has another size than the encoder was made for.
    #[error("the encoder takes {expected_width}x{expected_height} pictures, not {width}x{height}")]
    WrongSize {
        /// Width wanted.
        expected_width: u32,
        /// Height wanted.
        expected_height: u32,
        /// Width given.
        width: u32,
        /// Height given.
        height: u32,
    },
    /// The encoder failed.
    #[error("{codec} encoder: {reason}")]
    Failed {
        /// The codec.
        codec: Codec,
        /// What the encoder said.
        reason: String,
    },
}

#[cfg(feature = "ffmpeg")]
pub(crate) use choice::names as encoder_names;
pub use choice::{H264Encoder, Preset, UnknownName, h264_encoders};

/// What a video encoder is asked for.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// Target bits a second. `None`: chosen from size and frame rate.
    pub bit_rate: Option<u32>,
    /// Expected frames a second, for rate control. Default 30.
    pub frame_rate: f32,
    /// Longest distance between keyframes in frames. Default 60.
    pub gop_size: u32,
    /// Speed against quality.
    pub preset: Preset,
    /// Which encoder does it. Default [`H264Encoder::OpenH264`].
    pub encoder: H264Encoder,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            bit_rate: None,
            frame_rate: 30.0,
            gop_size: 60,
            preset: Preset::default(),
            encoder: H264Encoder::default(),
        }
    }
}

/// Bounds of the bit rate in bits a second: below, no picture is left; above, it is more than level
/// 5.2 of H.264 allows the baseline profile.
const BIT_RATES: std::ops::RangeInclusive<u32> = 10_000..=240_000_000;
/// Bits a pixel when no bit rate is asked for: 3 Mb/s at 1280x720 and 30 frames a second.
const DEFAULT_BITS_PER_PIXEL: f64 = 0.11;

impl VideoOptions {
    fn check(&self) -> Result<(), EncodeError> {
        if let Some(bit_rate) = self.bit_rate
            && !BIT_RATES.contains(&bit_rate)
        {
            return Err(EncodeError::OptionOutOfRange {
                option: "bit_rate",
                value: bit_rate.to_string(),
                allowed: "10 000 to 240 000 000 bits a second",
            });
        }
        if !(1.0..=120.0).contains(&self.frame_rate) {
            return Err(EncodeError::OptionOutOfRange {
                option: "frame_rate",
                value: self.frame_rate.to_string(),
                allowed: "1 to 120 frames a second",
            });
        }
        if self.gop_size == 0 || self.gop_size > i32::MAX as u32 {
            return Err(EncodeError::OptionOutOfRange {
                option: "gop_size",
                value: self.gop_size.to_string(),
                allowed: "1 frame or more",
            });
        }
        Ok(())
    }

    /// Bits a second for pictures of this size.
    pub(crate) fn bit_rate_for(&self, size: VideoSize) -> u32 {
        let pixels = f64::from(size.width) * f64::from(size.height);
        let rate = pixels * f64::from(self.frame_rate) * DEFAULT_BITS_PER_PIXEL;
        let bit_rate = self.bit_rate.unwrap_or(rate as u32);
        bit_rate.clamp(*BIT_RATES.start(), *BIT_RATES.end())
    }
}

/// Turns the pictures of one track into encoded frames, one each, without delay.
///
/// A picture of another size than the one before starts a new sequence with a keyframe and new
/// parameter sets.
pub trait VideoEncoder: Send {
    /// Encodes one picture. `Ok(None)`: rate control skipped it.
    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp_us: i64,
        force_keyframe: bool,
    ) -> Result<Option<EncodedFrame>, EncodeError>;
}

/// The encoder for `codec`; it starts with the first picture's size.
///
/// ```
/// use livekit_stream::codec::Codec;
/// use livekit_stream::encode::{VideoOptions, video_encoder};
/// use livekit_stream::frame::{VideoFormat, VideoFrame};
///
/// let mut encoder = video_encoder(Codec::H264, VideoOptions::default())?;
/// let black = VideoFrame::blank(VideoFormat::I420, 320, 240)?;
/// let frame = encoder.encode(&black, 0, false)?.expect("never skipped");
/// assert!(frame.keyframe && frame.data.starts_with(&[0, 0, 0, 1, 0x67]));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// # Errors
///
/// [`EncodeError::UnsupportedCodec`] for a codec that this crate does not encode,
/// [`EncodeError::EncoderMissing`] for an encoder that this build or this machine does not have,
/// and [`EncodeError::OptionOutOfRange`].
pub fn video_encoder(
    codec: Codec,
    options: VideoOptions,
) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    match codec {
        Codec::H264 => {
            options.check()?;
            choice::open(options)
        }
        Codec::H265 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => Err(EncodeError::UnsupportedCodec {
            codec,
            hint: ": pictures are encoded as H.264",
        }),
        Codec::Opus | Codec::Aac => Err(EncodeError::UnsupportedCodec {
            codec,
            hint: ": it does not carry pictures",
        }),
    }
}

/// What an audio encoder is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct AudioOptions {
    /// Target bits a second. Default 128 000.
    pub bit_rate: u32,
    /// Samples a second the encoder works at. Default 48 000.
    pub sample_rate: u32,
    /// Channels the encoder works with, 1 or 2. Default 2.
    pub num_channels: u32,
}

impl Default for AudioOptions {
    fn default() -> Self {
        Self {
            bit_rate: 128_000,
            sample_rate: 48_000,
            num_channels: 2,
        }
    }
}

/// Turns the sound of one track into encoded frames of the codec's own length. Input of another
/// rate or channel count is converted.
///
/// # Times
///
/// Frames follow each other without gap or overlap, counted in samples from the time of the
/// first one, so they do not inherit the jitter of the input's timestamps. Where those leave the
/// count, the sound follows them:
/// * a jump forward by more than 100 ms is filled with silence, one by more than 10 s is not
///   filled but starts the count anew;
/// * a jump back by more than 100 ms drops the sound that is there already, one by more than 10 s
///   is taken for a restarted clock and goes on without a gap;
/// * a smaller difference of more than 20 ms that lasts for half a second is drift, and is made
///   up by inserting silence or dropping samples.
///
/// The encoder's own delay is taken out: what a decoder makes of a frame, without trimming
/// anything, is the sound at the frame's time. The priming frames before the first sample are
/// not given out.
pub trait AudioEncoder: Send {
    /// Takes sound and appends the frames that it completed to `out`.
    fn encode(
        &mut self,
        frame: &AudioFrame,
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), EncodeError>;
    /// Appends what is left, the last frame padded with silence.
    fn flush(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), EncodeError>;
    /// The codec's out-of-band configuration: the AudioSpecificConfig of AAC, the `OpusHead` of Opus.
    fn codec_config(&self) -> bytes::Bytes;
}

/// The encoder for `codec`.
///
/// Opus frames are 20 ms long, AAC frames 1024 samples. Opus works at 8, 12, 16, 24 or 48 kHz.
///
/// # Errors
///
/// [`EncodeError::UnsupportedCodec`] for a codec that this crate, or this build of it, does not
/// encode, and [`EncodeError::OptionOutOfRange`].
#[expect(
    clippy::needless_pass_by_value,
    reason = "options are handed over as those of `video_encoder` are"
)]
pub fn audio_encoder(
    codec: Codec,
    options: AudioOptions,
) -> Result<Box<dyn AudioEncoder>, EncodeError> {
    match codec {
        Codec::Opus => Ok(Box::new(opus::OpusEncoder::new(&options)?)),
        #[cfg(feature = "aac")]
        Codec::Aac => Ok(Box::new(aac::AacEncoder::new(&options)?)),
        #[cfg(not(feature = "aac"))]
        Codec::Aac => Err(EncodeError::UnsupportedCodec {
            codec,
            hint: ": build livekit-stream with its feature `aac`",
        }),
        Codec::H264 | Codec::H265 | Codec::Vp8 | Codec::Vp9 | Codec::Av1 => {
            Err(EncodeError::UnsupportedCodec {
                codec,
                hint: ": it does not carry sound",
            })
        }
    }
}

fn check_channels(options: &AudioOptions) -> Result<(), EncodeError> {
    if matches!(options.num_channels, 1 | 2) {
        return Ok(());
    }
    Err(EncodeError::OptionOutOfRange {
        option: "num_channels",
        value: options.num_channels.to_string(),
        allowed: "1 or 2",
    })
}

/// One packet of sound.
fn sound(codec: Codec, data: Vec<u8>, timestamp_us: i64) -> EncodedFrame {
    EncodedFrame {
        codec,
        data: data.into(),
        keyframe: true,
        timestamp_us,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}
