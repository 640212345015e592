//! What openh264 prints.

#![allow(unsafe_code)]

use openh264::encoder::Encoder;

/// `ENCODER_OPTION_TRACE_LEVEL` of openh264's `codec_app_def.h`.
const TRACE_LEVEL: i32 = 25;

/// Keeps openh264 from writing to standard error. The wrapper does so only once the encoder runs,
/// which is after it has warned that without skipping frames the bit rate cannot be kept exactly.
pub(super) fn silence(encoder: &mut Encoder) {
    let mut quiet = 0_i32;
    // SAFETY: this option may be set at any time, is read during the call only, and takes one
    // 32-bit integer; the wrapper sets the same value later.
    unsafe {
        encoder
            .raw_api()
            .set_option(TRACE_LEVEL, (&raw mut quiet).cast());
    }
}
