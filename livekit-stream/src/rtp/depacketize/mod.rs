//! The payloads of one frame's RTP packets to the frame: one file per payload format.
//!
//! The jitter buffer decides which packets make up a frame; a [`Depacketizer`] gets them all, in
//! order and without gaps, and builds the frame with at most one copy.

mod av1;
mod h264;
mod h265;
mod kept;
mod opus;
mod vp8;
mod vp9;

use bytes::Bytes;

use crate::codec::Codec;
use crate::frame::VideoSize;

/// Payloads that do not make up a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DepacketizeError {
    /// A payload ends inside a header or a field.
    #[error("{0} payload of {1} bytes is cut short")]
    Truncated(Codec, usize),
    /// A packet type that was not negotiated: STAP-B, MTAP16, MTAP24, FU-B (RFC 6184 section 5.2)
    /// or a reserved type.
    #[error("{0} packet type {1} was not negotiated")]
    PacketType(Codec, u8),
    /// A fragment without its predecessor, or a fragmented unit without its last fragment.
    #[error("{0} fragments do not make up a whole")]
    Fragment(Codec),
    /// The first packet does not begin a frame, or a later one does.
    #[error("{0} packet is out of place in its frame")]
    FrameStart(Codec),
    /// The frame's own header cannot be read.
    #[error("{0} frame header is damaged")]
    FrameHeader(Codec),
    /// There is no RTP payload format for this codec here.
    #[error("{0} over RTP is not supported")]
    Codec(Codec),
}

/// The number of a frame in the sequence of all frames that its sender has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PictureNumber {
    number: u16,
    /// Its width: it wraps around.
    bits: u32,
}

impl PictureNumber {
    /// The lowest `bits` of `number`.
    fn new(number: u16, bits: u32) -> Self {
        let number = number & ((1 << bits) - 1);
        Self { number, bits }
    }

    /// Whether a frame with this number is the next after one with `previous`, when `missing`
    /// packets between them did not come: so few that the numbers cannot have wrapped around.
    #[must_use]
    pub fn follows(self, previous: Self, missing: usize) -> bool {
        let next = Self::new(previous.number.wrapping_add(1), previous.bits);
        self == next && missing < 1 << self.bits
    }
}

/// A frame built from its packets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Depacketized {
    /// The frame's bytes in the form that [`Codec`] says.
    pub data: Bytes,
    /// Whether decoding can start here; always true for audio.
    pub keyframe: bool,
    /// The picture's size, when this frame or one before it told it.
    pub size: VideoSize,
}

/// Builds frames of one track.
#[derive(Debug)]
pub struct Depacketizer(Format);

#[derive(Debug)]
enum Format {
    H264(h264::H264Depacketizer),
    H265(h265::H265Depacketizer),
    Vp8(vp8::Vp8Depacketizer),
    Vp9(vp9::Vp9Depacketizer),
    Av1(av1::Av1Depacketizer),
    Opus,
    Unsupported(Codec),
}

impl Depacketizer {
    /// A depacketizer for a track of this codec. For a codec without RTP payload format here
    /// (AAC) every frame is a [`DepacketizeError::Codec`].
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self(match codec {
            Codec::H264 => Format::H264(h264::H264Depacketizer::default()),
            Codec::H265 => Format::H265(h265::H265Depacketizer::default()),
            Codec::Vp8 => Format::Vp8(vp8::Vp8Depacketizer::default()),
            Codec::Vp9 => Format::Vp9(vp9::Vp9Depacketizer::default()),
            Codec::Av1 => Format::Av1(av1::Av1Depacketizer::default()),
            Codec::Opus => Format::Opus,
            Codec::Aac => Format::Unsupported(codec),
        })
    }

    /// Whether this payload certainly is a frame's first, judged by itself. Not all formats have a
    /// mark for it, so `false` only says that it may be not.
    pub fn is_frame_start(&mut self, payload: &[u8]) -> bool {
        match &mut self.0 {
            Format::H264(h264) => h264.is_frame_start(payload),
            Format::H265(h265) => h265.is_frame_start(payload),
            Format::Vp8(_) => vp8::is_frame_start(payload),
            Format::Vp9(_) => vp9::is_frame_start(payload),
            Format::Av1(_) => av1::is_frame_start(payload),
            Format::Opus | Format::Unsupported(_) => true,
        }
    }

    /// The number of the frame that this payload certainly begins, for a payload format that has
    /// numbers (VP8, VP9) and a sender that gives them.
    #[must_use]
    pub fn picture_number(&self, payload: &[u8]) -> Option<PictureNumber> {
        match &self.0 {
            Format::Vp8(_) => vp8::picture_number(payload),
            Format::Vp9(_) => vp9::picture_number(payload),
            _ => None,
        }
    }

    /// Builds the frame of these payloads: none is empty, and they are all of the frame's, in
    /// order. `Ok(None)` when they carry no picture, such as parameter sets on their own.
    ///
    /// # Errors
    ///
    /// When the payloads are malformed; the frame is lost then.
    pub fn depacketize(
        &mut self,
        payloads: &[Bytes],
    ) -> Result<Option<Depacketized>, DepacketizeError> {
        match &mut self.0 {
            Format::H264(h264) => h264.depacketize(payloads),
            Format::H265(h265) => h265.depacketize(payloads),
            Format::Vp8(vp8) => vp8.depacketize(payloads).map(Some),
            Format::Vp9(vp9) => vp9.depacketize(payloads).map(Some),
            Format::Av1(av1) => av1.depacketize(payloads),
            Format::Opus => opus::depacketize(payloads).map(Some),
            Format::Unsupported(codec) => Err(DepacketizeError::Codec(*codec)),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
