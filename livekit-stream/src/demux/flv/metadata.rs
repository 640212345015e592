//! `onMetaData` (E.5).

use super::FlvError;
use crate::rtmp::amf0::{self, Value};

/// What a sender says of its stream. It need not be true.
#[derive(Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct Metadata {
    /// Pixels a row.
    pub width: Option<f64>,
    /// Rows.
    pub height: Option<f64>,
    /// Pictures a second.
    pub frame_rate: Option<f64>,
    /// Samples a second and channel.
    pub audio_sample_rate: Option<f64>,
    /// The program that encoded it.
    pub encoder: Option<String>,
}

impl Metadata {
    /// `None`: script data of another name.
    pub(super) fn parse(body: &[u8]) -> Result<Option<Self>, FlvError> {
        let values = amf0::decode_all(body)?;
        let mut values = values.iter();
        let mut name = values.next().and_then(Value::as_str);
        // What publishers put before it for the server.
        if name == Some("@setDataFrame") {
            name = values.next().and_then(Value::as_str);
        }
        let Some(properties) = values.next().filter(|_| name == Some("onMetaData")) else {
            return Ok(None);
        };
        let number = |name| {
            let number = properties.get(name).and_then(Value::as_number);
            number.filter(|number| number.is_finite())
        };
        Ok(Some(Self {
            width: number("width"),
            height: number("height"),
            frame_rate: number("framerate"),
            audio_sample_rate: number("audiosamplerate"),
            encoder: properties
                .get("encoder")
                .and_then(Value::as_str)
                .map(str::to_owned),
        }))
    }
}
