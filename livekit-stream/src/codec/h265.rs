//! H.265 / HEVC: NAL units, parameter sets, picture size, the keyframe test (ITU-T H.265, ISO/IEC
//! 14496-15 section 8).
//!
//! Frames are access units in Annex B form, as H.264's.

mod configuration;
mod sps;

use bytes::Bytes;

use super::annexb::to_length_prefixed;
pub use super::annexb::{AnnexB, START_CODE, annexb_nal_units};
pub use configuration::DecoderConfiguration;
pub use sps::{Sps, sps_size};

/// The type in a NAL unit's header (ITU-T H.265 table 7-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NalUnitType {
    /// 0 to 15, 22 to 31: a slice segment of a picture that is no random access point.
    Slice(u8),
    /// 16 to 21: a slice segment of an IRAP picture (BLA, IDR or CRA), where decoding can start.
    Irap(u8),
    /// 32: a video parameter set.
    Vps,
    /// 33: a sequence parameter set.
    Sps,
    /// 34: a picture parameter set.
    Pps,
    /// 35: an access unit delimiter.
    AccessUnitDelimiter,
    /// 39 or 40: supplemental enhancement information before or after the picture.
    Sei(u8),
    /// Any other type.
    Other(u8),
}

impl NalUnitType {
    /// The type that a NAL unit's first byte tells.
    #[must_use]
    pub fn from_header(header: u8) -> Self {
        match (header >> 1) & 0x3f {
            n @ 16..=21 => Self::Irap(n),
            n @ 0..=31 => Self::Slice(n),
            32 => Self::Vps,
            33 => Self::Sps,
            34 => Self::Pps,
            35 => Self::AccessUnitDelimiter,
            n @ (39 | 40) => Self::Sei(n),
            n => Self::Other(n),
        }
    }

    /// The type of a NAL unit without start code; `None` when it has no whole header.
    #[must_use]
    pub fn of(nal_unit: &[u8]) -> Option<Self> {
        match nal_unit {
            [header, _, ..] => Some(Self::from_header(*header)),
            _ => None,
        }
    }

    /// Whether such a NAL unit carries coded picture data (VCL, types 0 to 31).
    #[must_use]
    pub fn is_vcl(self) -> bool {
        matches!(self, Self::Slice(_) | Self::Irap(_))
    }

    /// Whether it is a parameter set.
    #[must_use]
    pub fn is_parameter_set(self) -> bool {
        matches!(self, Self::Vps | Self::Sps | Self::Pps)
    }
}

fn kinds(annex_b: &[u8]) -> impl Iterator<Item = NalUnitType> {
    annexb_nal_units(annex_b).filter_map(NalUnitType::of)
}

/// Whether an access unit in Annex B form is an IRAP picture, so that decoding can start at it.
#[must_use]
pub fn is_keyframe(annex_b: &[u8]) -> bool {
    // The first slice segment decides: all of an IRAP picture have the same type (7.4.2.2).
    kinds(annex_b)
        .find(|kind| kind.is_vcl())
        .is_some_and(|kind| matches!(kind, NalUnitType::Irap(_)))
}

/// Whether an access unit in Annex B form contains coded picture data at all.
#[must_use]
pub fn has_vcl(annex_b: &[u8]) -> bool {
    kinds(annex_b).any(NalUnitType::is_vcl)
}

/// The parameter sets of a stream: whole NAL units without start code, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterSets {
    /// Video parameter sets (NAL unit type 32).
    pub vps: Vec<Bytes>,
    /// Sequence parameter sets (NAL unit type 33).
    pub sps: Vec<Bytes>,
    /// Picture parameter sets (NAL unit type 34).
    pub pps: Vec<Bytes>,
}

impl ParameterSets {
    /// Copies the parameter sets out of an access unit in Annex B form, in their order.
    #[must_use]
    pub fn from_access_unit(annex_b: &[u8]) -> Self {
        let mut sets = Self::default();
        // Parameter sets stand before the first slice segment (7.4.2.4.4).
        for nal_unit in annexb_nal_units(annex_b) {
            let list = match NalUnitType::of(nal_unit) {
                Some(NalUnitType::Vps) => &mut sets.vps,
                Some(NalUnitType::Sps) => &mut sets.sps,
                Some(NalUnitType::Pps) => &mut sets.pps,
                Some(kind) if kind.is_vcl() => break,
                _ => continue,
            };
            if !list.iter().any(|set| set == nal_unit) {
                list.push(Bytes::copy_from_slice(nal_unit));
            }
        }
        sets
    }

    /// Whether there is at least one of each kind, as a decoder needs.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.vps.is_empty() && !self.sps.is_empty() && !self.pps.is_empty()
    }

    /// Whether every set of `other` is among these.
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let within = |own: &[Bytes], other: &[Bytes]| other.iter().all(|set| own.contains(set));
        within(&self.vps, &other.vps)
            && within(&self.sps, &other.sps)
            && within(&self.pps, &other.pps)
    }
}

/// Converts an access unit from Annex B form to length prefixes of four bytes (ISO/IEC 14496-15
/// section 8.3.2). Access unit delimiters are left out, and parameter sets unless asked for: a
/// sample entry `hev1` has them in band, `hvc1` has not.
#[must_use]
pub fn annexb_to_hvcc(annex_b: &[u8], parameter_sets: bool) -> Vec<u8> {
    to_length_prefixed(annex_b, |nal_unit| match NalUnitType::of(nal_unit) {
        None | Some(NalUnitType::AccessUnitDelimiter) => false,
        Some(kind) => parameter_sets || !kind.is_parameter_set(),
    })
}

#[cfg(test)]
pub(crate) mod samples;
#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
