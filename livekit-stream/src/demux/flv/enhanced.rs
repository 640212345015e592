//! The headers that Enhanced RTMP v2 gives audio and video bodies ("Enhanced Audio" and "Enhanced
//! Video"): packet types, FourCCs, several tracks, modifiers.

use bytes::Bytes;

use super::FlvError;

/// The packet types that both kinds have.
pub(super) const SEQUENCE_START: u8 = 0;
pub(super) const CODED_FRAMES: u8 = 1;
/// Video: coded frames whose composition time is zero.
pub(super) const CODED_FRAMES_X: u8 = 3;
/// Video: AMF-encoded metadata instead of a picture.
pub(super) const VIDEO_METADATA: u8 = 4;
const MOD_EX: u8 = 7;

/// `AvMultitrackType`.
const ONE_TRACK: u8 = 0;
const MANY_TRACKS: u8 = 1;
const MANY_TRACKS_MANY_CODECS: u8 = 2;

/// The track that players take when they take one.
pub(super) const FIRST_TRACK: u8 = 0;

/// Modifiers a body may have: more is an attack.
const MAX_MODIFIERS: usize = 16;

/// Reads a body from its first byte on.
pub(super) struct Reader<'a> {
    pub(super) kind: &'static str,
    pub(super) body: &'a Bytes,
    pub(super) offset: usize,
}

/// One track's part of a body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part {
    pub(super) packet_type: u8,
    pub(super) four_cc: [u8; 4],
    pub(super) track: u8,
    pub(super) data: Bytes,
}

impl Reader<'_> {
    pub(super) fn truncated(&self) -> FlvError {
        FlvError::Truncated {
            kind: self.kind,
            actual: self.body.len(),
        }
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], FlvError> {
        let rest = self.body.get(self.offset..).unwrap_or_default();
        let taken = *rest.first_chunk::<N>().ok_or_else(|| self.truncated())?;
        self.offset += N;
        Ok(taken)
    }

    fn slice(&mut self, length: usize) -> Result<Bytes, FlvError> {
        let end = self.offset.saturating_add(length);
        if end > self.body.len() {
            return Err(self.truncated());
        }
        let slice = self.body.slice(self.offset..end);
        self.offset = end;
        Ok(slice)
    }

    pub(super) fn rest(&mut self) -> Bytes {
        let rest = self.body.slice(self.offset.min(self.body.len())..);
        self.offset = self.body.len();
        rest
    }

    /// Skips modifiers; returns the packet type behind them and the offset in nanoseconds that
    /// one of them adds to the presentation time.
    pub(super) fn modifiers(&mut self, mut packet_type: u8) -> Result<(u8, u32), FlvError> {
        let mut nanoseconds = 0;
        for _ in 0..MAX_MODIFIERS {
            if packet_type != MOD_EX {
                return Ok((packet_type, nanoseconds));
            }
            let [length] = self.take()?;
            let mut length = usize::from(length) + 1;
            if length == 256 {
                length = usize::from(u16::from_be_bytes(self.take()?)) + 1;
            }
            let data = self.slice(length)?;
            let [types] = self.take()?;
            // TimestampOffsetNano is modifier 0 and has three bytes.
            if types >> 4 == 0
                && let Some([a, b, c]) = data.first_chunk::<3>()
            {
                nanoseconds = u32::from_be_bytes([0, *a, *b, *c]);
            }
            packet_type = types & 0xf;
        }
        Err(self.truncated())
    }

    /// The parts of the body behind its packet type. `multitrack` is the kind's own number for
    /// several tracks.
    pub(super) fn parts(&mut self, packet_type: u8, multitrack: u8) -> Result<Vec<Part>, FlvError> {
        if packet_type != multitrack {
            return Ok(vec![Part {
                packet_type,
                four_cc: self.take()?,
                track: FIRST_TRACK,
                data: self.rest(),
            }]);
        }
        let [types] = self.take()?;
        let (layout, packet_type) = (types >> 4, types & 0xf);
        let mut four_cc = match layout {
            ONE_TRACK | MANY_TRACKS => self.take()?,
            MANY_TRACKS_MANY_CODECS => [0; 4],
            // Reserved: of a later version.
            _ => return Ok(Vec::new()),
        };
        let mut parts = Vec::new();
        while self.offset < self.body.len() {
            if layout == MANY_TRACKS_MANY_CODECS {
                four_cc = self.take()?;
            }
            let [track] = self.take()?;
            let data = if layout == ONE_TRACK {
                self.rest()
            } else {
                let [a, b, c] = self.take()?;
                self.slice(u32::from_be_bytes([0, a, b, c]) as usize)?
            };
            parts.push(Part {
                packet_type,
                four_cc,
                track,
                data,
            });
        }
        Ok(parts)
    }
}
