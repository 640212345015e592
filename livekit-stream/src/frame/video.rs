//! Decoded pictures.

use bytes::Bytes;

use super::format::{Plane, VideoFormat};
use super::{VideoRotation, VideoSize};

/// The matrix between RGB and YUV.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ColorMatrix {
    /// ITU-R BT.601, what WebRTC senders use unless they say otherwise.
    #[default]
    Bt601,
    /// ITU-R BT.709.
    Bt709,
}

/// Whether luma spans 16..=235 or 0..=255.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ColorRange {
    /// Luma 16..=235, chroma 16..=240.
    #[default]
    Limited,
    /// 0..=255.
    Full,
}

/// How YUV values are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct ColorSpace {
    /// The matrix.
    pub matrix: ColorMatrix,
    /// The range.
    pub range: ColorRange,
}

/// One decoded picture. Clones share the pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    size: VideoSize,
    format: VideoFormat,
    color: ColorSpace,
    data: Bytes,
    planes: Vec<Plane>,
}

impl VideoFrame {
    /// Takes pixels whose rows are packed tightly, plane after plane.
    ///
    /// ```
    /// use livekit_stream::frame::{VideoFormat, VideoFrame};
    ///
    /// let red = VideoFrame::new(VideoFormat::Rgb24, 2, 1, vec![255, 0, 0, 255, 0, 0])?;
    /// assert_eq!(red.plane(0).len(), 6);
    /// # Ok::<(), livekit_stream::frame::ConvertError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`ConvertError::SizeOutOfRange`], or [`ConvertError::WrongLength`] when `data` is not as
    /// long as [`VideoFormat::frame_len`] says.
    pub fn new(
        format: VideoFormat,
        width: u32,
        height: u32,
        data: impl Into<Bytes>,
    ) -> Result<Self, ConvertError> {
        let planes = planes_of(format, width, height)?;
        let data = data.into();
        let expected = planes.iter().map(|p| p.row_bytes * p.rows).sum();
        if data.len() != expected {
            return Err(ConvertError::WrongLength {
                format,
                width,
                height,
                expected,
                actual: data.len(),
            });
        }
        Ok(Self {
            size: VideoSize { width, height },
            format,
            color: ColorSpace::default(),
            data,
            planes,
        })
    }

    /// Takes pixels whose rows lie `stride` bytes apart, as decoders give them. The pixels are
    /// not copied.
    ///
    /// # Errors
    ///
    /// [`ConvertError::SizeOutOfRange`], or [`ConvertError::WrongPlane`] when `planes` are not
    /// those of the format or reach past the end of `data`.
    pub fn with_planes(
        format: VideoFormat,
        width: u32,
        height: u32,
        data: impl Into<Bytes>,
        planes: Vec<Plane>,
    ) -> Result<Self, ConvertError> {
        let expected = planes_of(format, width, height)?;
        let data = data.into();
        let wrong = |index, reason| ConvertError::WrongPlane {
            index,
            format,
            width,
            height,
            reason,
        };
        if planes.len() != expected.len() {
            let reason = format!("{} planes instead of {}", planes.len(), expected.len());
            return Err(wrong(planes.len().min(expected.len()), reason));
        }
        for (index, (plane, expected)) in planes.iter().zip(&expected).enumerate() {
            if (plane.row_bytes, plane.rows) != (expected.row_bytes, expected.rows) {
                let reason = format!(
                    "{} rows of {} bytes instead of {} rows of {}",
                    plane.rows, plane.row_bytes, expected.rows, expected.row_bytes
                );
                return Err(wrong(index, reason));
            }
            if plane.stride < plane.row_bytes {
                let reason = format!("stride {} is shorter than a row", plane.stride);
                return Err(wrong(index, reason));
            }
            if plane.end().is_none_or(|end| end > data.len()) {
                return Err(wrong(index, format!("it ends behind {} bytes", data.len())));
            }
        }
        Ok(Self {
            size: VideoSize { width, height },
            format,
            color: ColorSpace::default(),
            data,
            planes,
        })
    }

    /// A black picture, opaque where the format has alpha.
    ///
    /// # Errors
    ///
    /// [`ConvertError::SizeOutOfRange`].
    pub fn blank(format: VideoFormat, width: u32, height: u32) -> Result<Self, ConvertError> {
        let planes = planes_of(format, width, height)?;
        let mut data = vec![0; planes.iter().map(|p| p.row_bytes * p.rows).sum()];
        let fill: [&[u8]; 4] = match format {
            VideoFormat::Rgba | VideoFormat::Bgra => [&[0, 0, 0, 255], &[], &[], &[]],
            VideoFormat::Abgr | VideoFormat::Argb => [&[255, 0, 0, 0], &[], &[], &[]],
            VideoFormat::Rgb24 => [&[0], &[], &[], &[]],
            VideoFormat::I010 => [&[64, 0], &[0, 2], &[0, 2], &[]],
            _ => [&[16], &[128], &[128], &[255]],
        };
        for (plane, pattern) in planes.iter().zip(fill) {
            let end = plane.offset + plane.row_bytes * plane.rows;
            for pixel in data[plane.offset..end].chunks_exact_mut(pattern.len().max(1)) {
                pixel.copy_from_slice(pattern);
            }
        }
        Ok(Self {
            size: VideoSize { width, height },
            format,
            color: ColorSpace::default(),
            data: data.into(),
            planes,
        })
    }

    /// The same picture with its YUV values read as `color` says; pixels are not touched. Of an
    /// RGB picture it is what [`convert`](Self::convert) makes YUV by.
    #[must_use]
    pub fn with_color(mut self, color: ColorSpace) -> Self {
        self.color = color;
        self
    }

    /// Pixels a row.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.size.width
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.size.height
    }

    /// Width and height.
    #[must_use]
    pub fn size(&self) -> VideoSize {
        self.size
    }

    /// The memory layout of the pixels.
    #[must_use]
    pub fn format(&self) -> VideoFormat {
        self.format
    }

    /// How YUV values are to be read.
    #[must_use]
    pub fn color(&self) -> ColorSpace {
        self.color
    }

    /// All bytes; [`planes`](Self::planes) says where the pixels lie in them.
    #[must_use]
    pub fn data(&self) -> &Bytes {
        &self.data
    }

    /// Where each plane lies in [`data`](Self::data).
    #[must_use]
    pub fn planes(&self) -> &[Plane] {
        &self.planes
    }

    /// The bytes of plane `index` from its first pixel to its last, rows
    /// [`stride`](Plane::stride) bytes apart; empty when the format has no such plane.
    #[must_use]
    pub fn plane(&self, index: usize) -> &[u8] {
        self.planes
            .get(index)
            .and_then(|plane| self.data.get(plane.offset..plane.end()?))
            .unwrap_or_default()
    }

    /// The rows of plane `index`, without what lies between them.
    pub fn rows(&self, index: usize) -> impl Iterator<Item = &[u8]> {
        let plane = self.planes.get(index).copied();
        let (stride, row_bytes) = plane.map_or((1, 0), |p| (p.stride, p.row_bytes));
        self.plane(index)
            .chunks(stride.max(1))
            .map(move |row| row.get(..row_bytes).unwrap_or(row))
    }

    /// Whether rows and planes follow each other without a gap.
    #[must_use]
    pub fn is_tight(&self) -> bool {
        let mut offset = 0;
        self.planes.iter().all(|plane| {
            let tight = plane.offset == offset && plane.stride == plane.row_bytes;
            offset += plane.row_bytes * plane.rows;
            tight
        }) && offset == self.data.len()
    }

    /// The picture with rows packed tightly (LiveKit's "normalized stride"): itself when they
    /// are, else a copy.
    #[must_use]
    pub fn tight(&self) -> Self {
        if self.is_tight() {
            return self.clone();
        }
        let mut data = Vec::with_capacity(self.planes.iter().map(|p| p.row_bytes * p.rows).sum());
        let mut planes = self.planes.clone();
        for (index, plane) in planes.iter_mut().enumerate() {
            (plane.offset, plane.stride) = (data.len(), plane.row_bytes);
            self.rows(index).for_each(|row| data.extend_from_slice(row));
        }
        Self {
            data: data.into(),
            planes,
            ..self.clone()
        }
    }
}

/// The tight planes of a format, or the error that names the size.
pub(super) fn planes_of(
    format: VideoFormat,
    width: u32,
    height: u32,
) -> Result<Vec<Plane>, ConvertError> {
    format
        .tight_planes(width, height)
        .ok_or(ConvertError::SizeOutOfRange { width, height })
}

/// A picture could not be built or converted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConvertError {
    /// The buffer has not the size that format and dimensions ask for.
    #[error("a {width}x{height} {format:?} picture takes {expected} bytes, {actual} were given")]
    WrongLength {
        /// The format.
        format: VideoFormat,
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Bytes wanted.
        expected: usize,
        /// Bytes given.
        actual: usize,
    },
    /// The dimensions are zero or too large.
    #[error("a picture of {width}x{height} pixels is out of range (1..=16384 each)")]
    SizeOutOfRange {
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
    },
    /// A plane does not fit the format or lies outside the buffer.
    #[error("plane {index} of a {width}x{height} {format:?} picture: {reason}")]
    WrongPlane {
        /// The plane, counted from zero.
        index: usize,
        /// The format.
        format: VideoFormat,
        /// Pixels a row.
        width: u32,
        /// Rows.
        height: u32,
        /// What is wrong with it.
        reason: String,
    },
    /// The conversion failed inside the pixel library.
    #[error("cannot convert {from:?} to {to:?}: {reason}")]
    Unsupported {
        /// The format of the picture.
        from: VideoFormat,
        /// The format asked for.
        to: VideoFormat,
        /// What the library said.
        reason: String,
    },
}

/// What a [`VideoStream`](crate::stream::VideoStream) yields: a picture, when it is to be shown, and how it is to be turned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrameEvent {
    /// The picture.
    pub frame: VideoFrame,
    /// Presentation time in microseconds on the room's media clock.
    pub timestamp_us: i64,
    /// How to turn the picture to show it upright.
    pub rotation: VideoRotation,
}
