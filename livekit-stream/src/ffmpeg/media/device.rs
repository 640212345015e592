//! Graphics processors and the like that encode.
#![allow(unsafe_code)]

use ffmpeg_next::{Error, ffi};

use super::check_text;
use super::filter::c_string;
use crate::ffmpeg::context::{self, Uploader};
use crate::output::media::{MediaEncoderError, StreamName};

/// A device that encodes, such as `cuda:0`.
pub(super) struct Device {
    name: String,
    kind: ffi::AVHWDeviceType,
    index: Option<String>,
}

impl Device {
    pub(super) fn parse(stream: StreamName, name: &str) -> Result<Self, MediaEncoderError> {
        check_text(Some(stream), "hw_accel", name)?;
        let (kind, index) = match name.split_once(':') {
            Some((kind, index)) => (kind, Some(index.to_owned())),
            None => (name, None),
        };
        // SAFETY: a string with its end, read during the call.
        let kind = unsafe { ffi::av_hwdevice_find_type_by_name(c_string(kind).as_ptr()) };
        let device = Self {
            name: name.to_owned(),
            kind,
            index,
        };
        if device.kind == ffi::AVHWDeviceType::AV_HWDEVICE_TYPE_NONE {
            return Err(device.missing(stream, Error::ProtocolNotFound));
        }
        Ok(device)
    }

    pub(super) fn uploader(
        &self,
        width: u32,
        height: u32,
        format: ffi::AVPixelFormat,
    ) -> Result<Uploader, Error> {
        Uploader::new(self.kind, self.index.as_deref(), (width, height), format)
    }

    /// The error that says which devices there are.
    pub(super) fn missing(&self, stream: StreamName, error: Error) -> MediaEncoderError {
        let there = context::devices();
        let there = if there.is_empty() {
            "no device of this machine can be opened".to_owned()
        } else {
            format!("there are {}", there.join(", "))
        };
        let reason = match error {
            Error::ProtocolNotFound => "FFmpeg knows no such device".to_owned(),
            error => error.to_string(),
        };
        let allowed = format!("{reason}; {there}");
        MediaEncoderError::option(Some(stream), "hw_accel", &self.name, &allowed)
    }
}
