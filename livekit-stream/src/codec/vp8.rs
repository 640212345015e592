//! VP8: the frame header (RFC 6386 section 9.1).

use crate::frame::VideoSize;

/// What the first bytes of a VP8 frame tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct FrameHeader {
    /// Whether decoding can start at this frame.
    pub keyframe: bool,
    /// Whether the frame is to be shown; the others only serve as references.
    pub show_frame: bool,
    /// Bytes of the first partition.
    pub first_partition_size: u32,
    /// The picture's size; only keyframes tell it.
    pub size: Option<VideoSize>,
}

impl FrameHeader {
    /// Reads a frame's header. `None` when the frame is too short, or is a keyframe without the
    /// start code `9d 01 2a`.
    #[must_use]
    pub fn parse(frame: &[u8]) -> Option<Self> {
        let [a, b, c] = *frame.first_chunk::<3>()?;
        let tag = u32::from_le_bytes([a, b, c, 0]);
        // The bit is inverted: 0 is a keyframe.
        let keyframe = tag & 1 == 0;
        let size = if keyframe {
            let [_, _, _, 0x9d, 0x01, 0x2a, w0, w1, h0, h1] = *frame.first_chunk::<10>()? else {
                return None;
            };
            // The two high bits ask for upscaling and are not part of the size.
            Some(VideoSize {
                width: u32::from(u16::from_le_bytes([w0, w1]) & 0x3fff),
                height: u32::from(u16::from_le_bytes([h0, h1]) & 0x3fff),
            })
        } else {
            None
        };
        Some(Self {
            keyframe,
            show_frame: tag >> 4 & 1 == 1,
            first_partition_size: tag >> 5,
            size,
        })
    }
}

/// Whether decoding can start at this frame.
#[must_use]
pub fn is_keyframe(frame: &[u8]) -> bool {
    FrameHeader::parse(frame).is_some_and(|header| header.keyframe)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_keyframe_tells_its_size_without_the_scaling_bits() {
        // A shown keyframe of 1280x720 whose first partition has 0x1234 bytes.
        let tag = (0x1234_u32 << 5 | 1 << 4).to_le_bytes();
        let frame = [
            tag[0], tag[1], tag[2], 0x9d, 0x01, 0x2a, 0x00, 0x45, 0xd0, 0x82,
        ];
        assert_eq!(
            FrameHeader::parse(&frame),
            Some(FrameHeader {
                keyframe: true,
                show_frame: true,
                first_partition_size: 0x1234,
                size: Some(VideoSize {
                    width: 1280,
                    height: 720
                }),
            })
        );
        assert!(is_keyframe(&frame));
    }

    #[test]
    fn an_interframe_has_no_size_and_may_be_hidden() {
        let header = FrameHeader::parse(&[0x01, 0x02, 0x00]).unwrap();
        assert!(!header.keyframe && !header.show_frame && header.size.is_none());
    }

    #[test]
    fn a_keyframe_without_start_code_or_cut_short_is_refused() {
        assert_eq!(FrameHeader::parse(&[0x10, 0, 0, 1, 2, 3, 0, 0, 0, 0]), None);
        assert_eq!(
            FrameHeader::parse(&[0x10, 0, 0, 0x9d, 1, 0x2a, 0, 0, 0]),
            None
        );
        assert_eq!(FrameHeader::parse(&[0x11, 0]), None);
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(bytes: Vec<u8>) {
            let _ = FrameHeader::parse(&bytes);
        }
    }
}
