//! AV1 by rav1d, dav1d in Rust.

mod library;

use super::{
    DecodeError, LastPicture, MAX_PIXELS, PLANAR_FORMATS, VideoDecoder, VideoOptions, copy_planes,
    planar_format,
};
use crate::codec::Codec;
use crate::frame::{ColorMatrix, ColorRange, ColorSpace, EncodedFrame, VideoFrame, VideoSize};
use library::{Decoder, Error, Layout, Picture};

/// Decodes temporal units, of which the last frame is shown: that of the highest spatial layer.
pub(crate) struct Av1Decoder {
    decoder: Decoder,
    options: VideoOptions,
    /// No frame can be decoded before the next keyframe.
    waiting: bool,
    last: LastPicture,
}

impl Av1Decoder {
    pub(crate) fn new(options: &VideoOptions) -> Result<Self, DecodeError> {
        Ok(Self {
            decoder: open()?,
            options: options.clone(),
            waiting: true,
            last: LastPicture::default(),
        })
    }

    /// The last picture of a temporal unit.
    fn pictures(&mut self, data: &[u8]) -> Result<Option<Picture>, Error> {
        let mut last = None;
        let mut sent = self.decoder.send(data);
        loop {
            match self.decoder.picture() {
                Ok(picture) => last = Some(picture),
                Err(error) if error.is_again() && sent.is_ok() => return Ok(last),
                Err(error) if error.is_again() => {}
                Err(error) => return Err(error),
            }
            match sent {
                Ok(()) => {}
                Err(error) if error.is_again() => sent = self.decoder.send_pending(),
                Err(error) => return Err(error),
            }
        }
    }
}

fn open() -> Result<Decoder, DecodeError> {
    Decoder::open(u32::try_from(MAX_PIXELS).unwrap_or(u32::MAX)).map_err(corrupt)
}

impl VideoDecoder for Av1Decoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError> {
        if self.waiting && !frame.keyframe {
            return Ok(None);
        }
        if frame.data.is_empty() {
            self.waiting = true;
            return Err(corrupt("a frame of 0 bytes"));
        }
        let picture = match self.pictures(&frame.data) {
            Ok(picture) => picture,
            Err(error) => {
                self.waiting = true;
                // What is left of the frame inside goes with its decoder.
                self.decoder = open()?;
                return Err(corrupt(error));
            }
        };
        self.waiting = false;
        picture
            .map(|picture| copy(&picture, self.options.normalize_stride, &mut self.last))
            .transpose()
    }
}

fn copy(
    picture: &Picture,
    normalize_stride: bool,
    last: &mut LastPicture,
) -> Result<VideoFrame, DecodeError> {
    let (layout, bits) = (picture.layout(), picture.bit_depth());
    let shifts = match layout {
        Some(Layout::I420) => Some((1, 1)),
        Some(Layout::I422) => Some((1, 0)),
        Some(Layout::I444) => Some((0, 0)),
        Some(Layout::I400) | None => None,
    };
    let format = shifts.and_then(|shifts| planar_format(shifts, bits));
    let format = format.ok_or_else(|| {
        let layout = layout.map_or("an unknown layout".to_owned(), |it| format!("{it:?}"));
        corrupt(format!("{layout} of {bits} bits, {PLANAR_FORMATS}"))
    })?;
    let (bt709, full) = picture.color();
    let color = ColorSpace {
        matrix: if bt709 {
            ColorMatrix::Bt709
        } else {
            ColorMatrix::Bt601
        },
        range: if full {
            ColorRange::Full
        } else {
            ColorRange::Limited
        },
    };
    let size = VideoSize {
        width: picture.width(),
        height: picture.height(),
    };
    let planes = [picture.plane(0), picture.plane(1), picture.plane(2)];
    let picture = copy_planes(Codec::Av1, format, size, planes, normalize_stride, last)?;
    Ok(picture.with_color(color))
}

fn corrupt(reason: impl std::fmt::Display) -> DecodeError {
    DecodeError::Corrupt {
        codec: Codec::Av1,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
