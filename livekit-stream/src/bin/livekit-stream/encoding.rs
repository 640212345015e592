//! The options that say how pictures are encoded that are not copied.

use livekit_stream::VideoMode;
use livekit_stream::codec::Codec;
use livekit_stream::encode::{H264Encoder, Preset, VideoOptions, video_encoder};

use crate::failure::{Failure, causes};

/// How pictures are encoded that are not copied.
#[derive(clap::Args)]
#[command(next_help_heading = "Encoding, where pictures are not copied")]
pub(crate) struct Encoding {
    /// Target bits a second [default: by size, 3000000 for 1280x720]
    #[arg(long, value_name = "BITS")]
    bit_rate: Option<u32>,
    /// Speed against quality, from ultrafast to veryslow [default: ultrafast]
    #[arg(long, value_name = "PRESET")]
    preset: Option<Preset>,
    /// openh264, the default; with the feature `ffmpeg` also libx264, h264_nvenc, h264_vaapi,
    /// h264_videotoolbox, or auto for the first of them that starts
    #[arg(long, value_name = "ENCODER")]
    encoder: Option<H264Encoder>,
}

impl Encoding {
    /// These options for an encoder.
    pub(crate) fn options(&self) -> VideoOptions {
        let mut options = VideoOptions::default();
        options.bit_rate = self.bit_rate;
        options.preset = self.preset.unwrap_or_default();
        options.encoder = self.encoder.unwrap_or_default();
        options
    }

    /// Fails where no encoder can be had with these options, or where none is needed.
    pub(crate) fn check(&self, video: VideoMode) -> Result<(), Failure> {
        let asked = self.bit_rate.is_some() || self.preset.is_some() || self.encoder.is_some();
        if !asked {
            return Ok(());
        }
        let unused = match video {
            VideoMode::Copy => Some("copy"),
            VideoMode::None => Some("none"),
            _ => None,
        };
        if let Some(mode) = unused {
            return Err(Failure::usage(format!(
                "--bit-rate, --preset and --encoder have no effect with --video {mode}"
            )));
        }
        let encoder = video_encoder(Codec::H264, self.options());
        encoder
            .map(drop)
            .map_err(|error| Failure::usage(causes(&error)))
    }
}
