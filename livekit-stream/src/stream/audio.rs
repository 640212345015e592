//! Decoded sound as a stream.

use std::sync::Arc;

use super::decoded::{DecodedStream, Media, Output};
use super::{FrameSource, StreamError};
use crate::codec::{Codec, MediaKind};
use crate::decode::{self, AudioDecoder};
use crate::fanout::Ring;
use crate::frame::{AudioFrame, EncodedFrame, Resampler};

/// Frames kept for a reader that is behind: ten seconds of packets of 20 ms.
const CAPACITY: usize = 500;

/// The rate Opus is decoded at (RFC 7587 section 4.1).
const DECODER_RATE: u32 = 48_000;

/// A gap up to this long is filled by the decoder's concealment; a longer one is silence that
/// the sender did not send, and shows in the timestamps alone.
const LONGEST_CONCEALMENT_US: i64 = 200_000;

#[derive(Debug)]
enum Source {
    Encoded(FrameSource),
    #[cfg(feature = "livekit")]
    LiveKit(livekit::track::RemoteAudioTrack),
}

/// How an [`AudioStream`] is made.
#[derive(Debug)]
#[must_use]
pub struct AudioStreamBuilder {
    source: Source,
    capacity: usize,
    sample_rate: u32,
    num_channels: u32,
}

impl AudioStreamBuilder {
    fn new(source: Source) -> Self {
        Self {
            source,
            capacity: CAPACITY,
            sample_rate: DECODER_RATE,
            num_channels: 1,
        }
    }

    /// Keeps the newest `capacity` frames for a reader that is behind; 0 is unbounded.
    /// Default 500.
    pub fn capacity(mut self, capacity: usize) -> Self {
        self.capacity = capacity;
        self
    }

    /// Samples a second and channel. Default 48 000.
    pub fn sample_rate(mut self, sample_rate: u32) -> Self {
        self.sample_rate = sample_rate;
        self
    }

    /// Channels, 1 or 2. Default 1.
    pub fn num_channels(mut self, num_channels: u32) -> Self {
        self.num_channels = num_channels;
        self
    }

    /// Starts the stream. Has to be called within a tokio runtime.
    pub fn build(self) -> AudioStream {
        let source = match self.source {
            Source::Encoded(source) => source,
            #[cfg(feature = "livekit")]
            Source::LiveKit(track) => {
                return AudioStream::filled(MediaKind::Audio, self.capacity, |output| {
                    super::livekit::sound(track, self.sample_rate, self.num_channels, output)
                });
            }
        };
        let decode = |input, output, _| {
            let worker = Worker {
                output,
                sample_rate: self.sample_rate,
                num_channels: self.num_channels,
                decoder: None,
                resampler: None,
                expected_us: None,
            };
            worker.run(input)
        };
        let kind = MediaKind::Audio;
        AudioStream::start(source, kind, CAPACITY, self.capacity, decode)
    }
}

/// The sound of one track, decoded, in a ring that keeps the newest.
///
/// As a [`Stream`](futures::Stream) it yields [`AudioFrame`]s and skips over errors, which are
/// counted and can be read by [`last_error`](DecodedStream::last_error); as
/// [`results`](DecodedStream::results) it yields the errors as items too. It ends with the track.
/// Lost packets are concealed; silence that was not sent (DTX) shows as a jump of `timestamp_us`.
pub type AudioStream = DecodedStream<AudioFrame>;

#[cfg(feature = "livekit")]
impl AudioStream {
    /// The sound of a track that the `livekit` crate subscribed to, decoded by its libwebrtc; see
    /// the builder's methods. Times count from the moment the stream is built.
    pub fn from_livekit(track: livekit::track::RemoteAudioTrack) -> AudioStreamBuilder {
        AudioStreamBuilder::new(Source::LiveKit(track))
    }
}

impl Media for AudioFrame {
    type Builder = AudioStreamBuilder;

    fn builder(source: FrameSource) -> AudioStreamBuilder {
        AudioStreamBuilder::new(Source::Encoded(source))
    }

    fn build(builder: AudioStreamBuilder) -> AudioStream {
        builder.build()
    }
}

/// The task that decodes and resamples. Opus decodes in some tens of microseconds, so it runs
/// where it is.
struct Worker {
    output: Arc<Output<AudioFrame>>,
    sample_rate: u32,
    num_channels: u32,
    decoder: Option<(Codec, Box<dyn AudioDecoder>)>,
    resampler: Option<Resampler>,
    /// When the next frame is due if nothing is missing.
    expected_us: Option<i64>,
}

impl Worker {
    async fn run(mut self, input: Arc<Ring<EncodedFrame>>) {
        while let Some(frame) = input.next().await {
            if let Err(error) = self.decode(&frame) {
                self.output.push(Err(error));
            }
        }
        self.output.close();
    }

    fn decode(&mut self, frame: &EncodedFrame) -> Result<(), StreamError> {
        let decoder = match &mut self.decoder {
            Some((codec, decoder)) if *codec == frame.codec => decoder,
            other => {
                let decoder = decode::audio_decoder(frame.codec, DECODER_RATE, self.num_channels)?;
                &mut other.insert((frame.codec, decoder)).1
            }
        };
        let gap = self
            .expected_us
            .map_or(0, |expected| frame.timestamp_us - expected);
        let mut concealed = None;
        if frame.lost_packets > 0 && (1..=LONGEST_CONCEALMENT_US).contains(&gap) {
            let mut sound = decoder.conceal(gap)?;
            sound.timestamp_us = frame.timestamp_us - gap;
            concealed = Some(sound);
        }
        let decoded = decoder.decode(frame);
        if let Some(sound) = concealed {
            self.emit(sound)?;
        }
        let sound = decoded?;
        self.expected_us = Some(frame.timestamp_us + sound.duration_us());
        self.emit(sound)
    }

    fn emit(&mut self, sound: AudioFrame) -> Result<(), StreamError> {
        if sound.sample_rate == self.sample_rate && sound.num_channels == self.num_channels {
            self.output.push(Ok(sound));
            return Ok(());
        }
        let resampler = match &mut self.resampler {
            Some(resampler) => resampler,
            none => none.insert(Resampler::new(self.sample_rate, self.num_channels)?),
        };
        let sound = resampler.process(&sound)?;
        if !sound.samples.is_empty() {
            self.output.push(Ok(sound));
        }
        Ok(())
    }
}
