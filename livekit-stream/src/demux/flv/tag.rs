//! The tags of a file (E.2 to E.4.1).

use bytes::{Buf, Bytes, BytesMut};

use super::FlvError;
use crate::mux::flv::TagKind;

/// Bytes of a tag's header.
const TAG_HEADER: usize = 11;
/// Bytes of the size that follows each tag, and the file header.
const PREVIOUS_TAG_SIZE: usize = 4;
/// A header may be longer than its nine bytes; hardly by this much.
const MAX_FILE_HEADER: u32 = 1024;

/// One tag.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tag {
    /// What it carries.
    pub kind: TagKind,
    /// Milliseconds, modulo 2^32.
    pub timestamp_ms: u32,
    /// Its body.
    pub body: Bytes,
}

/// Cuts an FLV file into tags as its bytes come, holding one tag at most.
#[derive(Debug, Default)]
pub struct TagReader {
    buffer: BytesMut,
    /// Bytes still to skip.
    skip: usize,
    started: bool,
}

impl TagReader {
    /// Takes the next bytes of the file.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole tag; `None` when more bytes are needed.
    ///
    /// # Errors
    ///
    /// When the bytes are not FLV. The reader is of no more use then.
    pub fn next_tag(&mut self) -> Result<Option<Tag>, FlvError> {
        if !self.started {
            let Some(header) = self.buffer.first_chunk::<9>() else {
                return Ok(None);
            };
            let [a, b, c, d, _, l0, l1, l2, l3] = *header;
            if [a, b, c, d] != *b"FLV\x01" {
                return Err(FlvError::Signature([a, b, c, d]));
            }
            let length = u32::from_be_bytes([l0, l1, l2, l3]);
            if !(9..=MAX_FILE_HEADER).contains(&length) {
                return Err(FlvError::HeaderLength(length));
            }
            self.started = true;
            self.skip = length as usize + PREVIOUS_TAG_SIZE;
        }
        let skipped = self.skip.min(self.buffer.len());
        self.buffer.advance(skipped);
        self.skip -= skipped;
        if self.skip > 0 {
            return Ok(None);
        }
        let Some(header) = self.buffer.first_chunk::<TAG_HEADER>() else {
            return Ok(None);
        };
        let [kind, l0, l1, l2, t0, t1, t2, high, ..] = *header;
        // Bit 5 says that the body is encrypted (E.4.1): nothing to be read then either.
        let kind = match kind {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            18 => TagKind::Script,
            other => return Err(FlvError::TagType(other)),
        };
        let length = u32::from_be_bytes([0, l0, l1, l2]) as usize;
        if self.buffer.len() < TAG_HEADER + length {
            return Ok(None);
        }
        self.buffer.advance(TAG_HEADER);
        self.skip = PREVIOUS_TAG_SIZE;
        Ok(Some(Tag {
            kind,
            timestamp_ms: u32::from_be_bytes([high, t0, t1, t2]),
            body: self.buffer.split_to(length).freeze(),
        }))
    }
}
