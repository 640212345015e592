//! The HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1): the payload of MP4's `hvcC`
//! box and Matroska's `CodecPrivate`.

use bytes::Bytes;

use super::{NalUnitType, ParameterSets};

/// Bytes in front of the arrays, their number included.
const FIXED: usize = 23;

/// A decoder configuration as far as its parameter sets do not tell it themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderConfiguration {
    /// Bytes of each NAL unit's length prefix: 1, 2 or 4.
    pub length_size: u8,
    /// The parameter sets.
    pub parameter_sets: ParameterSets,
}

impl DecoderConfiguration {
    /// Reads a record. `None` when it ends inside a field, its version is neither 1 nor the 0 of old
    /// writers, or the length prefix has 3 bytes. NAL units of other kinds are passed over.
    #[must_use]
    pub fn parse(record: &[u8]) -> Option<Self> {
        let (fixed, mut rest) = record.split_at_checked(FIXED)?;
        if fixed[0] > 1 {
            return None;
        }
        let length_size = (fixed[21] & 0b11) + 1;
        if length_size == 3 {
            return None;
        }
        let mut sets = ParameterSets::default();
        for _ in 0..fixed[22] {
            // array_completeness and the kind, which each NAL unit tells as well.
            let (header, after) = rest.split_first_chunk::<3>()?;
            rest = after;
            for _ in 0..u16::from_be_bytes([header[1], header[2]]) {
                let (length, after) = rest.split_first_chunk::<2>()?;
                let (nal_unit, after) =
                    after.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
                rest = after;
                let list = match NalUnitType::of(nal_unit) {
                    Some(NalUnitType::Vps) => &mut sets.vps,
                    Some(NalUnitType::Sps) => &mut sets.sps,
                    Some(NalUnitType::Pps) => &mut sets.pps,
                    _ => continue,
                };
                if !list.iter().any(|set| set == nal_unit) {
                    list.push(Bytes::copy_from_slice(nal_unit));
                }
            }
        }
        Some(Self {
            length_size,
            parameter_sets: sets,
        })
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn record() -> Vec<u8> {
        let mut record = vec![1; 21];
        record.extend([0b1111_1111, 3]);
        for set in [&[0x40, 1, 7][..], &[0x42, 1, 8, 9], &[0x44, 1]] {
            record.extend([0xa0 | ((set[0] >> 1) & 0x3f), 0, 1, 0, set.len() as u8]);
            record.extend(set);
        }
        record
    }

    #[test]
    fn sets_come_out_of_their_arrays() {
        let configuration = DecoderConfiguration::parse(&record()).unwrap();
        assert_eq!(configuration.length_size, 4);
        let sets = configuration.parameter_sets;
        assert!(sets.is_complete());
        assert_eq!(sets.sps, [Bytes::from_static(&[0x42, 1, 8, 9])]);
    }

    #[test]
    fn a_record_cut_anywhere_is_none() {
        let record = record();
        for length in 0..record.len() {
            assert_eq!(
                DecoderConfiguration::parse(&record[..length]),
                None,
                "{length}"
            );
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_taken(bytes: Vec<u8>) {
            let _ = DecoderConfiguration::parse(&bytes);
        }
    }
}
