//! Decoding and encoding again, for outputs that do not take what the publisher sends.

use crate::codec::Codec;
use crate::decode::{self, AudioDecoder, DecodeError, VideoDecoder};
use crate::encode::{self, AudioEncoder, AudioOptions, EncodeError, VideoEncoder, VideoOptions};
use crate::frame::{ConvertError, EncodedFrame, VideoFrame, VideoSize};

/// A frame could not be transcoded.
#[derive(Debug, thiserror::Error)]
pub(super) enum TranscodeError {
    #[error(transparent)]
    Decode(#[from] DecodeError),
    #[error(transparent)]
    Encode(#[from] EncodeError),
    #[error(transparent)]
    Scale(#[from] ConvertError),
}

/// The largest picture openh264 takes: this long, and this wide across.
const LARGEST: (u32, u32) = (3840, 2160);

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
        let timestamp_us = self.decoder.timestamp_us(frame);
        let encoded = self.encode(picture, timestamp_us, force_keyframe)?;
        Ok(encoded.map(|encoded| EncodedFrame {
            rotation: frame.rotation,
            lost_packets: frame.lost_packets,
            ..encoded
        }))
    }

    /// The next picture that waited for frames that do not come any more.
    pub(super) fn flush(&mut self) -> Result<Option<EncodedFrame>, TranscodeError> {
        match self.decoder.flush()? {
            Some((picture, timestamp_us)) => self.encode(picture, timestamp_us, false),
            None => Ok(None),
        }
    }

    fn encode(
        &mut self,
        mut picture: VideoFrame,
        timestamp_us: i64,
        force_keyframe: bool,
    ) -> Result<Option<EncodedFrame>, TranscodeError> {
        if let Some(VideoSize { width, height }) = smaller(picture.size()) {
            picture = picture.scale(width, height)?;
        }
        Ok(self
            .encoder
            .encode(&picture, timestamp_us, force_keyframe)?)
    }
}

/// The size in the same proportions that the encoder takes, if this one is too large.
fn smaller(size: VideoSize) -> Option<VideoSize> {
    let (long, across) = (size.width.max(size.height), size.width.min(size.height));
    if long <= LARGEST.0 && across <= LARGEST.1 {
        return None;
    }
    let factor =
        (f64::from(LARGEST.0) / f64::from(long)).min(f64::from(LARGEST.1) / f64::from(across));
    let even = |pixels: u32| ((f64::from(pixels) * factor) as u32 & !1).max(16);
    Some(VideoSize {
        width: even(size.width),
        height: even(size.height),
    })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_encoder_refuses_is_made_smaller() {
        let size = |width, height| VideoSize { width, height };
        assert_eq!(smaller(size(1280, 720)), None);
        assert_eq!(smaller(size(2160, 3840)), None);
        assert_eq!(smaller(size(5120, 1440)), Some(size(3840, 1080)));
        assert_eq!(smaller(size(3840, 2400)), Some(size(3456, 2160)));
    }
}
