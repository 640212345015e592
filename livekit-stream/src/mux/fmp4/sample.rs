use bytes::Bytes;

/// A sample in MP4's own form, for [`Muxer::write_sample`](super::Muxer::write_sample): NAL units
/// with length prefixes of four bytes, OBUs without temporal delimiters, frames of VP9, packets of
/// Opus, access units of AAC. It is written as it is.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Sample {
    /// The sample's bytes.
    pub data: Bytes,
    /// Whether decoding can start here. Always true for audio.
    pub sync: bool,
    /// When it is decoded, in microseconds. Grows within a track.
    pub decode_us: i64,
    /// When it is shown on the track's own timeline, in microseconds: what
    /// [`Options::media_starts`](super::Options::media_starts) takes off is still in it. Where it
    /// differs from the decoding time the fragment has a composition offset.
    pub composition_us: i64,
    /// When the track's next sample is decoded, in microseconds: how long the last sample lasts.
    pub end_us: Option<i64>,
}
