//! Pictures of any codec in a container.

use ffmpeg_next::codec::{Context, decoder};
use ffmpeg_next::{Dictionary, Error, frame};

use super::context::MICROSECONDS;
use super::input::{InputPacket, TrackInfo};
use super::picture::Pictures;
use crate::codec::Codec;
use crate::decode::{DecodeError, MAX_PIXELS};
use crate::frame::VideoFrame;

/// Decodes a track's packets on as many threads as FFmpeg takes; pictures come in the order they are
/// shown in. What is damaged is concealed as FFmpeg does it.
pub(crate) struct PictureDecoder {
    name: String,
    decoder: decoder::Opened,
    pictures: Pictures,
    /// When the next picture is to be shown if nothing tells, and how long one is shown.
    next_us: i64,
    frame_us: i64,
}

impl PictureDecoder {
    pub(crate) fn new(track: &TrackInfo) -> Result<Self, DecodeError> {
        let failed = |error: Error| DecodeError::Other {
            name: track.name.clone(),
            reason: error.to_string(),
        };
        let codec =
            decoder::find(track.parameters.id()).ok_or_else(|| DecodeError::UnknownCodec {
                name: track.name.clone(),
                hint: ": the FFmpeg libraries of this system have no decoder for it",
            })?;
        let context = Context::from_parameters(track.parameters.clone()).map_err(failed)?;
        let mut decoder = context.decoder();
        decoder.set_packet_time_base(MICROSECONDS);
        let options: Dictionary = [("threads", "auto"), ("max_pixels", &MAX_PIXELS.to_string())]
            .into_iter()
            .collect();
        Ok(Self {
            name: track.name.clone(),
            decoder: decoder.open_as_with(codec, options).map_err(failed)?,
            // The codec is for messages alone, which get the right name below.
            pictures: Pictures::new(track.codec.unwrap_or(Codec::H264), true),
            next_us: 0,
            frame_us: (1e6 / track.frame_rate.unwrap_or(25.0).clamp(1.0, 1000.0)) as i64,
        })
    }

    /// Appends the pictures that are ready, with their times.
    pub(crate) fn decode(
        &mut self,
        packet: &InputPacket,
        out: &mut Vec<(VideoFrame, i64)>,
    ) -> Result<(), DecodeError> {
        let sent = self.decoder.send_packet(&packet.packet);
        sent.map_err(|error| self.failed(&error))?;
        self.receive(out)
    }

    /// Appends what is left.
    pub(crate) fn flush(&mut self, out: &mut Vec<(VideoFrame, i64)>) -> Result<(), DecodeError> {
        // A decoder that has ended says so.
        let _ = self.decoder.send_eof();
        self.receive(out)
    }

    fn receive(&mut self, out: &mut Vec<(VideoFrame, i64)>) -> Result<(), DecodeError> {
        let mut picture = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {
                    // AVI has no presentation times: the last pictures come without.
                    let time_us = picture.timestamp().unwrap_or(self.next_us);
                    self.next_us = time_us.saturating_add(self.frame_us);
                    let copied = self.pictures.copy(&picture);
                    let copied = copied.map_err(|error| match error {
                        DecodeError::Corrupt { reason, .. } => self.failed(&reason),
                        other => other,
                    })?;
                    out.push((copied, time_us));
                }
                Err(Error::Eof) => return Ok(()),
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => return Ok(()),
                Err(error) => return Err(self.failed(&error)),
            }
        }
    }

    fn failed(&self, reason: &dyn std::fmt::Display) -> DecodeError {
        DecodeError::Other {
            name: self.name.clone(),
            reason: reason.to_string(),
        }
    }
}
