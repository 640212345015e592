//! Which encoder makes the H.264, and how fast.

use std::fmt;
use std::str::FromStr;

use super::openh264::OpenH264Encoder;
use super::{EncodeError, VideoEncoder, VideoOptions};

/// A name is none of those allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{name:?} is not one of {allowed}")]
pub struct UnknownName {
    name: String,
    allowed: &'static str,
}

/// Speed against quality, by x264's names.
///
/// x264 takes them as they are. openh264 has three: the least complexity from `Ultrafast` to
/// `Fast`, the middle one for `Medium` and the highest for the rest. NVENC's seven are spread
/// over them; VA-API and VideoToolbox have none.
///
/// ```
/// use livekit_stream::encode::Preset;
/// assert_eq!("veryfast".parse::<Preset>()?, Preset::Veryfast);
/// assert_eq!(Preset::default().to_string(), "ultrafast");
/// # Ok::<(), livekit_stream::encode::UnknownName>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Preset {
    /// The least CPU: without deblocking filter.
    #[default]
    Ultrafast,
    /// As `Ultrafast`, with deblocking filter.
    Superfast,
    /// Slower than `Superfast`.
    Veryfast,
    /// Slower than `Veryfast`.
    Faster,
    /// Slower than `Faster`.
    Fast,
    /// Between speed and quality.
    Medium,
    /// The best picture at the bit rate that openh264 makes.
    Slow,
    /// Slower than `Slow`.
    Slower,
    /// The best picture at the bit rate.
    Veryslow,
}

const PRESETS: &[(&str, Preset)] = &[
    ("ultrafast", Preset::Ultrafast),
    ("superfast", Preset::Superfast),
    ("veryfast", Preset::Veryfast),
    ("faster", Preset::Faster),
    ("fast", Preset::Fast),
    ("medium", Preset::Medium),
    ("slow", Preset::Slow),
    ("slower", Preset::Slower),
    ("veryslow", Preset::Veryslow),
];

impl Preset {
    /// x264's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        let row = PRESETS.iter().find(|row| row.1 == self);
        row.map_or("", |row| row.0)
    }
}

impl fmt::Display for Preset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Preset {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = PRESETS.iter().find(|row| row.0 == name);
        found.map(|row| row.1).ok_or_else(|| UnknownName {
            name: name.to_owned(),
            allowed: "ultrafast, superfast, veryfast, faster, fast, medium, slow, slower, veryslow",
        })
    }
}

/// An encoder of H.264. All but openh264 need the feature `ffmpeg`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum H264Encoder {
    /// Cisco's openh264, which is built in.
    #[default]
    OpenH264,
    /// x264. It is under the GPL, and so is a program that uses it.
    X264,
    /// The graphics processor, by NVIDIA's NVENC.
    Nvenc,
    /// The graphics processor, by VA-API (Intel and AMD on Linux).
    Vaapi,
    /// The graphics processor, by Apple's VideoToolbox.
    VideoToolbox,
    /// The first of NVENC, VideoToolbox, VA-API, x264 and openh264 that starts.
    Auto,
}

const ENCODERS: &[(&str, H264Encoder)] = &[
    ("openh264", H264Encoder::OpenH264),
    ("libx264", H264Encoder::X264),
    ("h264_nvenc", H264Encoder::Nvenc),
    ("h264_vaapi", H264Encoder::Vaapi),
    ("h264_videotoolbox", H264Encoder::VideoToolbox),
    ("auto", H264Encoder::Auto),
];

impl H264Encoder {
    /// FFmpeg's name of the encoder.
    #[must_use]
    pub fn name(self) -> &'static str {
        let row = ENCODERS.iter().find(|row| row.1 == self);
        row.map_or("", |row| row.0)
    }
}

impl fmt::Display for H264Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for H264Encoder {
    type Err = UnknownName;

    fn from_str(name: &str) -> Result<Self, UnknownName> {
        let found = ENCODERS.iter().find(|row| row.0 == name);
        found.map(|row| row.1).ok_or_else(|| UnknownName {
            name: name.to_owned(),
            allowed: "openh264, libx264, h264_nvenc, h264_vaapi, h264_videotoolbox, auto",
        })
    }
}

/// The encoders of H.264 that start on this machine, found out once.
///
/// ```
/// use livekit_stream::encode::{H264Encoder, h264_encoders};
/// assert!(h264_encoders().contains(&H264Encoder::OpenH264));
/// ```
#[must_use]
pub fn h264_encoders() -> Vec<H264Encoder> {
    #[cfg(feature = "ffmpeg")]
    let more = crate::ffmpeg::h264_encoders();
    #[cfg(not(feature = "ffmpeg"))]
    let more: &[H264Encoder] = &[];
    [&[H264Encoder::OpenH264], more].concat()
}

/// The encoder that checked options ask for.
pub(super) fn open(options: VideoOptions) -> Result<Box<dyn VideoEncoder>, EncodeError> {
    let encoder = match options.encoder {
        H264Encoder::Auto => best(&h264_encoders()),
        encoder => encoder,
    };
    if encoder == H264Encoder::OpenH264 {
        return Ok(Box::new(OpenH264Encoder::new(options)));
    }
    #[cfg(feature = "ffmpeg")]
    {
        let encoder = crate::ffmpeg::FfmpegEncoder::new(encoder, options)?;
        Ok(Box::new(encoder))
    }
    #[cfg(not(feature = "ffmpeg"))]
    Err(EncodeError::EncoderMissing {
        name: encoder.name(),
        reason: "needs the feature `ffmpeg` of livekit-stream".to_owned(),
        available: names(&h264_encoders()),
    })
}

fn best(there: &[H264Encoder]) -> H264Encoder {
    let order = [
        H264Encoder::Nvenc,
        H264Encoder::VideoToolbox,
        H264Encoder::Vaapi,
        H264Encoder::X264,
    ];
    let found = order.into_iter().find(|one| there.contains(one));
    found.unwrap_or_default()
}

/// For errors.
pub(crate) fn names(encoders: &[H264Encoder]) -> String {
    let names: Vec<_> = encoders.iter().map(|one| one.name()).collect();
    names.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_read_back() {
        for (name, preset) in PRESETS {
            assert_eq!(name.parse(), Ok(*preset));
            assert_eq!(preset.to_string(), *name);
        }
        for (name, encoder) in ENCODERS {
            assert_eq!(name.parse(), Ok(*encoder));
            assert_eq!(encoder.to_string(), *name);
        }
        let error = "placebo".parse::<Preset>().expect_err("not one");
        assert!(
            error
                .to_string()
                .starts_with("\"placebo\" is not one of ultrafast, ")
        );
        assert!("x264".parse::<H264Encoder>().is_err());
    }

    #[test]
    fn hardware_comes_first() {
        use H264Encoder::{Auto, Nvenc, OpenH264, Vaapi, X264};
        assert_eq!(best(&[OpenH264]), OpenH264);
        assert_eq!(best(&[OpenH264, X264]), X264);
        assert_eq!(best(&[OpenH264, X264, Vaapi, Nvenc]), Nvenc);
        let options = VideoOptions {
            encoder: Auto,
            ..VideoOptions::default()
        };
        assert!(open(options).is_ok());
    }

    #[cfg(not(feature = "ffmpeg"))]
    #[test]
    fn what_is_not_built_in_is_an_error_that_names_the_feature() {
        let options = VideoOptions {
            encoder: H264Encoder::X264,
            ..VideoOptions::default()
        };
        let error = open(options).err().expect("not built in");
        assert_eq!(
            error.to_string(),
            "the encoder libx264 needs the feature `ffmpeg` of livekit-stream; there are: openh264"
        );
    }
}
