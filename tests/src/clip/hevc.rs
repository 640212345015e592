//! H.265 byte streams (ITU-T H.265 annex B): access units.

use bytes::Bytes;

use super::annexb::nal_units;

const START_CODE: [u8; 4] = [0, 0, 0, 1];
/// Slice segments.
const VCL: std::ops::RangeInclusive<u8> = 0..=31;
/// Slice segments of random access pictures.
const IRAP: std::ops::RangeInclusive<u8> = 16..=23;
/// Parameter sets, the delimiter and prefix SEI begin an access unit when they follow a picture
/// (clause 7.4.2.4.4).
const BEFORE_PICTURE: [u8; 5] = [32, 33, 34, 35, 39];

fn kind(nal: &[u8]) -> u8 {
    nal[0] >> 1 & 0x3F
}

/// The access units of a byte stream, each again a byte stream with four-byte start codes.
pub(super) fn access_units(stream: &[u8]) -> Vec<Bytes> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    let mut has_picture = true;
    for nal in nal_units(stream) {
        let is_slice = VCL.contains(&kind(nal));
        // first_slice_segment_in_pic_flag is the first bit behind the header.
        let begins = if is_slice {
            nal.get(2).is_some_and(|byte| byte & 0x80 != 0)
        } else {
            BEFORE_PICTURE.contains(&kind(nal))
        };
        if has_picture && begins {
            units.push(Vec::new());
            has_picture = false;
        }
        has_picture |= is_slice;
        if let Some(unit) = units.last_mut() {
            unit.extend_from_slice(&START_CODE);
            unit.extend_from_slice(nal);
        }
    }
    units.into_iter().map(Bytes::from).collect()
}

/// Whether the access unit is a random access picture.
pub(super) fn is_irap(access_unit: &[u8]) -> bool {
    nal_units(access_unit)
        .iter()
        .any(|nal| IRAP.contains(&kind(nal)))
}

/// The slice segments alone, one after the other with start codes.
pub(super) fn slices(access_unit: &[u8]) -> Bytes {
    let mut slices = Vec::new();
    for nal in nal_units(access_unit) {
        if VCL.contains(&kind(nal)) {
            slices.extend_from_slice(&START_CODE);
            slices.extend_from_slice(nal);
        }
    }
    slices.into()
}
