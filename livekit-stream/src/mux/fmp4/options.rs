use std::time::Duration;

/// How a [`Muxer`](super::Muxer) works.
///
/// ```
/// use livekit_stream::mux::fmp4::{FragmentPolicy, Options, ParameterSetPlacement};
/// use std::time::Duration;
///
/// let options = Options::default();
/// assert_eq!(options.fragment, FragmentPolicy::Duration(Duration::from_secs(1)));
/// assert_eq!(options.parameter_sets, ParameterSetPlacement::InBand);
/// assert_eq!(options.origin_us, None);
/// assert_eq!(options.base_decode_time_us, 0);
/// assert_eq!(options.default_video_duration, Duration::from_nanos(33_333_333));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Options {
    /// When a fragment ends. Default: after one second, at any frame, so that a process that dies
    /// loses little more than a second.
    pub fragment: FragmentPolicy,
    /// Where the parameter sets of H.264 and H.265 go. Default: in band, which allows the picture's
    /// size to change. VP9 and AV1 always tell their sizes in band.
    pub parameter_sets: ParameterSetPlacement,
    /// The `timestamp_us` at which the file's timeline starts. Default `None`: the earliest frame
    /// of the first fragment, so tracks that start together keep their true offset in whatever
    /// order their first frames are written.
    pub origin_us: Option<i64>,
    /// Where on the timeline `origin_us` lies, in microseconds: what places a segment behind
    /// earlier ones. Not negative. Default 0.
    pub base_decode_time_us: i64,
    /// What the last picture lasts when its track has no other one to compare with. Default 1/30
    /// second.
    pub default_video_duration: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fragment: FragmentPolicy::Duration(Duration::from_secs(1)),
            parameter_sets: ParameterSetPlacement::default(),
            origin_us: None,
            base_decode_time_us: 0,
            default_video_duration: Duration::from_nanos(33_333_333),
        }
    }
}

/// When a fragment ends. Whatever the policy, it also ends at
/// [`MAX_FRAGMENT_BYTES`](super::MAX_FRAGMENT_BYTES) and
/// [`MAX_FRAGMENT_SAMPLES`](super::MAX_FRAGMENT_SAMPLES).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FragmentPolicy {
    /// At each keyframe of the first video track; also at any frame when it has lasted for `max`.
    Keyframe {
        /// The longest fragment.
        max: Duration,
    },
    /// At the first frame after this time, whatever it is.
    Duration(Duration),
    /// At every frame: the least delay, at about 100 bytes a frame.
    EveryFrame,
}

/// Where the parameter sets of H.264 and H.265 go (ISO/IEC 14496-15 sections 5.4.2.1 and 8.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ParameterSetPlacement {
    /// Sample entry `avc1` or `hvc1`: parameter sets that are in it are taken out of the samples. What
    /// most players know best, for tracks whose parameter sets do not change; ones that differ
    /// stay in their sample, which is more than the standard allows and works in FFmpeg only.
    OutOfBand,
    /// Sample entry `avc3` or `hev1`: samples keep their parameter sets, and the entry holds the
    /// first ones too. The size may change in mid-stream.
    #[default]
    InBand,
}
