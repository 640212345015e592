//! From one YUV format to another: values stay, chroma is repeated or averaged.

use std::borrow::Cow;

use super::super::format::{Plane, VideoFormat};
use super::super::video::VideoFrame;
use super::{chroma, copy_plane, split_planes};

/// One of the two chroma planes at eight bits.
struct Chroma<'a> {
    data: Cow<'a, [u8]>,
    stride: usize,
    width: usize,
    height: usize,
}

/// Writes `frame` as `format` to the tight planes of `out`.
pub(super) fn resample(frame: &VideoFrame, format: VideoFormat, out: &mut [u8], planes: &[Plane]) {
    let range = frame.color().range;
    let mut parts = split_planes(out, planes).into_iter();
    let mut next = || parts.next().unwrap_or_default();
    let luma = next();
    match (frame.format(), format) {
        (VideoFormat::I010, _) => {
            chroma::narrow(&words(frame, 0, frame.width() as usize), luma, range);
        }
        (_, VideoFormat::I010) => {
            let row_bytes = frame.width() as usize * 2;
            for (to, from) in luma.chunks_exact_mut(row_bytes).zip(frame.rows(0)) {
                chroma::widen(from, to, range);
            }
        }
        _ => copy_plane(frame, 0, luma),
    }
    let (u, v) = (chroma_of(frame, 1), chroma_of(frame, 2));
    let width = frame.width() as usize;
    let half = (width.div_ceil(2), (frame.height() as usize).div_ceil(2));
    match format {
        VideoFormat::Nv12 => {
            let (u, v) = (to_size(u, half), to_size(v, half));
            chroma::interleave(&u, &v, next());
        }
        VideoFormat::I010 => {
            chroma::widen(&to_size(u, half), next(), range);
            chroma::widen(&to_size(v, half), next(), range);
        }
        _ => {
            let size = planes.get(1).map_or((0, 0), |p| (p.row_bytes, p.rows));
            for source in [u, v] {
                let plane = next();
                chroma::resize(
                    &source.data,
                    source.stride,
                    (source.width, source.height),
                    plane,
                    size,
                );
            }
            next().fill(255);
        }
    }
}

/// Chroma plane 1 (U) or 2 (V) whatever the format keeps it as.
fn chroma_of(frame: &VideoFrame, index: usize) -> Chroma<'_> {
    let size = |at: usize| {
        let plane = frame.planes().get(at);
        plane.map_or((0, 0, 0), |p| (p.stride, p.row_bytes, p.rows))
    };
    match frame.format() {
        VideoFormat::Nv12 => {
            let (_, row_bytes, height) = size(1);
            let mut data = Vec::with_capacity(row_bytes / 2 * height);
            for row in frame.rows(1) {
                data.extend(row.as_chunks::<2>().0.iter().map(|pair| pair[index - 1]));
            }
            Chroma {
                data: Cow::Owned(data),
                stride: row_bytes / 2,
                width: row_bytes / 2,
                height,
            }
        }
        VideoFormat::I010 => {
            let (_, row_bytes, height) = size(index);
            let mut data = vec![0; row_bytes / 2 * height];
            chroma::narrow(
                &words(frame, index, row_bytes / 2),
                &mut data,
                frame.color().range,
            );
            Chroma {
                data: Cow::Owned(data),
                stride: row_bytes / 2,
                width: row_bytes / 2,
                height,
            }
        }
        _ => {
            let (stride, width, height) = size(index);
            Chroma {
                data: Cow::Borrowed(frame.plane(index)),
                stride,
                width,
                height,
            }
        }
    }
}

/// The plane as a tight one of `size`.
fn to_size(plane: Chroma<'_>, size: (usize, usize)) -> Cow<'_, [u8]> {
    if plane.stride == size.0 && (plane.width, plane.height) == size {
        return plane.data;
    }
    let mut out = vec![0; size.0 * size.1];
    let from = (plane.width, plane.height);
    chroma::resize(&plane.data, plane.stride, from, &mut out, size);
    Cow::Owned(out)
}

/// The little-endian 16-bit samples of a plane, each row cut or filled up with its last sample
/// to `width`.
pub(super) fn words(frame: &VideoFrame, index: usize, width: usize) -> Vec<u16> {
    let rows = frame.planes().get(index).map_or(0, |p| p.rows);
    let mut words = Vec::with_capacity(width * rows);
    for row in frame.rows(index) {
        let samples = row.as_chunks::<2>().0.iter();
        let last = row.last_chunk::<2>().map_or(0, |b| u16::from_le_bytes(*b));
        let filled = samples
            .map(|b| u16::from_le_bytes(*b))
            .chain(std::iter::repeat(last));
        words.extend(filled.take(width));
    }
    words
}
