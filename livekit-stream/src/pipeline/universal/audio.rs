//! Sound: copied, or decoded and encoded as AAC.

use bytes::Bytes;

use super::{UniversalError, UniversalOptions};
use crate::codec::aac::AudioSpecificConfig;
use crate::codec::{Codec, opus};
use crate::decode::PacketDecoder;
use crate::encode::{AudioEncoder, AudioOptions, audio_encoder};
use crate::ffmpeg::{BitstreamFilter, InputPacket, SoundDecoder, TrackInfo};
use crate::frame::{AudioFrame, EncodedFrame, VideoRotation, VideoSize};
use crate::mux::AudioTrack;

/// Samples in a frame of AAC.
const AAC_SAMPLES: i64 = 1024;
/// Times that are less than this away from where the frame before ended are rounded ones, such as
/// Matroska's milliseconds.
const ROUNDING_US: u64 = 2_000;

pub(super) enum Audio {
    Copy(Copy),
    Encode(Box<Encode>),
}

impl Audio {
    pub(super) fn new(
        info: &TrackInfo,
        options: &UniversalOptions,
    ) -> Result<Self, UniversalError> {
        Ok(match Copy::new(info)? {
            Some(copy) => Self::Copy(copy),
            None => Self::Encode(Box::new(Encode::new(info, options)?)),
        })
    }

    pub(super) fn reencodes(&self) -> bool {
        matches!(self, Self::Encode(_))
    }

    /// What the muxer has to know, once it is known.
    pub(super) fn track(&self) -> Option<&AudioTrack> {
        match self {
            Self::Copy(copy) => copy.track.as_ref(),
            Self::Encode(encode) => Some(&encode.track),
        }
    }

    /// Appends the frames that are made of a packet. What cannot be used is counted.
    pub(super) fn packet(
        &mut self,
        packet: InputPacket,
        out: &mut Vec<EncodedFrame>,
        dropped: &mut u64,
    ) -> Result<(), UniversalError> {
        match self {
            Self::Copy(copy) => {
                copy.packet(packet, out, dropped);
                Ok(())
            }
            Self::Encode(encode) => encode.packet(&packet, out, dropped),
        }
    }

    /// Appends what is left.
    pub(super) fn flush(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), UniversalError> {
        match self {
            Self::Copy(_) => Ok(()),
            Self::Encode(encode) => encode.flush(out),
        }
    }
}

/// Copies packets of Opus and frames of AAC.
pub(super) struct Copy {
    codec: Codec,
    /// Takes off ADTS headers, and tells the configuration with the first frame.
    filter: Option<BitstreamFilter>,
    track: Option<AudioTrack>,
    /// Where the last frame ended.
    end_us: Option<i64>,
    /// Samples since `since_us`: microseconds alone would add up their rounding.
    samples: i64,
    since_us: i64,
}

impl Copy {
    /// `None` for sound that has to be encoded anew.
    fn new(info: &TrackInfo) -> Result<Option<Self>, UniversalError> {
        let (track, filter) = match info.codec {
            Some(Codec::Opus) if info.num_channels <= 2 && is_plain_opus(&info.extradata) => {
                let track = AudioTrack {
                    codec_config: info.extradata.clone(),
                    ..AudioTrack::opus(info.num_channels)
                };
                (Some(track), None)
            }
            // Without a configuration the frames have ADTS headers.
            Some(Codec::Aac) if info.extradata.is_empty() => {
                let filter = BitstreamFilter::new("aac_adtstoasc", info);
                let filter = filter.map_err(|error| UniversalError::Bitstream {
                    codec: info.name.clone(),
                    reason: error.to_string(),
                })?;
                (None, Some(filter))
            }
            Some(Codec::Aac) => match aac_track(&info.extradata) {
                Some(track) => (Some(track), None),
                None => return Ok(None),
            },
            _ => return Ok(None),
        };
        Ok(Some(Self {
            codec: info.codec.unwrap_or(Codec::Aac),
            filter,
            track,
            end_us: None,
            samples: 0,
            since_us: 0,
        }))
    }

    fn packet(&mut self, packet: InputPacket, out: &mut Vec<EncodedFrame>, dropped: &mut u64) {
        let packets = match &mut self.filter {
            None => vec![packet],
            Some(filter) => filter.filter(packet).unwrap_or_else(|error| {
                tracing::debug!(%error, "a frame of sound is left out");
                *dropped += 1;
                Vec::new()
            }),
        };
        for packet in packets {
            if self.track.is_none() {
                self.track = packet.new_extradata().as_ref().and_then(aac_track);
            }
            let time_us = packet.pts_us.or(packet.dts_us).or(self.end_us);
            let (Some(track), Some(time_us)) = (&self.track, time_us) else {
                *dropped += 1;
                continue;
            };
            if packet.data().is_empty() {
                *dropped += 1;
                continue;
            }
            let (rate, samples) = match self.codec {
                Codec::Opus => {
                    let samples = opus::duration(packet.data()).unwrap_or(960);
                    (i64::from(opus::SAMPLE_RATE), i64::from(samples))
                }
                _ => (i64::from(track.sample_rate.max(1)), AAC_SAMPLES),
            };
            let timestamp_us = match self.end_us {
                Some(end_us) if time_us.abs_diff(end_us) <= ROUNDING_US => end_us,
                _ => {
                    (self.since_us, self.samples) = (time_us, 0);
                    time_us
                }
            };
            self.samples += samples;
            let since_us = self.samples.saturating_mul(1_000_000) / rate;
            self.end_us = Some(self.since_us.saturating_add(since_us));
            out.push(EncodedFrame {
                codec: self.codec,
                data: Bytes::copy_from_slice(packet.data()),
                keyframe: true,
                timestamp_us,
                rotation: VideoRotation::Deg0,
                size: VideoSize::default(),
                lost_packets: 0,
            });
        }
    }
}

/// One stream, mono or stereo (RFC 7845 section 5.1.1.1).
fn is_plain_opus(head: &[u8]) -> bool {
    head.len() >= 19 && head.starts_with(b"OpusHead") && head[18] == 0
}

/// AAC-LC, or with it as its core; other kinds are encoded anew.
fn aac_track(config: &Bytes) -> Option<AudioTrack> {
    let parsed = AudioSpecificConfig::parse_core(config).ok()?;
    Some(AudioTrack {
        codec: Codec::Aac,
        sample_rate: parsed.sample_rate,
        num_channels: parsed.num_channels,
        codec_config: config.clone(),
    })
}

/// Decodes by FFmpeg and encodes as AAC, 48 kHz, stereo.
pub(super) struct Encode {
    decoder: SoundDecoder,
    encoder: Box<dyn AudioEncoder>,
    track: AudioTrack,
    sound: Vec<AudioFrame>,
    last_us: i64,
}

impl Encode {
    fn new(info: &TrackInfo, options: &UniversalOptions) -> Result<Self, UniversalError> {
        let audio = AudioOptions {
            bit_rate: options.audio_bit_rate,
            ..AudioOptions::default()
        };
        let (rate, channels) = (audio.sample_rate, audio.num_channels);
        let encoder = audio_encoder(Codec::Aac, audio)?;
        Ok(Self {
            decoder: SoundDecoder::of_track(info, rate, channels)?,
            track: AudioTrack {
                codec_config: encoder.codec_config(),
                ..AudioTrack::aac(rate, channels)?
            },
            encoder,
            sound: Vec::new(),
            last_us: 0,
        })
    }

    fn packet(
        &mut self,
        packet: &InputPacket,
        out: &mut Vec<EncodedFrame>,
        dropped: &mut u64,
    ) -> Result<(), UniversalError> {
        let time_us = packet.pts_us.or(packet.dts_us).unwrap_or(self.last_us);
        self.last_us = time_us.saturating_add(packet.duration_us);
        let decoded = self.decoder.decode(packet.data(), time_us, &mut self.sound);
        if let Err(error) = decoded {
            tracing::debug!(%error, "a packet of sound is left out");
            *dropped += 1;
        }
        self.encode(out)
    }

    fn flush(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), UniversalError> {
        self.decoder.flush(&mut self.sound)?;
        self.encode(out)?;
        Ok(self.encoder.flush(out)?)
    }

    fn encode(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), UniversalError> {
        for sound in self.sound.drain(..) {
            self.encoder.encode(&sound, out)?;
        }
        Ok(())
    }
}
