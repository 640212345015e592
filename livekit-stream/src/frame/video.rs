//! Decoded pictures: formats, planes, and conversion between formats.

use bytes::Bytes;

use super::{VideoRotation, VideoSize};

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
}

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

/// One decoded picture. Clones share the pixels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoFrame {
    size: VideoSize,
    format: VideoFormat,
    color: ColorSpace,
    data: Bytes,
    planes: Vec<Plane>,
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
