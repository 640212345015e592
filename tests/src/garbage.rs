//! Bytes that no sender in its senses sends, the same at each run.

use bytes::Bytes;
use rand::rngs::StdRng;
use rand::{Rng, RngExt, SeedableRng};

/// What an RTP packet carries at most on a usual network.
const LONGEST: usize = 1100;

/// H.264 packet types that packetization mode 1 does not have (RFC 6184 section 5.2): reserved
/// ones, STAP-B, MTAP16, MTAP24, FU-B.
const FOREIGN_TYPES: [u8; 8] = [0, 25, 26, 27, 29, 30, 31, 0x80];

/// Makes it.
#[derive(Debug)]
pub struct Garbage(StdRng);

impl Garbage {
    /// Garbage that depends on the seed alone.
    pub fn new(seed: u64) -> Self {
        Self(StdRng::seed_from_u64(seed))
    }

    /// Random bytes, 1 to 1100 of them, mostly few.
    pub fn random(&mut self) -> Bytes {
        let most = if self.0.random_ratio(1, 4) {
            LONGEST
        } else {
            40
        };
        let mut bytes = vec![0; self.0.random_range(1..=most)];
        self.0.fill_bytes(&mut bytes);
        bytes.into()
    }

    /// An RTP payload that certainly breaks the H.264 payload format: a foreign packet type, an
    /// aggregation packet that ends in a length or a NAL unit, a fragment alone.
    pub fn malformed_h264(&mut self) -> Bytes {
        let rest = self.random();
        let kind = self.0.random_range(0..FOREIGN_TYPES.len());
        let start: &[u8] = match self.0.random_range(0..6) {
            0 => &[FOREIGN_TYPES[kind]],
            // STAP-A: a NAL unit of two bytes, then one longer than any packet.
            1 => &[0x78, 0, 2, 0x41, 0x9a, 0xff, 0xff],
            2 => return Bytes::from_static(&[0x78, 0, 2, 0x41, 0x9a, 0]),
            // FU-A: in the middle, at the start without an end, without its header.
            3 => &[0x7c, 0x05],
            4 => &[0x7c, 0x85],
            _ => return Bytes::from_static(&[0x7c]),
        };
        [start, &rest].concat().into()
    }

    /// A datagram that passes for what a peer connection multiplexes (RFC 9443): STUN, DTLS, RTP
    /// or RTCP by its first byte, or nothing at all.
    pub fn datagram(&mut self) -> Bytes {
        let mut bytes = self.random().to_vec();
        let first = [0, 20, 22, 23, 128, 144, 191, 255];
        bytes[0] = first[self.0.random_range(0..first.len())];
        if bytes[0] == 0 && bytes.len() >= 20 {
            // A binding request with the magic cookie, of the length it claims or not (RFC 8489
            // section 5).
            bytes[1] = 1;
            bytes[4..8].copy_from_slice(&[0x21, 0x12, 0xa4, 0x42]);
            if self.0.random_bool(0.5) {
                let length = (bytes.len() - 20) as u16;
                bytes[2..4].copy_from_slice(&length.to_be_bytes());
            }
        }
        bytes.into()
    }

    /// A header extension in the one-byte form: an id, 1 to 14, and 1 to 16 random bytes (RFC 8285
    /// section 4.2).
    pub fn extension(&mut self) -> (u8, Bytes) {
        let mut bytes = vec![0; self.0.random_range(1..=16)];
        self.0.fill_bytes(&mut bytes);
        (self.0.random_range(1..=14), bytes.into())
    }

    /// True every other time or so.
    pub fn coin(&mut self) -> bool {
        self.0.random_bool(0.5)
    }
}
