//! Fragmented MP4 (ISO/IEC 14496-12, 14496-15, "VP Codec ISO Media File Format Binding", "AV1 Codec
//! ISO Media File Format Binding" and "Encapsulation of Opus in ISO Base Media File Format"): an
//! initialization segment, then fragments that are whole in themselves.
//!
//! `timeline` turns microseconds into ticks; `init`, `video` and `fragment` know bytes only.

mod fragment;
mod init;
mod muxer;
mod options;
mod sample;
#[cfg(test)]
mod tests;
mod timeline;
pub(in crate::mux) mod video;

pub use muxer::{Muxer, Stats};
pub use options::{FragmentPolicy, Options, ParameterSetPlacement};
pub use sample::Sample;
pub(super) use video::configuration_record;
#[cfg(feature = "ffmpeg")]
pub(crate) use video::sample as video_sample;

/// The longest frame a muxer takes. The largest H.264 level allows less, and sizes in fragments
/// stay far from 32 bits.
pub const MAX_FRAME_BYTES: usize = 64 << 20;

/// A fragment is cut, whatever the policy, when so many bytes wait for it: memory is bounded also
/// where keyframes never come.
pub const MAX_FRAGMENT_BYTES: usize = 32 << 20;

/// A fragment is cut, whatever the policy, when so many samples wait for it. Ten minutes of Opus
/// are 30 000.
pub const MAX_FRAGMENT_SAMPLES: usize = 32_768;
