//! Superframes (annex B): several frames that are one picture, with an index at the end.

/// Frames that one superframe can hold.
pub const MAX_FRAMES: usize = 8;

/// The longest index.
pub const MAX_INDEX: usize = 2 + 4 * MAX_FRAMES;

/// `superframe_marker` in the index's first and last byte.
const MARKER: u8 = 0b1100_0000;
const MARKER_MASK: u8 = 0b1110_0000;

/// The frames of a superframe, in decoding order; a frame without index is its own only one.
/// `None` when there is nothing, or the index does not fit.
#[must_use]
pub fn frames(superframe: &[u8]) -> Option<Vec<&[u8]>> {
    let last = *superframe.last()?;
    let count = usize::from(last & 7) + 1;
    let length_size = usize::from(last >> 3 & 3) + 1;
    let index = superframe
        .len()
        .checked_sub(2 + count * length_size)
        .filter(|start| last & MARKER_MASK == MARKER && superframe[*start] == last);
    let Some(index) = index else {
        return Some(vec![superframe]);
    };
    let (mut data, index) = superframe.split_at(index);
    let mut frames = Vec::with_capacity(count);
    for length in index[1..index.len() - 1].chunks_exact(length_size) {
        let length = length
            .iter()
            .rev()
            .fold(0, |length, byte| length << 8 | usize::from(*byte));
        let (frame, rest) = data.split_at_checked(length)?;
        if !frame.is_empty() {
            frames.push(frame);
        }
        data = rest;
    }
    (!frames.is_empty()).then_some(frames)
}

/// Turns frames of these lengths, which lie in `data` one after the other, into a superframe.
/// `None` when they are none, more than [`MAX_FRAMES`], or not all of the data.
pub fn append_index(data: &mut Vec<u8>, lengths: &[usize]) -> Option<()> {
    let longest = u32::try_from(*lengths.iter().max()?).ok()?;
    if lengths.len() > MAX_FRAMES || lengths.iter().sum::<usize>() != data.len() {
        return None;
    }
    let length_size = (4 - longest.leading_zeros() as usize / 8).max(1);
    let marker = MARKER | (length_size as u8 - 1) << 3 | (lengths.len() as u8 - 1);
    data.push(marker);
    for length in lengths {
        data.extend_from_slice(&(*length as u32).to_le_bytes()[..length_size]);
    }
    data.push(marker);
    Some(())
}
