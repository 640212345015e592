//! EBML: element headers, numbers and what stands inside a master element (RFC 8794).

use bytes::Bytes;

use super::MkvError;

/// The longest header: four bytes of ID, eight of size.
pub(super) const MAX_HEADER: usize = 12;

/// The ID and size in front of an element's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ElementHeader {
    pub(super) id: u32,
    /// `None` when it is unknown: all bits of the size are ones (section 6.2).
    pub(super) size: Option<u64>,
    /// Bytes of the header itself.
    pub(super) length: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Parsed {
    Header(ElementHeader),
    /// More bytes are needed.
    Incomplete,
    /// No header begins so.
    Invalid,
}

/// Reads the header that begins with these bytes.
pub(super) fn header(bytes: &[u8]) -> Parsed {
    let Some(&first) = bytes.first() else {
        return Parsed::Incomplete;
    };
    let id_length = first.leading_zeros() as usize + 1;
    if id_length > 4 {
        return Parsed::Invalid;
    }
    let Some((id, rest)) = bytes.split_at_checked(id_length) else {
        return Parsed::Incomplete;
    };
    let id = id.iter().fold(0, |id, byte| id << 8 | u32::from(*byte));
    match vint(rest) {
        Some((value, length)) => Parsed::Header(ElementHeader {
            id,
            size: (value != unknown(length)).then_some(value),
            length: id_length + length,
        }),
        None if rest.first() == Some(&0) => Parsed::Invalid,
        None => Parsed::Incomplete,
    }
}

/// A variable-size integer of 1 to 8 bytes without its marker (section 4), and its length. `None`
/// when it is cut short or longer.
pub(super) fn vint(bytes: &[u8]) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 {
        return None;
    }
    let head = u64::from(first) & ((1_u64 << (8 - length)) - 1);
    let rest = bytes.get(1..length)?;
    let value = rest
        .iter()
        .fold(head, |value, byte| value << 8 | u64::from(*byte));
    Some((value, length))
}

/// What a size of `length` bytes is when it is unknown.
fn unknown(length: usize) -> u64 {
    (1_u64 << (7 * length)) - 1
}

/// The elements directly inside a master element.
pub(super) struct Children<'a> {
    element: &'static str,
    data: &'a Bytes,
    offset: usize,
}

/// Iterates over the elements in a master element's data. `element` is its name in errors.
pub(super) fn children<'a>(element: &'static str, data: &'a Bytes) -> Children<'a> {
    Children {
        element,
        data,
        offset: 0,
    }
}

impl Iterator for Children<'_> {
    type Item = Result<(u32, Bytes), MkvError>;

    fn next(&mut self) -> Option<Self::Item> {
        let rest = self
            .data
            .get(self.offset..)
            .filter(|rest| !rest.is_empty())?;
        let start = self.offset;
        // After an error there is no next one.
        self.offset = self.data.len();
        let error = |reason| MkvError::Header {
            element: self.element,
            reason,
        };
        let Parsed::Header(header) = header(rest) else {
            return Some(Err(error("an element in it has no readable header")));
        };
        let Some(size) = header.size else {
            return Some(Err(error("an element in it has no size")));
        };
        let from = start + header.length;
        let end = usize::try_from(size)
            .ok()
            .and_then(|size| from.checked_add(size))
            .filter(|&end| end <= self.data.len());
        let Some(end) = end else {
            return Some(Err(error("an element in it is longer than the rest")));
        };
        self.offset = end;
        Some(Ok((header.id, self.data.slice(from..end))))
    }
}

/// An unsigned integer of at most eight bytes (section 7.2); longer ones are cut.
pub(super) fn unsigned(data: &[u8]) -> u64 {
    data.iter()
        .take(8)
        .fold(0, |value, byte| value << 8 | u64::from(*byte))
}

/// A signed integer (section 7.1).
pub(super) fn signed(data: &[u8]) -> i64 {
    let length = data.len().min(8) as u32;
    let unused = 64 - 8 * length;
    if length == 0 {
        return 0;
    }
    ((unsigned(data) << unused) as i64) >> unused
}

/// A float of four or eight bytes (section 7.3); zero for any other length.
pub(super) fn float(data: &[u8]) -> f64 {
    if let Ok(bytes) = <[u8; 4]>::try_from(data) {
        f64::from(f32::from_be_bytes(bytes))
    } else if let Ok(bytes) = <[u8; 8]>::try_from(data) {
        f64::from_be_bytes(bytes)
    } else {
        0.0
    }
}

/// Text up to its first zero byte (sections 7.4 and 7.5).
pub(super) fn text(data: &[u8]) -> String {
    let end = data.iter().position(|byte| *byte == 0);
    String::from_utf8_lossy(&data[..end.unwrap_or(data.len())]).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_are_those_of_rfc_8794() {
        // Section 4.4: the value 2 in one, two and four bytes.
        assert_eq!(vint(&[0x82]), Some((2, 1)));
        assert_eq!(vint(&[0x40, 0x02]), Some((2, 2)));
        assert_eq!(vint(&[0x10, 0, 0, 2]), Some((2, 4)));
        assert_eq!(vint(&[0x10, 0, 0]), None);
        assert_eq!(vint(&[0]), None);
        assert_eq!(vint(&[]), None);
        assert_eq!(
            vint(&[1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]),
            Some(((1 << 56) - 1, 8))
        );
        assert_eq!(
            (signed(&[0xff]), signed(&[0x7f]), signed(&[0x80, 0])),
            (-1, 127, -32768)
        );
        assert_eq!((signed(&[]), unsigned(&[]), unsigned(&[1, 2])), (0, 0, 258));
        assert!((float(&1.5_f32.to_be_bytes()) - 1.5).abs() < 1e-9);
        assert!((float(&1.5_f64.to_be_bytes()) - 1.5).abs() < 1e-9);
        assert_eq!(text(b"webm\0\0"), "webm");
    }

    #[test]
    fn headers_tell_unknown_sizes_incomplete_and_impossible_ones() {
        let header = |id, size, length| Parsed::Header(ElementHeader { id, size, length });
        assert_eq!(super::header(&[0xA3, 0x81]), header(0xA3, Some(1), 2));
        assert_eq!(
            super::header(&[0x1F, 0x43, 0xB6, 0x75, 0xff]),
            header(0x1F43_B675, None, 5)
        );
        let long = [
            0x1F, 0x43, 0xB6, 0x75, 1, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        ];
        assert_eq!(super::header(&long), header(0x1F43_B675, None, 12));
        assert_eq!(super::header(&long[..11]), Parsed::Incomplete);
        assert_eq!(super::header(&[0xA3, 0x40]), Parsed::Incomplete);
        assert_eq!(super::header(&[]), Parsed::Incomplete);
        assert_eq!(super::header(&[0x08, 1, 2, 3]), Parsed::Invalid);
        assert_eq!(super::header(&[0xA3, 0]), Parsed::Invalid);
    }
}
