//! Sound on its way from blocks to samples: copied, or decoded and encoded as AAC.

use std::time::Duration;

use bytes::Bytes;

use super::clock::Clock;
use super::encoded::Encoded;
use super::{Segment, TranscodeError, TranscodeOptions};
use crate::codec::aac::{AudioSpecificConfig, SAMPLES_PER_FRAME};
use crate::codec::{Codec, opus};
use crate::demux::mkv::{Frame, Track};
use crate::mux::{AudioTrack, MuxError};

/// A sample of the audio track, in ticks of its sampling rate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sound {
    pub(super) data: Bytes,
    pub(super) start: i64,
    pub(super) duration: u32,
}

/// The track of sound.
pub(super) struct AudioLane {
    number: u64,
    track: AudioTrack,
    /// What an edit list takes off.
    codec_delay: Duration,
    kind: Kind,
    /// Packets that could not be read or decoded.
    pub(super) damaged: u64,
}

enum Kind {
    Copied(Clock),
    Encoded(Box<Encoded>),
}

impl AudioLane {
    pub(super) fn new(
        track: &Track,
        scale_ns: u64,
        segment: Option<Segment>,
        options: &TranscodeOptions,
    ) -> Result<Self, TranscodeError> {
        let settings = track.audio.unwrap_or_default();
        let copied = match track.codec_id.as_str() {
            "A_OPUS" => Some(AudioTrack {
                num_channels: settings.channels,
                codec_config: track.codec_private.clone(),
                ..AudioTrack::opus(settings.channels)
            }),
            // Old files name the profile in the ID: `A_AAC/MPEG4/LC`.
            id if id == "A_AAC" || id.starts_with("A_AAC/") => aac(track),
            _ => None,
        };
        if let Some(mut audio) = copied {
            if audio.codec_config.is_empty() {
                audio.codec_config = AudioTrack::opus(settings.channels).codec_config;
            }
            let origin_ms = segment.map(|segment| segment.audio_origin_ms);
            let clock = Clock::new(audio.sample_rate, scale_ns, origin_ms);
            return Ok(Self {
                number: track.number,
                track: audio,
                codec_delay: Duration::from_nanos(track.codec_delay_ns),
                kind: Kind::Copied(clock),
                damaged: 0,
            });
        }
        let encoded = Encoded::new(track, segment, options)?;
        Ok(Self {
            number: track.number,
            track: encoded.track(),
            codec_delay: Duration::ZERO,
            kind: Kind::Encoded(Box::new(encoded)),
            damaged: 0,
        })
    }

    pub(super) fn number(&self) -> u64 {
        self.number
    }

    pub(super) fn track(&self) -> &AudioTrack {
        &self.track
    }

    pub(super) fn codec_delay(&self) -> Duration {
        self.codec_delay
    }

    /// Takes a frame and appends what it completes.
    pub(super) fn push(
        &mut self,
        frame: &Frame,
        out: &mut Vec<Sound>,
    ) -> Result<(), TranscodeError> {
        match &mut self.kind {
            Kind::Copied(clock) => {
                let duration = match self.track.codec {
                    Codec::Opus => opus::duration(&frame.data),
                    _ => (!frame.data.is_empty()).then_some(SAMPLES_PER_FRAME),
                };
                let Some(duration) = duration else {
                    self.damaged += 1;
                    return Ok(());
                };
                out.push(Sound {
                    data: frame.data.clone(),
                    start: clock.place(frame, duration),
                    duration,
                });
                Ok(())
            }
            Kind::Encoded(encoded) => {
                self.damaged += u64::from(!encoded.decode(frame));
                encoded.encode(out)
            }
        }
    }

    /// Appends what is left.
    pub(super) fn finish(&mut self, out: &mut Vec<Sound>) -> Result<(), TranscodeError> {
        match &mut self.kind {
            Kind::Copied(_) => Ok(()),
            Kind::Encoded(encoded) => encoded.finish(out),
        }
    }
}

/// AAC that MP4 takes as it is; any other has to be decoded.
fn aac(track: &Track) -> Option<AudioTrack> {
    let settings = track.audio.unwrap_or_default();
    if track.codec_private.is_empty() {
        return AudioTrack::aac(settings.sample_rate as u32, settings.channels).ok();
    }
    let config = AudioSpecificConfig::parse_core(&track.codec_private).ok()?;
    Some(AudioTrack {
        codec: Codec::Aac,
        sample_rate: config.sample_rate,
        num_channels: config.num_channels,
        codec_config: track.codec_private.clone(),
    })
}

/// The muxer knows of a codec's configuration only when it is made, so an error comes then.
pub(super) fn configuration_error(
    lane: &AudioLane,
    error: &MuxError,
    codec: &str,
) -> TranscodeError {
    TranscodeError::Configuration {
        number: lane.number,
        codec: codec.to_owned(),
        reason: error.to_string(),
    }
}
