//! One track's receive path: packets in, encoded frames out.

use std::collections::VecDeque;
use std::time::Instant;

use bytes::Bytes;

use super::clock::TrackClock;
use super::depacketize::{Depacketized, Depacketizer, PictureNumber};
use super::jitter::{JitterBuffer, JitterOptions, Packet, ReleasedFrame};
use super::keyframe::KeyframeRequester;
use crate::codec::{Codec, MediaKind};
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};
use crate::timing::MeanDifference;

/// Frames that wait for [`Receiver::poll_frame`]. Whoever polls after each packet has one.
const MAX_FRAMES: usize = 4096;

/// Pictures up to this size in both dimensions are the server's sign that a track has ended
/// (2x2 in H.264, 8x8 in VP8; it has none in other codecs), not the publisher's.
const MAX_BLANK: u32 = 16;

/// How a [`Receiver`] works.
///
/// ```
/// use std::time::Duration;
/// use livekit_stream::{codec::Codec, rtp::ReceiverOptions};
/// let options = ReceiverOptions::new(Codec::H264);
/// assert_eq!(options.jitter.max_wait, Duration::from_millis(500));
/// assert_eq!(ReceiverOptions::new(Codec::Opus).jitter.max_wait, Duration::from_millis(150));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReceiverOptions {
    /// The jitter buffer's limits.
    pub jitter: JitterOptions,
}

impl ReceiverOptions {
    /// The defaults for a codec.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        Self {
            jitter: JitterOptions::new(codec),
        }
    }
}

/// What a [`Receiver`] has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct ReceiverStats {
    /// Packets that came, duplicates and padding included.
    pub packets: u64,
    /// Their payload bytes.
    pub bytes: u64,
    /// Packets given up as lost.
    pub lost: u64,
    /// Packets that never came and carried nothing: padding, with which the server probes the
    /// network. Known of VP8 and VP9 alone, whose frames are numbered; else they count as
    /// lost.
    pub padding_lost: u64,
    /// Packets that filled a gap in time: retransmitted or overtaken.
    pub recovered: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came after they had been given up.
    pub late: u64,
    /// Streams that began anew with unrelated sequence numbers.
    pub restarts: u64,
    /// Frames delivered.
    pub frames: u64,
    /// Those of them that decoding can start at.
    pub keyframes: u64,
    /// Frames that came in part or damaged, or that depend on a frame that did.
    pub frames_dropped: u64,
    /// Tiny pictures with which the server ends a track, and what depends on them.
    pub blank_frames: u64,
    /// Keyframes asked for.
    pub keyframe_requests: u64,
    /// The interarrival jitter (RFC 3550 appendix A.8) in microseconds.
    pub jitter_us: u64,
    /// How old frames are when they are delivered, smoothed, in microseconds on the room's clock:
    /// zero for one that came as quickly as any of its participant and waited for nothing.
    pub latency_us: i64,
    /// By how much sender reports moved the track from where its first packet's arrival had
    /// placed it, in microseconds.
    pub clock_correction_us: i64,
    /// Whether sender reports place this track beside the participant's others.
    pub synchronized: bool,
}

/// Why video frames are not delivered until the next keyframe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Waiting {
    /// They are delivered.
    No,
    /// No keyframe came yet, or what they refer to is lost.
    Keyframe,
    /// The track has ended with a blank picture.
    Blank,
}

/// Turns the RTP packets of one track into [`EncodedFrame`]s.
///
/// It has neither sockets nor a clock: the caller hands it packets, sender reports and the time,
/// and takes what it has to give after each call: [`poll_frame`](Self::poll_frame) until `None`,
/// [`poll_keyframe_request`](Self::poll_keyframe_request), and
/// [`poll_timeout`](Self::poll_timeout) to know when to call
/// [`handle_timeout`](Self::handle_timeout).
///
/// ```
/// use std::time::Instant;
/// use bytes::Bytes;
/// use livekit_stream::codec::Codec;
/// use livekit_stream::rtp::{Packet, Receiver, ReceiverOptions, RoomClock};
///
/// let now = Instant::now();
/// let clock = RoomClock::new(now).participant().track(Codec::Opus.clock_rate());
/// let mut receiver = Receiver::new(Codec::Opus, clock, ReceiverOptions::new(Codec::Opus));
/// receiver.handle_packet(now, Packet {
///     sequence_number: 7,
///     timestamp: 960,
///     marker: false,
///     payload: Bytes::from_static(&[0xf8, 1, 2]),
///     rotation: None,
/// });
/// let frame = receiver.poll_frame().expect("an Opus packet is a frame");
/// assert_eq!((&frame.data[..], frame.timestamp_us), (&[0xf8, 1, 2][..], 0));
/// assert_eq!(receiver.poll_timeout(), None);
/// ```
#[derive(Debug)]
pub struct Receiver {
    codec: Codec,
    clock: TrackClock,
    buffer: JitterBuffer,
    depacketizer: Depacketizer,
    keyframe: KeyframeRequester,
    waiting: Waiting,
    /// Whether the first packet was of the middle of a picture; `None` before it.
    began_inside: Option<bool>,
    /// The number of the frame that left the buffer last, if it is known and whole.
    last_picture: Option<PictureNumber>,
    rotation: VideoRotation,
    frames: VecDeque<EncodedFrame>,
    /// One frame's payloads, kept for its memory.
    payloads: Vec<Bytes>,
    /// The time of the last call that told it.
    now: Option<Instant>,
    jitter: Jitter,
    /// The part of `stats().lost` that delivered frames have told.
    lost_told: u64,
    stats: ReceiverStats,
}

impl Receiver {
    /// A receiver for a track of this codec, with the track's own clock.
    #[must_use]
    pub fn new(codec: Codec, clock: TrackClock, options: ReceiverOptions) -> Self {
        Self {
            codec,
            clock,
            buffer: JitterBuffer::new(options.jitter),
            depacketizer: Depacketizer::new(codec),
            keyframe: KeyframeRequester::default(),
            waiting: match codec.kind() {
                MediaKind::Video => Waiting::Keyframe,
                MediaKind::Audio => Waiting::No,
            },
            began_inside: None,
            last_picture: None,
            rotation: VideoRotation::default(),
            frames: VecDeque::new(),
            payloads: Vec::new(),
            now: None,
            jitter: Jitter::new(codec.clock_rate()),
            lost_told: 0,
            stats: ReceiverStats::default(),
        }
    }

    /// Takes in a packet that came at `now`.
    pub fn handle_packet(&mut self, now: Instant, packet: Packet) {
        self.stats.packets += 1;
        self.stats.bytes += packet.payload.len() as u64;
        self.keyframe.handle_packet();
        let media = !packet.payload.is_empty();
        if media && self.waiting == Waiting::Keyframe {
            self.keyframe.wait_for_first(now);
        }
        let timestamp = packet.timestamp;
        let start = self.depacketizer.is_frame_start(&packet.payload);
        if media {
            self.began_inside.get_or_insert(!start);
        }
        let newest = self.buffer.insert(now, packet, start);
        // Retransmissions would show as jitter, and padding is sent at leisure.
        if newest && media {
            self.jitter.handle_packet(now, timestamp);
        }
        self.handle_timeout(now);
    }

    /// Takes in a sender report that came at `now`: the wall clock in NTP format (32.32 fixed
    /// point) and the RTP timestamp of the same moment.
    pub fn handle_sender_report(&mut self, now: Instant, ntp: u64, rtp: u32) {
        self.clock.handle_sender_report(ntp, rtp, now);
    }

    /// Does what is due at `now`.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.now = Some(now);
        loop {
            let frame = self.buffer.poll_frame(now, &mut self.payloads);
            if self.buffer.take_break() {
                self.break_chain(now);
            }
            match frame {
                Some(frame) => self.build(now, frame),
                None if self.is_only_padding_missing() => self.buffer.skip_gap(),
                None => break,
            }
        }
        self.keyframe.handle_timeout(now);
    }

    /// When [`handle_timeout`](Self::handle_timeout) is to be called; `None` when nothing waits.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        let buffer = self.buffer.poll_timeout();
        buffer.into_iter().chain(self.keyframe.poll_timeout()).min()
    }

    /// The next frame, if there is one.
    pub fn poll_frame(&mut self) -> Option<EncodedFrame> {
        self.frames.pop_front()
    }

    /// Whether a PLI is to be sent now. Each request is told once.
    pub fn poll_keyframe_request(&mut self) -> bool {
        self.keyframe.take()
    }

    /// Asks for a keyframe because a consumer joined late or lost frames of its own. Does nothing
    /// before the first keyframe, which the server asks for; at most one request in 500 ms.
    pub fn request_keyframe(&mut self) {
        if let (Waiting::No, MediaKind::Video, Some(now)) =
            (self.waiting, self.codec.kind(), self.now)
        {
            self.keyframe.want(now);
            self.keyframe.handle_timeout(now);
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> ReceiverStats {
        let buffer = self.buffer.stats();
        ReceiverStats {
            lost: buffer.lost,
            padding_lost: buffer.skipped,
            recovered: buffer.recovered,
            duplicates: buffer.duplicates,
            late: buffer.late,
            restarts: buffer.restarts,
            frames_dropped: self.stats.frames_dropped + buffer.frames_dropped,
            keyframe_requests: self.keyframe.requests(),
            jitter_us: self.jitter.micros(),
            clock_correction_us: self.clock.correction_us(),
            synchronized: self.clock.is_synchronized(),
            ..self.stats
        }
    }

    /// What comes next may refer to pictures that are lost.
    fn break_chain(&mut self, now: Instant) {
        self.last_picture = None;
        if self.codec.kind() == MediaKind::Video && self.waiting != Waiting::Blank {
            self.waiting = Waiting::Keyframe;
            self.keyframe.want(now);
        }
    }

    /// Whether the packets that are waited for had no payload: the frame behind them is the next
    /// after the one before them.
    fn is_only_padding_missing(&self) -> bool {
        let (Some(last), Some(gap)) = (self.last_picture, self.buffer.gap_between_frames()) else {
            return false;
        };
        let next = self.depacketizer.picture_number(gap.next);
        next.is_some_and(|next| next.follows(last, gap.missing))
    }

    fn build(&mut self, now: Instant, released: ReleasedFrame) {
        if let Some(rotation) = released.rotation {
            self.rotation = rotation;
        }
        let first = self.payloads.first();
        self.last_picture = first.and_then(|first| self.depacketizer.picture_number(first));
        match self.depacketizer.depacketize(&self.payloads) {
            Ok(Some(frame)) => self.deliver(now, released, frame),
            Ok(None) => {}
            Err(error) => {
                tracing::debug!(codec = %self.codec, timestamp = released.timestamp, %error, "frame dropped");
                self.stats.frames_dropped += 1;
                self.break_chain(now);
            }
        }
        self.payloads.clear();
    }

    fn deliver(&mut self, now: Instant, released: ReleasedFrame, frame: Depacketized) {
        if self.codec.kind() == MediaKind::Video && !self.accept(now, &frame) {
            return;
        }
        if self.frames.len() >= MAX_FRAMES {
            self.stats.frames_dropped += 1;
            self.break_chain(now);
            return;
        }
        let timestamp_us = self
            .clock
            .timestamp_us(released.timestamp, released.arrival);
        let lost = self.buffer.stats().lost;
        let lost_packets = u32::try_from(lost - self.lost_told).unwrap_or(u32::MAX);
        self.lost_told = lost;
        let age_us = self.clock.time_us(now).saturating_sub(timestamp_us);
        if self.stats.frames == 0 {
            self.stats.latency_us = age_us;
        } else {
            // As RFC 3550 smoothes jitter.
            self.stats.latency_us += (age_us - self.stats.latency_us) / 16;
        }
        self.stats.frames += 1;
        self.stats.keyframes += u64::from(frame.keyframe);
        self.frames.push_back(EncodedFrame {
            codec: self.codec,
            data: frame.data,
            keyframe: frame.keyframe,
            timestamp_us,
            rotation: self.rotation,
            size: frame.size,
            lost_packets,
        });
    }

    /// Whether a picture is to be delivered: it can be decoded, and it is the publisher's.
    fn accept(&mut self, now: Instant, frame: &Depacketized) -> bool {
        if frame.keyframe {
            self.keyframe.fulfil();
            let VideoSize { width, height } = frame.size;
            let blank = (1..=MAX_BLANK).contains(&width) && (1..=MAX_BLANK).contains(&height);
            self.waiting = if blank { Waiting::Blank } else { Waiting::No };
            self.stats.blank_frames += u64::from(blank);
            return !blank;
        }
        match self.waiting {
            Waiting::No => true,
            Waiting::Keyframe => {
                self.stats.frames_dropped += 1;
                // The server keeps the first packet of a keyframe of VP9 to itself where there is no
                // dependency descriptor (livekit-server 1.11): that keyframe will not be whole.
                if self.began_inside == Some(true) && self.keyframe.requests() == 0 {
                    self.keyframe.want(now);
                }
                false
            }
            Waiting::Blank => {
                self.stats.blank_frames += 1;
                // Should this be a publisher's stream after all, its keyframe was missed.
                self.keyframe.wait_for_first(now);
                false
            }
        }
    }
}

/// The estimate of interarrival jitter (RFC 3550 appendix A.8).
#[derive(Debug)]
struct Jitter {
    clock_rate: u64,
    /// The first packet's arrival, from which arrivals count, and the last packet's transit time.
    last: Option<(Instant, u32)>,
    /// In ticks.
    mean: MeanDifference,
}

impl Jitter {
    fn new(clock_rate: u32) -> Self {
        Self {
            clock_rate: u64::from(clock_rate.max(1)),
            last: None,
            mean: MeanDifference::default(),
        }
    }

    fn handle_packet(&mut self, now: Instant, timestamp: u32) {
        let (epoch, last) = match self.last {
            Some((epoch, last)) => (epoch, Some(last)),
            None => (now, None),
        };
        let elapsed = now.saturating_duration_since(epoch).as_micros();
        let arrival = (elapsed * u128::from(self.clock_rate) / 1_000_000) as u32;
        let transit = arrival.wrapping_sub(timestamp);
        if let Some(last) = last {
            let difference = (transit.wrapping_sub(last) as i32).unsigned_abs();
            self.mean.add(u64::from(difference));
        }
        self.last = Some((epoch, transit));
    }

    fn micros(&self) -> u64 {
        self.mean.get() * 1_000_000 / self.clock_rate
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
