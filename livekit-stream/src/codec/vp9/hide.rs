//! Hides a frame: its header is written again with `show_frame` 0 (section 6.2).

use crate::codec::bits::BitReader;

/// The same frame, `width` pixels wide, not to be shown. Decoding it gives the same reference
/// frames, and so do the frames that follow if their size is another. `None` when it is not shown
/// by itself, or its header cannot be read.
#[must_use]
pub fn hide(frame: &[u8], width: u32) -> Option<Vec<u8>> {
    let mut bits = BitReader::new(frame);
    if bits.take(2)? != 2 {
        return None;
    }
    let profile = bits.take(1)? | bits.take(1)? << 1;
    if profile == 3 {
        bits.skip(1)?;
    }
    let shows_existing = bits.flag()?;
    let keyframe = !bits.flag()?;
    let show_frame = bits.position();
    if shows_existing || !bits.flag()? {
        return None;
    }
    if keyframe {
        let mut hidden = frame.to_vec();
        *hidden.get_mut(show_frame / 8)? &= !(0x80 >> (show_frame % 8));
        return Some(hidden);
    }
    let error_resilient = bits.flag()?;
    let intra_only = bits.position();
    rest_of_header(&mut bits, width, error_resilient)?;
    let length = bits.position();
    let mut writer = BitWriter::default();
    let mut source = BitReader::new(frame);
    for position in 0..length {
        if position == intra_only {
            // A frame that is not shown tells whether it is intra only.
            writer.put(false);
        }
        writer.put(source.flag()? && position != show_frame);
    }
    writer
        .bytes
        .extend_from_slice(frame.get(length.div_ceil(8)..)?);
    Some(writer.bytes)
}

/// What follows `error_resilient_mode` in the header of an inter frame that is shown.
fn rest_of_header(bits: &mut BitReader<'_>, width: u32, error_resilient: bool) -> Option<()> {
    if !error_resilient {
        bits.skip(2)?; // reset_frame_context
    }
    bits.skip(8 + 3 * 4)?; // refresh_frame_flags, references
    let mut found = false;
    for _ in 0..3 {
        found = bits.flag()?;
        if found {
            break;
        }
    }
    if !found {
        bits.skip(32)?; // frame_size
    }
    skip_if(bits, 32)?; // render_size
    bits.skip(1)?; // allow_high_precision_mv
    if !bits.flag()? {
        bits.skip(2)?; // raw_interpolation_filter
    }
    if !error_resilient {
        bits.skip(2)?; // refresh_frame_context, frame_parallel_decoding_mode
    }
    bits.skip(2)?; // frame_context_idx
    loop_filter(bits)?;
    bits.skip(8)?; // base_q_idx
    for _ in 0..3 {
        skip_if(bits, 5)?; // delta_q
    }
    segmentation(bits)?;
    tiles(bits, width)?;
    bits.skip(16) // header_size_in_bytes
}

/// Reads a flag, and skips so many bits if it is set.
fn skip_if(bits: &mut BitReader<'_>, count: usize) -> Option<()> {
    if bits.flag()? {
        bits.skip(count)?;
    }
    Some(())
}

/// `loop_filter_params` (section 6.2.8).
fn loop_filter(bits: &mut BitReader<'_>) -> Option<()> {
    bits.skip(6 + 3)?;
    if bits.flag()? && bits.flag()? {
        for _ in 0..4 + 2 {
            skip_if(bits, 7)?;
        }
    }
    Some(())
}

/// `segmentation_params` (section 6.2.11).
fn segmentation(bits: &mut BitReader<'_>) -> Option<()> {
    /// Bits of each feature's value with its sign.
    const FEATURES: [usize; 4] = [9, 7, 2, 0];
    if !bits.flag()? {
        return Some(());
    }
    if bits.flag()? {
        for _ in 0..7 {
            skip_if(bits, 8)?; // tree_probs
        }
        if bits.flag()? {
            for _ in 0..3 {
                skip_if(bits, 8)?; // pred_probs
            }
        }
    }
    if bits.flag()? {
        bits.skip(1)?; // segmentation_abs_or_delta_update
        for _ in 0..8 {
            for length in FEATURES {
                skip_if(bits, length)?;
            }
        }
    }
    Some(())
}

/// `tile_info` (section 6.2.13): the number of columns is within limits that the width sets.
fn tiles(bits: &mut BitReader<'_>, width: u32) -> Option<()> {
    let blocks = width.div_ceil(64);
    let (mut columns, mut most) = (0, 1);
    while 64 << columns < blocks {
        columns += 1;
    }
    while blocks >> most >= 4 {
        most += 1;
    }
    while columns < most - 1 && bits.flag()? {
        columns += 1;
    }
    skip_if(bits, 1) // tile_rows_log2
}

#[derive(Default)]
struct BitWriter {
    bytes: Vec<u8>,
    /// Bits in the last byte; 0 when it is full.
    used: u32,
}

impl BitWriter {
    fn put(&mut self, bit: bool) {
        if self.used == 0 {
            self.bytes.push(0);
        }
        if let Some(last) = self.bytes.last_mut() {
            *last |= u8::from(bit) << (7 - self.used);
        }
        self.used = (self.used + 1) % 8;
    }
}
