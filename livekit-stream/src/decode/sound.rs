//! Sound in codecs that [`Codec`](crate::codec::Codec) does not have, as containers carry it.

use bytes::Bytes;

use super::DecodeError;
use crate::frame::AudioFrame;

/// What a container says of a sound track.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct AudioFormat {
    /// The codec, by Matroska's codec ID (`A_AC3`, `A_EAC3`, `A_DTS`, `A_TRUEHD`, `A_FLAC`,
    /// `A_MPEG/L3`, `A_PCM/INT/LIT`, ...) or by FFmpeg's name (`ac3`, `eac3`, `dts`, ...).
    pub codec: String,
    /// Matroska's CodecPrivate, the codec's out-of-band configuration; may be empty.
    pub codec_private: Bytes,
    /// Samples a second; 0 where the container does not tell.
    pub sample_rate: u32,
    /// Channels; 0 where the container does not tell.
    pub num_channels: u32,
    /// Bits a sample, which PCM needs; 0 where the container does not tell.
    pub bits_per_sample: u32,
}

impl AudioFormat {
    /// A track of which only the codec is known.
    pub fn new(codec: impl Into<String>) -> Self {
        Self {
            codec: codec.into(),
            ..Self::default()
        }
    }
}

/// Turns the packets of one sound track into sound.
pub trait PacketDecoder: Send {
    /// Decodes one packet, as the container has it, and appends its sound to `out`. After an error
    /// the decoder goes on with the next packet.
    ///
    /// Times of sound are counted from those of the packets, less what the decoder's and the
    /// resampler's delay is.
    fn decode(
        &mut self,
        packet: &[u8],
        timestamp_us: i64,
        out: &mut Vec<AudioFrame>,
    ) -> Result<(), DecodeError>;

    /// Appends what is left after the last packet.
    fn flush(&mut self, out: &mut Vec<AudioFrame>) -> Result<(), DecodeError>;
}

/// The decoder for a sound track of any codec, giving sound of `sample_rate` hertz in
/// `num_channels` channels, 1 or 2: more channels are mixed down, another rate is resampled.
///
/// Needs the feature `ffmpeg`.
///
/// ```
/// use livekit_stream::decode::{AudioFormat, any_audio_decoder};
///
/// let decoder = any_audio_decoder(&AudioFormat::new("A_AC3"), 48_000, 2);
/// assert_eq!(decoder.is_ok(), cfg!(feature = "ffmpeg"));
/// ```
///
/// # Errors
///
/// [`DecodeError::UnknownCodec`] for a codec without a decoder, and for every codec without the
/// feature `ffmpeg`; [`DecodeError::OptionOutOfRange`]; [`DecodeError::Other`] where the decoder
/// refuses the configuration.
pub fn any_audio_decoder(
    format: &AudioFormat,
    sample_rate: u32,
    num_channels: u32,
) -> Result<Box<dyn PacketDecoder>, DecodeError> {
    if !(8_000..=192_000).contains(&sample_rate) {
        return Err(DecodeError::OptionOutOfRange {
            option: "sample_rate",
            value: sample_rate.to_string(),
            allowed: "8000 to 192000 Hz",
        });
    }
    if !matches!(num_channels, 1 | 2) {
        return Err(DecodeError::OptionOutOfRange {
            option: "num_channels",
            value: num_channels.to_string(),
            allowed: "1 or 2",
        });
    }
    #[cfg(feature = "ffmpeg")]
    {
        let decoder = crate::ffmpeg::SoundDecoder::new(format, sample_rate, num_channels)?;
        Ok(Box::new(decoder))
    }
    #[cfg(not(feature = "ffmpeg"))]
    Err(DecodeError::UnknownCodec {
        name: format.codec.clone(),
        hint: ": build livekit-stream with its feature `ffmpeg`",
    })
}
