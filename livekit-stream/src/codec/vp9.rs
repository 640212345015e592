//! VP9: the uncompressed header, superframes, sizes, the keyframe test (VP9 Bitstream & Decoding
//! Process Specification, version 0.6), and what `vpcC` says (VP Codec ISO Media File Format
//! Binding).

mod header;
mod hide;
mod superframe;

use std::fmt::Write as _;

pub use header::{ColorConfig, FrameHeader, FrameSize};
pub use hide::hide;
pub use superframe::{MAX_FRAMES, MAX_INDEX, append_index, frames};

use crate::frame::VideoSize;

/// Whether decoding can start at this superframe: its first frame is a keyframe. In spatial layers
/// the first frame is the lowest layer's.
#[must_use]
pub fn is_keyframe(superframe: &[u8]) -> bool {
    frames(superframe)
        .and_then(|frames| FrameHeader::parse(frames.first()?))
        .is_some_and(|header| header.keyframe)
}

/// The sizes of the eight reference frames: frames between keyframes may take theirs from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct References([VideoSize; 8]);

impl References {
    /// Takes a frame's header in, and tells the frame's size; zero when it depends on what was
    /// never seen.
    pub fn update(&mut self, header: &FrameHeader) -> VideoSize {
        let size = match header.size {
            FrameSize::Explicit(size) => size,
            FrameSize::Reference(slot) => {
                self.0.get(usize::from(slot)).copied().unwrap_or_default()
            }
        };
        for (slot, reference) in self.0.iter_mut().enumerate() {
            if header.refresh >> slot & 1 == 1 {
                *reference = size;
            }
        }
        size
    }
}

/// What a container says of a VP9 track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Configuration {
    /// The profile, 0 to 3.
    pub profile: u8,
    /// Ten times the level that pictures of the first size need at 30 a second; the bitstream does
    /// not tell one.
    pub level: u8,
    /// Bit depth, chroma subsampling and colour.
    pub color: ColorConfig,
    /// The picture: that of the highest spatial layer.
    pub size: VideoSize,
}

/// Levels: ten times the level, luma samples a second, luma samples a picture, pixels a side
/// (VP9 Levels, webmproject.org).
const LEVELS: [(u8, u64, u64, u32); 11] = [
    (10, 829_440, 36_864, 512),
    (11, 2_764_800, 73_728, 768),
    (20, 4_608_000, 122_880, 960),
    (21, 9_216_000, 245_760, 1344),
    (30, 20_736_000, 552_960, 2048),
    (31, 36_864_000, 983_040, 2752),
    (40, 83_558_400, 2_228_224, 4160),
    (41, 160_432_128, 2_228_224, 4160),
    (50, 311_951_360, 8_912_896, 8384),
    (60, 1_176_502_272, 35_651_584, 16_832),
    (61, 2_353_004_544, 35_651_584, 16_832),
];
const HIGHEST_LEVEL: u8 = 62;
const NOMINAL_FRAME_RATE: u64 = 30;

impl Configuration {
    /// What a keyframe tells; `None` when it is none.
    #[must_use]
    pub fn from_keyframe(superframe: &[u8]) -> Option<Self> {
        let frames = frames(superframe)?;
        let first = FrameHeader::parse(frames.first()?).filter(|header| header.keyframe)?;
        let mut references = References::default();
        let mut size = VideoSize::default();
        for frame in frames {
            size = references.update(&FrameHeader::parse(frame)?);
        }
        Some(Self {
            profile: first.profile,
            level: level(size),
            color: first.color?,
            size,
        })
    }

    /// `chromaSubsampling` of `vpcC`: 1 is 4:2:0 with chroma at the first luma sample, 2 is 4:2:2,
    /// 3 is 4:4:4.
    #[must_use]
    pub fn chroma_subsampling(&self) -> u8 {
        match (self.color.subsampling_x, self.color.subsampling_y) {
            (true, true) => 1,
            (true, false) => 2,
            _ => 3,
        }
    }

    /// The code points of ISO/IEC 23091-2 for `color_space`: primaries, transfer characteristics,
    /// matrix coefficients. 2 is unspecified.
    #[must_use]
    pub fn color_code_points(&self) -> [u8; 3] {
        match self.color.color_space {
            1 | 3 => [6, 6, 6],
            2 => [1, 1, 1],
            4 => [7, 7, 7],
            5 if self.color.bit_depth > 10 => [9, 15, 9],
            5 => [9, 14, 9],
            7 => [1, 13, 0],
            _ => [2, 2, 2],
        }
    }

    /// The codec string, such as `vp09.00.31.08` (VP Codec ISO Media File Format Binding, codecs
    /// parameter string). Colour is told when it is not the default.
    #[must_use]
    pub fn codec_string(&self) -> String {
        let mut text = format!(
            "vp09.{:02}.{:02}.{:02}",
            self.profile, self.level, self.color.bit_depth
        );
        let chroma = self.chroma_subsampling();
        let points = self.color_code_points();
        if chroma != 1 || self.color.full_range || !matches!(points, [1, 1, 1] | [2, 2, 2]) {
            let [primaries, transfer, matrix] = points;
            let _ = write!(
                text,
                ".{chroma:02}.{primaries:02}.{transfer:02}.{matrix:02}.{:02}",
                u8::from(self.color.full_range)
            );
        }
        text
    }
}

fn level(size: VideoSize) -> u8 {
    let samples = u64::from(size.width) * u64::from(size.height);
    let longest = size.width.max(size.height);
    LEVELS
        .iter()
        .find(|(_, rate, picture, side)| {
            samples * NOMINAL_FRAME_RATE <= *rate && samples <= *picture && longest <= *side
        })
        .map_or(HIGHEST_LEVEL, |row| row.0)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
