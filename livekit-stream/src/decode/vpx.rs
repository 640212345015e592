//! VP8 by libvpx.

mod library;

use self::library::{Context, Library};
use super::{DecodeError, MAX_PIXELS, VideoDecoder, VideoOptions};
use crate::codec::Codec;
use crate::codec::vp8::FrameHeader;
use crate::frame::{EncodedFrame, VideoFrame};

/// Decodes VP8 frames.
pub(crate) struct VpxDecoder {
    context: Context,
    options: VideoOptions,
    /// No frame can be decoded before the next keyframe.
    waiting: bool,
}

impl VpxDecoder {
    /// Opens libvpx, which stays open for the life of the process.
    pub(crate) fn new(options: &VideoOptions) -> Result<Self, DecodeError> {
        Ok(Self {
            context: Context::vp8(Library::get()?)?,
            options: options.clone(),
            waiting: true,
        })
    }
}

impl VideoDecoder for VpxDecoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError> {
        let Some(header) = FrameHeader::parse(&frame.data) else {
            self.waiting = true;
            let bytes = frame.data.len();
            return Err(corrupt(format!("{bytes} bytes without a frame header")));
        };
        if !header.keyframe && self.waiting {
            return Ok(None);
        }
        self.waiting = true;
        if let Some(size) = header.size
            && u64::from(size.width) * u64::from(size.height) > MAX_PIXELS
        {
            let (width, height) = (size.width, size.height);
            return Err(corrupt(format!("a picture of {width}x{height} pixels")));
        }
        let picture = self
            .context
            .decode(&frame.data, self.options.normalize_stride)?;
        self.waiting = false;
        Ok(picture)
    }
}

fn corrupt(reason: String) -> DecodeError {
    DecodeError::Corrupt {
        codec: Codec::Vp8,
        reason,
    }
}

#[cfg(test)]
mod tests;
