//! A track's packets through jitter buffer, depacketizer and clock, and its frames into files.

use std::time::{Duration, Instant};

use bytes::Bytes;
use livekit_stream::EncodedFrame;
use livekit_stream::codec::{Codec, MediaKind};
use livekit_stream::mux::{AudioTrack, Track, VideoTrack, flv, fmp4};
use livekit_stream::rtp::{Packet, Receiver, ReceiverOptions, RoomClock};

pub(crate) fn h264(data: &[u8]) {
    receive(Codec::H264, data);
}

pub(crate) fn h265(data: &[u8]) {
    receive(Codec::H265, data);
}

pub(crate) fn vp8(data: &[u8]) {
    receive(Codec::Vp8, data);
}

pub(crate) fn vp9(data: &[u8]) {
    receive(Codec::Vp9, data);
}

pub(crate) fn av1(data: &[u8]) {
    receive(Codec::Av1, data);
}

pub(crate) fn opus(data: &[u8]) {
    receive(Codec::Opus, data);
}

/// What precedes each payload in the input: one byte of [`Step`], and the payload's length in 16
/// bits, little endian.
const HEADER: usize = 3;

/// How a packet follows the one before it, bit by bit: marker; timestamp goes on; two bits of time
/// passed; two bits of sequence number; a sender report comes first; upside down.
#[derive(Clone, Copy)]
struct Step(u8);

impl Step {
    fn has(self, bit: u8) -> bool {
        self.0 >> bit & 1 == 1
    }

    fn elapsed(self) -> Duration {
        Duration::from_millis([0, 10, 40, 600][usize::from(self.0 >> 2 & 3)])
    }

    fn sequence(self) -> u16 {
        [1, 2, u16::MAX, 1000][usize::from(self.0 >> 4 & 3)]
    }
}

fn receive(codec: Codec, mut data: &[u8]) {
    let start = Instant::now();
    let mut now = start;
    let clock = RoomClock::new(now).participant().track(codec.clock_rate());
    let mut receiver = Receiver::new(codec, clock, ReceiverOptions::new(codec));
    let mut sink = Sink::default();
    let (mut sequence_number, mut timestamp) = (65_500_u16, u32::MAX - 9000);
    while let Some((header, rest)) = data.split_first_chunk::<HEADER>() {
        let step = Step(header[0]);
        let length = usize::from(u16::from_le_bytes([header[1], header[2]])).min(rest.len());
        let (payload, rest) = rest.split_at(length);
        data = rest;
        now += step.elapsed();
        sequence_number = sequence_number.wrapping_add(step.sequence());
        if step.has(1) {
            timestamp = timestamp.wrapping_add(codec.clock_rate() / 50);
        }
        if step.has(6) {
            let ntp = (now - start).as_millis() as u64 * ((1 << 32) / 1000);
            receiver.handle_sender_report(now, ntp, timestamp);
        }
        receiver.handle_packet(
            now,
            Packet {
                sequence_number,
                timestamp,
                marker: step.has(0),
                payload: Bytes::copy_from_slice(payload),
                rotation: None,
            },
        );
        sink.drain(&mut receiver);
    }
    while let Some(due) = receiver.poll_timeout() {
        now = now.max(due);
        receiver.handle_timeout(now);
        sink.drain(&mut receiver);
        if now > start + Duration::from_secs(3600) {
            break;
        }
    }
}

/// Frames in their order, into the muxers.
#[derive(Default)]
struct Sink {
    last_us: Option<i64>,
    muxer: Option<fmp4::Muxer>,
}

impl Sink {
    fn drain(&mut self, receiver: &mut Receiver) {
        // Both are polled after every packet, as the room does.
        receiver.poll_keyframe_request();
        while let Some(frame) = receiver.poll_frame() {
            assert!(
                self.last_us.is_none_or(|last| frame.timestamp_us >= last),
                "time runs backwards"
            );
            self.last_us = Some(frame.timestamp_us);
            self.mux(frame);
        }
    }

    /// Refusing a frame is right; what is written goes nowhere.
    fn mux(&mut self, frame: EncodedFrame) {
        let _ = match frame.codec.kind() {
            MediaKind::Video => flv::video_body(&frame),
            MediaKind::Audio => flv::audio_body(&frame),
        };
        if self.muxer.is_none() && frame.keyframe {
            let track = match frame.codec.kind() {
                MediaKind::Video => VideoTrack::from_keyframe(&frame).map(Track::Video),
                MediaKind::Audio => Ok(Track::Audio(AudioTrack::opus(2))),
            };
            self.muxer = track
                .and_then(|track| fmp4::Muxer::new(vec![track], fmp4::Options::default()))
                .ok();
        }
        if let Some(muxer) = &mut self.muxer {
            let _ = muxer.write(0, frame);
        }
    }
}
