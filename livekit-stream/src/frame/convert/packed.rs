//! To and from the packed RGB formats.

use std::borrow::Cow;

use yuv::{
    BufferStoreMut, YuvBiPlanarImage, YuvBiPlanarImageMut, YuvConversionMode, YuvError,
    YuvPlanarImage, YuvPlanarImageMut, YuvPlanarImageWithAlpha,
};

use super::super::format::{Plane, VideoFormat};
use super::super::video::VideoFrame;
use super::{chroma, color_of, planar, split_planes, whole_plane};

/// A packed order that the pixel library knows.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Order {
    Rgba,
    Bgra,
    Rgb,
}

impl Order {
    fn bytes(self) -> usize {
        if self == Self::Rgb { 3 } else { 4 }
    }
}

/// The order of a packed format, and whether each pixel's four bytes must be reversed for it.
fn order_of(format: VideoFormat) -> (Order, bool) {
    match format {
        VideoFormat::Abgr => (Order::Rgba, true),
        VideoFormat::Argb => (Order::Bgra, true),
        VideoFormat::Bgra => (Order::Bgra, false),
        VideoFormat::Rgb24 => (Order::Rgb, false),
        _ => (Order::Rgba, false),
    }
}

/// Alpha first to alpha last and back.
fn reverse_pixels(pixels: &mut [u8]) {
    for pixel in pixels.as_chunks_mut::<4>().0 {
        *pixel = u32::from_ne_bytes(*pixel).swap_bytes().to_ne_bytes();
    }
}

/// A packed picture in an order that the library knows.
struct Pixels<'a> {
    data: Cow<'a, [u8]>,
    stride: u32,
    order: Order,
}

fn pixels(frame: &VideoFrame) -> Pixels<'_> {
    let (order, reversed) = order_of(frame.format());
    if !reversed {
        let stride = frame.planes().first().map_or(0, |p| p.stride);
        return Pixels {
            data: Cow::Borrowed(whole_plane(frame, 0)),
            stride: stride as u32,
            order,
        };
    }
    let mut data = Vec::with_capacity(frame.width() as usize * frame.height() as usize * 4);
    frame.rows(0).for_each(|row| data.extend_from_slice(row));
    reverse_pixels(&mut data);
    Pixels {
        data: Cow::Owned(data),
        stride: 4 * frame.width(),
        order,
    }
}

/// From one packed format to another.
pub(super) fn shuffle(
    frame: &VideoFrame,
    format: VideoFormat,
    out: &mut [u8],
) -> Result<(), YuvError> {
    let source = pixels(frame);
    let (order, reversed) = order_of(format);
    let (width, height) = (frame.width(), frame.height());
    let stride = width * order.bytes() as u32;
    if source.order == order {
        let row_bytes = width as usize * order.bytes();
        let rows = source.data.chunks(source.stride.max(1) as usize);
        for (to, from) in out.chunks_exact_mut(row_bytes).zip(rows) {
            to.copy_from_slice(&from[..row_bytes]);
        }
    } else {
        let routine = match (source.order, order) {
            (Order::Rgba, Order::Rgb) => yuv::rgba_to_rgb,
            (Order::Bgra, Order::Rgb) => yuv::bgra_to_rgb,
            (Order::Rgb, Order::Rgba) => yuv::rgb_to_rgba,
            (Order::Rgb, Order::Bgra) => yuv::rgb_to_bgra,
            _ => yuv::rgba_to_bgra,
        };
        routine(&source.data, source.stride, out, stride, width, height)?;
    }
    if reversed {
        reverse_pixels(out);
    }
    Ok(())
}

/// From a packed format to a YUV format.
pub(super) fn to_yuv(
    frame: &VideoFrame,
    format: VideoFormat,
    out: &mut [u8],
    planes: &[Plane],
) -> Result<(), YuvError> {
    if format == VideoFormat::I010 {
        // Eight bits of RGB carry no more than eight bits of YUV.
        let mut eight_bit = Vec::new();
        let (width, height) = (frame.width(), frame.height());
        let Some(narrow) = VideoFormat::I420.tight_planes(width, height) else {
            return Err(YuvError::ZeroBaseSize);
        };
        eight_bit.resize(out.len() / 2, 0);
        to_yuv(frame, VideoFormat::I420, &mut eight_bit, &narrow)?;
        chroma::widen(&eight_bit, out, frame.color().range);
        return Ok(());
    }
    let source = pixels(frame);
    let (range, matrix) = color_of(frame);
    let mode = YuvConversionMode::Balanced;
    let (width, height) = (frame.width(), frame.height());
    let stride = |index: usize| planes.get(index).map_or(0, |p| p.stride as u32);
    let mut parts = split_planes(out, planes).into_iter();
    let mut next = || parts.next().unwrap_or_default();
    if format == VideoFormat::Nv12 {
        let mut image = YuvBiPlanarImageMut {
            y_plane: BufferStoreMut::Borrowed(next()),
            y_stride: stride(0),
            uv_plane: BufferStoreMut::Borrowed(next()),
            uv_stride: stride(1),
            width,
            height,
        };
        let routine = match source.order {
            Order::Rgba => yuv::rgba_to_yuv_nv12,
            Order::Bgra => yuv::bgra_to_yuv_nv12,
            Order::Rgb => yuv::rgb_to_yuv_nv12,
        };
        return routine(&mut image, &source.data, source.stride, range, matrix, mode);
    }
    let mut image = YuvPlanarImageMut {
        y_plane: BufferStoreMut::Borrowed(next()),
        y_stride: stride(0),
        u_plane: BufferStoreMut::Borrowed(next()),
        u_stride: stride(1),
        v_plane: BufferStoreMut::Borrowed(next()),
        v_stride: stride(2),
        width,
        height,
    };
    let routine = match (source.order, format) {
        (Order::Rgba, VideoFormat::I422) => yuv::rgba_to_yuv422,
        (Order::Bgra, VideoFormat::I422) => yuv::bgra_to_yuv422,
        (Order::Rgb, VideoFormat::I422) => yuv::rgb_to_yuv422,
        (Order::Rgba, VideoFormat::I444) => yuv::rgba_to_yuv444,
        (Order::Bgra, VideoFormat::I444) => yuv::bgra_to_yuv444,
        (Order::Rgb, VideoFormat::I444) => yuv::rgb_to_yuv444,
        (Order::Rgba, _) => yuv::rgba_to_yuv420,
        (Order::Bgra, _) => yuv::bgra_to_yuv420,
        (Order::Rgb, _) => yuv::rgb_to_yuv420,
    };
    routine(&mut image, &source.data, source.stride, range, matrix, mode)?;
    let alpha = next();
    if source.order == Order::Rgb {
        alpha.fill(255);
    } else if !alpha.is_empty() {
        let rows = source.data.chunks(source.stride.max(1) as usize);
        for (to, from) in alpha.chunks_exact_mut(width as usize).zip(rows) {
            for (alpha, pixel) in to.iter_mut().zip(from.as_chunks::<4>().0) {
                *alpha = pixel[3];
            }
        }
    }
    Ok(())
}

/// From a YUV format to a packed format.
pub(super) fn from_yuv(
    frame: &VideoFrame,
    format: VideoFormat,
    out: &mut [u8],
) -> Result<(), YuvError> {
    let (order, reversed) = order_of(format);
    let (range, matrix) = color_of(frame);
    let (width, height) = (frame.width(), frame.height());
    let stride = |index: usize| frame.planes().get(index).map_or(0, |p| p.stride as u32);
    let row = width * order.bytes() as u32;
    match frame.format() {
        VideoFormat::Nv12 => {
            let image = YuvBiPlanarImage {
                y_plane: whole_plane(frame, 0),
                y_stride: stride(0),
                uv_plane: whole_plane(frame, 1),
                uv_stride: stride(1),
                width,
                height,
            };
            let mode = YuvConversionMode::Balanced;
            match order {
                Order::Rgba => yuv::yuv_nv12_to_rgba(&image, out, row, range, matrix, mode),
                Order::Bgra => yuv::yuv_nv12_to_bgra(&image, out, row, range, matrix, mode),
                Order::Rgb => yuv::yuv_nv12_to_rgb(&image, out, row, range, matrix, mode),
            }?;
        }
        VideoFormat::I010 => ten_bits_to_rgb(frame, order, out)?,
        VideoFormat::I420A if order != Order::Rgb => {
            let image = YuvPlanarImageWithAlpha {
                y_plane: whole_plane(frame, 0),
                y_stride: stride(0),
                u_plane: whole_plane(frame, 1),
                u_stride: stride(1),
                v_plane: whole_plane(frame, 2),
                v_stride: stride(2),
                a_plane: whole_plane(frame, 3),
                a_stride: stride(3),
                width,
                height,
            };
            let routine = match order {
                Order::Bgra => yuv::yuv420_alpha_to_bgra,
                _ => yuv::yuv420_alpha_to_rgba,
            };
            routine(&image, out, row, range, matrix, false)?;
        }
        planar => {
            let image = YuvPlanarImage {
                y_plane: whole_plane(frame, 0),
                y_stride: stride(0),
                u_plane: whole_plane(frame, 1),
                u_stride: stride(1),
                v_plane: whole_plane(frame, 2),
                v_stride: stride(2),
                width,
                height,
            };
            let routine = match (order, planar) {
                (Order::Rgba, VideoFormat::I422) => yuv::yuv422_to_rgba,
                (Order::Bgra, VideoFormat::I422) => yuv::yuv422_to_bgra,
                (Order::Rgb, VideoFormat::I422) => yuv::yuv422_to_rgb,
                (Order::Rgba, VideoFormat::I444) => yuv::yuv444_to_rgba,
                (Order::Bgra, VideoFormat::I444) => yuv::yuv444_to_bgra,
                (Order::Rgb, VideoFormat::I444) => yuv::yuv444_to_rgb,
                (Order::Rgba, _) => yuv::yuv420_to_rgba,
                (Order::Bgra, _) => yuv::yuv420_to_bgra,
                (Order::Rgb, _) => yuv::yuv420_to_rgb,
            };
            routine(&image, out, row, range, matrix)?;
        }
    }
    if reversed {
        reverse_pixels(out);
    }
    Ok(())
}

/// The pixel library reads past its chroma rows at some odd widths, so an odd picture is made
/// one column wider and cut again.
fn ten_bits_to_rgb(frame: &VideoFrame, order: Order, out: &mut [u8]) -> Result<(), YuvError> {
    let (range, matrix) = color_of(frame);
    let width = frame.width().next_multiple_of(2);
    let words: [Vec<u16>; 3] = std::array::from_fn(|index| {
        let row = if index == 0 { width } else { width / 2 };
        planar::words(frame, index, row as usize)
    });
    let image = YuvPlanarImage {
        y_plane: &words[0][..],
        y_stride: width,
        u_plane: &words[1][..],
        u_stride: width / 2,
        v_plane: &words[2][..],
        v_stride: width / 2,
        width,
        height: frame.height(),
    };
    let routine = match order {
        Order::Rgba => yuv::i010_to_rgba,
        Order::Bgra => yuv::i010_to_bgra,
        Order::Rgb => yuv::i010_to_rgb,
    };
    let row = width as usize * order.bytes();
    if width == frame.width() {
        return routine(&image, out, row as u32, range, matrix);
    }
    let mut wider = vec![0; row * frame.height() as usize];
    routine(&image, &mut wider, row as u32, range, matrix)?;
    let cut = frame.width() as usize * order.bytes();
    for (to, from) in out.chunks_exact_mut(cut).zip(wider.chunks_exact(row)) {
        to.copy_from_slice(&from[..cut]);
    }
    Ok(())
}
