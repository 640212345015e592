//! Sound that cannot be copied: decoded, and encoded as AAC.

use super::audio::Sound;
use super::video::to_us;
use super::{Segment, TranscodeError, TranscodeOptions};
use crate::codec::Codec;
use crate::codec::aac::SAMPLES_PER_FRAME;
use crate::decode::{AudioFormat, PacketDecoder, any_audio_decoder};
use crate::demux::mkv::{Frame, Track};
use crate::encode::{AudioEncoder, AudioOptions, audio_encoder};
use crate::frame::{AudioFrame, EncodedFrame};
use crate::mux::AudioTrack;

const SAMPLE_RATE: u32 = 48_000;
const CHANNELS: u32 = 2;
const FRAME: i64 = SAMPLES_PER_FRAME as i64;
/// Silence that a segment may begin with where its sound begins within a packet that came before:
/// 100 ms, longer than any codec's packet.
const LONGEST_SILENCE: i64 = 4_800;

/// Sound in another codec. Its AAC frames are counted from 0, in a segment as in the whole.
pub(super) struct Encoded {
    decoder: Box<dyn PacketDecoder>,
    encoder: Box<dyn AudioEncoder>,
    codec_delay_us: i64,
    /// Where a segment's first AAC frame begins.
    first: Option<i64>,
    decoded: Vec<AudioFrame>,
    frames: Vec<EncodedFrame>,
    /// Sound has been given to the encoder.
    started: bool,
    next: i64,
}

impl Encoded {
    pub(super) fn new(
        track: &Track,
        segment: Option<Segment>,
        options: &TranscodeOptions,
    ) -> Result<Self, TranscodeError> {
        let settings = track.audio.unwrap_or_default();
        let format = AudioFormat {
            codec_private: track.codec_private.clone(),
            sample_rate: settings.sample_rate.clamp(0.0, 1e9) as u32,
            num_channels: settings.channels,
            bits_per_sample: settings.bit_depth.unwrap_or(0),
            ..AudioFormat::new(track.codec_id.clone())
        };
        let decoder = any_audio_decoder(&format, SAMPLE_RATE, CHANNELS).map_err(|source| {
            TranscodeError::AudioDecoder {
                number: track.number,
                codec: track.codec_id.clone(),
                source,
            }
        })?;
        let encoder = audio_encoder(
            Codec::Aac,
            AudioOptions {
                bit_rate: options.audio_bit_rate,
                sample_rate: SAMPLE_RATE,
                num_channels: CHANNELS,
            },
        )?;
        Ok(Self {
            decoder,
            encoder,
            codec_delay_us: (track.codec_delay_ns / 1_000).min(i64::MAX as u64) as i64,
            first: segment.map(|segment| {
                let start = to_samples((segment.start_decode_time_ms * 1_000.0) as i64);
                start.saturating_add(FRAME - 1) / FRAME * FRAME
            }),
            decoded: Vec::new(),
            frames: Vec::new(),
            started: false,
            next: 0,
        })
    }

    pub(super) fn track(&self) -> AudioTrack {
        AudioTrack {
            codec: Codec::Aac,
            sample_rate: SAMPLE_RATE,
            num_channels: CHANNELS,
            codec_config: self.encoder.codec_config(),
        }
    }

    /// Whether the packet could be decoded.
    pub(super) fn decode(&mut self, frame: &Frame) -> bool {
        let time_us = to_us(frame.timestamp_ns).saturating_sub(self.codec_delay_us);
        let decoded = self.decoder.decode(&frame.data, time_us, &mut self.decoded);
        decoded.is_ok()
    }

    pub(super) fn encode(&mut self, out: &mut Vec<Sound>) -> Result<(), TranscodeError> {
        for mut sound in std::mem::take(&mut self.decoded) {
            if !self.started && !self.start(&mut sound) {
                continue;
            }
            self.encoder.encode(&sound, &mut self.frames)?;
        }
        self.give(out);
        Ok(())
    }

    /// Makes the first sound begin where an AAC frame does: silence comes before it, and what is
    /// from before 0 is cut off. `false` when nothing is left.
    fn start(&mut self, sound: &mut AudioFrame) -> bool {
        let channels = sound.num_channels.max(1) as usize;
        let at = to_samples(sound.timestamp_us);
        if at < 0 {
            let early = usize::try_from(at.unsigned_abs()).unwrap_or(usize::MAX);
            let early = early.saturating_mul(channels).min(sound.samples.len());
            sound.samples.drain(..early);
            sound.timestamp_us = 0;
        } else {
            let begin = match self.first {
                Some(first) if (1..=LONGEST_SILENCE).contains(&(at - first)) => first,
                _ => at - at % FRAME,
            };
            let silent = at - begin;
            let silence = std::iter::repeat_n(0, silent as usize * channels);
            sound.samples.splice(..0, silence);
            sound.timestamp_us = from_samples(begin);
        }
        self.started = !sound.samples.is_empty();
        self.started
    }

    pub(super) fn finish(&mut self, out: &mut Vec<Sound>) -> Result<(), TranscodeError> {
        // What the decoder still had may be damaged as any packet.
        let _ = self.decoder.flush(&mut self.decoded);
        self.encode(out)?;
        if self.started {
            self.encoder.flush(&mut self.frames)?;
        }
        self.give(out);
        Ok(())
    }

    fn give(&mut self, out: &mut Vec<Sound>) {
        for frame in self.frames.drain(..) {
            let start = to_samples(frame.timestamp_us).max(self.next);
            self.next = start.saturating_add(FRAME);
            out.push(Sound {
                data: frame.data,
                start,
                duration: SAMPLES_PER_FRAME,
            });
        }
    }
}

fn to_samples(us: i64) -> i64 {
    let scaled = i128::from(us) * i128::from(SAMPLE_RATE) + 500_000;
    scaled.div_euclid(1_000_000) as i64
}

fn from_samples(samples: i64) -> i64 {
    let scaled = i128::from(samples) * 1_000_000 + i128::from(SAMPLE_RATE / 2);
    scaled.div_euclid(SAMPLE_RATE.into()) as i64
}
