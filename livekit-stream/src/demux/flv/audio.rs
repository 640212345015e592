//! Bodies of audio tags (E.4.2; Enhanced RTMP v2, "Enhanced Audio").

use bytes::Bytes;

use super::enhanced::{CODED_FRAMES, FIRST_TRACK, Part, Reader, SEQUENCE_START};
use super::{FlvError, Frame, Item, Stats};
use crate::codec::Codec;
use crate::codec::aac::AudioSpecificConfig;
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};
use crate::mux::AudioTrack;

/// `SoundFormat` of a legacy header and of the one with a FourCC.
const AAC: u8 = 10;
const EX_HEADER: u8 = 9;
/// `AudioPacketType`.
const MULTITRACK: u8 = 5;
/// Bytes of an `OpusHead` before its channel mapping (RFC 7845 section 5.1).
const OPUS_HEAD_CHANNELS: usize = 9;

/// The first audio track.
#[derive(Debug, Default)]
pub(super) struct Audio {
    track: Option<AudioTrack>,
    last_us: Option<i64>,
}

impl Audio {
    /// The sender's clock was set back.
    pub(super) fn restart(&mut self) {
        self.last_us = None;
    }

    pub(super) fn push(
        &mut self,
        time_us: i64,
        body: &Bytes,
        stats: &mut Stats,
        out: &mut Vec<Item>,
    ) -> Result<(), FlvError> {
        let mut reader = Reader {
            kind: "audio",
            body,
            offset: 0,
        };
        // Some senders end a stream with an empty body.
        if body.is_empty() {
            return Ok(());
        }
        let [first] = reader.take()?;
        match first >> 4 {
            EX_HEADER => {
                let (packet_type, nanoseconds) = reader.modifiers(first & 0xf)?;
                let time_us = time_us.saturating_add(i64::from(nanoseconds / 1_000));
                for part in reader.parts(packet_type, MULTITRACK)? {
                    self.part(time_us, part, stats, out)?;
                }
                Ok(())
            }
            AAC => {
                let [packet_type] = reader.take()?;
                let part = Part {
                    packet_type,
                    four_cc: *b"mp4a",
                    track: FIRST_TRACK,
                    data: reader.rest(),
                };
                self.part(time_us, part, stats, out)
            }
            other => Err(FlvError::SoundFormat(other)),
        }
    }

    fn part(
        &mut self,
        time_us: i64,
        part: Part,
        stats: &mut Stats,
        out: &mut Vec<Item>,
    ) -> Result<(), FlvError> {
        if part.track != FIRST_TRACK {
            stats.other_tracks += u64::from(part.packet_type == CODED_FRAMES);
            return Ok(());
        }
        let codec = match &part.four_cc {
            b"mp4a" => Codec::Aac,
            b"Opus" => Codec::Opus,
            other => return Err(FlvError::FourCc(*other)),
        };
        match part.packet_type {
            SEQUENCE_START => self.configure(codec, part.data, out),
            CODED_FRAMES => {
                self.frame(time_us, codec, part.data, stats, out);
                Ok(())
            }
            // The end of the sequence, the order of channels, and types to come.
            _ => Ok(()),
        }
    }

    fn configure(
        &mut self,
        codec: Codec,
        codec_config: Bytes,
        out: &mut Vec<Item>,
    ) -> Result<(), FlvError> {
        let track = if codec == Codec::Aac {
            let config = AudioSpecificConfig::parse(&codec_config)?;
            AudioTrack {
                codec,
                sample_rate: config.sample_rate,
                num_channels: config.num_channels,
                codec_config,
            }
        } else {
            opus(&codec_config)
        };
        self.set(track, out);
        Ok(())
    }

    /// Tells the track when it is another one: senders repeat its configuration.
    fn set(&mut self, track: AudioTrack, out: &mut Vec<Item>) {
        if self.track.as_ref() != Some(&track) {
            self.track = Some(track.clone());
            out.push(Item::AudioTrack(track));
        }
    }

    fn frame(
        &mut self,
        time_us: i64,
        codec: Codec,
        data: Bytes,
        stats: &mut Stats,
        out: &mut Vec<Item>,
    ) {
        if data.is_empty() {
            return;
        }
        let known = self
            .track
            .as_ref()
            .is_some_and(|track| track.codec == codec);
        if !known && codec == Codec::Opus {
            // Opus needs none: each packet tells what a decoder has to know.
            self.set(opus(&[]), out);
        } else if !known {
            stats.without_configuration += 1;
            return;
        }
        let time_us = self.last_us.map_or(time_us, |last| time_us.max(last));
        self.last_us = Some(time_us);
        stats.frames += 1;
        out.push(Item::Frame(Frame {
            frame: EncodedFrame {
                codec,
                data,
                keyframe: true,
                timestamp_us: time_us,
                rotation: VideoRotation::Deg0,
                size: VideoSize::default(),
                lost_packets: 0,
            },
            decode_timestamp_us: time_us,
        }));
    }
}

/// The track of an `OpusHead`; without a usable one it is stereo.
fn opus(head: &[u8]) -> AudioTrack {
    let channels = head
        .starts_with(b"OpusHead")
        .then(|| head.get(OPUS_HEAD_CHANNELS).copied())
        .flatten()
        .filter(|channels| (1..=2).contains(channels));
    let mut track = AudioTrack::opus(channels.map_or(2, u32::from));
    // With its pre-skip and gain, as long as it is one that muxers take.
    if channels.is_some() && head.len() == track.codec_config.len() {
        track.codec_config = Bytes::copy_from_slice(head);
    }
    track
}
