//! The AVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 5.3.3.1): the payload of MP4's
//! `avcC` box and of FLV's AVC sequence header.

use bytes::Bytes;

use super::{Error, ParameterSets, Sps};

/// A decoder configuration: profile, length prefix and parameter sets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecoderConfiguration {
    /// `AVCProfileIndication`, the sequence parameter set's `profile_idc`.
    pub profile: u8,
    /// `profile_compatibility`, the byte of its `constraint_set` flags.
    pub constraints: u8,
    /// `AVCLevelIndication`, its `level_idc`.
    pub level: u8,
    /// Bytes of each NAL unit's length prefix: 1, 2 or 4.
    pub length_size: u8,
    /// The parameter sets.
    pub parameter_sets: ParameterSets,
    /// `chroma_format_idc` and the bits a luma and a chroma sample; only profiles above Main and
    /// Extended have them.
    pub format: Option<(u8, u8, u8)>,
}

impl DecoderConfiguration {
    /// Describes a stream with these parameter sets and length prefixes of four bytes.
    ///
    /// # Errors
    ///
    /// When there is no readable sequence parameter set, or more sets than a record holds.
    pub fn new(parameter_sets: ParameterSets) -> Result<Self, Error> {
        let ParameterSets { sps, pps } = &parameter_sets;
        for (list, limit) in [(sps, 31), (pps, 255)] {
            let longest = list.iter().map(Bytes::len).max().unwrap_or(0);
            if list.len() > limit || longest > usize::from(u16::MAX) {
                return Err(Error::TooManyParameterSets {
                    count: list.len(),
                    longest,
                });
            }
        }
        let first = sps
            .first()
            .and_then(|sps| Sps::parse(sps))
            .ok_or(Error::NoSps(sps.len()))?;
        Ok(Self {
            profile: first.profile,
            constraints: first.constraints,
            level: first.level,
            length_size: 4,
            format: has_format(first.profile).then_some((
                first.chroma_format,
                first.bit_depth_luma,
                first.bit_depth_chroma,
            )),
            parameter_sets,
        })
    }

    /// Writes the record.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let ParameterSets { sps, pps } = &self.parameter_sets;
        let payload: usize = sps.iter().chain(pps).map(|set| set.len() + 2).sum();
        let mut record = Vec::with_capacity(payload + 11);
        record.extend_from_slice(&[1, self.profile, self.constraints, self.level]);
        // Reserved bits are ones.
        record.push(0b1111_1100 | (self.length_size.wrapping_sub(1) & 0b11));
        record.push(0b1110_0000 | (sps.len().min(31) as u8));
        write_sets(&mut record, sps.iter().take(31));
        record.push(pps.len().min(255) as u8);
        write_sets(&mut record, pps.iter().take(255));
        if let Some((chroma_format, luma, chroma)) = self.format {
            record.push(0b1111_1100 | (chroma_format & 0b11));
            record.push(0b1111_1000 | (luma.wrapping_sub(8) & 0b111));
            record.push(0b1111_1000 | (chroma.wrapping_sub(8) & 0b111));
            // numOfSequenceParameterSetExt: auxiliary pictures are not supported.
            record.push(0);
        }
        record
    }

    /// Reads a record. Old writers leave out the fields of the high profiles, so `format` may be
    /// `None` for them; extensions behind them are ignored.
    ///
    /// # Errors
    ///
    /// When the version is not 1, the record ends inside a field, or the length prefix has 3 bytes.
    pub fn parse(record: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader { record, offset: 0 };
        let version = reader.byte()?;
        if version != 1 {
            return Err(Error::ConfigurationVersion(version));
        }
        let [profile, constraints, level] = [reader.byte()?, reader.byte()?, reader.byte()?];
        let length_size = (reader.byte()? & 0b11) + 1;
        if length_size == 3 {
            return Err(Error::LengthSize(3));
        }
        let count = reader.byte()? & 0b1_1111;
        let sps = reader.sets(count)?;
        let count = reader.byte()?;
        let pps = reader.sets(count)?;
        let format = match reader.rest() {
            [chroma_format, luma, chroma, ..] if has_format(profile) => Some((
                chroma_format & 0b11,
                (luma & 0b111) + 8,
                (chroma & 0b111) + 8,
            )),
            _ => None,
        };
        Ok(Self {
            profile,
            constraints,
            level,
            length_size,
            parameter_sets: ParameterSets { sps, pps },
            format,
        })
    }
}

/// Whether a record of this profile ends with chroma format and bit depths: all but Baseline,
/// Main and Extended.
fn has_format(profile: u8) -> bool {
    !matches!(profile, 66 | 77 | 88)
}

fn write_sets<'a>(record: &mut Vec<u8>, sets: impl Iterator<Item = &'a Bytes>) {
    for set in sets {
        let set = &set[..set.len().min(usize::from(u16::MAX))];
        record.extend_from_slice(&(set.len() as u16).to_be_bytes());
        record.extend_from_slice(set);
    }
}

struct Reader<'a> {
    record: &'a [u8],
    offset: usize,
}

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Error> {
        let taken = self
            .record
            .get(self.offset..)
            .and_then(|rest| rest.get(..length))
            .ok_or(Error::TruncatedConfiguration(self.record.len()))?;
        self.offset += length;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Error> {
        self.take(1).map(|bytes| bytes[0])
    }

    fn sets(&mut self, count: u8) -> Result<Vec<Bytes>, Error> {
        (0..count)
            .map(|_| {
                let length = u16::from_be_bytes([self.byte()?, self.byte()?]);
                self.take(usize::from(length)).map(Bytes::copy_from_slice)
            })
            .collect()
    }

    fn rest(&self) -> &'a [u8] {
        self.record.get(self.offset..).unwrap_or_default()
    }
}
