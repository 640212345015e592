//! IVF, the simplest file of VP8 frames: a header of 32 bytes, then frames with a header of 12.

use bytes::Bytes;

const FILE_HEADER: usize = 32;
const FRAME_HEADER: usize = 12;

/// The frames, and whether each is a keyframe (RFC 6386 section 9.1: the first bit is 0).
pub(super) fn frames(file: &[u8]) -> Vec<(Bytes, bool)> {
    assert!(file.starts_with(b"DKIF"), "not an IVF file");
    let mut rest = &file[FILE_HEADER..];
    let mut frames = Vec::new();
    while let Some((size, _)) = rest.split_first_chunk::<4>() {
        let size = u32::from_le_bytes(*size) as usize;
        let data = Bytes::copy_from_slice(&rest[FRAME_HEADER..FRAME_HEADER + size]);
        let keyframe = data.first().is_some_and(|byte| byte & 1 == 0);
        frames.push((data, keyframe));
        rest = &rest[FRAME_HEADER + size..];
    }
    frames
}
