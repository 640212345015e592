//! The jitter buffer: RTP packets in any order to whole frames in their order.

use std::collections::VecDeque;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::Bytes;

use crate::codec::{Codec, MediaKind};
use crate::frame::VideoRotation;

/// Sequence numbers further than this from the newest one are a stream that was restarted, not
/// loss or lateness (RFC 3550 appendix A.1, `MAX_DROPOUT`).
const MAX_JUMP: u64 = 3000;

/// Packets that may come before the first one that came, before anything was released.
const MAX_REORDER_AT_START: u64 = 64;

/// Packets in a row that are too late but have new timestamps: a stream that was restarted with a
/// sequence number a little below the old one.
const MAX_LATE_RUN: u32 = 64;

/// Runs of packets given up that are remembered, to tell late packets from duplicates.
const MAX_GIVEN_UP: usize = 32;

/// A received RTP packet, without what the transport has dealt with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packet {
    /// The RTP sequence number.
    pub sequence_number: u16,
    /// The RTP timestamp, in the codec's clock rate.
    pub timestamp: u32,
    /// The marker bit: the last packet of a picture.
    pub marker: bool,
    /// The payload without header extensions and padding. Empty for a probe.
    pub payload: Bytes,
    /// The video-orientation header extension, when the packet has it.
    pub rotation: Option<VideoRotation>,
}

/// How long a gap is waited for, and how much is kept meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct JitterOptions {
    /// How long a missing packet is waited for, counted from when a later one came.
    pub max_wait: Duration,
    /// Packets kept, missing ones included, before the oldest gap is given up early.
    pub max_packets: usize,
    /// Payload bytes kept before the oldest gap is given up early.
    pub max_bytes: usize,
    /// Every packet is a frame, as with sound; else frames end with the marker or where the
    /// timestamp changes.
    pub packet_is_frame: bool,
}

impl JitterOptions {
    /// The defaults for a codec: 500 ms, 2048 packets (six seconds at 3 Mb/s) and 16 MiB for
    /// video; 150 ms, for sound is not retransmitted, 512 packets and 1 MiB for audio.
    #[must_use]
    pub fn new(codec: Codec) -> Self {
        match codec.kind() {
            MediaKind::Video => Self {
                max_wait: Duration::from_millis(500),
                max_packets: 2048,
                max_bytes: 16 << 20,
                packet_is_frame: false,
            },
            MediaKind::Audio => Self {
                max_wait: Duration::from_millis(150),
                max_packets: 512,
                max_bytes: 1 << 20,
                packet_is_frame: true,
            },
        }
    }
}

/// What a jitter buffer has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct JitterStats {
    /// Packets given up.
    pub lost: u64,
    /// Packets that never came and were not missed: see
    /// [`skip_gap`](JitterBuffer::skip_gap).
    pub skipped: u64,
    /// Packets that filled a gap in time: retransmitted or overtaken.
    pub recovered: u64,
    /// Packets that came more than once.
    pub duplicates: u64,
    /// Packets that came after they had been given up.
    pub late: u64,
    /// Frames of which some packets came and some were lost.
    pub frames_dropped: u64,
    /// Streams that began anew with unrelated sequence numbers.
    pub restarts: u64,
}

/// A complete frame that left the buffer; its payloads come beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReleasedFrame {
    /// Its RTP timestamp.
    pub timestamp: u32,
    /// When its first packet came, by arrival.
    pub arrival: Instant,
    /// The last rotation among its packets.
    pub rotation: Option<VideoRotation>,
}

/// What is missing between two frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gap<'a> {
    /// How many packets.
    pub missing: usize,
    /// The payload of the first packet with one that came behind them.
    pub next: &'a Bytes,
}

#[derive(Debug)]
enum Slot {
    Missing { since: Instant },
    Present(Stored),
}

#[derive(Debug)]
struct Stored {
    packet: Packet,
    arrival: Instant,
    /// The depacketizer knows it as a frame's first.
    start: bool,
}

/// What the scan for the end of the first frame found.
enum Scan {
    /// The frame ends before this slot.
    End(usize),
    /// This slot is missing since then.
    Gap(Instant),
    /// All packets so far are there, but not the last.
    Open,
}

/// Sorts the packets of one stream into frames.
///
/// A frame is released the moment all its packets and all before them are there. A missing packet
/// is waited for during [`JitterOptions::max_wait`]; then it is lost, and so is the rest of its
/// frame. Packets with an empty payload only fill their place in the sequence.
#[derive(Debug)]
pub struct JitterBuffer {
    options: JitterOptions,
    slots: VecDeque<Slot>,
    /// The unwrapped sequence number of the first slot.
    head: u64,
    /// The highest unwrapped sequence number; `None` before the first packet.
    highest: Option<u64>,
    highest_timestamp: u32,
    /// Something left the buffer, so that nothing can be put before it.
    released: bool,
    /// The first slot begins a frame.
    at_boundary: bool,
    /// Slots that were found to belong to the first frame.
    scanned: usize,
    /// The timestamp of that frame, once one of its packets has a payload.
    timestamp: Option<u32>,
    /// The timestamp of a frame that is counted as dropped already.
    dropped: Option<u32>,
    /// The sender sets markers.
    markers: bool,
    /// Something was lost since [`take_break`](Self::take_break).
    broken: bool,
    bytes: usize,
    /// A packet far off: the next one in its sequence proves a restart.
    candidate: Option<Stored>,
    late_run: u32,
    given_up: VecDeque<Range<u64>>,
    stats: JitterStats,
}

impl JitterBuffer {
    /// An empty buffer.
    #[must_use]
    pub fn new(options: JitterOptions) -> Self {
        Self {
            options,
            slots: VecDeque::new(),
            head: 0,
            highest: None,
            highest_timestamp: 0,
            released: false,
            at_boundary: options.packet_is_frame,
            scanned: 0,
            timestamp: None,
            dropped: None,
            markers: false,
            broken: false,
            bytes: 0,
            candidate: None,
            late_run: 0,
            given_up: VecDeque::new(),
            stats: JitterStats::default(),
        }
    }

    /// What was counted so far.
    #[must_use]
    pub fn stats(&self) -> JitterStats {
        self.stats
    }

    /// Whether packets were given up, or the stream restarted, since this was asked last: what
    /// follows may refer to what is gone.
    pub fn take_break(&mut self) -> bool {
        std::mem::take(&mut self.broken)
    }

    /// When to call [`poll_frame`](Self::poll_frame) although no packet came: a gap is to be given
    /// up then. `None` when there is none. Valid after `poll_frame` returned `None`.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        match self.slots.get(self.scanned)? {
            Slot::Missing { since } => since.checked_add(self.options.max_wait),
            Slot::Present(_) => None,
        }
    }

    /// Takes in a packet that came at `now`; `start` tells that the depacketizer knows it as a
    /// frame's first. Returns whether it was the newest of the stream.
    pub fn insert(&mut self, now: Instant, packet: Packet, start: bool) -> bool {
        let stored = Stored {
            packet,
            arrival: now,
            start,
        };
        let Some(highest) = self.highest else {
            // Above zero, so that numbers before the first one can be unwrapped.
            self.begin(stored, 1 << 32);
            return true;
        };
        let number = stored.packet.sequence_number;
        let distance = i64::from(number.wrapping_sub(highest as u16) as i16);
        if distance.unsigned_abs() > MAX_JUMP {
            return self.insert_far(stored, highest);
        }
        self.candidate = None;
        let sequence = highest.saturating_add_signed(distance);
        let Some(index) = sequence.checked_sub(self.head) else {
            return self.insert_before_head(stored, sequence, highest);
        };
        self.late_run = 0;
        let index = index as usize;
        match self.slots.get_mut(index) {
            Some(Slot::Present(_)) => {
                self.stats.duplicates += 1;
                return false;
            }
            Some(slot) => {
                self.stats.recovered += 1;
                self.bytes += stored.packet.payload.len();
                *slot = Slot::Present(stored);
                return false;
            }
            None => {}
        }
        self.slots
            .resize_with(index, || Slot::Missing { since: now });
        self.highest = Some(sequence);
        self.push_newest(stored);
        true
    }

    /// Releases the next frame if it is complete, or if what it waits for is not waited for any
    /// longer at `now`. Puts its payloads, none of them empty, into `payloads`, which is cleared.
    pub fn poll_frame(&mut self, now: Instant, payloads: &mut Vec<Bytes>) -> Option<ReleasedFrame> {
        loop {
            let full =
                self.slots.len() > self.options.max_packets || self.bytes > self.options.max_bytes;
            match self.scan() {
                Scan::End(end) => {
                    if self.begins_frame() {
                        self.at_boundary = true;
                        return self.release(end, payloads);
                    }
                    // Its first packets are lost.
                    self.drop_frames(end);
                    self.at_boundary = true;
                }
                Scan::Gap(since) => {
                    if !full && now.saturating_duration_since(since) < self.options.max_wait {
                        self.drop_padding();
                        return None;
                    }
                    self.give_up();
                }
                Scan::Open if full => {
                    self.drop_frames(self.slots.len());
                    self.at_boundary = false;
                    self.broken = true;
                }
                Scan::Open => {
                    self.drop_padding();
                    return None;
                }
            }
        }
    }

    /// The gap that is waited for, if it lies behind the last packet of the frame that was released
    /// last, and before any of another one. Valid after [`poll_frame`](Self::poll_frame) returned
    /// `None`.
    #[must_use]
    pub fn gap_between_frames(&self) -> Option<Gap<'_>> {
        if !self.at_boundary || self.timestamp.is_some() || self.options.packet_is_frame {
            return None;
        }
        let (at, next) = self.first_media()?;
        let is_missing = |slot: &&Slot| matches!(slot, Slot::Missing { .. });
        let missing = self.slots.iter().take(at).filter(is_missing).count();
        let next = &next.packet.payload;
        (missing > 0).then_some(Gap { missing, next })
    }

    /// Waits no longer for the [gap between two frames](Self::gap_between_frames): it is known to
    /// have held padding alone, so that nothing is lost.
    pub fn skip_gap(&mut self) {
        if let Some(Gap { missing, .. }) = self.gap_between_frames()
            && let Some((at, _)) = self.first_media()
        {
            self.stats.skipped += missing as u64;
            self.will_be_late(at);
            self.drain(at).for_each(drop);
        }
    }

    /// Begins a stream with this packet; unwrapped sequence numbers count from `base`.
    fn begin(&mut self, stored: Stored, base: u64) {
        self.head = base + u64::from(stored.packet.sequence_number);
        self.highest = Some(self.head);
        self.released = false;
        self.at_boundary = self.options.packet_is_frame;
        self.rewind();
        self.push_newest(stored);
    }

    fn push_newest(&mut self, stored: Stored) {
        self.highest_timestamp = stored.packet.timestamp;
        self.bytes += stored.packet.payload.len();
        self.slots.push_back(Slot::Present(stored));
    }

    /// A packet whose number is out of reach. One alone is ignored; two in sequence are a new
    /// stream.
    fn insert_far(&mut self, stored: Stored, highest: u64) -> bool {
        let number = stored.packet.sequence_number;
        match self.candidate.take() {
            Some(first) if first.packet.sequence_number.wrapping_add(1) == number => {
                self.restart(first, highest);
                self.insert(stored.arrival, stored.packet, stored.start)
            }
            _ => {
                self.candidate = Some(stored);
                false
            }
        }
    }

    fn restart(&mut self, first: Stored, highest: u64) {
        self.stats.restarts += 1;
        self.broken = true;
        self.late_run = 0;
        self.candidate = None;
        let missing = |slot: &&Slot| matches!(slot, Slot::Missing { .. });
        self.stats.lost += self.slots.iter().filter(missing).count() as u64;
        self.drop_frames(self.slots.len());
        self.begin(first, (highest | 0xffff) + 0x1_0001);
    }

    fn insert_before_head(&mut self, stored: Stored, sequence: u64, highest: u64) -> bool {
        let before = self.head - sequence;
        if !self.released && before <= MAX_REORDER_AT_START {
            for _ in 1..before {
                self.slots.push_front(Slot::Missing {
                    since: stored.arrival,
                });
            }
            self.bytes += stored.packet.payload.len();
            self.slots.push_front(Slot::Present(stored));
            self.head = sequence;
            self.rewind();
            return false;
        }
        if self.given_up.iter().any(|range| range.contains(&sequence)) {
            self.stats.late += 1;
        } else {
            self.stats.duplicates += 1;
        }
        let newer = stored.packet.timestamp.wrapping_sub(self.highest_timestamp) as i32 > 0;
        self.late_run = if newer { self.late_run + 1 } else { 0 };
        if self.late_run >= MAX_LATE_RUN {
            self.restart(stored, highest);
            return true;
        }
        false
    }

    /// Looks for the end of the first frame, from where the last look ended.
    fn scan(&mut self) -> Scan {
        while let Some(slot) = self.slots.get(self.scanned) {
            let packet = match slot {
                Slot::Missing { since } => return Scan::Gap(*since),
                Slot::Present(stored) => &stored.packet,
            };
            if !packet.payload.is_empty() {
                if self.timestamp.is_some_and(|t| t != packet.timestamp) {
                    return Scan::End(self.scanned);
                }
                self.timestamp = Some(packet.timestamp);
                self.markers |= packet.marker;
                if packet.marker || self.options.packet_is_frame {
                    return Scan::End(self.scanned + 1);
                }
            }
            self.scanned += 1;
        }
        Scan::Open
    }

    fn rewind(&mut self) {
        self.scanned = 0;
        self.timestamp = None;
    }

    /// Whether the first packet with a payload is a frame's first.
    fn begins_frame(&self) -> bool {
        self.at_boundary || self.first_media().is_some_and(|(_, stored)| stored.start)
    }

    /// The first packet with a payload, and its slot.
    fn first_media(&self) -> Option<(usize, &Stored)> {
        let mut slots = self.slots.iter().enumerate();
        slots.find_map(|(at, slot)| match slot {
            Slot::Present(stored) if !stored.packet.payload.is_empty() => Some((at, stored)),
            _ => None,
        })
    }

    /// Takes the first `count` slots out.
    fn drain(&mut self, count: usize) -> impl Iterator<Item = Stored> {
        let count = count.min(self.slots.len());
        self.head += count as u64;
        self.released = true;
        self.rewind();
        let bytes = &mut self.bytes;
        self.slots.drain(..count).filter_map(|slot| match slot {
            Slot::Present(stored) => {
                *bytes = bytes.saturating_sub(stored.packet.payload.len());
                Some(stored)
            }
            Slot::Missing { .. } => None,
        })
    }

    fn release(&mut self, end: usize, payloads: &mut Vec<Bytes>) -> Option<ReleasedFrame> {
        payloads.clear();
        let mut frame: Option<ReleasedFrame> = None;
        for Stored {
            packet, arrival, ..
        } in self.drain(end)
        {
            if packet.payload.is_empty() {
                continue;
            }
            payloads.push(packet.payload);
            let frame = frame.get_or_insert(ReleasedFrame {
                timestamp: packet.timestamp,
                arrival,
                rotation: None,
            });
            frame.arrival = frame.arrival.min(arrival);
            frame.rotation = packet.rotation.or(frame.rotation);
        }
        frame
    }

    /// Throws the first `count` slots away, and counts the frames they belong to once each.
    fn drop_frames(&mut self, count: usize) {
        let mut dropped = self.dropped;
        let mut frames = 0;
        for Stored { packet, .. } in self.drain(count) {
            if !packet.payload.is_empty() && dropped != Some(packet.timestamp) {
                dropped = Some(packet.timestamp);
                frames += 1;
            }
        }
        self.dropped = dropped;
        self.stats.frames_dropped += frames;
    }

    /// Padding between frames needs no place.
    fn drop_padding(&mut self) {
        if self.timestamp.is_none() && self.scanned > 0 {
            self.drain(self.scanned).for_each(drop);
        }
    }

    /// Remembers the first `count` slots, which are given up.
    fn will_be_late(&mut self, count: usize) {
        if self.given_up.len() == MAX_GIVEN_UP {
            self.given_up.pop_front();
        }
        self.given_up.push_back(self.head..self.head + count as u64);
    }

    /// Gives up the gap behind the scanned slots, and with it the frame that they belong to.
    fn give_up(&mut self) {
        let before = self.timestamp;
        self.drop_frames(self.scanned);
        let missing = self
            .slots
            .iter()
            .take_while(|slot| matches!(slot, Slot::Missing { .. }))
            .count();
        self.will_be_late(missing);
        self.stats.lost += missing as u64;
        self.broken = true;
        self.drain(missing).for_each(drop);
        // When exactly one packet is missing between an unfinished frame and another one, it was
        // the last of the unfinished.
        let only_the_end = missing == 1
            && self.markers
            && before.is_some()
            && matches!(self.slots.front(), Some(Slot::Present(stored))
                if !stored.packet.payload.is_empty() && Some(stored.packet.timestamp) != before);
        self.at_boundary = self.options.packet_is_frame || only_the_end;
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
