//! Byte streams with start codes (ITU-T H.264 and H.265, annex B).

/// The start code that precedes each NAL unit of this crate's frames.
pub const START_CODE: [u8; 4] = [0, 0, 0, 1];

/// The offset of the next `00 00 01` at or behind `from`.
fn find_start_code(data: &[u8], from: usize) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let mut at = from;
    // Coded slices hardly contain zeros, so whole words without one are skipped at once.
    while let Some(word) = data.get(at..).and_then(<[u8]>::first_chunk::<8>) {
        let value = u64::from_ne_bytes(*word);
        if value.wrapping_sub(LOW) & !value & HIGH != 0
            && let Some(offset) = (0..8).find(|i| data[at + i..].starts_with(&[0, 0, 1]))
        {
            return Some(at + offset);
        }
        at += 8;
    }
    let rest = data.get(at..)?;
    rest.windows(3)
        .position(|window| window == [0, 0, 1])
        .map(|offset| at + offset)
}

/// The NAL units of a buffer in Annex B form, see [`annexb_nal_units`].
#[derive(Debug, Clone)]
pub struct AnnexB<'a> {
    data: &'a [u8],
    /// First byte of the next NAL unit; `None` at the end.
    next: Option<usize>,
}

/// Iterates over the NAL units of a buffer in Annex B form, without their start codes of three or
/// four bytes and without trailing zeros. What stands before the first start code is skipped, and
/// so are empty NAL units.
#[must_use]
pub fn annexb_nal_units(data: &[u8]) -> AnnexB<'_> {
    AnnexB {
        data,
        next: find_start_code(data, 0).map(|at| at + 3),
    }
}

impl<'a> Iterator for AnnexB<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        loop {
            let start = self.next?;
            let code = find_start_code(self.data, start);
            self.next = code.map(|at| at + 3);
            let nal_unit = self.data.get(start..code.unwrap_or(self.data.len()))?;
            // A NAL unit never ends in a zero byte: those belong to the next start code or are
            // trailing_zero_8bits (annex B.1).
            let length = nal_unit.iter().rposition(|byte| *byte != 0);
            if let Some(last) = length {
                return Some(&nal_unit[..=last]);
            }
        }
    }
}

/// The NAL units that `keep` accepts, each behind its length in four bytes (ISO/IEC 14496-15
/// section 4.3.3).
pub(super) fn to_length_prefixed(annex_b: &[u8], keep: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    // Start codes of three bytes grow by one each; one spare word serves the usual access unit.
    let mut sample = Vec::with_capacity(annex_b.len() + 8);
    for nal_unit in annexb_nal_units(annex_b) {
        if let Ok(length) = u32::try_from(nal_unit.len())
            && keep(nal_unit)
        {
            sample.extend_from_slice(&length.to_be_bytes());
            sample.extend_from_slice(nal_unit);
        }
    }
    sample
}
