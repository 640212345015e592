//! Decoding and encoding again, for outputs that do not take what the publisher sends.

use crate::codec::Codec;
use crate::decode::{self, AudioDecoder, DecodeError, VideoDecoder};
use crate::encode::{self, AudioEncoder, AudioOptions, EncodeError, VideoEncoder, VideoOptions};
use crate::frame::EncodedFrame;

/// A frame could not be transcoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum TranscodeError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
}

impl TranscodeError {
    /// Whether the next frame may do better: a frame was corrupt, not the set-up.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Decode(DecodeError::Corrupt { .. }))
    }
}

/// One video track from any codec to H.264.
pub(super) struct VideoTranscoder {
    from: Codec,
    decoder: Box<dyn VideoDecoder>,
    encoder: Box<dyn VideoEncoder>,
}

impl VideoTranscoder {
    pub(super) fn new(
        from: Codec,
        to: Codec,
        options: VideoOptions,
    ) -> Result<Self, TranscodeError> {
        let decoder = decode::video_decoder(from)?;
        let encoder = encode::video_encoder(to, options)?;
        Ok(Self {
            from,
            decoder,
            encoder,
        })
    }

    pub(super) fn from(&self) -> Codec {
        self.from
    }

    pub(super) fn transcode(
        &mut self,
        frame: &EncodedFrame,
        force_keyframe: bool,
    ) -> Result<Option<EncodedFrame>, TranscodeError> {
        let Some(picture) = self.decoder.decode(frame)? else {
            return Ok(None);
        };
        let encoded = self
            .encoder
            .encode(&picture, frame.timestamp_us, force_keyframe)?;
        Ok(encoded.map(|encoded| EncodedFrame {
            rotation: frame.rotation,
            lost_packets: frame.lost_packets,
            ..encoded
        }))
    }
}

/// One audio track from Opus to AAC.
pub(super) struct AudioTranscoder {
    decoder: Box<dyn AudioDecoder>,
    encoder: Box<dyn AudioEncoder>,
}

impl AudioTranscoder {
    pub(super) fn new(
        from: Codec,
        to: Codec,
        options: AudioOptions,
    ) -> Result<Self, TranscodeError> {
        let decoder = decode::audio_decoder(from, options.sample_rate, options.num_channels)?;
        let encoder = encode::audio_encoder(to, options)?;
        Ok(Self { decoder, encoder })
    }

    pub(super) fn transcode(
        &mut self,
        frame: &EncodedFrame,
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), TranscodeError> {
        let sound = self.decoder.decode(frame)?;
        self.encoder.encode(&sound, out)?;
        Ok(())
    }

    pub(super) fn flush(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), TranscodeError> {
        self.encoder.flush(out)?;
        Ok(())
    }
}
