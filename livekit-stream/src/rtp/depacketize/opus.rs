//! Opus over RTP (RFC 7587): the payload is one Opus packet.

use bytes::Bytes;

use super::{DepacketizeError, Depacketized};
use crate::codec::{Codec, opus};
use crate::frame::VideoSize;

pub(super) fn depacketize(payloads: &[Bytes]) -> Result<Depacketized, DepacketizeError> {
    let [packet] = payloads else {
        return Err(DepacketizeError::FrameHeader(Codec::Opus));
    };
    // A decoder refuses it, and a muxer could not place a packet of no valid duration.
    if opus::duration(packet).is_none() || !opus::is_well_formed(packet) {
        return Err(DepacketizeError::FrameHeader(Codec::Opus));
    }
    Ok(Depacketized {
        data: packet.clone(),
        keyframe: true,
        size: VideoSize::default(),
    })
}
