//! Pixel formats and the planes they are made of.

/// A memory layout of pixels. The names of packed formats give the order of bytes in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum VideoFormat {
    /// 4 bytes a pixel: red, green, blue, alpha.
    Rgba,
    /// 4 bytes a pixel: alpha, blue, green, red.
    Abgr,
    /// 4 bytes a pixel: alpha, red, green, blue.
    Argb,
    /// 4 bytes a pixel: blue, green, red, alpha.
    Bgra,
    /// 3 bytes a pixel: red, green, blue.
    Rgb24,
    /// Planes Y, U, V, 8 bits; chroma halved in both directions (4:2:0).
    I420,
    /// As `I420`, with a fourth plane of alpha at full size.
    I420A,
    /// Planes Y, U, V, 8 bits; chroma halved horizontally (4:2:2).
    I422,
    /// Planes Y, U, V, 8 bits; chroma at full size (4:4:4).
    I444,
    /// As `I420` with 10 bits a sample in the low bits of little-endian 16-bit words.
    I010,
    /// Plane Y, then one plane of interleaved U and V, 8 bits, 4:2:0.
    Nv12,
}

impl VideoFormat {
    /// All formats.
    pub const ALL: [Self; 11] = [
        Self::Rgba,
        Self::Abgr,
        Self::Argb,
        Self::Bgra,
        Self::Rgb24,
        Self::I420,
        Self::I420A,
        Self::I422,
        Self::I444,
        Self::I010,
        Self::Nv12,
    ];

    /// The planes of a picture whose rows are packed tightly, one plane after the other.
    ///
    /// `None` when a side is not in 1..=16384.
    pub(crate) fn tight_planes(self, width: u32, height: u32) -> Option<Vec<Plane>> {
        if !(1..=MAX_SIDE).contains(&width) || !(1..=MAX_SIDE).contains(&height) {
            return None;
        }
        let (w, h) = (width as usize, height as usize);
        let (half_w, half_h) = (w.div_ceil(2), h.div_ceil(2));
        let shapes: &[(usize, usize)] = match self {
            Self::Rgba | Self::Abgr | Self::Argb | Self::Bgra => &[(4 * w, h)],
            Self::Rgb24 => &[(3 * w, h)],
            Self::I420 => &[(w, h), (half_w, half_h), (half_w, half_h)],
            Self::I420A => &[(w, h), (half_w, half_h), (half_w, half_h), (w, h)],
            Self::I422 => &[(w, h), (half_w, h), (half_w, h)],
            Self::I444 => &[(w, h), (w, h), (w, h)],
            Self::I010 => &[(2 * w, h), (2 * half_w, half_h), (2 * half_w, half_h)],
            Self::Nv12 => &[(w, h), (2 * half_w, half_h)],
        };
        let mut offset = 0;
        Some(
            shapes
                .iter()
                .map(|&(row_bytes, rows)| {
                    let plane = Plane {
                        offset,
                        stride: row_bytes,
                        row_bytes,
                        rows,
                    };
                    offset += row_bytes * rows;
                    plane
                })
                .collect(),
        )
    }

    /// The bytes of a picture whose rows are packed tightly; `None` when a side is not in
    /// 1..=16384.
    ///
    /// ```
    /// use livekit_stream::frame::VideoFormat;
    /// assert_eq!(VideoFormat::I420.frame_len(3, 3), Some(9 + 4 + 4));
    /// ```
    #[must_use]
    pub fn frame_len(self, width: u32, height: u32) -> Option<usize> {
        let planes = self.tight_planes(width, height)?;
        Some(
            planes
                .iter()
                .map(|plane| plane.row_bytes * plane.rows)
                .sum(),
        )
    }
}

/// The longest side of a picture: H.264 level 6.2 and VP8 end here too.
pub(crate) const MAX_SIDE: u32 = 16_384;

/// Where a plane lies in a frame's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Plane {
    /// Offset of its first byte.
    pub offset: usize,
    /// Bytes from one row to the next.
    pub stride: usize,
    /// Bytes of a row that carry pixels.
    pub row_bytes: usize,
    /// Rows.
    pub rows: usize,
}

impl Plane {
    /// One past the last byte that carries pixels; `None` when that overflows.
    pub(crate) fn end(&self) -> Option<usize> {
        self.stride
            .checked_mul(self.rows.checked_sub(1)?)?
            .checked_add(self.row_bytes)?
            .checked_add(self.offset)
    }
}
