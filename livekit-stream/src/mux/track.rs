use bytes::Bytes;

use super::MuxError;
use crate::codec::Codec;
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::h264::{DecoderConfiguration, ParameterSets, Sps};
use crate::codec::opus::{self, OpusHead};
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};

/// What a muxer must know of a video track before its first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VideoTrack {
    /// The codec of all its frames.
    pub codec: Codec,
    /// The size of the first pictures; later ones may differ.
    pub size: VideoSize,
    /// How the pictures are to be turned.
    pub rotation: VideoRotation,
    /// The parameter sets that decoding starts with; empty for a codec that has none.
    pub parameter_sets: ParameterSets,
}

impl VideoTrack {
    /// Describes the track that starts with this keyframe.
    ///
    /// # Errors
    ///
    /// When an H.264 frame does not carry readable parameter sets.
    pub fn from_keyframe(frame: &EncodedFrame) -> Result<Self, MuxError> {
        let mut track = Self {
            codec: frame.codec,
            size: frame.size,
            rotation: frame.rotation,
            parameter_sets: ParameterSets::default(),
        };
        if frame.codec == Codec::H264 {
            track.parameter_sets = ParameterSets::from_access_unit(&frame.data);
            // The parameter sets decide, not what somebody wrote next to them.
            track.size = track.sps()?.size;
        }
        Ok(track)
    }

    pub(super) fn configuration(&self) -> Result<DecoderConfiguration, MuxError> {
        if !self.parameter_sets.is_complete() {
            return Err(MuxError::MissingParameterSets {
                sps: self.parameter_sets.sps.len(),
                pps: self.parameter_sets.pps.len(),
            });
        }
        Ok(DecoderConfiguration::new(self.parameter_sets.clone())?)
    }

    pub(super) fn sps(&self) -> Result<Sps, MuxError> {
        self.configuration()?;
        let sps = &self.parameter_sets.sps;
        sps.first()
            .and_then(|sps| Sps::parse(sps))
            .ok_or(crate::codec::h264::Error::NoSps(sps.len()).into())
    }
}

/// What a muxer must know of an audio track before its first frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AudioTrack {
    /// The codec of all its frames.
    pub codec: Codec,
    /// Samples a second and channel; 48 000 for Opus, whatever was encoded.
    pub sample_rate: u32,
    /// Channels.
    pub num_channels: u32,
    /// The codec's configuration: the AudioSpecificConfig of AAC (ISO/IEC 14496-3), the
    /// `OpusHead` of Opus (RFC 7845 section 5.1).
    pub codec_config: Bytes,
}

impl AudioTrack {
    /// A track of Opus packets as WebRTC sends them, 1 or 2 channels (other numbers are taken as
    /// the nearer of the two). Nothing is skipped at its start.
    #[must_use]
    pub fn opus(num_channels: u32) -> Self {
        let channels: u8 = if num_channels >= 2 { 2 } else { 1 };
        Self {
            codec: Codec::Opus,
            sample_rate: opus::SAMPLE_RATE,
            num_channels: u32::from(channels),
            codec_config: OpusHead::new(channels).to_bytes().into(),
        }
    }

    /// A track of AAC-LC access units.
    ///
    /// # Errors
    ///
    /// When AAC has no such sampling rate or number of channels.
    pub fn aac(sample_rate: u32, num_channels: u32) -> Result<Self, MuxError> {
        let config = AudioSpecificConfig {
            sample_rate,
            num_channels,
        };
        Ok(Self {
            codec: Codec::Aac,
            sample_rate,
            num_channels,
            codec_config: config.build()?,
        })
    }

    /// The `OpusHead` in [`codec_config`](Self::codec_config).
    pub(super) fn opus_head(&self) -> Result<OpusHead, MuxError> {
        let head = &self.codec_config;
        let error = |reason| MuxError::OpusHead {
            length: head.len(),
            reason,
        };
        let fields = head
            .strip_prefix(b"OpusHead")
            .and_then(<[u8]>::first_chunk::<11>);
        let Some(&[version, channels, p0, p1, r0, r1, r2, r3, g0, g1, family]) = fields else {
            return Err(error("it is too short or does not start with its name"));
        };
        // RFC 7845 section 5.1: versions below 16 are compatible with version 1.
        if version >= 16 {
            return Err(error("its version is unknown"));
        }
        if family != 0 || !(1..=2).contains(&channels) {
            return Err(error(
                "only mono and stereo (mapping family 0) are supported",
            ));
        }
        Ok(OpusHead {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_sample_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            output_gain: i16::from_le_bytes([g0, g1]),
        })
    }
}

/// A track of either kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Track {
    /// Pictures.
    Video(VideoTrack),
    /// Sound.
    Audio(AudioTrack),
}

impl Track {
    /// The codec of its frames.
    #[must_use]
    pub fn codec(&self) -> Codec {
        match self {
            Self::Video(track) => track.codec,
            Self::Audio(track) => track.codec,
        }
    }
}

impl From<VideoTrack> for Track {
    fn from(track: VideoTrack) -> Self {
        Self::Video(track)
    }
}

impl From<AudioTrack> for Track {
    fn from(track: AudioTrack) -> Self {
        Self::Audio(track)
    }
}
