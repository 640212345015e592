use std::time::Duration;

use crate::mux::fmp4::ParameterSetPlacement;

/// How a file becomes fragmented MP4.
///
/// ```
/// use livekit_stream::mux::fmp4::ParameterSetPlacement;
/// use livekit_stream::pipeline::mkv::TranscodeOptions;
/// use std::time::Duration;
///
/// let options = TranscodeOptions::default();
/// assert_eq!(options.max_duration_ms, None);
/// assert_eq!(options.fragment_duration, Duration::from_secs(2));
/// assert_eq!((options.video_track, options.audio_track), (None, None));
/// assert!(options.audio);
/// assert_eq!(options.audio_bit_rate, 192_000);
/// assert_eq!(options.parameter_sets, ParameterSetPlacement::OutOfBand);
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct TranscodeOptions {
    /// Ends after so many milliseconds of media and closes the source. [`segment_mkv`] has a
    /// duration of its own.
    ///
    /// [`segment_mkv`]: super::segment_mkv
    pub max_duration_ms: Option<f64>,
    /// How long a fragment lasts. Default 2 s.
    pub fragment_duration: Duration,
    /// The number of the video track. Default: the first that can be copied.
    pub video_track: Option<u64>,
    /// The number of the audio track. Default: the first.
    pub audio_track: Option<u64>,
    /// Whether there is to be sound at all. Default true.
    pub audio: bool,
    /// Bits a second of sound that has to be encoded. Default 192 000.
    pub audio_bit_rate: u32,
    /// The sample entry of H.264 and H.265: `avc1` and `hvc1` (out of band, the default), which most
    /// players know best, or `avc3` and `hev1`. Samples are copied in either case, with the
    /// parameter sets that are in them.
    pub parameter_sets: ParameterSetPlacement,
}

impl Default for TranscodeOptions {
    fn default() -> Self {
        Self {
            max_duration_ms: None,
            fragment_duration: Duration::from_secs(2),
            video_track: None,
            audio_track: None,
            audio: true,
            audio_bit_rate: 192_000,
            parameter_sets: ParameterSetPlacement::OutOfBand,
        }
    }
}

/// Which part of a file a segment is.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Segment {
    /// Where it begins on the file's timeline, in milliseconds: that of a keyframe.
    pub start_decode_time_ms: f64,
    /// How long it lasts, in milliseconds; to the end of the source when `None`.
    pub max_duration_ms: Option<f64>,
    /// A time at which one of the file's AAC frames begins, in milliseconds. Times that Matroska
    /// rounded to milliseconds do not tell how the frames of two segments join; this does.
    /// Default 0, which is so in nearly all files.
    pub audio_origin_ms: f64,
}

impl Segment {
    /// The segment that begins at `start_decode_time_ms` and lasts `max_duration_ms`.
    #[must_use]
    pub fn new(start_decode_time_ms: f64, max_duration_ms: impl Into<Option<f64>>) -> Self {
        Self {
            start_decode_time_ms,
            max_duration_ms: max_duration_ms.into(),
            audio_origin_ms: 0.0,
        }
    }
}
