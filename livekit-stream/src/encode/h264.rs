//! What the encoders of H.264 have in common.

use super::EncodeError;
use crate::codec::Codec;
use crate::frame::{VideoFrame, VideoSize};

/// The size that a picture is encoded in: even, as 4:2:0 wants it.
pub(crate) fn coded_size(frame: &VideoFrame) -> Result<VideoSize, EncodeError> {
    let size = VideoSize {
        width: frame.width() & !1,
        height: frame.height() & !1,
    };
    if size.width < 16 || size.height < 16 {
        let (width, height) = (frame.width(), frame.height());
        return Err(failed(&format_args!(
            "a {width}x{height} picture is smaller than one macroblock, 16x16"
        )));
    }
    Ok(size)
}

pub(crate) fn failed(reason: &dyn std::fmt::Display) -> EncodeError {
    EncodeError::Failed {
        codec: Codec::H264,
        reason: reason.to_string(),
    }
}
