//! Open bitstream units in low-overhead form (sections 5.2 and 5.3).

/// `obu_has_size_field` in an OBU's header.
pub(crate) const HAS_SIZE: u8 = 0b10;
/// `obu_extension_flag`.
pub(crate) const HAS_EXTENSION: u8 = 0b100;

/// What an OBU holds (section 6.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ObuType {
    /// 1: a sequence header.
    SequenceHeader,
    /// 2: begins a temporal unit; neither RTP nor MP4 has it.
    TemporalDelimiter,
    /// 3: a frame's header on its own.
    FrameHeader,
    /// 4: tiles of a frame.
    TileGroup,
    /// 5: metadata.
    Metadata,
    /// 6: a frame's header and its tiles.
    Frame,
    /// 7: a copy of a frame's header.
    RedundantFrameHeader,
    /// 8: tiles for large scale decoding; RTP does not have it.
    TileList,
    /// 15: padding.
    Padding,
    /// Any other type.
    Other(u8),
}

impl ObuType {
    /// The type that an OBU's first byte tells.
    #[must_use]
    pub fn from_header(header: u8) -> Self {
        match header >> 3 & 0xf {
            1 => Self::SequenceHeader,
            2 => Self::TemporalDelimiter,
            3 => Self::FrameHeader,
            4 => Self::TileGroup,
            5 => Self::Metadata,
            6 => Self::Frame,
            7 => Self::RedundantFrameHeader,
            8 => Self::TileList,
            15 => Self::Padding,
            n => Self::Other(n),
        }
    }
}

/// One OBU.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Obu<'a> {
    /// What it holds.
    pub kind: ObuType,
    /// Its temporal layer.
    pub temporal_id: u8,
    /// Its spatial layer.
    pub spatial_id: u8,
    /// What follows header and size.
    pub payload: &'a [u8],
    /// All of it.
    pub bytes: &'a [u8],
}

impl Obu<'_> {
    /// Whether it tells its own size, as low-overhead form wants it.
    #[must_use]
    pub fn has_size(&self) -> bool {
        self.bytes
            .first()
            .is_some_and(|header| header & HAS_SIZE != 0)
    }
}

/// The OBUs of a temporal unit, see [`obus`].
#[derive(Debug, Clone)]
pub struct Obus<'a> {
    rest: &'a [u8],
}

/// Iterates over the OBUs of a temporal unit in low-overhead form. An OBU without size field takes
/// all that is left; one that is longer than what is left ends the iteration.
#[must_use]
pub fn obus(temporal_unit: &[u8]) -> Obus<'_> {
    Obus {
        rest: temporal_unit,
    }
}

impl<'a> Iterator for Obus<'a> {
    type Item = Obu<'a>;

    fn next(&mut self) -> Option<Obu<'a>> {
        let data = std::mem::take(&mut self.rest);
        let (&header, mut body) = data.split_first()?;
        let (mut temporal_id, mut spatial_id) = (0, 0);
        if header & HAS_EXTENSION != 0 {
            let (extension, after) = body.split_first()?;
            (temporal_id, spatial_id) = (extension >> 5, extension >> 3 & 3);
            body = after;
        }
        let mut length = body.len();
        if header & HAS_SIZE != 0 {
            (length, body) = read_leb128(body)?;
        }
        let (payload, rest) = body.split_at_checked(length)?;
        self.rest = rest;
        Some(Obu {
            kind: ObuType::from_header(header),
            temporal_id,
            spatial_id,
            payload,
            bytes: &data[..data.len() - rest.len()],
        })
    }
}

/// Reads a `leb128()` number (section 4.10.5) and tells what follows it. `None` when it is cut
/// short, takes more than eight bytes or exceeds 2^32 - 1, as the specification requires.
#[must_use]
pub fn read_leb128(data: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_u64;
    for (index, byte) in data.iter().take(8).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            let value = u32::try_from(value).ok()?;
            return Some((usize::try_from(value).ok()?, &data[index + 1..]));
        }
    }
    None
}

/// Appends a number as `leb128()`, in as few bytes as it takes.
pub fn write_leb128(mut value: usize, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
