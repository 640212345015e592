use bytes::Bytes;
use mp4_atom::OpusChannelMapping;

use super::MuxError;
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::h264::{DecoderConfiguration, Sps};
use crate::codec::opus::{self, OpusHead};
use crate::codec::{Codec, av1, h264, h265, vp8, vp9};
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
    /// What decoding starts with.
    pub configuration: VideoConfiguration,
}

/// What a container says of a video track besides its size. It is that of the track's beginning:
/// MP4 cannot replace it without a new initialization segment. Later parameter sets of H.264 and
/// H.265, and later sizes of VP9 and AV1, are in the frames themselves.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum VideoConfiguration {
    /// H.264's parameter sets.
    H264(h264::ParameterSets),
    /// H.265's parameter sets.
    H265(h265::ParameterSets),
    /// VP9's profile, level and colour.
    Vp9(vp9::Configuration),
    /// AV1's sequence header.
    Av1(av1::Configuration),
    /// Of another codec, containers say nothing.
    None,
}

impl VideoTrack {
    /// Describes the track that starts with this keyframe.
    ///
    /// # Errors
    ///
    /// When the frame does not carry readable parameter sets (H.264, H.265) or headers (VP8, VP9, AV1).
    pub fn from_keyframe(frame: &EncodedFrame) -> Result<Self, MuxError> {
        let unreadable = |reason| MuxError::Configuration {
            codec: frame.codec,
            reason,
        };
        // The bitstream decides on the size, not what somebody wrote next to it.
        let (configuration, size) = match frame.codec {
            Codec::H264 => {
                let sets = h264::ParameterSets::from_access_unit(&frame.data);
                let size = described(&sets)?.1.size;
                (VideoConfiguration::H264(sets), size)
            }
            Codec::H265 => {
                let sets = h265::ParameterSets::from_access_unit(&frame.data);
                let size = sets.sps.first().and_then(|sps| h265::sps_size(sps));
                let size = size
                    .filter(|_| sets.is_complete())
                    .ok_or_else(|| unreadable("a keyframe without readable parameter sets"))?;
                (VideoConfiguration::H265(sets), size)
            }
            Codec::Vp9 => {
                let configuration = vp9::Configuration::from_keyframe(&frame.data)
                    .ok_or_else(|| unreadable("no keyframe"))?;
                (VideoConfiguration::Vp9(configuration), configuration.size)
            }
            Codec::Av1 => {
                let configuration = av1::Configuration::from_keyframe(&frame.data)
                    .ok_or_else(|| unreadable("no keyframe with a sequence header"))?;
                let size = configuration.size;
                (VideoConfiguration::Av1(configuration), size)
            }
            Codec::Vp8 => {
                let size = vp8::FrameHeader::parse(&frame.data).and_then(|header| header.size);
                let size = size.ok_or_else(|| unreadable("no keyframe"))?;
                (VideoConfiguration::None, size)
            }
            _ => (VideoConfiguration::None, frame.size),
        };
        Ok(Self {
            codec: frame.codec,
            size,
            rotation: frame.rotation,
            configuration,
        })
    }

    /// H.264's configuration record.
    pub(super) fn configuration(&self) -> Result<DecoderConfiguration, MuxError> {
        self.avc().map(|(configuration, _)| configuration)
    }

    /// H.264's first sequence parameter set.
    pub(super) fn sps(&self) -> Result<Sps, MuxError> {
        self.avc().map(|(_, sps)| sps)
    }

    fn avc(&self) -> Result<(DecoderConfiguration, Sps), MuxError> {
        match &self.configuration {
            VideoConfiguration::H264(sets) => described(sets),
            _ => Err(MuxError::Configuration {
                codec: self.codec,
                reason: "H.264's configuration was asked for",
            }),
        }
    }
}

fn described(sets: &h264::ParameterSets) -> Result<(DecoderConfiguration, Sps), MuxError> {
    if !sets.is_complete() {
        return Err(MuxError::MissingParameterSets {
            sps: sets.sps.len(),
            pps: sets.pps.len(),
        });
    }
    let configuration = DecoderConfiguration::new(sets.clone())?;
    let sps = sets.sps.first().and_then(|sps| Sps::parse(sps));
    let sps = sps.ok_or(h264::Error::NoSps(sets.sps.len()))?;
    Ok((configuration, sps))
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
        if channels == 0 || (family == 0 && channels > 2) {
            return Err(error("mapping family 0 has 1 or 2 channels"));
        }
        if family != 0 && head.len() < OPUS_TABLE + usize::from(channels) {
            return Err(error("its channel mapping table is cut short"));
        }
        Ok(OpusHead {
            channels,
            pre_skip: u16::from_le_bytes([p0, p1]),
            input_sample_rate: u32::from_le_bytes([r0, r1, r2, r3]),
            output_gain: i16::from_le_bytes([g0, g1]),
        })
    }
}

/// Where the channel mapping table's channels begin in an `OpusHead`, behind the numbers of streams
/// and of coupled ones (RFC 7845 section 5.1.1).
const OPUS_TABLE: usize = 21;

impl AudioTrack {
    /// Which decoded channel is which, for more than two channels.
    pub(super) fn opus_mapping(&self) -> Option<OpusChannelMapping> {
        let head = &self.codec_config;
        let (&channels, &family) = (head.get(9)?, head.get(18)?);
        let table = head.get(OPUS_TABLE..OPUS_TABLE + usize::from(channels))?;
        (family != 0).then(|| OpusChannelMapping {
            family,
            stream_count: head[19],
            coupled_count: head[20],
            channel_mapping: table.to_vec(),
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
