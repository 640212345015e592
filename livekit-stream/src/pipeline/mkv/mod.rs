//! Matroska and WebM to fragmented MP4, as the bytes come in: [`transcode_mkv`] for a whole file,
//! [`segment_mkv`] for one HLS segment of it, [`init_segment_mkv`] for what goes before segments.
//!
//! H.264, H.265, AV1, VP9, AAC and Opus are copied bit for bit. Other sound is decoded by FFmpeg's
//! libraries (feature `ffmpeg`) and encoded as AAC, 48 kHz, stereo.
//!
//! # Times
//!
//! Presentation times are the file's, from 0 on. Matroska has no decoding times: each picture is
//! decoded at the time of the next picture to be shown (`reorder`), so a segment's first decoding
//! time is where it begins. What that needs in advance, and the delay of the sound's encoder, is
//! taken off by edit lists in the initialization segment. AAC whose times are rounded to
//! milliseconds is laid out anew frame after frame, so neither gaps nor overlaps come of rounding.

mod audio;
mod clock;
mod encoded;
mod error;
mod nal;
mod options;
mod remux;
mod reorder;
mod select;
mod stats;
mod stream;
mod video;
mod window;

pub use error::TranscodeError;
pub use options::{Segment, TranscodeOptions};
pub use stats::TranscodeStats;
pub use stream::{Mp4Stream, init_segment_mkv, segment_mkv, transcode_mkv};
