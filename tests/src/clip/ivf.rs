//! IVF, the simplest file of frames: a header of 32 bytes, then frames with a header of 12.

use bytes::Bytes;

const FILE_HEADER: usize = 32;
const FRAME_HEADER: usize = 12;

/// The frames.
pub(super) fn frames(file: &[u8]) -> Vec<Bytes> {
    assert!(file.starts_with(b"DKIF"), "not an IVF file");
    let mut rest = &file[FILE_HEADER..];
    let mut frames = Vec::new();
    while let Some((size, _)) = rest.split_first_chunk::<4>() {
        let size = u32::from_le_bytes(*size) as usize;
        frames.push(Bytes::copy_from_slice(
            &rest[FRAME_HEADER..FRAME_HEADER + size],
        ));
        rest = &rest[FRAME_HEADER + size..];
    }
    frames
}
