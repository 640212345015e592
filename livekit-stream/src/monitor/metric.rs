use std::fmt;
use std::str::FromStr;

/// What is measured of a stream. Rates are over [`MonitorOptions::window`](super::MonitorOptions).
///
/// | metric | unit | of a track of a room | of an RTMP capture | of an output |
/// | --- | --- | --- | --- | --- |
/// | `bitrate` | bits a second | RTP payload received | media received | written or sent |
/// | `fps` | frames a second | delivered; of sound, packets | pictures received | written or sent; of an RTMP target, pictures |
/// | `latency` | seconds | age of frames when delivered, beyond the quickest way | the same, when received | the same, when written or sent |
/// | `jitter` | seconds | interarrival jitter of packets (RFC 3550) | of frames | of frames, as they are written or sent |
/// | `loss` | 0 to 1 | packets lost for good, of all that were to come | - | - |
/// | `drops` | frames a second | not to be decoded after a loss | not decoded, not read | not written, not sent |
/// | `av_offset` | seconds | how much later than their sound pictures come | the same | how much later they are written or sent |
///
/// RTMP runs over TCP, which loses nothing.
///
/// The names in the `metrics` facade, and so in Prometheus, are [`Metric::exported_name`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum Metric {
    /// Bits a second.
    Bitrate,
    /// Frames a second.
    Fps,
    /// Seconds.
    Latency,
    /// Seconds.
    Jitter,
    /// Lost packets of all, 0 to 1.
    Loss,
    /// Frames a second that were dropped.
    Drops,
    /// Seconds by which pictures come later than the sound of the same moment.
    AvOffset,
}

/// Name here and name with unit where it is exported.
const TABLE: [(Metric, &str, &str); 7] = [
    (
        Metric::Bitrate,
        "bitrate",
        "livekit_stream_bitrate_bits_per_second",
    ),
    (Metric::Fps, "fps", "livekit_stream_frames_per_second"),
    (Metric::Latency, "latency", "livekit_stream_latency_seconds"),
    (Metric::Jitter, "jitter", "livekit_stream_jitter_seconds"),
    (Metric::Loss, "loss", "livekit_stream_packet_loss_ratio"),
    (
        Metric::Drops,
        "drops",
        "livekit_stream_dropped_frames_per_second",
    ),
    (
        Metric::AvOffset,
        "av_offset",
        "livekit_stream_av_offset_seconds",
    ),
];

/// A name that is no metric's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not one of bitrate, fps, latency, jitter, loss, drops, av_offset")]
pub struct UnknownMetric(String);

impl Metric {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::Bitrate,
        Self::Fps,
        Self::Latency,
        Self::Jitter,
        Self::Loss,
        Self::Drops,
        Self::AvOffset,
    ];

    fn row(self) -> &'static (Self, &'static str, &'static str) {
        TABLE.iter().find(|row| row.0 == self).unwrap_or(&TABLE[0])
    }

    /// The name, such as `bitrate`.
    #[must_use]
    pub fn name(self) -> &'static str {
        self.row().1
    }

    /// The name with its unit, such as `livekit_stream_bitrate_bits_per_second`.
    #[must_use]
    pub fn exported_name(self) -> &'static str {
        self.row().2
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        let found = TABLE.iter().find(|row| row.1 == name).map(|row| row.0);
        found.ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}
