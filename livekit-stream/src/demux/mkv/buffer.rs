//! Bytes that wait to be read, in the pieces in which they came.

use std::collections::VecDeque;

use bytes::{Buf, Bytes, BytesMut};

/// Pieces below this size are put together: each would else cost more than it holds.
const SMALL: usize = 4 << 10;
/// How large such a collection grows.
const COLLECTED: usize = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Buffer {
    chunks: VecDeque<Bytes>,
    /// Small pieces behind the last chunk.
    tail: BytesMut,
    /// Bytes in all.
    len: usize,
}

impl Buffer {
    pub(super) fn push(&mut self, bytes: Bytes) {
        self.len = self.len.saturating_add(bytes.len());
        if bytes.len() < SMALL {
            self.tail.extend_from_slice(&bytes);
            if self.tail.len() >= COLLECTED {
                self.close_tail();
            }
        } else {
            self.close_tail();
            self.chunks.push_back(bytes);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Copies the first bytes without taking them; how many there were.
    pub(super) fn peek(&self, out: &mut [u8]) -> usize {
        let mut filled = 0;
        let tail: &[u8] = &self.tail;
        for chunk in self.chunks.iter().map(Bytes::as_ref).chain([tail]) {
            let count = chunk.len().min(out.len() - filled);
            out[filled..filled + count].copy_from_slice(&chunk[..count]);
            filled += count;
            if filled == out.len() {
                break;
            }
        }
        filled
    }

    /// Takes `count` bytes, of which there have to be so many: a slice where they came in one
    /// piece, else a copy.
    pub(super) fn take(&mut self, count: usize) -> Bytes {
        let count = count.min(self.len);
        if self.chunks.front().map_or(0, Bytes::len) < count {
            self.close_tail();
        }
        if let Some(front) = self.chunks.front_mut()
            && front.len() >= count
        {
            self.len -= count;
            let taken = front.split_to(count);
            if front.is_empty() {
                self.chunks.pop_front();
            }
            return taken;
        }
        let mut gathered = BytesMut::with_capacity(count);
        while gathered.len() < count {
            let Some(front) = self.chunks.front_mut() else {
                break;
            };
            let part = front.split_to(front.len().min(count - gathered.len()));
            gathered.extend_from_slice(&part);
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.len -= gathered.len();
        gathered.freeze()
    }

    /// Throws away up to `count` bytes; how many there were.
    pub(super) fn skip(&mut self, count: u64) -> usize {
        let count = usize::try_from(count).unwrap_or(usize::MAX).min(self.len);
        let mut left = count;
        while left > 0 {
            let Some(front) = self.chunks.front_mut() else {
                self.tail.advance(left);
                break;
            };
            let part = left.min(front.len());
            front.advance(part);
            left -= part;
            if front.is_empty() {
                self.chunks.pop_front();
            }
        }
        self.len -= count;
        count
    }

    fn close_tail(&mut self) {
        if !self.tail.is_empty() {
            self.chunks.push_back(self.tail.split().freeze());
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn bytes_come_out_as_they_went_in_however_they_are_cut(
            pieces in prop::collection::vec(0_usize..10_000, 0..20),
            takes in prop::collection::vec((any::<bool>(), 0_usize..20_000), 0..40),
        ) {
            let total: usize = pieces.iter().sum();
            let bytes: Vec<u8> = (0..total).map(|at| (at % 251) as u8).collect();
            let mut buffer = Buffer::default();
            let mut at = 0;
            for piece in pieces {
                buffer.push(Bytes::copy_from_slice(&bytes[at..at + piece]));
                at += piece;
            }
            let mut at = 0;
            for (skip, count) in takes {
                let mut start = [0; 12];
                let peeked = buffer.peek(&mut start);
                prop_assert_eq!(&start[..peeked], &bytes[at..(at + 12).min(total)]);
                let count = count.min(buffer.len());
                if skip {
                    prop_assert_eq!(buffer.skip(count as u64), count);
                } else {
                    prop_assert_eq!(&buffer.take(count)[..], &bytes[at..at + count]);
                }
                at += count;
                prop_assert_eq!(buffer.len(), total - at);
            }
        }
    }
}
