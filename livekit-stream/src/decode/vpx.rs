//! VP8 and VP9 by libvpx.

mod library;

use self::library::{Context, Library};
use super::{DecodeError, MAX_PIXELS, VideoDecoder, VideoOptions};
use crate::codec::{Codec, vp8, vp9};
use crate::frame::{EncodedFrame, VideoFrame, VideoSize};

/// Decodes VP8 frames, or VP9 superframes, of which the last frame is shown: that of the highest
/// spatial layer.
pub(crate) struct VpxDecoder {
    codec: Codec,
    context: Context,
    options: VideoOptions,
    /// No frame can be decoded before the next keyframe.
    waiting: bool,
}

impl VpxDecoder {
    /// Opens libvpx, which stays open for the life of the process.
    pub(crate) fn new(codec: Codec, options: &VideoOptions) -> Result<Self, DecodeError> {
        Ok(Self {
            codec,
            context: Context::new(Library::get()?, codec)?,
            options: options.clone(),
            waiting: true,
        })
    }

    /// Whether decoding can start at this frame, and the sizes in its headers.
    fn inspect(&self, frame: &[u8]) -> Option<(bool, Vec<VideoSize>)> {
        if self.codec == Codec::Vp8 {
            let header = vp8::FrameHeader::parse(frame)?;
            return Some((header.keyframe, header.size.into_iter().collect()));
        }
        let frames = vp9::frames(frame)?.into_iter();
        let headers = frames
            .map(vp9::FrameHeader::parse)
            .collect::<Option<Vec<_>>>()?;
        let sizes = headers.iter().filter_map(|header| match header.size {
            vp9::FrameSize::Explicit(size) => Some(size),
            vp9::FrameSize::Reference(_) => None,
        });
        Some((headers.first()?.keyframe, sizes.collect()))
    }

    fn corrupt(&self, reason: String) -> DecodeError {
        DecodeError::Corrupt {
            codec: self.codec,
            reason,
        }
    }
}

impl VideoDecoder for VpxDecoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError> {
        let Some((keyframe, sizes)) = self.inspect(&frame.data) else {
            self.waiting = true;
            let bytes = frame.data.len();
            return Err(self.corrupt(format!("{bytes} bytes without a frame header")));
        };
        if !keyframe && self.waiting {
            return Ok(None);
        }
        self.waiting = true;
        let pixels = |size: &VideoSize| u64::from(size.width) * u64::from(size.height);
        if let Some(size) = sizes.iter().find(|size| pixels(size) > MAX_PIXELS) {
            let (width, height) = (size.width, size.height);
            return Err(self.corrupt(format!("a picture of {width}x{height} pixels")));
        }
        let picture = self
            .context
            .decode(&frame.data, self.options.normalize_stride)?;
        self.waiting = false;
        Ok(picture)
    }
}

#[cfg(test)]
mod tests;
