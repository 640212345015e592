//! Pictures of codecs that only FFmpeg decodes here: H.265.

use std::collections::VecDeque;

use ffmpeg_next::codec::Id;
use ffmpeg_next::codec::decoder::{self, Opened};
use ffmpeg_next::{Dictionary, Error, Packet, frame};

use super::context::{MICROSECONDS, with_extradata};
use super::picture::Pictures;
use crate::codec::Codec;
use crate::decode::{DecodeError, MAX_PIXELS, VideoDecoder, VideoOptions};
use crate::frame::{EncodedFrame, VideoFrame};

/// Decodes one frame at a time on the calling thread. Pictures come out in the order they are
/// shown in: where the parameter sets announce reordering, so many frames later.
pub(crate) struct FfmpegDecoder {
    codec: Codec,
    decoder: Opened,
    pictures: Pictures,
    /// Pictures that came out and were not given yet; there is room for no more than a decoder
    /// may hold back.
    ready: VecDeque<(VideoFrame, i64)>,
    /// When the picture given last is to be shown.
    given_us: Option<i64>,
    /// No frame can be decoded before the next keyframe.
    waiting: bool,
    drained: bool,
}

impl FfmpegDecoder {
    pub(crate) fn new(codec: Codec, options: &VideoOptions) -> Result<Self, DecodeError> {
        Ok(Self {
            codec,
            decoder: open(codec)?,
            pictures: Pictures::new(codec, options.normalize_stride),
            ready: VecDeque::new(),
            given_us: None,
            waiting: true,
            drained: false,
        })
    }

    fn receive(&mut self) -> Result<(), DecodeError> {
        let mut picture = frame::Video::empty();
        loop {
            match self.decoder.receive_frame(&mut picture) {
                Ok(()) => {
                    let time_us = picture.pts().unwrap_or_default();
                    self.ready
                        .push_back((self.pictures.copy(&picture)?, time_us));
                }
                Err(Error::Eof) => return Ok(()),
                Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => return Ok(()),
                Err(error) => return Err(corrupt(self.codec, &error)),
            }
        }
    }

    fn pictures_of(&mut self, frame: &EncodedFrame) -> Result<(), DecodeError> {
        if frame.data.is_empty() {
            return Err(corrupt(self.codec, &"a frame of 0 bytes"));
        }
        let mut packet = Packet::copy(&frame.data);
        packet.set_pts(Some(frame.timestamp_us));
        self.decoder
            .send_packet(&packet)
            .map_err(|error| corrupt(self.codec, &error))?;
        self.receive()
    }

    fn give(&mut self) -> Option<VideoFrame> {
        let (picture, time_us) = self.ready.pop_front()?;
        self.given_us = Some(time_us);
        Some(picture)
    }
}

impl VideoDecoder for FfmpegDecoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError> {
        self.given_us = None;
        if self.drained {
            self.decoder.flush();
            self.drained = false;
            self.waiting = true;
        }
        if self.waiting && !frame.keyframe {
            return Ok(None);
        }
        if let Err(error) = self.pictures_of(frame) {
            // What is left of the frame inside goes with its decoder, and so do the pictures
            // before it, which nobody would be told the time of.
            self.waiting = true;
            self.ready.clear();
            self.decoder = open(self.codec)?;
            return Err(error);
        }
        self.waiting = false;
        Ok(self.give())
    }

    fn timestamp_us(&self, frame: &EncodedFrame) -> i64 {
        self.given_us.unwrap_or(frame.timestamp_us)
    }

    fn flush(&mut self) -> Result<Option<(VideoFrame, i64)>, DecodeError> {
        if !self.drained {
            self.drained = true;
            self.decoder
                .send_eof()
                .map_err(|error| corrupt(self.codec, &error))?;
            self.receive()?;
        }
        Ok(self.ready.pop_front())
    }
}

/// One thread, so that no picture waits for another one's thread, and nothing made up: a damaged
/// frame is an error.
fn open(codec: Codec) -> Result<Opened, DecodeError> {
    super::start();
    let id = match codec {
        Codec::H265 => Id::HEVC,
        _ => {
            return Err(DecodeError::UnsupportedCodec { codec, hint: "" });
        }
    };
    let found = decoder::find(id).ok_or(DecodeError::UnsupportedCodec {
        codec,
        hint: ": the FFmpeg libraries of this system are built without it",
    })?;
    let options: Dictionary = [
        ("threads", "1"),
        ("err_detect", "explode"),
        ("max_pixels", &MAX_PIXELS.to_string()),
    ]
    .into_iter()
    .collect();
    let context = with_extradata(found, &[]).map_err(|error| corrupt(codec, &error))?;
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(MICROSECONDS);
    decoder
        .open_as_with(found, options)
        .map_err(|error| corrupt(codec, &error))
}

fn corrupt(codec: Codec, reason: &dyn std::fmt::Display) -> DecodeError {
    DecodeError::Corrupt {
        codec,
        reason: reason.to_string(),
    }
}
