//! AV1: OBUs, the sequence header, frame sizes, the keyframe test (AV1 Bitstream & Decoding
//! Process Specification, version 1.0.0 with errata 1), and what `av1C` says (AV1 Codec ISO Media
//! File Format Binding).

mod frame;
mod obu;
mod sequence;

use bytes::Bytes;

pub use frame::{FrameHeader, FrameSize, FrameType};
pub(crate) use obu::{HAS_EXTENSION, HAS_SIZE};
pub use obu::{Obu, ObuType, Obus, obus, read_leb128, write_leb128};
pub use sequence::{ColorConfig, SequenceHeader};

use crate::frame::VideoSize;

/// The sizes of the eight reference frames: frames between keyframes may take theirs from one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct References([VideoSize; 8]);

impl References {
    /// Takes a frame's header in, and tells the frame's size; zero when it is not known.
    fn update(&mut self, header: &FrameHeader) -> VideoSize {
        let size = match header.size {
            FrameSize::Explicit(size) => Some(size),
            FrameSize::Reference(slot) => self.0.get(usize::from(slot)).copied(),
            FrameSize::Unknown => None,
        }
        .unwrap_or_default();
        for (slot, reference) in self.0.iter_mut().enumerate() {
            if header.refresh >> slot & 1 == 1 {
                *reference = size;
            }
        }
        size
    }
}

/// Whether decoding can start at this temporal unit: a sequence header, and the first frame is a
/// keyframe that is shown. In spatial layers the first frame is the lowest layer's.
#[must_use]
pub fn is_keyframe(temporal_unit: &[u8]) -> bool {
    let picture = Stream::default().next(temporal_unit);
    picture.keyframe && picture.sequence_header
}

/// What a temporal unit is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Picture {
    /// The first frame is a keyframe that is shown. Decoding can start here if there is a sequence
    /// header.
    pub keyframe: bool,
    /// There is a sequence header in it.
    pub sequence_header: bool,
    /// There is a frame in it.
    pub frame: bool,
    /// The size of the last frame, that of the highest spatial layer; zero when it is not known.
    pub size: VideoSize,
}

/// Follows a stream's sequence headers and reference frames, which later frames are read with.
#[derive(Debug, Clone, Default)]
pub struct Stream {
    sequence: Option<SequenceHeader>,
    references: References,
}

impl Stream {
    /// Takes the next temporal unit in, in low-overhead form.
    pub fn next(&mut self, temporal_unit: &[u8]) -> Picture {
        let mut picture = Picture::default();
        for obu in obus(temporal_unit) {
            match obu.kind {
                ObuType::SequenceHeader => {
                    if let Some(sequence) = SequenceHeader::parse(obu.payload) {
                        self.sequence = Some(sequence);
                        picture.sequence_header = true;
                    }
                }
                ObuType::Frame | ObuType::FrameHeader => self.frame(&obu, &mut picture),
                _ => {}
            }
        }
        picture
    }

    /// The last sequence header.
    #[must_use]
    pub fn sequence(&self) -> Option<&SequenceHeader> {
        self.sequence.as_ref()
    }

    fn frame(&mut self, obu: &Obu<'_>, picture: &mut Picture) {
        let Some(sequence) = &self.sequence else {
            return;
        };
        let Some(header) =
            FrameHeader::parse(obu.payload, sequence, obu.temporal_id, obu.spatial_id)
        else {
            return;
        };
        if !picture.frame {
            picture.frame = true;
            picture.keyframe = header.is_keyframe();
        }
        picture.size = self.references.update(&header);
    }
}

/// What a container says of an AV1 track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Configuration {
    /// The sequence header.
    pub sequence: SequenceHeader,
    /// The OBU it was read from, with its size: `configOBUs` of `av1C`.
    pub sequence_obu: Bytes,
    /// The picture: that of the highest spatial layer.
    pub size: VideoSize,
}

impl Configuration {
    /// What a keyframe tells; `None` when it is none, or lacks a sequence header.
    #[must_use]
    pub fn from_keyframe(temporal_unit: &[u8]) -> Option<Self> {
        let mut stream = Stream::default();
        let picture = stream.next(temporal_unit);
        let obu = obus(temporal_unit).find(|obu| obu.kind == ObuType::SequenceHeader)?;
        (picture.keyframe && obu.has_size()).then_some(Self {
            sequence: stream.sequence?,
            sequence_obu: Bytes::copy_from_slice(obu.bytes),
            size: picture.size,
        })
    }
}

impl Configuration {
    /// What OBUs tell of which one is a sequence header, such as those in `av1C`; the size is then
    /// the largest of its frames. `None` when there is no sequence header.
    #[must_use]
    pub fn from_sequence_header(configuration_obus: &[u8]) -> Option<Self> {
        let obu = obus(configuration_obus).find(|obu| obu.kind == ObuType::SequenceHeader)?;
        let sequence = SequenceHeader::parse(obu.payload).filter(|_| obu.has_size())?;
        Some(Self {
            size: sequence.max_size,
            sequence,
            sequence_obu: Bytes::copy_from_slice(obu.bytes),
        })
    }
}

/// `OBU_TEMPORAL_DELIMITER` with its size.
pub const TEMPORAL_DELIMITER: [u8; 2] = [0x12, 0];

/// A temporal unit without temporal delimiters, which MP4 leaves out (AV1 Codec ISO Media File
/// Format Binding section 2.4); the same bytes when there are none.
#[must_use]
pub fn without_delimiters(temporal_unit: &Bytes) -> Bytes {
    let is_delimiter = |obu: &Obu<'_>| obu.kind == ObuType::TemporalDelimiter;
    if !obus(temporal_unit).any(|obu| is_delimiter(&obu)) {
        return temporal_unit.clone();
    }
    obus(temporal_unit)
        .filter(|obu| !is_delimiter(obu))
        .flat_map(|obu| obu.bytes.iter().copied())
        .collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
