//! AV1 over RTP (RTP Payload Format For AV1, version 1.0.0, aomediacodec.github.io/av1-rtp-spec).
//!
//! A frame is a temporal unit: all packets of one timestamp. The dependency descriptor is a header
//! extension that only servers need.

use bytes::Bytes;

use super::{DepacketizeError, Depacketized};
use crate::codec::Codec;
use crate::codec::av1::{
    HAS_EXTENSION, HAS_SIZE, ObuType, Stream, obus, read_leb128, write_leb128,
};
use crate::frame::VideoSize;

/// The aggregation header (section 4.4).
const CONTINUES: u8 = 0x80; // Z
const CONTINUED: u8 = 0x40; // Y
const NEW_SEQUENCE: u8 = 0x08; // N

/// The longest header of an OBU: with extension and size.
const MAX_OBU_HEADER: usize = 10;

/// Splits a payload into its OBU elements (section 4.5). `None` when one is cut short.
fn elements(payload: &[u8]) -> Option<(u8, Vec<&[u8]>)> {
    let (&header, mut rest) = payload.split_first()?;
    // W: how many elements there are, of which the last has no length; 0: all have one.
    let count = usize::from(header >> 4 & 3);
    let mut elements = Vec::with_capacity(count);
    while !rest.is_empty() {
        if count > 0 && elements.len() + 1 == count {
            elements.push(std::mem::take(&mut rest));
            break;
        }
        let (length, body) = read_leb128(rest)?;
        let (element, after) = body.split_at_checked(length)?;
        elements.push(element);
        rest = after;
    }
    (elements.len() >= count.max(1)).then_some((header, elements))
}

/// A new coded video sequence begins a temporal unit, and so do a temporal delimiter and a sequence
/// header. Other temporal units cannot be told from a further OBU.
pub(super) fn is_frame_start(payload: &[u8]) -> bool {
    let Some((header, elements)) = elements(payload) else {
        return false;
    };
    let first = elements.first().and_then(|element| element.first());
    let kind = first.map(|header| ObuType::from_header(*header));
    let begins = matches!(
        kind,
        Some(ObuType::TemporalDelimiter | ObuType::SequenceHeader)
    );
    header & CONTINUES == 0 && (header & NEW_SEQUENCE != 0 || begins)
}

/// Builds temporal units in low-overhead form.
///
/// A keyframe always has a sequence header: one that came without gets the last one seen.
#[derive(Debug, Default)]
pub(super) struct Av1Depacketizer {
    stream: Stream,
    /// The last sequence header OBU, with its size.
    sequence: Bytes,
    size: VideoSize,
}

impl Av1Depacketizer {
    pub(super) fn depacketize(
        &mut self,
        payloads: &[Bytes],
    ) -> Result<Option<Depacketized>, DepacketizeError> {
        let length: usize = payloads.iter().map(Bytes::len).sum();
        let mut unit = Vec::with_capacity(length + MAX_OBU_HEADER);
        let incomplete = DepacketizeError::Fragment(Codec::Av1);
        // The fragments of one OBU.
        let mut fragments: Vec<&[u8]> = Vec::new();
        let mut is_open = false;
        for payload in payloads {
            let truncated = DepacketizeError::Truncated(Codec::Av1, payload.len());
            let (header, elements) = elements(payload).ok_or(truncated)?;
            if is_open != (header & CONTINUES != 0) {
                return Err(incomplete);
            }
            let last = elements.len() - 1;
            for (index, element) in elements.into_iter().enumerate() {
                fragments.push(element);
                is_open = index == last && header & CONTINUED != 0;
                if !is_open {
                    append_obu(&fragments, &mut unit).ok_or(truncated)?;
                    fragments.clear();
                }
            }
        }
        if is_open {
            return Err(incomplete);
        }
        let picture = self.stream.next(&unit);
        if picture.sequence_header {
            let last = obus(&unit)
                .filter(|obu| obu.kind == ObuType::SequenceHeader)
                .last();
            if let Some(last) = last
                && *last.bytes != *self.sequence
            {
                self.sequence = Bytes::copy_from_slice(last.bytes);
            }
        } else if picture.keyframe {
            unit.splice(0..0, self.sequence.iter().copied());
        }
        if picture.size != VideoSize::default() {
            self.size = picture.size;
        }
        let has_frame = obus(&unit).any(|obu| {
            matches!(
                obu.kind,
                ObuType::Frame | ObuType::FrameHeader | ObuType::TileGroup
            )
        });
        Ok(has_frame.then(|| Depacketized {
            data: Bytes::from(unit),
            keyframe: picture.keyframe,
            size: self.size,
        }))
    }
}

/// Appends an OBU with its size. What RTP and MP4 leave out is left out: temporal delimiters, tile
/// lists and padding. `None` when its header is cut short or its own size is wrong.
fn append_obu(fragments: &[&[u8]], unit: &mut Vec<u8>) -> Option<()> {
    let length: usize = fragments.iter().map(|fragment| fragment.len()).sum();
    if length == 0 {
        return Some(());
    }
    let all = || fragments.iter().copied().flatten().copied();
    let start: Vec<u8> = all().take(MAX_OBU_HEADER).collect();
    let (&header, mut rest) = start.split_first()?;
    let kind = ObuType::from_header(header);
    if matches!(
        kind,
        ObuType::TemporalDelimiter | ObuType::TileList | ObuType::Padding
    ) {
        return Some(());
    }
    let mut extension = None;
    if header & HAS_EXTENSION != 0 {
        let (byte, after) = rest.split_first()?;
        (extension, rest) = (Some(*byte), after);
    }
    let mut size = length - (start.len() - rest.len());
    if header & HAS_SIZE != 0 {
        let (told, after) = read_leb128(rest)?;
        rest = after;
        size = (told <= length - (start.len() - rest.len())).then_some(told)?;
    }
    unit.push(header | HAS_SIZE);
    unit.extend(extension);
    write_leb128(size, unit);
    let mut header_left = start.len() - rest.len();
    for fragment in fragments {
        let (skipped, body) = fragment.split_at(header_left.min(fragment.len()));
        header_left -= skipped.len();
        let taken = &body[..size.min(body.len())];
        size -= taken.len();
        unit.extend_from_slice(taken);
    }
    Some(())
}
