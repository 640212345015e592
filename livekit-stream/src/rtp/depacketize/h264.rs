//! H.264 over RTP (RFC 6184), packetization modes 0 and 1: single NAL units, STAP-A, FU-A.

use bytes::Bytes;
use h264_reader::rbsp::{BitRead, BitReader};

use super::kept::Kept;
use super::{DepacketizeError, Depacketized};
use crate::codec::Codec;
use crate::codec::h264::{NalUnitType, START_CODE, sps_size};
use crate::frame::VideoSize;

/// Packet types of RFC 6184 section 5.2.
const STAP_A: u8 = 24;
const FU_A: u8 = 28;

/// Builds access units in Annex B form.
///
/// A keyframe always has parameter sets: one that came without gets the last ones seen, for some
/// senders send them once, or with a timestamp of their own.
#[derive(Debug, Default)]
pub(super) struct H264Depacketizer {
    sps: Kept,
    pps: Kept,
    /// The sequence parameter set that told `size`.
    last_sps: Bytes,
    size: VideoSize,
    /// Access units of this stream begin with delimiters.
    delimited: bool,
}

impl H264Depacketizer {
    /// An access unit begins with its delimiter, or, in streams without, with parameter sets
    /// (ITU-T H.264 section 7.4.1.2.3). Others cannot be told from their second slice.
    pub(super) fn is_frame_start(&mut self, payload: &[u8]) -> bool {
        let header = match payload {
            [stap, _, _, header, ..] if stap & 0x1f == STAP_A => *header,
            [header, ..] => *header,
            [] => return false,
        };
        match NalUnitType::from_header(header) {
            NalUnitType::AccessUnitDelimiter => {
                self.delimited = true;
                true
            }
            NalUnitType::Sps => !self.delimited,
            _ => false,
        }
    }

    pub(super) fn depacketize(
        &mut self,
        payloads: &[Bytes],
    ) -> Result<Option<Depacketized>, DepacketizeError> {
        let length: usize = payloads.iter().map(|payload| payload.len() + 4).sum();
        // Room for the second start codes of small STAP-A packets.
        let mut unit = AccessUnit {
            data: Vec::with_capacity(length + 16),
            ..AccessUnit::default()
        };
        let mut fragmented = false;
        for payload in payloads {
            let truncated = DepacketizeError::Truncated(Codec::H264, payload.len());
            let (header, rest) = payload.split_first().ok_or(truncated)?;
            match header & 0x1f {
                kind if fragmented && kind != FU_A => {
                    return Err(DepacketizeError::Fragment(Codec::H264));
                }
                1..=23 => self.nal_unit(&mut unit, *header, rest),
                STAP_A => self.aggregate(&mut unit, rest).ok_or(truncated)?,
                FU_A => {
                    let (fu, fragment) = rest.split_first().ok_or(truncated)?;
                    let start = fu & 0x80 != 0;
                    if start == fragmented {
                        return Err(DepacketizeError::Fragment(Codec::H264));
                    }
                    if start {
                        self.nal_unit(&mut unit, header & 0xe0 | fu & 0x1f, fragment);
                    } else {
                        unit.data.extend_from_slice(fragment);
                    }
                    fragmented = fu & 0x40 == 0;
                }
                kind => return Err(DepacketizeError::PacketType(Codec::H264, kind)),
            }
        }
        if fragmented {
            return Err(DepacketizeError::Fragment(Codec::H264));
        }
        Ok(unit.picture.map(|picture| Depacketized {
            data: Bytes::from(unit.data),
            keyframe: picture == NalUnitType::IdrSlice && unit.sps && unit.pps,
            size: self.size,
        }))
    }

    /// A STAP-A packet's NAL units, each behind its length in two bytes (section 5.7.1).
    fn aggregate(&mut self, unit: &mut AccessUnit, mut rest: &[u8]) -> Option<()> {
        while !rest.is_empty() {
            let (length, more) = rest.split_first_chunk::<2>()?;
            let (nal_unit, more) =
                more.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            if let Some((header, body)) = nal_unit.split_first() {
                self.nal_unit(unit, *header, body);
            }
            rest = more;
        }
        Some(())
    }

    /// Appends a NAL unit, or the first fragment of one.
    fn nal_unit(&mut self, unit: &mut AccessUnit, header: u8, body: &[u8]) {
        let kind = NalUnitType::from_header(header);
        if kind.is_vcl() && unit.picture.is_none() {
            unit.picture = Some(kind);
            if kind == NalUnitType::IdrSlice {
                self.complete(unit);
            }
        }
        let start = unit.data.len() + START_CODE.len();
        unit.data.extend_from_slice(&START_CODE);
        unit.data.push(header);
        unit.data.extend_from_slice(body);
        let nal_unit = unit.data.get(start..).unwrap_or_default();
        match kind {
            NalUnitType::AccessUnitDelimiter => unit.after_delimiter = unit.data.len(),
            NalUnitType::Sps => {
                unit.sps = true;
                self.sps.keep(nal_unit, |set| id(set, 4));
                if *nal_unit != *self.last_sps {
                    self.last_sps = Bytes::copy_from_slice(nal_unit);
                    self.size = sps_size(nal_unit).unwrap_or_default();
                }
            }
            NalUnitType::Pps => {
                unit.pps = true;
                self.pps.keep(nal_unit, |set| id(set, 1));
            }
            _ => {}
        }
    }

    /// Gives a keyframe the parameter sets it came without, just before its first slice: sequence
    /// parameter sets behind the delimiter, picture parameter sets behind those.
    fn complete(&self, unit: &mut AccessUnit) {
        if !unit.sps && !self.sps.is_empty() {
            let at = unit.after_delimiter;
            unit.data.splice(at..at, self.sps.annex_b());
            unit.sps = true;
        }
        if !unit.pps && !self.pps.is_empty() {
            unit.data.extend(self.pps.annex_b());
            unit.pps = true;
        }
    }
}

/// An access unit in the making.
#[derive(Default)]
struct AccessUnit {
    data: Vec<u8>,
    /// Where the delimiter ends; 0 without one.
    after_delimiter: usize,
    sps: bool,
    pps: bool,
    /// The kind of the first slice.
    picture: Option<NalUnitType>,
}

/// The identifier of a parameter set: the first Exp-Golomb code behind `skip` bytes.
fn id(nal_unit: &[u8], skip: usize) -> Option<u32> {
    let body = nal_unit.get(skip..)?;
    BitReader::new(body).read_ue("parameter_set_id").ok()
}
