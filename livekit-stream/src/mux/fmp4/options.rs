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
/// assert!(options.media_starts.is_empty());
/// assert_eq!(options.duration, None);
/// assert_eq!(options.max_fragment_bytes, livekit_stream::mux::fmp4::MAX_FRAGMENT_BYTES);
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
    /// What the file says of itself, such as `title` and `artist`, as names and values.
    pub metadata: Vec<(String, String)>,
    /// For each track, where on its own timeline the presentation starts: an edit list
    /// (ISO/IEC 14496-12 section 8.6.6) takes so much off all its composition times. It makes
    /// room for pictures that are decoded before they are shown, and takes out the priming of
    /// an audio encoder. Default empty: no track has an edit list.
    pub media_starts: Vec<Duration>,
    /// How long the whole presentation lasts, where that is known before it is written (`mehd`).
    /// Default `None`, which players take for a live stream.
    pub duration: Option<Duration>,
    /// A fragment is cut, whatever the policy, when so many bytes wait for it: what bounds the
    /// memory. Default [`MAX_FRAGMENT_BYTES`](super::MAX_FRAGMENT_BYTES), which is also the most.
    pub max_fragment_bytes: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            fragment: FragmentPolicy::Duration(Duration::from_secs(1)),
            parameter_sets: ParameterSetPlacement::default(),
            origin_us: None,
            base_decode_time_us: 0,
            default_video_duration: Duration::from_nanos(33_333_333),
            metadata: Vec::new(),
            media_starts: Vec::new(),
            duration: None,
            max_fragment_bytes: super::MAX_FRAGMENT_BYTES,
        }
    }
}

/// When a fragment ends. Whatever the policy, it also ends at
/// [`max_fragment_bytes`](Options::max_fragment_bytes) and
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
