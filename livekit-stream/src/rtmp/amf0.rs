//! AMF 0, the encoding of commands and metadata (Adobe Action Message Format, AMF 0, 2007).

use std::fmt;

/// How deep objects and arrays may nest when they are decoded. Real messages nest two levels.
pub const MAX_DEPTH: usize = 16;

/// How many values one message may hold when it is decoded, so that a message of single-byte
/// values cannot grow by the size of a [`Value`] each.
pub const MAX_VALUES: usize = 16_384;

/// Properties of an object in their order; names may repeat, the first one counts.
pub type Properties = Vec<(String, Value)>;

/// One AMF 0 value.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value {
    /// Marker 0: an IEEE 754 double.
    Number(f64),
    /// Marker 1.
    Boolean(bool),
    /// Marker 2, or 12 when it is longer than 65,535 bytes.
    String(String),
    /// Marker 3. A typed object (marker 16) is read as one, without its class.
    Object(Properties),
    /// Marker 5.
    Null,
    /// Marker 6. The marker "unsupported" (13) is read as this.
    Undefined,
    /// Marker 8: an object whose header counts its properties.
    EcmaArray(Properties),
    /// Marker 10.
    StrictArray(Vec<Value>),
    /// Marker 11.
    Date {
        /// Milliseconds since 1970-01-01 UTC.
        millis: f64,
        /// Reserved by the specification; zero.
        time_zone: i16,
    },
}

/// Bytes are not AMF 0, or are more than this crate takes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The input ended inside a value.
    #[error("AMF0 value cut short: {needed} more bytes needed")]
    Truncated {
        /// Bytes that are missing.
        needed: usize,
    },
    /// A type marker that is not in the specification, or that this crate does not read.
    #[error("AMF0 type marker {marker} is not supported")]
    UnsupportedMarker {
        /// The marker.
        marker: u8,
    },
    /// Objects nest deeper than [`MAX_DEPTH`].
    #[error("AMF0 values nest deeper than {MAX_DEPTH} levels")]
    TooDeep,
    /// More values than [`MAX_VALUES`].
    #[error("more than {MAX_VALUES} AMF0 values in one message")]
    TooMany,
}

const NUMBER: u8 = 0;
const BOOLEAN: u8 = 1;
const STRING: u8 = 2;
const OBJECT: u8 = 3;
const NULL: u8 = 5;
const UNDEFINED: u8 = 6;
const ECMA_ARRAY: u8 = 8;
const OBJECT_END: u8 = 9;
const STRICT_ARRAY: u8 = 10;
const DATE: u8 = 11;
const LONG_STRING: u8 = 12;
const UNSUPPORTED: u8 = 13;
const XML_DOCUMENT: u8 = 15;
const TYPED_OBJECT: u8 = 16;

impl Value {
    /// A [`Value::String`].
    pub fn string(text: impl Into<String>) -> Self {
        Self::String(text.into())
    }

    /// An [`Value::Object`] of these properties.
    pub fn object<K: Into<String>>(properties: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::Object(
            properties
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// An [`Value::EcmaArray`] of these properties.
    pub fn ecma_array<K: Into<String>>(properties: impl IntoIterator<Item = (K, Self)>) -> Self {
        Self::EcmaArray(
            properties
                .into_iter()
                .map(|(name, value)| (name.into(), value))
                .collect(),
        )
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_number(&self) -> Option<f64> {
        match self {
            Self::Number(number) => Some(*number),
            _ => None,
        }
    }

    /// The text, if it is a string.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The property of that name, if it is an object or an ECMA array that has one.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Self> {
        match self {
            Self::Object(properties) | Self::EcmaArray(properties) => properties
                .iter()
                .find(|(key, _)| key == name)
                .map(|(_, value)| value),
            _ => None,
        }
    }

    /// Appends the value's encoding to `out`.
    ///
    /// Property names are cut to 65,535 bytes and lengths to 32 bits, the most the format holds.
    pub fn encode(&self, out: &mut Vec<u8>) {
        match self {
            Self::Number(number) => {
                out.push(NUMBER);
                out.extend_from_slice(&number.to_be_bytes());
            }
            Self::Boolean(value) => out.extend_from_slice(&[BOOLEAN, u8::from(*value)]),
            Self::String(text) => {
                if let Ok(length) = u16::try_from(text.len()) {
                    out.push(STRING);
                    out.extend_from_slice(&length.to_be_bytes());
                    out.extend_from_slice(text.as_bytes());
                } else {
                    let text = prefix(text, u32::MAX as usize);
                    out.push(LONG_STRING);
                    out.extend_from_slice(&(text.len() as u32).to_be_bytes());
                    out.extend_from_slice(text.as_bytes());
                }
            }
            Self::Object(properties) => {
                out.push(OBJECT);
                encode_properties(properties, out);
            }
            Self::Null => out.push(NULL),
            Self::Undefined => out.push(UNDEFINED),
            Self::EcmaArray(properties) => {
                out.push(ECMA_ARRAY);
                out.extend_from_slice(&(properties.len() as u32).to_be_bytes());
                encode_properties(properties, out);
            }
            Self::StrictArray(values) => {
                out.push(STRICT_ARRAY);
                out.extend_from_slice(&(values.len() as u32).to_be_bytes());
                encode_all(values, out);
            }
            Self::Date { millis, time_zone } => {
                out.push(DATE);
                out.extend_from_slice(&millis.to_be_bytes());
                out.extend_from_slice(&time_zone.to_be_bytes());
            }
        }
    }
}

impl From<f64> for Value {
    fn from(number: f64) -> Self {
        Self::Number(number)
    }
}

impl From<bool> for Value {
    fn from(value: bool) -> Self {
        Self::Boolean(value)
    }
}

impl From<&str> for Value {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Number(number) => write!(f, "{number}"),
            Self::Boolean(value) => write!(f, "{value}"),
            Self::String(text) => f.write_str(text),
            Self::Null => f.write_str("null"),
            Self::Undefined => f.write_str("undefined"),
            other => write!(f, "{other:?}"),
        }
    }
}

/// Appends the encodings of several values to `out`.
pub fn encode_all<'a>(values: impl IntoIterator<Item = &'a Value>, out: &mut Vec<u8>) {
    for value in values {
        value.encode(out);
    }
}

/// Decodes all values of a message's body.
pub fn decode_all(bytes: &[u8]) -> Result<Vec<Value>, Error> {
    let mut decoder = Decoder {
        rest: bytes,
        values: 0,
    };
    let mut values = Vec::new();
    while !decoder.rest.is_empty() {
        values.push(decoder.value(0)?);
    }
    Ok(values)
}

fn encode_properties(properties: &Properties, out: &mut Vec<u8>) {
    for (name, value) in properties {
        encode_name(name, out);
        value.encode(out);
    }
    out.extend_from_slice(&[0, 0, OBJECT_END]);
}

fn encode_name(name: &str, out: &mut Vec<u8>) {
    let name = prefix(name, usize::from(u16::MAX));
    out.extend_from_slice(&(name.len() as u16).to_be_bytes());
    out.extend_from_slice(name.as_bytes());
}

/// The longest prefix of at most `max` bytes that ends on a character boundary.
fn prefix(text: &str, max: usize) -> &str {
    if text.len() <= max {
        return text;
    }
    let end = (0..=max)
        .rev()
        .find(|&end| text.is_char_boundary(end))
        .unwrap_or(0);
    text.get(..end).unwrap_or("")
}

struct Decoder<'a> {
    rest: &'a [u8],
    values: usize,
}

impl<'a> Decoder<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let (head, rest) = self.rest.split_at_checked(length).ok_or(Error::Truncated {
            needed: length.saturating_sub(self.rest.len()),
        })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Error> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Error::Truncated {
            needed: N.saturating_sub(self.rest.len()),
        })?;
        self.rest = rest;
        Ok(*head)
    }

    /// Text that is not UTF-8 is kept with replacement characters: some servers send Latin-1.
    fn text(&mut self, length: usize) -> Result<String, Error> {
        Ok(String::from_utf8_lossy(self.take(length)?).into_owned())
    }

    fn short_text(&mut self) -> Result<String, Error> {
        let length = u16::from_be_bytes(self.array()?);
        self.text(usize::from(length))
    }

    fn value(&mut self, depth: usize) -> Result<Value, Error> {
        if depth > MAX_DEPTH {
            return Err(Error::TooDeep);
        }
        self.values = self.values.saturating_add(1);
        if self.values > MAX_VALUES {
            return Err(Error::TooMany);
        }
        let [marker] = self.array()?;
        Ok(match marker {
            NUMBER => Value::Number(f64::from_be_bytes(self.array()?)),
            BOOLEAN => Value::Boolean(self.array::<1>()? != [0]),
            STRING => Value::String(self.short_text()?),
            OBJECT => Value::Object(self.properties(depth)?),
            NULL => Value::Null,
            UNDEFINED | UNSUPPORTED => Value::Undefined,
            ECMA_ARRAY => {
                // The count is only a hint (AMF 0 section 2.10); the end marker decides.
                self.array::<4>()?;
                Value::EcmaArray(self.properties(depth)?)
            }
            STRICT_ARRAY => {
                let count = u32::from_be_bytes(self.array()?);
                let mut values = Vec::new();
                for _ in 0..count {
                    values.push(self.value(depth + 1)?);
                }
                Value::StrictArray(values)
            }
            DATE => Value::Date {
                millis: f64::from_be_bytes(self.array()?),
                time_zone: i16::from_be_bytes(self.array()?),
            },
            LONG_STRING | XML_DOCUMENT => {
                let length = u32::from_be_bytes(self.array()?);
                Value::String(self.text(length as usize)?)
            }
            TYPED_OBJECT => {
                self.short_text()?;
                Value::Object(self.properties(depth)?)
            }
            marker => return Err(Error::UnsupportedMarker { marker }),
        })
    }

    fn properties(&mut self, depth: usize) -> Result<Properties, Error> {
        let mut properties = Vec::new();
        loop {
            let name = self.short_text()?;
            if name.is_empty() && self.rest.first() == Some(&OBJECT_END) {
                self.take(1)?;
                return Ok(properties);
            }
            properties.push((name, self.value(depth + 1)?));
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn encoded(value: &Value) -> Vec<u8> {
        let mut out = Vec::new();
        value.encode(&mut out);
        out
    }

    fn any_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            (-1e12..1e12).prop_map(Value::Number),
            any::<bool>().prop_map(Value::Boolean),
            ".{0,20}".prop_map(Value::String),
            Just(Value::Null),
            Just(Value::Undefined),
            (0.0..1e15, any::<i16>())
                .prop_map(|(millis, time_zone)| Value::Date { millis, time_zone }),
        ];
        leaf.prop_recursive(4, 64, 8, |inner| {
            let properties = prop::collection::vec(("[a-z]{1,8}", inner.clone()), 0..8);
            prop_oneof![
                properties.clone().prop_map(Value::Object),
                properties.prop_map(Value::EcmaArray),
                prop::collection::vec(inner, 0..8).prop_map(Value::StrictArray),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_value_reads_back_as_it_was(values in prop::collection::vec(any_value(), 0..6)) {
            let mut out = Vec::new();
            encode_all(&values, &mut out);
            prop_assert_eq!(decode_all(&out).unwrap(), values);
        }

        #[test]
        fn a_cut_value_is_an_error(value in any_value(), cut in any::<prop::sample::Index>()) {
            let bytes = encoded(&value);
            let cut = cut.index(bytes.len());
            if cut > 0 {
                let cut_short = matches!(decode_all(&bytes[..cut]), Err(Error::Truncated { .. }));
                prop_assert!(cut_short);
            }
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
            let _ = decode_all(&bytes);
        }
    }

    #[test]
    fn the_connect_command_has_the_bytes_of_the_specification() {
        let mut out = Vec::new();
        encode_all(
            &[
                Value::from("connect"),
                Value::from(1.0),
                Value::object([("app", Value::from("live"))]),
            ],
            &mut out,
        );
        assert_eq!(
            out,
            b"\x02\x00\x07connect\x00\x3f\xf0\0\0\0\0\0\0\x03\x00\x03app\x02\x00\x04live\0\0\x09"
        );
    }

    #[test]
    fn a_string_over_65535_bytes_is_a_long_string() {
        let text = "x".repeat(70_000);
        let bytes = encoded(&Value::string(text.clone()));
        assert_eq!(bytes[..5], [12, 0, 1, 0x11, 0x70]);
        assert_eq!(decode_all(&bytes).unwrap(), [Value::String(text)]);
    }

    #[test]
    fn an_array_that_announces_four_billion_values_is_truncated_not_allocated() {
        assert_eq!(
            decode_all(&[STRICT_ARRAY, 0xff, 0xff, 0xff, 0xff]),
            Err(Error::Truncated { needed: 1 })
        );
    }

    #[test]
    fn nesting_and_number_of_values_are_limited() {
        let mut deep = Vec::new();
        for _ in 0..40 {
            deep.extend_from_slice(&[STRICT_ARRAY, 0, 0, 0, 1]);
        }
        deep.push(NULL);
        assert_eq!(decode_all(&deep), Err(Error::TooDeep));
        assert_eq!(decode_all(&vec![NULL; MAX_VALUES + 1]), Err(Error::TooMany));
    }

    #[test]
    fn markers_outside_the_specification_are_named() {
        assert_eq!(
            decode_all(&[0x42]),
            Err(Error::UnsupportedMarker { marker: 0x42 })
        );
    }
}
