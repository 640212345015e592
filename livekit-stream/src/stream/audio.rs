//! Decoded sound as a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use futures::Stream;

use super::decoded::{Decoded, Output};
use super::{FrameSource, StreamError};
use crate::codec::{Codec, MediaKind};
use crate::decode::{self, AudioDecoder};
use crate::fanout::Ring;
use crate::frame::{AudioFrame, EncodedFrame, Resampler};
use crate::room::{RemoteParticipant, TrackSource, WebRtcTrack};

/// Frames kept for a reader that is behind: ten seconds of packets of 20 ms.
const CAPACITY: usize = 500;

/// The rate Opus is decoded at (RFC 7587 section 4.1).
const DECODER_RATE: u32 = 48_000;

/// A gap up to this long is filled by the decoder's concealment; a longer one is silence that
/// the sender did not send, and shows in the timestamps alone.
const LONGEST_CONCEALMENT_US: i64 = 200_000;

/// How an [`AudioStream`] is made.
#[derive(Debug)]
#[must_use]
pub struct AudioStreamBuilder {
    source: FrameSource,
    capacity: usize,
    sample_rate: u32,
    num_channels: u32,
}

impl AudioStreamBuilder {
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
        AudioStream {
            decoded: Decoded::start(self.source, kind, CAPACITY, self.capacity, decode),
        }
    }
}

/// The sound of one track, decoded, in a ring that keeps the newest.
///
/// As a [`Stream`] it yields [`AudioFrame`]s and skips over errors, which are counted and can be
/// read by [`last_error`](Self::last_error); as [`results`](Self::results) it yields the errors
/// as items too. It ends with the track. Lost packets are concealed; silence that was not sent
/// (DTX) shows as a jump of `timestamp_us`.
#[derive(Debug)]
pub struct AudioStream {
    decoded: Decoded<AudioFrame>,
}

impl AudioStream {
    /// The sound of a track with the builder's defaults: 48 kHz, one channel.
    pub fn new(source: impl Into<FrameSource>) -> Self {
        Self::builder(source).build()
    }

    /// The sound of a track; see the builder's methods.
    pub fn builder(source: impl Into<FrameSource>) -> AudioStreamBuilder {
        AudioStreamBuilder {
            source: source.into(),
            capacity: CAPACITY,
            sample_rate: DECODER_RATE,
            num_channels: 1,
        }
    }

    /// The sound of a track: the same as [`new`](Self::new).
    pub fn from_track(track: impl Into<FrameSource>) -> Self {
        Self::new(track)
    }

    /// The sound of whatever track a participant's source has: goes on when the track is
    /// unpublished and published again, and ends when the participant leaves.
    pub fn from_participant(participant: &RemoteParticipant, source: TrackSource) -> Self {
        Self::new((participant, source))
    }

    /// The sound of a remote track of the `webrtc` crate, no LiveKit needed. Times count from the
    /// moment of this call.
    pub fn from_webrtc(track: WebRtcTrack) -> Self {
        Self::new(track)
    }

    /// Frames that were dropped as the reader, or the decoder, was behind.
    pub fn dropped_frames(&self) -> u64 {
        self.decoded.dropped()
    }

    /// Errors met so far.
    pub fn errors(&self) -> u64 {
        self.decoded.errors()
    }

    /// The last error met.
    pub fn last_error(&self) -> Option<&StreamError> {
        self.decoded.last_error()
    }

    /// The same stream with its errors as items.
    pub fn results(self) -> impl Stream<Item = Result<AudioFrame, StreamError>> + Send + Unpin {
        self.decoded.results()
    }

    /// Stops decoding and reading the track. Frames not yet read are dropped.
    pub async fn close(self) {
        self.decoded.close().await;
    }
}

impl Stream for AudioStream {
    type Item = AudioFrame;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<AudioFrame>> {
        self.decoded.poll_next(cx)
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
