//! What flows through the crate: encoded frames, decoded pictures, sound. Depends on
//! [`crate::codec`]'s [`Codec`](crate::codec::Codec) alone.

mod audio;
mod convert;
mod encoded;
#[cfg(test)]
pub(crate) mod ffmpeg;
mod format;
mod resample;
mod rotation;
mod scale;
mod video;

pub use audio::AudioFrame;
pub use encoded::{EncodedFrame, VideoSize};
pub use format::{Plane, VideoFormat};
pub use resample::{ResampleError, Resampler};
pub use rotation::VideoRotation;
pub use video::{ColorMatrix, ColorRange, ColorSpace, ConvertError, VideoFrame, VideoFrameEvent};
