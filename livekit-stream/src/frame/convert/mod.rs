//! Conversion between pixel formats.
//!
//! Between RGB and YUV the `yuv` crate's SIMD routines do the work. From one YUV format to
//! another the values are kept and only chroma is repeated or averaged, which that crate has no
//! routine for: [`chroma`]. Packed formats with alpha first are the byte-reversed twin of one
//! that the crate knows.

mod chroma;
mod packed;
mod planar;

use super::format::{Plane, VideoFormat};
use super::video::{ColorMatrix, ColorRange, ConvertError, VideoFrame, planes_of};

impl VideoFrame {
    /// The picture in another format, upside down if `flip_y`.
    ///
    /// Matrix and range are those of [`color`](Self::color); conversion between YUV formats
    /// keeps them. Chroma is repeated when it grows and averaged when it shrinks; alpha is kept
    /// where both formats have it and is opaque where only the new one has. Rows of the result
    /// are tight, except that a picture already in `format` comes back as it is.
    ///
    /// ```
    /// use livekit_stream::frame::{VideoFormat, VideoFrame};
    ///
    /// let white = VideoFrame::new(VideoFormat::Rgb24, 2, 2, vec![255; 12])?;
    /// let yuv = white.convert(VideoFormat::I420, false)?;
    /// assert_eq!(yuv.data()[..], [235, 235, 235, 235, 128, 128]);
    /// # Ok::<(), livekit_stream::frame::ConvertError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConvertError::Unsupported`] with what the pixel library said; no picture that could be
    /// built is known to cause it.
    pub fn convert(&self, format: VideoFormat, flip_y: bool) -> Result<Self, ConvertError> {
        if format == self.format() && !flip_y {
            return Ok(self.clone());
        }
        let mut data = Vec::new();
        let planes = self.convert_to(format, &mut data)?;
        if flip_y {
            for plane in &planes {
                flip_rows(&mut data, plane);
            }
        }
        let frame = Self::with_planes(format, self.width(), self.height(), data, planes)?;
        Ok(frame.with_color(self.color()))
    }

    /// Writes the picture in another format to `out`, whose memory is used again, and tells
    /// where its tight planes lie.
    pub(crate) fn convert_to(
        &self,
        format: VideoFormat,
        out: &mut Vec<u8>,
    ) -> Result<Vec<Plane>, ConvertError> {
        let planes = planes_of(format, self.width(), self.height())?;
        let length = planes.iter().map(|p| p.row_bytes * p.rows).sum();
        if out.is_empty() {
            // A fresh zeroed allocation costs nothing; growing an old one would copy it.
            *out = vec![0; length];
        } else {
            out.resize(length, 0);
        }
        if format == self.format() {
            copy_rows(self, out, &planes);
            return Ok(planes);
        }
        let source = &self.with_whole_rows();
        let result = match (is_packed(self.format()), is_packed(format)) {
            (true, true) => packed::shuffle(source, format, out),
            (true, false) => packed::to_yuv(source, format, out, &planes),
            (false, true) => packed::from_yuv(source, format, out),
            (false, false) => {
                planar::resample(source, format, out, &planes);
                Ok(())
            }
        };
        result.map_err(|e| ConvertError::Unsupported {
            from: self.format(),
            to: format,
            reason: e.to_string(),
        })?;
        Ok(planes)
    }

    /// The picture with every plane's last row as long as the others: some of the pixel
    /// library's routines leave a shorter one out.
    fn with_whole_rows(&self) -> Self {
        let whole = |p: &Plane| {
            let length = p.stride.checked_mul(p.rows)?.checked_add(p.offset)?;
            Some(length <= self.data().len())
        };
        if self.planes().iter().all(|p| whole(p) == Some(true)) {
            self.clone()
        } else {
            self.tight()
        }
    }
}

/// A plane's bytes with the gap behind its last row.
fn whole_plane(frame: &VideoFrame, index: usize) -> &[u8] {
    let plane = frame.planes().get(index);
    plane
        .and_then(|p| frame.data().get(p.offset..p.offset + p.stride * p.rows))
        .unwrap_or_else(|| frame.plane(index))
}

/// Whether a pixel's components lie side by side in one plane.
fn is_packed(format: VideoFormat) -> bool {
    matches!(
        format,
        VideoFormat::Rgba
            | VideoFormat::Abgr
            | VideoFormat::Argb
            | VideoFormat::Bgra
            | VideoFormat::Rgb24
    )
}

/// The `yuv` crate's names for a picture's matrix and range.
fn color_of(frame: &VideoFrame) -> (yuv::YuvRange, yuv::YuvStandardMatrix) {
    let range = match frame.color().range {
        ColorRange::Limited => yuv::YuvRange::Limited,
        ColorRange::Full => yuv::YuvRange::Full,
    };
    let matrix = match frame.color().matrix {
        ColorMatrix::Bt601 => yuv::YuvStandardMatrix::Bt601,
        ColorMatrix::Bt709 => yuv::YuvStandardMatrix::Bt709,
    };
    (range, matrix)
}

/// The parts of `data` that `planes`, tight and in order, take.
fn split_planes<'a>(mut data: &'a mut [u8], planes: &[Plane]) -> Vec<&'a mut [u8]> {
    planes
        .iter()
        .map(|plane| {
            let (head, tail) = std::mem::take(&mut data).split_at_mut(plane.row_bytes * plane.rows);
            data = tail;
            head
        })
        .collect()
}

fn copy_rows(frame: &VideoFrame, out: &mut [u8], planes: &[Plane]) {
    for (index, plane) in split_planes(out, planes).into_iter().enumerate() {
        copy_plane(frame, index, plane);
    }
}

/// Copies plane `index` of `frame` to the tight plane `out`.
fn copy_plane(frame: &VideoFrame, index: usize, out: &mut [u8]) {
    let row_bytes = frame.planes().get(index).map_or(1, |p| p.row_bytes.max(1));
    if frame
        .planes()
        .get(index)
        .is_some_and(|p| p.stride == row_bytes)
    {
        out.copy_from_slice(frame.plane(index));
        return;
    }
    for (to, from) in out.chunks_exact_mut(row_bytes).zip(frame.rows(index)) {
        to.copy_from_slice(from);
    }
}

fn flip_rows(data: &mut [u8], plane: &Plane) {
    let Some(rows) = data.get_mut(plane.offset..plane.offset + plane.row_bytes * plane.rows) else {
        return;
    };
    let (top, bottom) = rows.split_at_mut(plane.rows / 2 * plane.row_bytes);
    for (a, b) in top
        .chunks_exact_mut(plane.row_bytes)
        .zip(bottom.chunks_exact_mut(plane.row_bytes).rev())
    {
        a.swap_with_slice(b);
    }
}

#[cfg(test)]
mod tests;
