//! What FFmpeg's libraries of this system have.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;

use ffmpeg_next::ffi;

/// A static string of FFmpeg's, or nothing.
fn text(string: *const c_char) -> String {
    if string.is_null() {
        return String::new();
    }
    // SAFETY: names and descriptions of formats and codecs are static.
    unsafe { CStr::from_ptr(string) }
        .to_string_lossy()
        .into_owned()
}

/// Names and descriptions of all muxers.
pub(crate) fn muxers() -> BTreeMap<String, String> {
    crate::ffmpeg::start();
    let mut all = BTreeMap::new();
    let mut state = ptr::null_mut();
    // SAFETY: the state begins as null; formats are static.
    while let Some(format) = unsafe { ffi::av_muxer_iterate(&raw mut state).as_ref() } {
        all.insert(text(format.name), text(format.long_name));
    }
    all
}

fn encoders(kind: ffi::AVMediaType) -> BTreeMap<String, String> {
    crate::ffmpeg::start();
    let mut all = BTreeMap::new();
    let mut state = ptr::null_mut();
    // SAFETY: the state begins as null; codecs are static.
    while let Some(codec) = unsafe { ffi::av_codec_iterate(&raw mut state).as_ref() } {
        // SAFETY: as above.
        let is_encoder = unsafe { ffi::av_codec_is_encoder(codec) } != 0;
        if codec.type_ == kind && is_encoder {
            all.insert(text(codec.name), text(codec.long_name));
        }
    }
    all
}

/// Names and descriptions of all encoders of pictures.
pub(crate) fn video_encoders() -> BTreeMap<String, String> {
    encoders(ffi::AVMediaType::AVMEDIA_TYPE_VIDEO)
}

/// Names and descriptions of all encoders of sound.
pub(crate) fn audio_encoders() -> BTreeMap<String, String> {
    encoders(ffi::AVMediaType::AVMEDIA_TYPE_AUDIO)
}

/// Names and descriptions of all output devices.
pub(crate) fn output_devices() -> BTreeMap<String, String> {
    crate::ffmpeg::start();
    let mut all = BTreeMap::new();
    for next in [
        ffi::av_output_audio_device_next,
        ffi::av_output_video_device_next,
    ] {
        let mut last = ptr::null();
        // SAFETY: the first is asked for by null, each other by the one before; formats are
        // static.
        while let Some(format) = unsafe { next(last).as_ref() } {
            all.insert(text(format.name), text(format.long_name));
            last = ptr::from_ref(format);
        }
    }
    all
}
