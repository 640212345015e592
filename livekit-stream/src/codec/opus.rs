//! Opus: the duration and channel count that a packet's TOC byte tells (RFC 6716 section 3.1).

/// Samples a second of every duration here: Opus counts at 48 kHz whatever was encoded.
pub const SAMPLE_RATE: u32 = 48_000;

/// The longest packet in samples: 120 ms (RFC 6716 section 3.2.5).
pub const MAX_DURATION: u32 = 5760;

/// The longest frame in bytes (RFC 6716 section 3.4, R2).
const MAX_FRAME: usize = 1275;

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

/// Whether the lengths that a packet tells of its frames agree with its own (RFC 6716 section 3.4,
/// R1 to R7 but for R5, which is [`duration`]'s). Decoders refuse one in which they do not.
#[must_use]
pub fn is_well_formed(packet: &[u8]) -> bool {
    frames_fit(packet).unwrap_or(false)
}

fn frames_fit(packet: &[u8]) -> Option<bool> {
    let (toc, frames) = packet.split_first()?;
    match toc & 0b11 {
        0 => Some(frames.len() <= MAX_FRAME),
        1 => Some(frames.len() % 2 == 0 && frames.len() / 2 <= MAX_FRAME),
        2 => {
            let (first, frames) = frame_length(frames)?;
            Some(frames.len().checked_sub(first)? <= MAX_FRAME)
        }
        _ => {
            let (count, mut frames) = frames.split_first()?;
            if count & 0b0100_0000 != 0 {
                frames = without_padding(frames)?;
            }
            let number = usize::from(count & 0b0011_1111);
            if count & 0b1000_0000 == 0 {
                let each = frames.len().checked_div(number)?;
                return Some(each * number == frames.len() && each <= MAX_FRAME);
            }
            let mut but_last = 0;
            for _ in 1..number {
                let (length, rest) = frame_length(frames)?;
                but_last += length;
                frames = rest;
            }
            Some(frames.len().checked_sub(but_last)? <= MAX_FRAME)
        }
    }
}

/// A frame's length in one byte or two, and what follows (section 3.2.1).
fn frame_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    if *first < 252 {
        return Some((usize::from(*first), rest));
    }
    let (second, rest) = rest.split_first()?;
    Some((4 * usize::from(*second) + usize::from(*first), rest))
}

/// Takes the padding of a packet of code 3 off: its length, 254 more for each byte of 255, and as
/// many bytes at the end (section 3.2.5).
fn without_padding(mut bytes: &[u8]) -> Option<&[u8]> {
    let mut padding = 0;
    loop {
        let (length, rest) = bytes.split_first()?;
        bytes = rest;
        if *length < 255 {
            padding += usize::from(*length);
            return bytes.get(..bytes.len().checked_sub(padding)?);
        }
        padding += 254;
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
    fn lengths_of_frames_agree_with_the_packet_s() {
        let long = |header: &[u8], frames: usize| [header, &vec![7; frames]].concat();
        for (packet, wanted) in [
            (vec![], false),
            (vec![0xf8], true),
            (long(&[0xf8], 1275), true),
            (long(&[0xf8], 1276), false),
            (long(&[0xf9], 2 * 1275), true),
            (vec![0xf9, 1], false),
            // Code 2: the first frame's length, in one byte or two.
            (vec![0xfa], false),
            (vec![0xfa, 0], true),
            (vec![0xfa, 2, 1, 1, 5], true),
            (vec![0xfa, 2, 1], false),
            (vec![0xfa, 252], false),
            (long(&[0xfa, 252, 1], 300), true),
            (long(&[0xfa, 252, 1], 255), false),
            // Code 3, frames of one length, with padding or without.
            (vec![0xfb], false),
            (vec![0xfb, 0], false),
            (vec![0xfb, 3, 1, 2, 3], true),
            (vec![0xfb, 3, 1, 2], false),
            (vec![0xfb, 0x42, 1, 7, 7, 0], true),
            (vec![0xfb, 0x42, 3, 7, 7], false),
            (long(&[0xfb, 0x41, 255, 0], 254), true),
            (vec![0xfb, 0x41, 255], false),
            // Code 3, each but the last with its length.
            (vec![0xfb, 0x83, 1, 2, 7, 7, 7, 7], true),
            (vec![0xfb, 0x83, 1, 2, 7, 7], false),
            (vec![0xfb, 0x83, 1], false),
        ] {
            assert_eq!(is_well_formed(&packet), wanted, "{packet:x?}");
        }
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
