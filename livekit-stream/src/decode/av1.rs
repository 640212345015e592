//! AV1 by rav1d, dav1d in Rust.

use bytes::Bytes;
use re_rav1d::dav1d::pixel::{MatrixCoefficients, YUVRange};
use re_rav1d::dav1d::{Decoder, Error, Picture, PixelLayout, PlanarImageComponent, Settings};

use super::{DecodeError, LastPicture, MAX_PIXELS, VideoDecoder, VideoOptions, copy_i420};
use crate::codec::Codec;
use crate::frame::{ColorMatrix, ColorRange, ColorSpace, EncodedFrame, VideoFrame, VideoSize};

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
    fn pictures(&mut self, data: Bytes) -> Result<Option<Picture>, Error> {
        let mut last = None;
        let mut sent = self.decoder.send_data(data, None, None, None);
        loop {
            match self.decoder.get_picture() {
                Ok(picture) => last = Some(picture),
                Err(Error::Again) if sent.is_ok() => return Ok(last),
                Err(Error::Again) => {}
                Err(error) => return Err(error),
            }
            match sent {
                Ok(()) => {}
                Err(Error::Again) => sent = self.decoder.send_pending_data(),
                Err(error) => return Err(error),
            }
        }
    }
}

/// One thread and no delay: each frame comes out before the next goes in.
fn open() -> Result<Decoder, DecodeError> {
    let mut settings = Settings::new();
    settings.set_n_threads(1);
    settings.set_max_frame_delay(1);
    settings.set_frame_size_limit(u32::try_from(MAX_PIXELS).unwrap_or(u32::MAX));
    // Without, a temporal unit that lacks the highest layer would show nothing.
    settings.set_all_layers(true);
    Decoder::with_settings(&settings).map_err(corrupt)
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
        let picture = match self.pictures(frame.data.clone()) {
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
    let (layout, bits) = (picture.pixel_layout(), picture.bit_depth());
    if layout != PixelLayout::I420 || bits != 8 {
        return Err(corrupt(format!(
            "{layout:?} of {bits} bits, only 4:2:0 of 8 bits is decoded"
        )));
    }
    let color = ColorSpace {
        matrix: match picture.matrix_coefficients() {
            MatrixCoefficients::BT709 => ColorMatrix::Bt709,
            _ => ColorMatrix::Bt601,
        },
        range: match picture.color_range() {
            YUVRange::Full => ColorRange::Full,
            YUVRange::Limited => ColorRange::Limited,
        },
    };
    let components = [
        PlanarImageComponent::Y,
        PlanarImageComponent::U,
        PlanarImageComponent::V,
    ];
    let planes = components.map(|component| picture.plane(component));
    let [y, u, v] = &planes;
    let stride = |component| picture.stride(component) as usize;
    let size = VideoSize {
        width: picture.width(),
        height: picture.height(),
    };
    copy_i420(
        Codec::Av1,
        size,
        color,
        [
            (y, stride(PlanarImageComponent::Y)),
            (u, stride(PlanarImageComponent::U)),
            (v, stride(PlanarImageComponent::V)),
        ],
        normalize_stride,
        last,
    )
}

fn corrupt(reason: impl std::fmt::Display) -> DecodeError {
    DecodeError::Corrupt {
        codec: Codec::Av1,
        reason: reason.to_string(),
    }
}

#[cfg(test)]
mod tests;
