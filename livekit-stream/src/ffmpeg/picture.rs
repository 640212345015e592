//! Pictures from FFmpeg's memory to ours.
#![allow(unsafe_code)]

use std::slice;

use ffmpeg_next::format::Pixel;
use ffmpeg_next::software::scaling::{self, Flags};
use ffmpeg_next::{Error, color, frame};

use crate::codec::Codec;
use crate::decode::{DecodeError, LastPicture, copy_planes};
use crate::frame::{
    ColorMatrix, ColorRange, ColorSpace, ConvertError, Plane, VideoFormat, VideoFrame, VideoSize,
};

/// Copies pictures to [`VideoFrame`]s: 4:2:0, 4:2:2 and 4:4:4 of 8 bits and 4:2:0 of 10 bits as
/// they are, all else converted to the nearest of them.
pub(super) struct Pictures {
    codec: Codec,
    normalize_stride: bool,
    last: LastPicture,
    converter: Option<Converter>,
}

/// FFmpeg's scaler, which only changes the format here.
struct Converter(scaling::Context);

// SAFETY: the context is owned and used through `&mut` alone; libswscale ties it to no thread.
unsafe impl Send for Converter {}

impl Pictures {
    pub(super) fn new(codec: Codec, normalize_stride: bool) -> Self {
        Self {
            codec,
            normalize_stride,
            last: LastPicture::default(),
            converter: None,
        }
    }

    pub(super) fn copy(&mut self, picture: &frame::Video) -> Result<VideoFrame, DecodeError> {
        let color = color_of(picture);
        let format = match picture.format() {
            Pixel::YUV420P | Pixel::YUVJ420P => VideoFormat::I420,
            Pixel::YUV422P | Pixel::YUVJ422P => VideoFormat::I422,
            Pixel::YUV444P | Pixel::YUVJ444P => VideoFormat::I444,
            Pixel::YUV420P10LE => VideoFormat::I010,
            other => {
                let converted = self.convert(picture, other)?;
                let format = match converted.format() {
                    Pixel::YUV420P10LE => VideoFormat::I010,
                    _ => VideoFormat::I420,
                };
                return self.copy_as(&converted, format, color);
            }
        };
        self.copy_as(picture, format, color)
    }

    fn copy_as(
        &mut self,
        picture: &frame::Video,
        format: VideoFormat,
        color: ColorSpace,
    ) -> Result<VideoFrame, DecodeError> {
        let size = VideoSize {
            width: picture.width(),
            height: picture.height(),
        };
        let corrupt = |reason: String| DecodeError::Corrupt {
            codec: self.codec,
            reason,
        };
        let shapes = format
            .tight_planes(size.width, size.height)
            .ok_or_else(|| corrupt(format!("a picture of {}x{}", size.width, size.height)))?;
        let mut planes: [(&[u8], usize); 3] = [(&[], 0); 3];
        for (index, (plane, shape)) in planes.iter_mut().zip(&shapes).enumerate() {
            // SAFETY: FFmpeg's picture has `rows` rows of at least `row_bytes` bytes in each
            // plane of its format, `linesize` apart and forward where it is positive; the slice
            // ends with the last row's last pixel and borrows the picture.
            *plane = unsafe {
                let data = (*picture.as_ptr()).data[index];
                let stride = usize::try_from((*picture.as_ptr()).linesize[index]).unwrap_or(0);
                if data.is_null() || stride < shape.row_bytes {
                    return Err(corrupt(format!("plane {index} of {format:?} is not there")));
                }
                let length = stride * (shape.rows - 1) + shape.row_bytes;
                (slice::from_raw_parts(data, length), stride)
            };
        }
        let (normalize, last) = (self.normalize_stride, &mut self.last);
        let picture = copy_planes(self.codec, format, size, planes, normalize, last)?;
        Ok(picture.with_color(color))
    }

    fn convert(
        &mut self,
        picture: &frame::Video,
        from: Pixel,
    ) -> Result<frame::Video, DecodeError> {
        let failed = |error: Error| DecodeError::Corrupt {
            codec: self.codec,
            reason: format!("{from:?} cannot be converted: {error}"),
        };
        // Anything deeper keeps ten of its bits.
        let deep = from.descriptor().is_some_and(|descriptor| {
            // SAFETY: descriptors are static.
            unsafe { (*descriptor.as_ptr()).comp[0].depth > 8 }
        });
        let to = if deep {
            Pixel::YUV420P10LE
        } else {
            Pixel::YUV420P
        };
        let (width, height) = (picture.width(), picture.height());
        let fits = |one: &Converter| {
            let input = one.0.input();
            (input.format, input.width, input.height) == (from, width, height)
        };
        let converter = match self.converter.take().filter(fits) {
            Some(converter) => converter,
            None => Converter(
                scaling::Context::get(from, width, height, to, width, height, Flags::BILINEAR)
                    .map_err(failed)?,
            ),
        };
        let converter = self.converter.insert(converter);
        let mut converted = frame::Video::empty();
        converter.0.run(picture, &mut converted).map_err(failed)?;
        Ok(converted)
    }
}

/// A picture in FFmpeg's memory, converted to `format` (I420 or NV12) and cut to `size`.
pub(super) fn fill(
    frame: &VideoFrame,
    format: VideoFormat,
    size: VideoSize,
    scratch: &mut Vec<u8>,
) -> Result<frame::Video, ConvertError> {
    let pixel = match format {
        VideoFormat::Nv12 => Pixel::NV12,
        _ => Pixel::YUV420P,
    };
    let mut filled = frame::Video::new(pixel, size.width, size.height);
    let direct = frame.format() == format
        || (format, frame.format()) == (VideoFormat::I420, VideoFormat::I420A);
    let converted;
    let (data, planes): (&[u8], &[Plane]) = if direct {
        (frame.data(), frame.planes())
    } else {
        converted = frame.convert_to(format, scratch)?;
        (scratch, &converted)
    };
    let count = filled.planes();
    for (index, plane) in planes.iter().enumerate().take(count) {
        let (stride, rows) = (filled.stride(index), filled.plane_height(index) as usize);
        let row_bytes = plane.row_bytes.min(stride);
        let source = data.get(plane.offset..).unwrap_or_default();
        let target = filled.data_mut(index).chunks_mut(stride);
        let rows = source.chunks(plane.stride).zip(target).take(rows);
        for (from, to) in rows {
            let length = row_bytes.min(from.len());
            to[..length].copy_from_slice(&from[..length]);
        }
    }
    Ok(filled)
}

/// What the stream says of its colours: BT.709 if it says so, else BT.601; full range likewise.
fn color_of(picture: &frame::Video) -> ColorSpace {
    let full = picture.color_range() == color::Range::JPEG
        || matches!(
            picture.format(),
            Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P
        );
    ColorSpace {
        matrix: match picture.color_space() {
            color::Space::BT709 => ColorMatrix::Bt709,
            _ => ColorMatrix::Bt601,
        },
        range: if full {
            ColorRange::Full
        } else {
            ColorRange::Limited
        },
    }
}
