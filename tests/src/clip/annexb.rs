//! H.264 byte streams (ITU-T H.264 annex B): NAL units and access units.

use bytes::Bytes;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Slices of a picture that is not an IDR picture, data partitions, slices of an IDR picture.
const VCL: std::ops::RangeInclusive<u8> = 1..=5;
const IDR: u8 = 5;
/// Supplemental enhancement information, parameter sets and the delimiter begin an access unit
/// when they follow a picture (clause 7.4.1.2.3).
const BEFORE_PICTURE: std::ops::RangeInclusive<u8> = 6..=9;

/// The NAL units of a byte stream, without start codes and trailing zeros.
pub fn nal_units(stream: &[u8]) -> Vec<&[u8]> {
    let mut starts = Vec::new();
    let mut at = 0;
    while at + 3 <= stream.len() {
        if stream[at..at + 3] == START_CODE[1..] {
            starts.push(at);
            at += 3;
        } else {
            at += 1;
        }
    }
    let ends = starts.iter().skip(1).copied().chain([stream.len()]);
    starts
        .iter()
        .zip(ends)
        .map(|(start, end)| {
            let unit = &stream[start + 3..end];
            // A NAL unit never ends in a zero byte (clause 7.4.1); the first zero of a four-byte
            // start code belongs to the next.
            let zeros = unit.iter().rev().take_while(|byte| **byte == 0).count();
            &unit[..unit.len() - zeros]
        })
        .filter(|unit| !unit.is_empty())
        .collect()
}

/// The access units of a byte stream, each again a byte stream with four-byte start codes, so
/// that equal pictures are equal bytes whoever wrote them.
pub fn access_units(stream: &[u8]) -> Vec<Bytes> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut has_picture = true;
    for nal in nal_units(stream) {
        let kind = nal[0] & 0x1F;
        let begins = if VCL.contains(&kind) {
            // first_mb_in_slice is 0 when the slice header's first bit is 1 (ue(v), clause 9.1).
            nal.get(1).is_some_and(|byte| byte & 0x80 != 0)
        } else {
            BEFORE_PICTURE.contains(&kind)
        };
        if has_picture && begins {
            units.push(Vec::new());
            has_picture = false;
        }
        has_picture |= VCL.contains(&kind);
        if let Some(unit) = units.last_mut() {
            unit.extend_from_slice(&START_CODE);
            unit.extend_from_slice(nal);
        }
    }
    units.into_iter().map(Bytes::from).collect()
}

/// Whether the access unit holds an IDR picture.
pub fn is_idr(access_unit: &[u8]) -> bool {
    nal_units(access_unit)
        .iter()
        .any(|nal| nal[0] & 0x1F == IDR)
}

/// The picture alone: the slices, one after the other with start codes, without parameter sets
/// and SEI, which containers move and muxers may drop.
pub fn slices(access_unit: &[u8]) -> Bytes {
    let mut slices = Vec::new();
    for nal in nal_units(access_unit) {
        if VCL.contains(&(nal[0] & 0x1F)) {
            slices.extend_from_slice(&START_CODE);
            slices.extend_from_slice(nal);
        }
    }
    slices.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameter_sets_and_sei_begin_the_access_unit_of_the_picture_that_follows() {
        let stream = [
            &[0, 0, 0, 1, 0x67, 1][..],
            &[0, 0, 1, 0x68, 2],
            &[0, 0, 1, 0x65, 0x88, 3],
            &[0, 0, 1, 0x65, 0x08, 4],
            &[0, 0, 1, 0x41, 0x9A, 5, 0],
            &[0, 0, 1, 0x06, 6],
            &[0, 0, 1, 0x41, 0x9A, 7],
        ]
        .concat();
        let units = access_units(&stream);
        assert_eq!(units.len(), 3);
        assert_eq!(nal_units(&units[0]).len(), 4);
        assert!(is_idr(&units[0]));
        assert_eq!(units[1], [0, 0, 0, 1, 0x41, 0x9A, 5][..]);
        assert_eq!(slices(&units[2]), [0, 0, 0, 1, 0x41, 0x9A, 7][..]);
    }
}
