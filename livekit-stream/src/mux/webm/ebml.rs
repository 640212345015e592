//! EBML elements (RFC 8794): an ID, a size, and what they hold.

/// An element of known size.
pub(super) fn element(out: &mut Vec<u8>, id: u32, body: &[u8]) {
    put_id(out, id);
    put_size(out, body.len() as u64);
    out.extend_from_slice(body);
}

/// The start of an element that ends where an element begins that it cannot hold (RFC 8794
/// section 6.2).
pub(super) fn unknown_size(out: &mut Vec<u8>, id: u32) {
    put_id(out, id);
    out.extend_from_slice(&[0x01, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
}

pub(super) fn unsigned(out: &mut Vec<u8>, id: u32, value: u64) {
    let bytes = value.to_be_bytes();
    let zeros = bytes.iter().take(7).take_while(|byte| **byte == 0).count();
    element(out, id, bytes.get(zeros..).unwrap_or_default());
}

pub(super) fn float(out: &mut Vec<u8>, id: u32, value: f64) {
    element(out, id, &value.to_be_bytes());
}

/// UTF-8, or ASCII.
pub(super) fn text(out: &mut Vec<u8>, id: u32, value: &str) {
    element(out, id, value.as_bytes());
}

/// An element whose body is written by `write`.
pub(super) fn master(out: &mut Vec<u8>, id: u32, write: impl FnOnce(&mut Vec<u8>)) {
    let mut body = Vec::new();
    write(&mut body);
    element(out, id, &body);
}

/// IDs are written as the numbers they are known by, marker and all.
pub(super) fn put_id(out: &mut Vec<u8>, id: u32) {
    let bytes = id.to_be_bytes();
    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
    out.extend_from_slice(bytes.get(zeros..).unwrap_or_default());
}

/// A number with its length in the first byte's leading zeros (RFC 8794 section 4). All ones are
/// reserved.
pub(super) fn put_size(out: &mut Vec<u8>, size: u64) {
    let length = (1..8)
        .find(|length| size < (1 << (7 * length)) - 1)
        .unwrap_or(8);
    let marked = size | (1 << (7 * length));
    let bytes = marked.to_be_bytes();
    out.extend_from_slice(bytes.get(8 - length as usize..).unwrap_or_default());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sized(size: u64) -> Vec<u8> {
        let mut out = Vec::new();
        put_size(&mut out, size);
        out
    }

    #[test]
    fn sizes_take_as_few_bytes_as_they_need() {
        assert_eq!(sized(0), [0x80]);
        assert_eq!(sized(126), [0xfe]);
        // 127 in one byte would be all ones.
        assert_eq!(sized(127), [0x40, 0x7f]);
        assert_eq!(sized(16_382), [0x7f, 0xfe]);
        assert_eq!(sized(16_383), [0x20, 0x3f, 0xff]);
        assert_eq!(sized(1 << 40), [0x05, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn numbers_have_no_leading_zeros_but_one_byte_at_least() {
        let mut out = Vec::new();
        unsigned(&mut out, 0xd7, 0);
        unsigned(&mut out, 0x002a_d7b1, 1_000_000);
        assert_eq!(
            out,
            [0xd7, 0x81, 0, 0x2a, 0xd7, 0xb1, 0x83, 0x0f, 0x42, 0x40]
        );
    }
}
