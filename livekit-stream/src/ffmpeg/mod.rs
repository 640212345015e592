//! FFmpeg's libraries, feature `ffmpeg`: the one folder that speaks to them. Backends of
//! [`crate::decode`] and [`crate::encode`] are made here, and what reads or writes any container.
//! Depends on those two, [`crate::frame`] and [`crate::codec`].
//!
//! Files with unsafe code allow it in their first lines.

mod context;
mod input;
mod media;
mod picture;
mod picture_decoder;
mod sound;
mod video_decoder;
mod video_encoder;

use std::sync::Once;

use ffmpeg_next::util::log;

pub(crate) use input::{BitstreamFilter, Input, InputPacket, TrackInfo};
pub(crate) use media::{
    audio_encoders, muxers, open as open_media, output_devices, video_encoders,
};
pub(crate) use picture_decoder::PictureDecoder;
pub(crate) use sound::SoundDecoder;
pub(crate) use video_decoder::FfmpegDecoder;
pub(crate) use video_encoder::{FfmpegEncoder, h264_encoders};

/// Registers what has to be registered and silences the libraries: they write to the standard error
/// stream, addresses with their keys among it. A program that has set a level of its own keeps it.
pub(crate) fn start() {
    static START: Once = Once::new();
    START.call_once(|| {
        if matches!(log::get_level(), Ok(log::Level::Info)) {
            log::set_level(log::Level::Quiet);
        }
        if let Err(error) = ffmpeg_next::init() {
            tracing::warn!(%error, "FFmpeg's libraries");
        }
    });
}

#[cfg(test)]
mod tests;
