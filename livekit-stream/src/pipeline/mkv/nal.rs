//! Samples of H.264 and H.265: in Matroska they ought to be NAL units behind their lengths, as in
//! MP4, and now and then are in Annex B form, or begin in one form and go on in the other.

use bytes::Bytes;

use crate::codec::{h264, h265};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Standard {
    H264,
    H265,
}

impl Standard {
    fn is_vcl(self, nal_unit: &[u8]) -> bool {
        // The highest bit is zero in either standard: `forbidden_zero_bit`.
        let Some(0..=0x7f) = nal_unit.first() else {
            return false;
        };
        match self {
            Self::H264 => h264::NalUnitType::of(nal_unit).is_some_and(h264::NalUnitType::is_vcl),
            Self::H265 => h265::NalUnitType::of(nal_unit).is_some_and(h265::NalUnitType::is_vcl),
        }
    }
}

/// A frame with lengths of four bytes: the same bytes where it has them already. `None` when no NAL
/// unit in it carries a coded picture.
pub(super) fn sample(data: &Bytes, length_size: usize, standard: Standard) -> Option<Bytes> {
    let (mut units, mut has_picture, mut has_empty) = (0, false, false);
    let mut at = 0;
    let is_length_prefixed = loop {
        let Some((unit, next)) = unit(data, at, length_size) else {
            break at == data.len() && units > 0;
        };
        units += 1;
        has_empty |= unit.is_empty();
        has_picture |= standard.is_vcl(unit);
        at = next;
    };
    if is_length_prefixed && length_size == 4 && !has_empty {
        return has_picture.then(|| data.clone());
    }
    let units = if is_length_prefixed {
        prefixed(data, length_size).0
    } else {
        mixed(data, length_size)
    };
    if !units.iter().any(|unit| standard.is_vcl(unit)) {
        return None;
    }
    let mut sample = Vec::with_capacity(units.iter().map(|unit| unit.len() + 4).sum());
    for unit in units {
        // A block is shorter than 2^32 bytes.
        sample.extend_from_slice(&(unit.len() as u32).to_be_bytes());
        sample.extend_from_slice(unit);
    }
    Some(sample.into())
}

/// The NAL unit whose length stands at `at`, and where the next one's does.
fn unit(data: &[u8], at: usize, length_size: usize) -> Option<(&[u8], usize)> {
    let (prefix, rest) = data.get(at..)?.split_at_checked(length_size)?;
    let length = prefix
        .iter()
        .fold(0, |length, byte| length << 8 | usize::from(*byte));
    Some((rest.get(..length)?, at + length_size + length))
}

/// The NAL units from the start that have lengths, but for empty ones, and where they end.
fn prefixed(data: &[u8], length_size: usize) -> (Vec<&[u8]>, usize) {
    let (mut units, mut at) = (Vec::new(), 0);
    while let Some((unit, next)) = unit(data, at, length_size) {
        if !unit.is_empty() {
            units.push(unit);
        }
        at = next;
    }
    (units, at)
}

/// The NAL units of a frame that is not all lengths: those that have one up to the first start
/// code, then those behind start codes.
fn mixed(data: &[u8], length_size: usize) -> Vec<&[u8]> {
    let starts_with_code =
        |data: &[u8]| data.starts_with(&[0, 0, 1]) || data.starts_with(&h264::START_CODE);
    if starts_with_code(data) {
        return h264::annexb_nal_units(data).collect();
    }
    let (mut units, mut at) = (Vec::new(), 0);
    while !starts_with_code(&data[at..])
        && let Some((unit, next)) = unit(data, at, length_size)
    {
        if !unit.is_empty() {
            units.push(unit);
        }
        at = next;
    }
    units.extend(h264::annexb_nal_units(&data[at..]));
    units
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn h264(bytes: &[u8], length_size: usize) -> Option<Vec<u8>> {
        let data = Bytes::copy_from_slice(bytes);
        sample(&data, length_size, Standard::H264).map(|sample| sample.to_vec())
    }

    const WANTED: &[u8] = &[0, 0, 0, 2, 0x67, 1, 0, 0, 0, 3, 0x65, 2, 3];

    #[test]
    fn lengths_stay_and_are_not_copied() {
        let data = Bytes::from_static(WANTED);
        let same = sample(&data, 4, Standard::H264).map(|sample| sample.as_ptr());
        assert_eq!(same, Some(data.as_ptr()));
    }

    #[test]
    fn start_codes_and_other_lengths_become_lengths_of_four_bytes() {
        assert_eq!(
            h264(&[0, 0, 0, 1, 0x67, 1, 0, 0, 1, 0x65, 2, 3], 4).as_deref(),
            Some(WANTED)
        );
        assert_eq!(
            h264(&[2, 0x67, 1, 3, 0x65, 2, 3], 1).as_deref(),
            Some(WANTED)
        );
        assert_eq!(
            h264(&[0, 2, 0x67, 1, 0, 3, 0x65, 2, 3], 2).as_deref(),
            Some(WANTED)
        );
        let mixed = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 1, 0x65, 2, 3];
        assert_eq!(h264(&mixed, 4).as_deref(), Some(WANTED));
        let empty = [0, 0, 0, 2, 0x67, 1, 0, 0, 0, 0, 0, 0, 0, 3, 0x65, 2, 3];
        assert_eq!(h264(&empty, 4).as_deref(), Some(WANTED));
    }

    #[test]
    fn a_length_that_looks_like_a_start_code_is_one() {
        // 256 bytes: 00 00 01 00.
        let mut bytes = vec![0, 0, 1, 0, 0x65];
        bytes.extend([7; 255]);
        assert_eq!(h264(&bytes, 4).as_deref(), Some(&bytes[..]));
    }

    #[test]
    fn frames_without_a_picture_are_none() {
        assert_eq!(h264(&[0, 0, 0, 2, 0x67, 1], 4), None);
        assert_eq!(h264(&[0, 0, 0, 1, 0x06, 1], 4), None);
        assert_eq!(h264(&[], 4), None);
        let hevc = |bytes| sample(&Bytes::copy_from_slice(bytes), 4, Standard::H265);
        assert_eq!(hevc(&[0, 0, 0, 3, 0x42, 1, 7]), None);
        assert!(hevc(&[0, 0, 0, 3, 0x26, 1, 7]).is_some());
    }

    proptest! {
        #[test]
        fn any_bytes_give_whole_nal_units(bytes: Vec<u8>, length_size in 1_usize..=4) {
            for standard in [Standard::H264, Standard::H265] {
                let data = Bytes::copy_from_slice(&bytes);
                if let Some(sample) = sample(&data, length_size, standard) {
                    let units: Vec<_> = h264::length_prefixed_nal_units(&sample, 4).collect();
                    prop_assert!(!units.is_empty() && units.iter().all(Result::is_ok));
                }
            }
        }
    }
}
