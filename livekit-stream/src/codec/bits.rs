//! Reads bits, most significant first.

/// A reader that ends quietly: behind the last bit every read is `None`.
#[derive(Debug, Clone)]
pub(super) struct BitReader<'a> {
    bytes: &'a [u8],
    /// In bits.
    position: usize,
}

impl<'a> BitReader<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, position: 0 }
    }

    /// Bits read so far.
    pub(super) fn position(&self) -> usize {
        self.position
    }

    /// An unsigned number of `count` bits, at most 32: `f(n)` or `u(n)` of the standards.
    pub(super) fn take(&mut self, count: u32) -> Option<u32> {
        let mut value = 0;
        for _ in 0..count {
            let byte = self.bytes.get(self.position / 8)?;
            value = (value << 1) | u32::from((byte >> (7 - self.position % 8)) & 1);
            self.position += 1;
        }
        Some(value)
    }

    /// As [`take`](Self::take), for numbers of at most eight bits.
    pub(super) fn byte(&mut self, count: u32) -> Option<u8> {
        self.take(count).map(|value| value as u8)
    }

    pub(super) fn flag(&mut self) -> Option<bool> {
        self.take(1).map(|bit| bit == 1)
    }

    pub(super) fn skip(&mut self, count: usize) -> Option<()> {
        let position = self.position.checked_add(count)?;
        (position <= self.bytes.len().saturating_mul(8)).then(|| self.position = position)
    }

    /// An Exp-Golomb code, `ue(v)` (ITU-T H.265 section 9.2).
    pub(super) fn exp_golomb(&mut self) -> Option<u32> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros > 31 {
            return None;
        }
        let rest = self.take(zeros)?;
        ((1_u32 << zeros) - 1).checked_add(rest)
    }

    /// AV1's `uvlc()` (section 4.10.3), of which only the end matters here.
    pub(super) fn skip_uvlc(&mut self) -> Option<()> {
        let mut zeros = 0;
        while !self.flag()? {
            zeros += 1;
        }
        if zeros < 32 {
            self.skip(zeros)
        } else {
            Some(())
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn exp_golomb_codes_are_those_of_table_9_2() {
        // 1, 010, 011, 00100, 00101
        let mut bits = BitReader::new(&[0b1010_0110, 0b0100_0010, 0b1000_0000]);
        let codes: Vec<_> = (0..5).map(|_| bits.exp_golomb().unwrap()).collect();
        assert_eq!(codes, [0, 1, 2, 3, 4]);
    }

    proptest! {
        #[test]
        fn nothing_is_read_behind_the_end(bytes: Vec<u8>, counts: Vec<u8>) {
            let mut bits = BitReader::new(&bytes);
            for count in counts {
                let _ = match count % 4 {
                    0 => bits.exp_golomb(),
                    1 => bits.skip_uvlc().map(|()| 0),
                    2 => bits.skip(usize::from(count)).map(|()| 0),
                    _ => bits.take(u32::from(count % 33)),
                };
                prop_assert!(bits.position <= bytes.len() * 8);
            }
        }
    }
}
