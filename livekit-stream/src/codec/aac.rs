//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1) and the ADTS header (section
//! 1.A.3.2).

use bytes::Bytes;

use super::bits::BitReader;

/// PCM samples a channel that one AAC-LC access unit decodes to.
pub const SAMPLES_PER_FRAME: u32 = 1024;

/// Audio object type of AAC-LC (ISO/IEC 14496-3 table 1.17).
const OBJECT_TYPE_LC: u32 = 2;

/// Sampling frequency index that is followed by the rate itself in 24 bits.
const EXPLICIT_RATE: u32 = 15;

/// Rates by sampling frequency index (ISO/IEC 14496-3 table 1.18).
const SAMPLE_RATES: [u32; 13] = [
    96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000,
    7_350,
];

/// Length of an ADTS header without CRC.
pub const ADTS_HEADER_LEN: usize = 7;

/// The longest access unit that fits an ADTS frame, whose length field has 13 bits.
pub const ADTS_MAX_PAYLOAD: usize = 0x1fff - ADTS_HEADER_LEN;

/// An AAC configuration is not one of AAC-LC, or cannot be written.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum AacError {
    /// The bytes end inside the AudioSpecificConfig.
    #[error("an AudioSpecificConfig of {actual} bytes is cut short")]
    Truncated {
        /// Bytes given.
        actual: usize,
    },
    /// Another profile than AAC-LC.
    #[error("AAC audio object type {object_type} is not AAC-LC (2)")]
    UnsupportedObjectType {
        /// The audio object type.
        object_type: u32,
    },
    /// A sampling rate the format cannot say.
    #[error("AAC sampling rate {sample_rate} Hz is out of range ({allowed})")]
    UnsupportedSampleRate {
        /// The rate in hertz, or the reserved index.
        sample_rate: u32,
        /// What is allowed.
        allowed: &'static str,
    },
    /// A number of channels without a channel configuration of its own.
    #[error("AAC with {num_channels} channels is not supported (1 to 6, or 8)")]
    UnsupportedChannels {
        /// Channels, or zero when they are described elsewhere.
        num_channels: u32,
    },
    /// An access unit that ADTS cannot carry.
    #[error("an AAC access unit of {actual} bytes exceeds ADTS's {ADTS_MAX_PAYLOAD}")]
    PayloadTooLong {
        /// Bytes given.
        actual: usize,
    },
}

/// What a decoder of AAC-LC must know before the first access unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AudioSpecificConfig {
    /// Samples a second and channel.
    pub sample_rate: u32,
    /// Channels: 1 to 6, or 8.
    pub num_channels: u32,
}

impl AudioSpecificConfig {
    /// Writes the configuration: 2 bytes for a rate of the standard's table, else 5.
    pub fn build(&self) -> Result<Bytes, AacError> {
        let channels = u64::from(self.channel_configuration()?);
        let mut bits = BitWriter::default();
        bits.put(u64::from(OBJECT_TYPE_LC), 5);
        if let Some(index) = self.sample_rate_index() {
            bits.put(u64::from(index), 4);
        } else {
            if self.sample_rate == 0 || self.sample_rate >= 1 << 24 {
                return Err(AacError::UnsupportedSampleRate {
                    sample_rate: self.sample_rate,
                    allowed: "1 to 16777215",
                });
            }
            bits.put(u64::from(EXPLICIT_RATE), 4);
            bits.put(u64::from(self.sample_rate), 24);
        }
        bits.put(channels, 4);
        // GASpecificConfig: frames of 1024 samples, no core coder, no extension.
        bits.put(0, 3);
        Ok(bits.finish())
    }

    /// Reads a configuration; what follows the part of AAC-LC (backward compatible signalling of
    /// SBR) is ignored, since a decoder of AAC-LC plays the stream without it.
    pub fn parse(bytes: &[u8]) -> Result<Self, AacError> {
        let mut bits = BitReader::new(bytes);
        let truncated = AacError::Truncated {
            actual: bytes.len(),
        };
        let mut take = |count| bits.take(count).ok_or_else(|| truncated.clone());
        let object_type = match take(5)? {
            31 => take(6)?.saturating_add(32),
            object_type => object_type,
        };
        if object_type != OBJECT_TYPE_LC {
            return Err(AacError::UnsupportedObjectType { object_type });
        }
        let sample_rate = match take(4)? {
            EXPLICIT_RATE => take(24)?,
            index => *SAMPLE_RATES
                .get(index as usize)
                .ok_or(AacError::UnsupportedSampleRate {
                    sample_rate: index,
                    allowed: "index 0 to 12 or 15",
                })?,
        };
        if sample_rate == 0 {
            return Err(AacError::UnsupportedSampleRate {
                sample_rate,
                allowed: "1 to 16777215",
            });
        }
        let num_channels = match take(4)? {
            configuration @ 1..=6 => configuration,
            7 => 8,
            _ => return Err(AacError::UnsupportedChannels { num_channels: 0 }),
        };
        Ok(Self {
            sample_rate,
            num_channels,
        })
    }

    /// Reads the configuration of AAC-LC or of the AAC-LC core in HE-AAC (audio object types 5 and
    /// 29), whose access units hold 1024 samples at the core's rate: what a container has to know
    /// of either to copy it.
    pub fn parse_core(bytes: &[u8]) -> Result<Self, AacError> {
        const SBR: u32 = 5;
        const PS: u32 = 29;
        match Self::parse(bytes) {
            Err(AacError::UnsupportedObjectType {
                object_type: SBR | PS,
            }) => {
                // Rate and channels stand behind the object type in either case.
                let mut core = bytes.to_vec();
                if let Some(first) = core.first_mut() {
                    *first = (*first & 0b111) | ((OBJECT_TYPE_LC as u8) << 3);
                }
                Self::parse(&core)
            }
            other => other,
        }
    }

    /// The header that turns one access unit of `payload_len` bytes into an ADTS frame, as dumps
    /// and tests use it.
    pub fn adts_header(&self, payload_len: usize) -> Result<[u8; ADTS_HEADER_LEN], AacError> {
        let channels = self.channel_configuration()?;
        let index = self
            .sample_rate_index()
            .ok_or(AacError::UnsupportedSampleRate {
                sample_rate: self.sample_rate,
                allowed: "one of the standard's 13 rates",
            })?;
        if payload_len > ADTS_MAX_PAYLOAD {
            return Err(AacError::PayloadTooLong {
                actual: payload_len,
            });
        }
        let length = payload_len + ADTS_HEADER_LEN;
        Ok([
            0xff,
            // MPEG-4, layer 0, no CRC.
            0xf1,
            (((OBJECT_TYPE_LC as u8) - 1) << 6) | ((index as u8) << 2) | ((channels >> 2) as u8),
            ((channels << 6) as u8) | ((length >> 11) as u8),
            (length >> 3) as u8,
            // Buffer fullness 0x7ff: variable bit rate; one raw data block.
            ((length << 5) as u8) | 0x1f,
            0xfc,
        ])
    }

    fn sample_rate_index(self) -> Option<u32> {
        SAMPLE_RATES
            .iter()
            .position(|&rate| rate == self.sample_rate)
            .map(|index| index as u32)
    }

    fn channel_configuration(self) -> Result<u32, AacError> {
        match self.num_channels {
            channels @ 1..=6 => Ok(channels),
            8 => Ok(7),
            num_channels => Err(AacError::UnsupportedChannels { num_channels }),
        }
    }
}

/// Collects up to 64 bits, most significant first.
#[derive(Default)]
struct BitWriter {
    bits: u64,
    count: u32,
}

impl BitWriter {
    fn put(&mut self, value: u64, count: u32) {
        self.bits = (self.bits << count) | value;
        self.count += count;
    }

    fn finish(self) -> Bytes {
        let bytes = self.count.div_ceil(8);
        let shifted = self.bits << (64 - self.count);
        shifted
            .to_be_bytes()
            .into_iter()
            .take(bytes as usize)
            .collect()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn config(sample_rate: u32, num_channels: u32) -> AudioSpecificConfig {
        AudioSpecificConfig {
            sample_rate,
            num_channels,
        }
    }

    #[test]
    fn the_usual_configurations_have_their_well_known_bytes() {
        assert_eq!(config(48_000, 2).build().unwrap()[..], [0x11, 0x90]);
        assert_eq!(config(44_100, 2).build().unwrap()[..], [0x12, 0x10]);
        assert_eq!(config(48_000, 1).build().unwrap()[..], [0x11, 0x88]);
    }

    #[test]
    fn an_unusual_rate_is_written_explicitly() {
        let bytes = config(50_000, 1).build().unwrap();
        assert_eq!(bytes.len(), 5);
        assert_eq!(AudioSpecificConfig::parse(&bytes), Ok(config(50_000, 1)));
    }

    #[test]
    fn what_is_not_aac_lc_is_named() {
        // HE-AAC: object type 5.
        let he_aac = [0x2b, 0x11, 0x88, 0x00];
        assert_eq!(
            AudioSpecificConfig::parse(&he_aac),
            Err(AacError::UnsupportedObjectType { object_type: 5 })
        );
        assert_eq!(
            AudioSpecificConfig::parse_core(&he_aac),
            Ok(config(24_000, 2))
        );
        assert_eq!(
            AudioSpecificConfig::parse_core(&[0x0a, 0x10]),
            Err(AacError::UnsupportedObjectType { object_type: 1 })
        );
        assert_eq!(
            AudioSpecificConfig::parse(&[0x11]),
            Err(AacError::Truncated { actual: 1 })
        );
        assert!(matches!(
            config(48_000, 7).build(),
            Err(AacError::UnsupportedChannels { num_channels: 7 })
        ));
    }

    #[test]
    fn an_adts_header_says_rate_channels_and_length() {
        let header = config(44_100, 2).adts_header(100).unwrap();
        assert_eq!(header, [0xff, 0xf1, 0x50, 0x80, 0x0d, 0x7f, 0xfc]);
        assert_eq!(
            config(44_100, 2).adts_header(ADTS_MAX_PAYLOAD + 1),
            Err(AacError::PayloadTooLong {
                actual: ADTS_MAX_PAYLOAD + 1
            })
        );
    }

    proptest! {
        #[test]
        fn configurations_read_back(rate in 1_u32..1 << 24, channels in 1_u32..=6) {
            let written = config(rate, channels);
            prop_assert_eq!(AudioSpecificConfig::parse(&written.build().unwrap()), Ok(written));
        }

        #[test]
        fn arbitrary_bytes_never_panic(bytes in prop::collection::vec(any::<u8>(), 0..16)) {
            let _ = AudioSpecificConfig::parse(&bytes);
        }
    }
}
