//! Opus: the duration and channel count that a packet's TOC byte tells (RFC 6716 section 3.1).

/// Samples a second of every duration here: Opus counts at 48 kHz whatever was encoded.
pub const SAMPLE_RATE: u32 = 48_000;

/// The longest packet in samples: 120 ms (RFC 6716 section 3.2.5).
pub const MAX_DURATION: u32 = 5760;

/// The duration of a packet in samples at 48 kHz, 120 (2.5 ms) to [`MAX_DURATION`]. `None` for a
/// packet that is empty, has a wrong number of frames, or is longer than 120 ms.
#[must_use]
pub fn duration(packet: &[u8]) -> Option<u32> {
    let toc = *packet.first()?;
    let frames = match toc & 0b11 {
        0 => 1,
        // Two frames of equal size (R3).
        1 if packet.len() % 2 == 1 => 2,
        1 => return None,
        2 => 2,
        _ => u32::from(packet.get(1)? & 0b0011_1111),
    };
    let samples = frames * frame_duration(toc);
    (1..=MAX_DURATION).contains(&samples).then_some(samples)
}

/// Samples of one frame of the configuration in the TOC's five high bits (table 2).
fn frame_duration(toc: u8) -> u32 {
    let config = toc >> 3;
    let step = config & 0b11;
    match config {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1920, 2880][usize::from(step)],
        // Hybrid: 10, 20 ms.
        12..=15 => 480 << (step & 1),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << step,
    }
}

/// The channels that a packet codes: 1 or 2. `None` for an empty packet.
#[must_use]
pub fn channels(packet: &[u8]) -> Option<u8> {
    packet
        .first()
        .map(|toc| if toc & 0b100 == 0 { 1 } else { 2 })
}

/// Whether the packet carries no sound because the encoder found silence (discontinuous
/// transmission): such packets have at most two bytes (RFC 7587 section 3.1.3, RFC 6716 section
/// 2.1.9).
#[must_use]
pub fn is_dtx(packet: &[u8]) -> bool {
    matches!(packet.len(), 1 | 2)
}

/// The identification header of Opus in Ogg, WebM and, in other byte order, MP4 (RFC 7845
/// section 5.1), with channel mapping family 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct OpusHead {
    /// Channels: 1 or 2.
    pub channels: u8,
    /// Samples at 48 kHz to throw away at the start of decoding.
    pub pre_skip: u16,
    /// The sample rate of what was encoded, for information; 0 when unknown.
    pub input_sample_rate: u32,
    /// Gain to apply, in 1/256 dB.
    pub output_gain: i16,
}

impl OpusHead {
    /// The header of a WebRTC stream, which is heard from its first sample on.
    #[must_use]
    pub fn new(channels: u8) -> Self {
        Self {
            channels: channels.clamp(1, 2),
            pre_skip: 0,
            input_sample_rate: SAMPLE_RATE,
            output_gain: 0,
        }
    }

    /// The header's 19 bytes as Ogg and WebM (`CodecPrivate`) hold them, little-endian.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut head = Vec::with_capacity(19);
        head.extend_from_slice(b"OpusHead");
        // Version 1, then the channel count.
        head.extend_from_slice(&[1, self.channels]);
        head.extend_from_slice(&self.pre_skip.to_le_bytes());
        head.extend_from_slice(&self.input_sample_rate.to_le_bytes());
        head.extend_from_slice(&self.output_gain.to_le_bytes());
        // Channel mapping family 0: mono or stereo.
        head.push(0);
        head
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn durations_of_all_configurations_are_those_of_table_2() {
        let tenths_of_ms = [
            100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 400, 600, 100, 200, 100, 200, 25, 50,
            100, 200, 25, 50, 100, 200, 25, 50, 100, 200, 25, 50, 100, 200,
        ];
        for (config, tenths) in tenths_of_ms.into_iter().enumerate() {
            let toc = (config as u8) << 3;
            assert_eq!(duration(&[toc, 1]), Some(tenths * 48 / 10), "{config}");
        }
    }

    #[test]
    fn every_frame_count_code_multiplies_the_duration() {
        let toc = 19 << 3; // CELT, 20 ms
        assert_eq!(duration(&[toc | 1, 0, 0]), Some(1920));
        assert_eq!(duration(&[toc | 1, 0]), None);
        assert_eq!(duration(&[toc | 2, 1, 0, 0]), Some(1920));
        assert_eq!(duration(&[toc | 3, 0b1100_0110]), Some(5760));
        assert_eq!(duration(&[toc | 3, 7]), None);
        assert_eq!(duration(&[toc | 3, 0]), None);
        assert_eq!(duration(&[toc | 3]), None);
        assert_eq!(duration(&[]), None);
    }

    #[test]
    fn channels_and_silence_are_read() {
        assert_eq!(channels(&[0xfc]), Some(2));
        assert_eq!(channels(&[0xf8]), Some(1));
        assert_eq!(channels(&[]), None);
        assert!(is_dtx(&[0xf8]) && !is_dtx(&[0xf8, 1, 2]) && !is_dtx(&[]));
    }

    #[test]
    fn the_head_of_a_stereo_stream_has_rfc_7845_s_19_bytes() {
        let head = OpusHead {
            pre_skip: 312,
            ..OpusHead::new(2)
        };
        assert_eq!(
            head.to_bytes(),
            b"OpusHead\x01\x02\x38\x01\x80\xbb\x00\x00\x00\x00\x00"
        );
    }

    proptest! {
        #[test]
        fn a_duration_is_a_multiple_of_2_5_ms_up_to_120(bytes: Vec<u8>) {
            if let Some(samples) = duration(&bytes) {
                prop_assert!(samples % 120 == 0 && (120..=MAX_DURATION).contains(&samples));
            }
        }
    }
}
