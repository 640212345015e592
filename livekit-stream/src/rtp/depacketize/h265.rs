//! H.265 over RTP (RFC 7798) without decoding order numbers, which SDP would have to offer: single
//! NAL units, aggregation packets, fragmentation units, and PACI packets, whose extension is
//! skipped.

use bytes::Bytes;

use super::kept::Kept;
use super::{DepacketizeError, Depacketized};
use crate::codec::Codec;
use crate::codec::h265::{NalUnitType, START_CODE, Sps};
use crate::frame::VideoSize;

/// Packet types of RFC 7798 section 4.4; below are those of NAL units.
const AGGREGATION: u8 = 48;
const FRAGMENTATION: u8 = 49;
const PACI: u8 = 50;

fn packet_type(header: [u8; 2]) -> u8 {
    header[0] >> 1 & 0x3f
}

/// The header with another type.
fn with_type(header: [u8; 2], kind: u8) -> [u8; 2] {
    [header[0] & 0x81 | kind << 1, header[1]]
}

/// The header and what follows it. A PACI packet's is that of the packet inside (section 4.4.4.2).
fn open(payload: &[u8]) -> Option<([u8; 2], &[u8])> {
    let (header, rest) = payload.split_first_chunk::<2>()?;
    if packet_type(*header) != PACI {
        return Some((*header, rest));
    }
    // A, cType, PHSsize, F0..2, Y; then PHSsize bytes of extension.
    let (fields, rest) = rest.split_first_chunk::<2>()?;
    let fields = u16::from_be_bytes(*fields);
    let rest = rest.get(usize::from(fields >> 4 & 0x1f)..)?;
    let mut inner = with_type(*header, (fields >> 9 & 0x3f) as u8);
    inner[0] = inner[0] & 0x7f | ((fields >> 15) as u8) << 7;
    Some((inner, rest))
}

/// Builds access units in Annex B form.
///
/// A keyframe always has parameter sets: one that came without gets the last ones seen, for some
/// senders send them once, or with a timestamp of their own.
#[derive(Debug, Default)]
pub(super) struct H265Depacketizer {
    vps: Kept,
    sps: Kept,
    pps: Kept,
    /// The sequence parameter set that told `size`.
    last_sps: Bytes,
    size: VideoSize,
    /// Access units of this stream begin with delimiters.
    delimited: bool,
}

impl H265Depacketizer {
    /// An access unit begins with its delimiter, or, in streams without, with a video parameter set
    /// (ITU-T H.265 section 7.4.2.4.4). Others cannot be told from what follows a lost packet.
    pub(super) fn is_frame_start(&mut self, payload: &[u8]) -> bool {
        let Some((header, rest)) = open(payload) else {
            return false;
        };
        let first = match (packet_type(header), rest) {
            (AGGREGATION, [_, _, first, ..]) => *first,
            _ => header[0],
        };
        match NalUnitType::from_header(first) {
            NalUnitType::AccessUnitDelimiter => {
                self.delimited = true;
                true
            }
            NalUnitType::Vps => !self.delimited,
            _ => false,
        }
    }

    pub(super) fn depacketize(
        &mut self,
        payloads: &[Bytes],
    ) -> Result<Option<Depacketized>, DepacketizeError> {
        let length: usize = payloads.iter().map(|payload| payload.len() + 4).sum();
        // Room for the start codes of small aggregation packets.
        let mut unit = AccessUnit {
            data: Vec::with_capacity(length + 16),
            ..AccessUnit::default()
        };
        let incomplete = DepacketizeError::Fragment(Codec::H265);
        let mut fragmented = false;
        for payload in payloads {
            let truncated = DepacketizeError::Truncated(Codec::H265, payload.len());
            let (header, rest) = open(payload).ok_or(truncated)?;
            match packet_type(header) {
                kind if fragmented && kind != FRAGMENTATION => return Err(incomplete),
                0..AGGREGATION => self.nal_unit(&mut unit, header, rest),
                AGGREGATION => self.aggregate(&mut unit, rest).ok_or(truncated)?,
                FRAGMENTATION => {
                    let (fu, fragment) = rest.split_first().ok_or(truncated)?;
                    let start = fu & 0x80 != 0;
                    if start == fragmented {
                        return Err(incomplete);
                    }
                    if start {
                        self.nal_unit(&mut unit, with_type(header, fu & 0x3f), fragment);
                    } else {
                        unit.data.extend_from_slice(fragment);
                    }
                    fragmented = fu & 0x40 == 0;
                }
                kind => return Err(DepacketizeError::PacketType(Codec::H265, kind)),
            }
        }
        if fragmented {
            return Err(incomplete);
        }
        Ok(unit.picture.map(|picture| Depacketized {
            data: Bytes::from(unit.data),
            keyframe: matches!(picture, NalUnitType::Irap(_)) && unit.vps && unit.sps && unit.pps,
            size: self.size,
        }))
    }

    /// An aggregation packet's NAL units, each behind its length in two bytes (section 4.4.2).
    fn aggregate(&mut self, unit: &mut AccessUnit, mut rest: &[u8]) -> Option<()> {
        while !rest.is_empty() {
            let (length, more) = rest.split_first_chunk::<2>()?;
            let (nal_unit, more) =
                more.split_at_checked(usize::from(u16::from_be_bytes(*length)))?;
            if let Some((header, body)) = nal_unit.split_first_chunk::<2>() {
                self.nal_unit(unit, *header, body);
            }
            rest = more;
        }
        Some(())
    }

    /// Appends a NAL unit, or the first fragment of one.
    fn nal_unit(&mut self, unit: &mut AccessUnit, header: [u8; 2], body: &[u8]) {
        let kind = NalUnitType::from_header(header[0]);
        if kind.is_vcl() && unit.picture.is_none() {
            unit.picture = Some(kind);
            if matches!(kind, NalUnitType::Irap(_)) {
                self.complete(unit);
            }
        }
        let start = unit.data.len() + START_CODE.len();
        unit.data.extend_from_slice(&START_CODE);
        unit.data.extend_from_slice(&header);
        unit.data.extend_from_slice(body);
        let nal_unit = unit.data.get(start..).unwrap_or_default();
        match kind {
            NalUnitType::AccessUnitDelimiter => {
                unit.after_delimiter = unit.data.len();
                unit.after_vps = unit.data.len();
            }
            NalUnitType::Vps => {
                unit.vps = true;
                // vps_video_parameter_set_id has four bits.
                self.vps
                    .keep(nal_unit, |set| set.get(2).map(|byte| u32::from(byte >> 4)));
                unit.after_vps = unit.data.len();
            }
            NalUnitType::Sps => {
                unit.sps = true;
                self.sps
                    .keep(nal_unit, |set| Sps::parse(set).map(|sps| u32::from(sps.id)));
                if *nal_unit != *self.last_sps {
                    self.last_sps = Bytes::copy_from_slice(nal_unit);
                    self.size = Sps::parse(nal_unit).map(|sps| sps.size).unwrap_or_default();
                }
            }
            NalUnitType::Pps => {
                unit.pps = true;
                self.pps.keep(nal_unit, pps_id);
            }
            _ => {}
        }
    }

    /// Gives a keyframe the parameter sets it came without, in the order in which they refer to
    /// each other, all before its first slice segment.
    fn complete(&self, unit: &mut AccessUnit) {
        if !unit.sps && !self.sps.is_empty() {
            let at = unit.after_vps;
            unit.data.splice(at..at, self.sps.annex_b());
            unit.sps = true;
        }
        if !unit.vps && !self.vps.is_empty() {
            let at = unit.after_delimiter;
            unit.data.splice(at..at, self.vps.annex_b());
            unit.vps = true;
        }
        if !unit.pps && !self.pps.is_empty() {
            unit.data.extend(self.pps.annex_b());
            unit.pps = true;
        }
    }
}

/// `pps_pic_parameter_set_id`, 0 to 63: an Exp-Golomb code that fits sixteen bits.
fn pps_id(nal_unit: &[u8]) -> Option<u32> {
    let body = nal_unit.get(2..)?;
    let bits = u32::from_be_bytes([
        *body.first()?,
        body.get(1).copied().unwrap_or(0),
        body.get(2).copied().unwrap_or(0),
        0,
    ]);
    let zeros = bits.leading_zeros();
    (zeros <= 6).then(|| (bits >> (31 - 2 * zeros)) - 1)
}

/// An access unit in the making.
#[derive(Default)]
struct AccessUnit {
    data: Vec<u8>,
    /// Where the delimiter ends; 0 without one.
    after_delimiter: usize,
    /// Where the last video parameter set ends, or the delimiter.
    after_vps: usize,
    vps: bool,
    sps: bool,
    pps: bool,
    /// The kind of the first slice segment.
    picture: Option<NalUnitType>,
}
