//! Operations on whole planes that the pixel library lacks, written so that the compiler can
//! vectorise them.

use std::cmp::Ordering;

use super::super::video::ColorRange;

/// Copies a chroma plane to a tight one of full or half the size in either direction.
///
/// A sample is repeated where the plane grows; where it shrinks two samples, or the last one
/// alone at an odd edge, are averaged.
pub(super) fn resize(
    source: &[u8],
    stride: usize,
    (width, height): (usize, usize),
    out: &mut [u8],
    (out_width, out_height): (usize, usize),
) {
    if out_width == 0 || width == 0 {
        return;
    }
    let row = |y: usize| {
        let start = y.min(height.saturating_sub(1)) * stride;
        source.get(start..start + width).unwrap_or_default()
    };
    let mut line = vec![0; width];
    for (y, to) in out.chunks_exact_mut(out_width).take(out_height).enumerate() {
        let from = match out_height.cmp(&height) {
            Ordering::Greater => row(y / 2),
            Ordering::Equal => row(y),
            Ordering::Less => {
                average(row(2 * y), row(2 * y + 1), &mut line);
                &line
            }
        };
        match out_width.cmp(&width) {
            Ordering::Greater => {
                for (pair, &sample) in to.chunks_mut(2).zip(from) {
                    pair.fill(sample);
                }
            }
            Ordering::Equal => to.copy_from_slice(from),
            Ordering::Less => {
                for (to, pair) in to.iter_mut().zip(from.chunks(2)) {
                    *to = mean(pair[0], *pair.last().unwrap_or(&pair[0]));
                }
            }
        }
    }
}

fn mean(a: u8, b: u8) -> u8 {
    (u16::from(a) + u16::from(b)).div_ceil(2) as u8
}

fn average(a: &[u8], b: &[u8], out: &mut [u8]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        *out = mean(a, b);
    }
}

/// Two tight planes to one of pairs.
pub(super) fn interleave(u: &[u8], v: &[u8], out: &mut [u8]) {
    for ((pair, &u), &v) in out.as_chunks_mut::<2>().0.iter_mut().zip(u).zip(v) {
        *pair = [u, v];
    }
}

/// Eight bits to ten in little-endian words: black and white stay black and white, so limited
/// range is shifted and full range is stretched to 0..=1023.
pub(super) fn widen(source: &[u8], out: &mut [u8], range: ColorRange) {
    let low_bits = match range {
        ColorRange::Limited => 8,
        ColorRange::Full => 6,
    };
    for (word, &sample) in out.as_chunks_mut::<2>().0.iter_mut().zip(source) {
        let sample = u16::from(sample);
        *word = (sample << 2 | sample >> low_bits).to_le_bytes();
    }
}

/// Ten bits to eight, rounded; the inverse of [`widen`].
pub(super) fn narrow(source: &[u16], out: &mut [u8], range: ColorRange) {
    match range {
        ColorRange::Limited => {
            for (to, &word) in out.iter_mut().zip(source) {
                *to = ((word.min(1023) + 2) >> 2).min(255) as u8;
            }
        }
        ColorRange::Full => {
            for (to, &word) in out.iter_mut().zip(source) {
                *to = ((u32::from(word.min(1023)) * 255 + 511) / 1023) as u8;
            }
        }
    }
}
