//! Any container and any codec to fragmented MP4, as the bytes come in: [`transcode_universal`],
//! feature `ffmpeg`.
//!
//! H.264, H.265, AV1, VP9, AAC and Opus are copied. Other pictures are decoded by FFmpeg's libraries
//! and encoded as H.264, other sound as AAC, 48 kHz, stereo.
//!
//! # Times
//!
//! Output begins with the first keyframe, and its time becomes 0, whatever it was (live MPEG-TS has
//! huge ones); sound keeps its distance to the pictures, and sound before them is left out. Where
//! pictures are shown in another order than they are decoded in, an edit list in the
//! initialization segment takes off what that needs in advance.

mod audio;
mod error;
mod options;
mod source;
mod stream;
mod video;
mod worker;

pub use error::UniversalError;
pub use options::UniversalOptions;
pub use stream::{UniversalStats, UniversalStream, transcode_universal};
