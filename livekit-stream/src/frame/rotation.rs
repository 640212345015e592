//! How a picture is to be turned before it is shown.

use std::fmt;

/// The clockwise rotation a receiver applies to show a picture upright, as the sender's
/// `urn:3gpp:video-orientation` header extension asks (3GPP TS 26.114 section 7.4.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VideoRotation {
    /// Upright as it is.
    #[default]
    Deg0,
    /// A quarter turn clockwise.
    Deg90,
    /// Half a turn.
    Deg180,
    /// A quarter turn anticlockwise.
    Deg270,
}

impl VideoRotation {
    /// Degrees clockwise: 0, 90, 180 or 270.
    #[must_use]
    pub fn degrees(self) -> u16 {
        match self {
            Self::Deg0 => 0,
            Self::Deg90 => 90,
            Self::Deg180 => 180,
            Self::Deg270 => 270,
        }
    }

    /// Reads the byte of the video-orientation extension: the two low bits count the
    /// quarter turns clockwise; camera and flip bits are ignored, as libwebrtc does.
    #[must_use]
    pub fn from_extension(byte: u8) -> Self {
        match byte & 0b11 {
            0 => Self::Deg0,
            1 => Self::Deg90,
            2 => Self::Deg180,
            _ => Self::Deg270,
        }
    }
}

impl fmt::Display for VideoRotation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.degrees())
    }
}
