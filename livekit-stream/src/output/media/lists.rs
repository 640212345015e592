//! What a media encoder can be asked for.

use std::collections::BTreeMap;

#[cfg(not(feature = "ffmpeg"))]
fn native(rows: &[(&str, &str)]) -> BTreeMap<String, String> {
    let rows = rows.iter();
    rows.map(|(name, what)| ((*name).to_owned(), (*what).to_owned()))
        .collect()
}

/// Names and descriptions of the containers that
/// [`StreamingMediaEncoder::format`](super::StreamingMediaEncoder::format) takes: with the feature
/// `ffmpeg` those of this system's FFmpeg libraries, else those that are written natively.
///
/// ```
/// assert!(livekit_stream::output::media::get_muxers().contains_key("mp4"));
/// ```
#[must_use]
pub fn get_muxers() -> BTreeMap<String, String> {
    #[cfg(feature = "ffmpeg")]
    return crate::ffmpeg::muxers();
    #[cfg(not(feature = "ffmpeg"))]
    native(&[
        ("flv", "FLV (Flash Video)"),
        ("matroska", "Matroska"),
        ("mp4", "MP4, fragmented"),
        ("webm", "WebM"),
    ])
}

/// Names and descriptions of the encoders of pictures, as [`get_muxers`].
#[must_use]
pub fn get_video_encoders() -> BTreeMap<String, String> {
    #[cfg(feature = "ffmpeg")]
    return crate::ffmpeg::video_encoders();
    #[cfg(not(feature = "ffmpeg"))]
    native(&[("libopenh264", "H.264 by Cisco's openh264")])
}

/// Names and descriptions of the encoders of sound, as [`get_muxers`].
#[must_use]
pub fn get_audio_encoders() -> BTreeMap<String, String> {
    #[cfg(feature = "ffmpeg")]
    return crate::ffmpeg::audio_encoders();
    #[cfg(not(feature = "ffmpeg"))]
    native(&[
        #[cfg(feature = "aac")]
        ("libfdk_aac", "AAC by the Fraunhofer FDK library"),
        ("libopus", "Opus by libopus"),
    ])
}

/// Names and descriptions of the output devices, such as a screen or a speaker, that
/// [`StreamingMediaEncoder::format`](super::StreamingMediaEncoder::format) takes; none without
/// the feature `ffmpeg`.
#[must_use]
pub fn get_output_devices() -> BTreeMap<String, String> {
    #[cfg(feature = "ffmpeg")]
    return crate::ffmpeg::output_devices();
    #[cfg(not(feature = "ffmpeg"))]
    BTreeMap::new()
}
