//! Blocks and their lacing (RFC 9559 sections 10 and 10.3).

use bytes::Bytes;

use super::ebml::vint;

/// A block: frames of one track with one time.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) track: u64,
    /// In units of the timestamp scale, from the cluster's.
    pub(super) relative: i16,
    /// The flag of a `SimpleBlock`.
    pub(super) keyframe: bool,
    /// At least one.
    pub(super) frames: Vec<Bytes>,
}

/// Reads the payload of a `SimpleBlock` or `Block`. `None` when it is cut short or its lacing does not
/// fit its length.
pub(super) fn block(data: &Bytes) -> Option<Block> {
    let (track, length) = vint(data)?;
    let &[high, low, flags] = data.get(length..)?.first_chunk::<3>()?;
    let payload = data.slice(length + 3..);
    Some(Block {
        track,
        relative: i16::from_be_bytes([high, low]),
        keyframe: flags & 0x80 != 0,
        frames: frames(&payload, flags & 0b110)?,
    })
}

fn frames(payload: &Bytes, lacing: u8) -> Option<Vec<Bytes>> {
    if lacing == 0 {
        return Some(vec![payload.clone()]);
    }
    let count = usize::from(*payload.first()?) + 1;
    let mut reader = Sizes {
        data: payload,
        offset: 1,
    };
    let mut sizes = match lacing {
        0b010 => (1..count)
            .map(|_| reader.xiph())
            .collect::<Option<Vec<_>>>()?,
        0b110 => reader.ebml(count - 1)?,
        // Fixed-size: the number of frames divides what is left.
        _ => {
            let rest = payload.len() - 1;
            rest.is_multiple_of(count)
                .then(|| vec![rest / count; count - 1])?
        }
    };
    let known = sizes
        .iter()
        .try_fold(0_usize, |sum, size| sum.checked_add(*size))?;
    let rest = payload.len().checked_sub(reader.offset)?;
    sizes.push(rest.checked_sub(known)?);
    let mut offset = reader.offset;
    let slices = sizes.into_iter().map(|size| {
        let frame = payload.slice(offset..offset + size);
        offset += size;
        frame
    });
    Some(slices.collect())
}

struct Sizes<'a> {
    data: &'a [u8],
    offset: usize,
}

impl Sizes<'_> {
    /// Bytes of 255 and one below it, added up.
    fn xiph(&mut self) -> Option<usize> {
        let mut size = 0_usize;
        loop {
            let byte = *self.data.get(self.offset)?;
            self.offset += 1;
            size = size.checked_add(usize::from(byte))?;
            if byte < 255 {
                return Some(size);
            }
        }
    }

    /// The first size, then differences whose middle is zero.
    fn ebml(&mut self, count: usize) -> Option<Vec<usize>> {
        let mut sizes = Vec::with_capacity(count);
        let mut last = 0_i64;
        for index in 0..count {
            let (value, length) = vint(self.data.get(self.offset..)?)?;
            self.offset += length;
            let value = i64::try_from(value).ok()?;
            last = if index == 0 {
                value
            } else {
                last.checked_add(value - ((1_i64 << (7 * length - 1)) - 1))?
            };
            sizes.push(usize::try_from(last).ok()?);
        }
        Some(sizes)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn sizes(bytes: &[u8]) -> Option<Vec<usize>> {
        let data = Bytes::copy_from_slice(bytes);
        block(&data).map(|block| block.frames.iter().map(Bytes::len).collect())
    }

    #[test]
    fn a_block_without_lacing_is_one_frame() {
        let block = block(&Bytes::from_static(&[0x81, 0xff, 0xfe, 0x80, 7, 8, 9])).unwrap();
        assert_eq!((block.track, block.relative, block.keyframe), (1, -2, true));
        assert_eq!(block.frames, [Bytes::from_static(&[7, 8, 9])]);
    }

    #[test]
    fn xiph_lacing_adds_up_bytes() {
        let mut bytes = vec![0x81, 0, 0, 0x02, 2, 255, 1, 3];
        bytes.extend([0; 256 + 3 + 5]);
        assert_eq!(sizes(&bytes), Some(vec![256, 3, 5]));
        assert_eq!(sizes(&[0x81, 0, 0, 0x02, 1, 255]), None);
        assert_eq!(sizes(&[0x81, 0, 0, 0x02, 1, 4, 0, 0, 0]), None);
    }

    #[test]
    fn ebml_lacing_has_a_size_and_differences() {
        // RFC 9559 section 10.3.3: 800, 500 and the rest; 500 is -300 as a difference.
        let mut bytes = vec![0x81, 0, 0, 0x06, 2, 0x43, 0x20, 0x5E, 0xD3];
        bytes.extend([0; 800 + 500 + 1000]);
        assert_eq!(sizes(&bytes), Some(vec![800, 500, 1000]));
        assert_eq!(sizes(&bytes[..1000]), None);
        assert_eq!(sizes(&[0x81, 0, 0, 0x06, 2, 0x81, 0x80, 0]), None);
    }

    #[test]
    fn fixed_size_lacing_divides() {
        assert_eq!(sizes(&[0x81, 0, 0, 0x04, 1, 1, 2, 3, 4]), Some(vec![2, 2]));
        assert_eq!(sizes(&[0x81, 0, 0, 0x04, 1, 1, 2, 3]), None);
        assert_eq!(sizes(&[0x81, 0, 0, 0x04]), None);
        assert_eq!(sizes(&[0x81, 0, 0]), None);
    }
}
