//! H.264: NAL units, parameter sets, picture size, the keyframe test (ITU-T H.264, ISO/IEC 14496-15).
//!
//! Two framings carry the same NAL units: Annex B, with a start code before each (RTP's frames
//! here and MPEG-TS), and length prefixes (MP4 and FLV, where this form is called AVCC).

mod configuration;
mod reorder;
mod sps;

use bytes::Bytes;

use super::annexb::to_length_prefixed;
pub use super::annexb::{AnnexB, START_CODE, annexb_nal_units};
pub use configuration::DecoderConfiguration;
pub use reorder::max_num_reorder;
pub use sps::{Sps, sps_size};

/// Bytes that are not H.264 as the standards describe it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A length prefix points behind the end of the buffer.
    #[error("NAL unit of {length} bytes at offset {offset}, but only {available} are left")]
    TruncatedNalUnit {
        /// Where the length prefix stands.
        offset: usize,
        /// The length it tells.
        length: usize,
        /// Bytes that follow it.
        available: usize,
    },
    /// A length prefix has 1 to 4 bytes.
    #[error("length prefix of {0} bytes, 1 to 4 are allowed")]
    LengthSize(usize),
    /// No sequence parameter set, or none that can be read.
    #[error("no readable sequence parameter set among {0}")]
    NoSps(usize),
    /// More or longer parameter sets than a configuration record has room for.
    #[error("{count} parameter sets, the longest of {longest} bytes, do not fit into a record")]
    TooManyParameterSets {
        /// How many of one kind.
        count: usize,
        /// Bytes of the longest.
        longest: usize,
    },
    /// A configuration record of a version this crate does not know.
    #[error("AVCDecoderConfigurationRecord of version {0}, 1 is known")]
    ConfigurationVersion(u8),
    /// A configuration record ends too early.
    #[error("AVCDecoderConfigurationRecord ends at byte {0}")]
    TruncatedConfiguration(usize),
}

/// The type in a NAL unit's header (ITU-T H.264 table 7-1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum NalUnitType {
    /// 1: a slice of a picture that is not an IDR picture.
    Slice,
    /// 2, 3 or 4: a slice's data partition A, B or C.
    Partition(u8),
    /// 5: a slice of an IDR picture, where decoding can start.
    IdrSlice,
    /// 6: supplemental enhancement information.
    Sei,
    /// 7: a sequence parameter set.
    Sps,
    /// 8: a picture parameter set.
    Pps,
    /// 9: an access unit delimiter.
    AccessUnitDelimiter,
    /// 12: filler data.
    Filler,
    /// Any other type.
    Other(u8),
}

impl NalUnitType {
    /// The type that a NAL unit's first byte tells.
    #[must_use]
    pub fn from_header(header: u8) -> Self {
        match header & 0x1f {
            1 => Self::Slice,
            n @ 2..=4 => Self::Partition(n),
            5 => Self::IdrSlice,
            6 => Self::Sei,
            7 => Self::Sps,
            8 => Self::Pps,
            9 => Self::AccessUnitDelimiter,
            12 => Self::Filler,
            n => Self::Other(n),
        }
    }

    /// The type of a NAL unit without start code; `None` when it is empty.
    #[must_use]
    pub fn of(nal_unit: &[u8]) -> Option<Self> {
        nal_unit.first().map(|header| Self::from_header(*header))
    }

    /// Whether such a NAL unit carries coded picture data (VCL, types 1 to 5).
    #[must_use]
    pub fn is_vcl(self) -> bool {
        matches!(self, Self::Slice | Self::Partition(_) | Self::IdrSlice)
    }
}

/// The NAL units of a length-prefixed buffer, see [`length_prefixed_nal_units`].
#[derive(Debug, Clone)]
pub struct LengthPrefixed<'a> {
    data: &'a [u8],
    offset: usize,
    length_size: usize,
}

/// Iterates over the NAL units of a buffer in which each follows its length in `length_size`
/// big-endian bytes (1 to 4; MP4 and FLV use 4). Empty NAL units are skipped. After an error the
/// iterator ends.
#[must_use]
pub fn length_prefixed_nal_units(data: &[u8], length_size: usize) -> LengthPrefixed<'_> {
    LengthPrefixed {
        data,
        offset: 0,
        length_size,
    }
}

impl<'a> Iterator for LengthPrefixed<'a> {
    type Item = Result<&'a [u8], Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let offset = self.offset;
            let rest = self.data.get(offset..).filter(|rest| !rest.is_empty())?;
            self.offset = self.data.len();
            if !(1..=4).contains(&self.length_size) {
                return Some(Err(Error::LengthSize(self.length_size)));
            }
            let truncated = |length, available| Error::TruncatedNalUnit {
                offset,
                length,
                available,
            };
            let Some((prefix, payload)) = rest.split_at_checked(self.length_size) else {
                return Some(Err(truncated(self.length_size, rest.len())));
            };
            let length = prefix
                .iter()
                .fold(0, |length, byte| length << 8 | usize::from(*byte));
            let Some(nal_unit) = payload.get(..length) else {
                return Some(Err(truncated(length, payload.len())));
            };
            self.offset = offset + self.length_size + length;
            if !nal_unit.is_empty() {
                return Some(Ok(nal_unit));
            }
        }
    }
}

/// Whether an access unit in Annex B form contains an IDR slice, so that decoding can start at it.
#[must_use]
pub fn is_keyframe(annex_b: &[u8]) -> bool {
    // The first slice decides: all slices of an IDR picture are IDR slices (7.4.1.2.4).
    annexb_nal_units(annex_b)
        .filter_map(NalUnitType::of)
        .find(|kind| kind.is_vcl())
        .is_some_and(|kind| kind == NalUnitType::IdrSlice)
}

/// Whether an access unit in Annex B form contains coded picture data at all.
#[must_use]
pub fn has_vcl(annex_b: &[u8]) -> bool {
    annexb_nal_units(annex_b)
        .filter_map(NalUnitType::of)
        .any(NalUnitType::is_vcl)
}

/// The parameter sets of a stream: whole NAL units without start code, each once.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ParameterSets {
    /// Sequence parameter sets (NAL unit type 7).
    pub sps: Vec<Bytes>,
    /// Picture parameter sets (NAL unit type 8).
    pub pps: Vec<Bytes>,
}

impl ParameterSets {
    /// Copies the parameter sets out of an access unit in Annex B form, in their order. Both lists
    /// are empty when it has none.
    #[must_use]
    pub fn from_access_unit(annex_b: &[u8]) -> Self {
        let mut sets = Self::default();
        // Parameter sets stand before the first slice (7.4.1.2.3): the slices need no scan.
        for nal_unit in annexb_nal_units(annex_b) {
            match NalUnitType::of(nal_unit) {
                Some(kind) if kind.is_vcl() => break,
                Some(kind) => sets.insert(kind, nal_unit),
                None => {}
            }
        }
        sets
    }

    /// Adds a NAL unit if it is a parameter set that is not in the lists yet.
    fn insert(&mut self, kind: NalUnitType, nal_unit: &[u8]) {
        let list = match kind {
            NalUnitType::Sps => &mut self.sps,
            NalUnitType::Pps => &mut self.pps,
            _ => return,
        };
        if !list.iter().any(|set| set == nal_unit) {
            list.push(Bytes::copy_from_slice(nal_unit));
        }
    }

    /// Whether there is at least one of both kinds, as a decoder needs.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        !self.sps.is_empty() && !self.pps.is_empty()
    }
}

/// Which NAL units a conversion to length prefixes keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Keep {
    /// All of them.
    #[default]
    All,
    /// All but access unit delimiters: what a sample entry `avc3` holds.
    ParameterSets,
    /// All but access unit delimiters and parameter sets: what a sample entry `avc1` and FLV hold,
    /// whose parameter sets are in the configuration record.
    Pictures,
}

impl Keep {
    fn keeps(self, kind: NalUnitType) -> bool {
        match kind {
            NalUnitType::AccessUnitDelimiter => self == Self::All,
            NalUnitType::Sps | NalUnitType::Pps => self != Self::Pictures,
            _ => true,
        }
    }
}

/// Converts an access unit from Annex B form to length prefixes of four bytes (ISO/IEC 14496-15
/// section 5.3.2), leaving out what `keep` does not name.
#[must_use]
pub fn annexb_to_avcc(annex_b: &[u8], keep: Keep) -> Vec<u8> {
    to_length_prefixed(annex_b, |nal_unit| {
        NalUnitType::of(nal_unit).is_some_and(|kind| keep.keeps(kind))
    })
}

/// Converts a sample with length prefixes of `length_size` bytes (1 to 4) to Annex B form with
/// start codes of four bytes.
///
/// # Errors
///
/// When a NAL unit is longer than the rest of the buffer, or `length_size` is out of range.
pub fn avcc_to_annexb(sample: &[u8], length_size: usize) -> Result<Vec<u8>, Error> {
    let mut annex_b = Vec::with_capacity(sample.len() + 8);
    for nal_unit in length_prefixed_nal_units(sample, length_size) {
        annex_b.extend_from_slice(&START_CODE);
        annex_b.extend_from_slice(nal_unit?);
    }
    Ok(annex_b)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
