//! WebM and Matroska (RFC 9559) as live streams: a header, then clusters of unknown size whose
//! blocks are handed out as they come. Nothing is ever patched, so a file is playable up to
//! whatever byte it was cut at.
//!
//! VP8, VP9, AV1 and Opus make WebM; with H.264, H.265 or AAC among them it is Matroska.

mod ebml;
mod header;
mod muxer;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use header::DocType;
pub use muxer::{Muxer, Stats};

/// How a [`Muxer`] works.
///
/// ```
/// use livekit_stream::mux::webm::Options;
/// use std::time::Duration;
///
/// let options = Options::default();
/// assert_eq!(options.latency, Duration::from_millis(500));
/// assert_eq!(options.interleave, Duration::from_secs(1));
/// assert_eq!(options.origin_us, None);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// How much media is collected before it is handed out; zero hands out every block at once.
    /// Default 500 ms.
    pub latency: Duration,
    /// How long a frame waits for earlier ones of other tracks: blocks are to be in the order of
    /// their times. Default 1 s. A frame that comes later still begins a cluster of its own.
    pub interleave: Duration,
    /// The `timestamp_us` at which the file's timeline starts. Default `None`: the first frame.
    pub origin_us: Option<i64>,
    /// What is written as tags: names such as `title` and values.
    pub metadata: Vec<(String, String)>,
    /// Writes Matroska also where WebM would do. Default false.
    pub matroska: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            latency: Duration::from_millis(500),
            interleave: Duration::from_secs(1),
            origin_us: None,
            metadata: Vec::new(),
            matroska: false,
        }
    }
}
