use std::time::Duration;

use super::UniversalError;
use crate::encode::{H264Encoder, Preset};
use crate::mux::fmp4::ParameterSetPlacement;

/// How a source becomes fragmented MP4.
///
/// ```
/// use livekit_stream::encode::{H264Encoder, Preset};
/// use livekit_stream::pipeline::universal::UniversalOptions;
/// use std::time::Duration;
///
/// let options = UniversalOptions::default();
/// assert!(!options.force_video_reencode);
/// assert_eq!(options.max_duration, None);
/// assert_eq!(options.start_decode_time, Duration::ZERO);
/// assert!(options.emit_init_segment);
/// assert_eq!(options.encoder, H264Encoder::Auto);
/// assert_eq!(options.preset, Preset::Veryfast);
/// assert_eq!(options.video_bit_rate, None);
/// assert_eq!(options.audio_bit_rate, 192_000);
/// assert_eq!(options.fragment_duration, Duration::from_secs(2));
/// ```
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct UniversalOptions {
    /// Encodes pictures anew even if they could be copied: for live sources whose bitstreams are
    /// damaged.
    pub force_video_reencode: bool,
    /// Ends after so much media and closes the source.
    pub max_duration: Option<Duration>,
    /// Where on the timeline the output begins: what places a segment behind earlier ones.
    pub start_decode_time: Duration,
    /// Whether the initialization segment is given out. Default true.
    pub emit_init_segment: bool,
    /// Which encoder makes H.264 of what is not copied. Default [`H264Encoder::Auto`]: hardware
    /// where there is some.
    pub encoder: H264Encoder,
    /// Speed against quality of that encoder. Default [`Preset::Veryfast`].
    pub preset: Preset,
    /// Bits a second of that encoder. Default: chosen from size and frame rate.
    pub video_bit_rate: Option<u32>,
    /// Bits a second of AAC that is encoded. Default 192 000.
    pub audio_bit_rate: u32,
    /// The longest fragment; fragments also end at keyframes. Default 2 s.
    pub fragment_duration: Duration,
    /// Where the parameter sets of H.264 and H.265 go: `avc1` and `hvc1` (out of band, the default),
    /// which most players know best, or `avc3` and `hev1`.
    pub parameter_sets: ParameterSetPlacement,
}

impl Default for UniversalOptions {
    fn default() -> Self {
        Self {
            force_video_reencode: false,
            max_duration: None,
            start_decode_time: Duration::ZERO,
            emit_init_segment: true,
            encoder: H264Encoder::Auto,
            preset: Preset::Veryfast,
            video_bit_rate: None,
            audio_bit_rate: 192_000,
            fragment_duration: Duration::from_secs(2),
            parameter_sets: ParameterSetPlacement::OutOfBand,
        }
    }
}

impl UniversalOptions {
    pub(super) fn start_us(&self) -> Result<i64, UniversalError> {
        i64::try_from(self.start_decode_time.as_micros()).map_err(|_| {
            UniversalError::OptionOutOfRange {
                option: "start_decode_time",
                value: format!("{:?}", self.start_decode_time),
                allowed: "up to 2^63 microseconds",
            }
        })
    }

    pub(super) fn longest_us(&self) -> i64 {
        let longest = self.max_duration.unwrap_or(Duration::MAX);
        i64::try_from(longest.as_micros()).unwrap_or(i64::MAX)
    }
}
