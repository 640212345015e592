//! The bounded buffer between a publisher's callers and its socket.

use std::collections::{BTreeSet, VecDeque};

use super::BufferLimits;
use crate::codec::MediaKind;
use crate::frame::EncodedFrame;

/// What sound may take beyond the limit, so that a server that is slow on video still gets
/// sound without a gap: a minute of it at 128 kb/s.
const AUDIO_RESERVE: usize = 1024 * 1024;

/// Frames in the order they came. Video goes in and is dropped by groups of pictures.
#[derive(Debug)]
pub(super) struct SendQueue {
    limits: BufferLimits,
    frames: VecDeque<Queued>,
    bytes: usize,
    /// The number of the group that the last keyframe in the queue began.
    group: u64,
    /// The groups that lost a picture and are counted, as far as more of them may be dropped.
    damaged: BTreeSet<u64>,
    /// The time of the last frame that came, whether it was kept or not: how far the media is.
    newest_us: i64,
    video: Video,
    /// Nobody takes frames: a keyframe makes all before it worthless.
    disconnected: bool,
    keyframe_wanted: bool,
    /// Whether a keyframe was asked for since the last one came.
    asked: bool,
    dropped: Dropped,
}

/// A frame, and the number of its group if it is a picture.
#[derive(Debug)]
struct Queued {
    frame: EncodedFrame,
    group: u64,
}

impl Queued {
    fn is_video(&self) -> bool {
        self.frame.codec.kind() == MediaKind::Video
    }
}

/// Whether the next video frame can be decoded by who has the frames before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Video {
    /// No keyframe yet.
    NotStarted,
    Flowing,
    /// A group of pictures lost its tail.
    Dropping,
}

/// What did not go out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Dropped {
    pub(super) video_frames: u64,
    pub(super) audio_frames: u64,
    pub(super) gops: u64,
}

impl SendQueue {
    pub(super) fn new(limits: BufferLimits) -> Self {
        Self {
            limits,
            frames: VecDeque::new(),
            bytes: 0,
            group: 0,
            damaged: BTreeSet::new(),
            newest_us: 0,
            video: Video::NotStarted,
            disconnected: false,
            keyframe_wanted: false,
            asked: false,
            dropped: Dropped::default(),
        }
    }

    /// Takes a frame, or drops it and counts it.
    pub(super) fn push(&mut self, frame: EncodedFrame) {
        self.newest_us = frame.timestamp_us;
        if self.disconnected {
            self.expire();
        }
        if frame.codec.kind() == MediaKind::Audio {
            if self.would_hold(&frame) > self.limits.bytes.saturating_add(AUDIO_RESERVE) {
                self.dropped.audio_frames += 1;
            } else {
                self.append(frame);
            }
            return;
        }
        if !frame.keyframe && self.video != Video::Flowing {
            // Who publishes from the middle of a stream has to ask for its start.
            if self.video == Video::NotStarted && !self.disconnected && !self.asked {
                self.want_keyframe();
            }
            self.dropped.video_frames += 1;
            return;
        }
        if frame.keyframe && self.disconnected {
            self.clear();
        }
        if self.is_full_for(&frame) {
            // The rest of the group cannot be decoded without this frame.
            if frame.keyframe {
                self.dropped.gops += 1;
            } else {
                self.damage(self.group);
            }
            self.dropped.video_frames += 1;
            self.video = Video::Dropping;
            return;
        }
        self.video = Video::Flowing;
        self.asked &= !frame.keyframe;
        self.group += u64::from(frame.keyframe);
        self.append(frame);
    }

    /// Takes the oldest frame out.
    pub(super) fn pop(&mut self) -> Option<EncodedFrame> {
        let Queued { frame, .. } = self.take_oldest()?;
        if self.video == Video::Dropping && self.is_half_empty() {
            // There is room again: do not wait for the sender's own next keyframe. Half of both
            // limits, or a slow target would ask for one every few pictures.
            self.video = Video::NotStarted;
            self.want_keyframe();
        }
        Some(frame)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The connection is lost: what is buffered is only worth keeping from the last keyframe on.
    pub(super) fn disconnect(&mut self) {
        self.disconnected = true;
        let last = self
            .frames
            .iter()
            .rposition(|queued| queued.is_video() && queued.frame.keyframe);
        if let (Some(last), Video::Flowing) = (last, self.video) {
            for _ in 0..last {
                self.drop_oldest();
            }
        } else {
            self.clear();
            self.video = Video::NotStarted;
        }
    }

    /// A new connection takes frames, and starts at a keyframe: one is wanted if none is here
    /// that still is live. Does nothing unless the queue was disconnected.
    pub(super) fn connect(&mut self) {
        if !std::mem::take(&mut self.disconnected) {
            return;
        }
        self.expire();
        // A group that flows has its keyframe here, see `disconnect` and `push`.
        if self.video != Video::Flowing {
            self.clear();
            self.video = Video::NotStarted;
            self.want_keyframe();
        }
    }

    /// Drops all that is left, as closing does when its time is over.
    pub(super) fn clear(&mut self) {
        while !self.frames.is_empty() {
            self.drop_oldest();
        }
    }

    /// Whether a keyframe should be asked for; true once each time.
    pub(super) fn take_keyframe_request(&mut self) -> bool {
        std::mem::take(&mut self.keyframe_wanted)
    }

    pub(super) fn dropped(&self) -> Dropped {
        self.dropped
    }

    /// Drops what is too old to be worth sending to a server that comes back.
    fn expire(&mut self) {
        while let Some(oldest) = self.frames.front()
            && self.lag_us(&oldest.frame) > self.limits.duration.as_micros()
        {
            if oldest.is_video() {
                // The rest of the group cannot be decoded without it.
                self.video = Video::Dropping;
            }
            self.drop_oldest();
        }
    }

    fn drop_oldest(&mut self) {
        let Some(oldest) = self.take_oldest() else {
            return;
        };
        if oldest.is_video() {
            self.dropped.video_frames += 1;
            self.damage(oldest.group);
        } else {
            self.dropped.audio_frames += 1;
        }
    }

    fn take_oldest(&mut self) -> Option<Queued> {
        let oldest = self.frames.pop_front()?;
        self.bytes = self.bytes.saturating_sub(oldest.frame.data.len());
        if oldest.is_video() {
            self.damaged = self.damaged.split_off(&oldest.group);
        }
        Some(oldest)
    }

    /// Counts a group that lost a picture, once.
    fn damage(&mut self, group: u64) {
        self.dropped.gops += u64::from(self.damaged.insert(group));
    }

    fn want_keyframe(&mut self) {
        self.keyframe_wanted = true;
        self.asked = true;
    }

    fn append(&mut self, frame: EncodedFrame) {
        self.bytes = self.would_hold(&frame);
        let group = self.group;
        self.frames.push_back(Queued { frame, group });
    }

    fn would_hold(&self, frame: &EncodedFrame) -> usize {
        self.bytes.saturating_add(frame.data.len())
    }

    /// An empty queue takes any one frame, or a picture larger than the limit would never go out.
    fn is_full_for(&self, frame: &EncodedFrame) -> bool {
        let Some(oldest) = self.frames.front() else {
            return false;
        };
        self.would_hold(frame) > self.limits.bytes
            || self.lag_us(&oldest.frame) > self.limits.duration.as_micros()
    }

    fn is_half_empty(&self) -> bool {
        let half = self.limits.duration.as_micros() / 2;
        let oldest = self.frames.front();
        self.bytes <= self.limits.bytes / 2
            && oldest.is_none_or(|oldest| self.lag_us(&oldest.frame) <= half)
    }

    /// How far the media has come since `frame`.
    fn lag_us(&self, frame: &EncodedFrame) -> u128 {
        let lag_us = self.newest_us.saturating_sub(frame.timestamp_us);
        u128::try_from(lag_us).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use bytes::Bytes;
    use proptest::prelude::*;

    use super::*;
    use crate::codec::Codec;
    use crate::frame::{VideoRotation, VideoSize};

    fn frame(codec: Codec, keyframe: bool, timestamp_ms: i64, len: usize) -> EncodedFrame {
        EncodedFrame {
            codec,
            data: Bytes::from(vec![0; len]),
            keyframe,
            timestamp_us: timestamp_ms * 1000,
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        }
    }

    fn limits(bytes: usize, seconds: u64) -> BufferLimits {
        BufferLimits {
            duration: Duration::from_secs(seconds),
            bytes,
        }
    }

    fn drain(queue: &mut SendQueue) -> Vec<(Codec, bool, i64)> {
        std::iter::from_fn(|| queue.pop())
            .map(|frame| (frame.codec, frame.keyframe, frame.timestamp_us / 1000))
            .collect()
    }

    #[test]
    fn what_does_not_fit_is_dropped_to_the_next_keyframe_and_sound_stays() {
        let mut queue = SendQueue::new(limits(250, 4));
        for n in 0..6 {
            queue.push(frame(Codec::H264, n == 0, n * 100, 100));
            queue.push(frame(Codec::Aac, true, n * 100, 1));
        }
        let out = drain(&mut queue);
        let video: Vec<_> = out.iter().filter(|f| f.0 == Codec::H264).collect();
        assert_eq!(video, [&(Codec::H264, true, 0), &(Codec::H264, false, 100)]);
        assert_eq!(out.iter().filter(|f| f.0 == Codec::Aac).count(), 6);
        assert_eq!(
            queue.dropped(),
            Dropped {
                video_frames: 4,
                audio_frames: 0,
                gops: 1
            }
        );
        assert!(queue.take_keyframe_request());
        assert!(!queue.take_keyframe_request());
        queue.push(frame(Codec::H264, false, 600, 1));
        queue.push(frame(Codec::H264, true, 700, 1));
        assert_eq!(drain(&mut queue), [(Codec::H264, true, 700)]);
    }

    #[test]
    fn media_time_is_limited_too() {
        let mut queue = SendQueue::new(limits(usize::MAX, 1));
        for n in 0..20 {
            queue.push(frame(Codec::H264, n % 5 == 0, n * 100, 1));
        }
        assert_eq!(drain(&mut queue).len(), 11);
        assert_eq!(queue.dropped().gops, 2);
    }

    #[test]
    fn a_keyframe_that_does_not_fit_drops_its_group() {
        let mut queue = SendQueue::new(limits(150, 4));
        queue.push(frame(Codec::H264, true, 0, 100));
        queue.push(frame(Codec::H264, true, 100, 100));
        queue.push(frame(Codec::H264, false, 200, 1));
        assert_eq!(queue.dropped().gops, 1);
        assert_eq!(queue.dropped().video_frames, 2);
    }

    #[test]
    fn while_disconnected_only_the_newest_group_is_kept() {
        let mut queue = SendQueue::new(limits(10_000, 4));
        for n in 0..4 {
            queue.push(frame(Codec::H264, n % 2 == 0, n * 100, 10));
            queue.push(frame(Codec::Aac, true, n * 100, 1));
        }
        queue.disconnect();
        queue.push(frame(Codec::H264, false, 400, 10));
        queue.push(frame(Codec::H264, true, 500, 10));
        queue.push(frame(Codec::Aac, true, 500, 1));
        queue.connect();
        assert!(!queue.take_keyframe_request());
        assert_eq!(
            drain(&mut queue),
            [(Codec::H264, true, 500), (Codec::Aac, true, 500)]
        );
        assert_eq!(
            queue.dropped(),
            Dropped {
                video_frames: 5,
                audio_frames: 4,
                gops: 2
            }
        );
    }

    #[test]
    fn a_group_that_lost_its_tail_and_then_the_rest_is_counted_once() {
        let mut queue = SendQueue::new(limits(30, 4));
        for group in 0..2 {
            for n in 0..4 {
                queue.push(frame(Codec::H264, n == 0, group * 400 + n * 100, 10));
            }
            // The first group's keyframe goes out, and makes room for the second's.
            queue.pop();
        }
        // The first group lost its last picture, the second all behind its keyframe.
        assert_eq!(queue.dropped().gops, 2);
        queue.disconnect();
        assert_eq!(
            queue.dropped(),
            Dropped {
                video_frames: 6,
                audio_frames: 0,
                gops: 2
            }
        );
    }

    #[test]
    fn a_group_whose_start_was_sent_counts_as_dropped() {
        let mut queue = SendQueue::new(limits(10_000, 4));
        for n in 0..3 {
            queue.push(frame(Codec::H264, n == 0, n * 100, 10));
        }
        queue.pop();
        queue.disconnect();
        assert_eq!(queue.dropped().gops, 1);
    }

    #[test]
    fn a_new_connection_without_a_keyframe_asks_for_one() {
        let mut queue = SendQueue::new(limits(10_000, 4));
        queue.push(frame(Codec::H264, true, 0, 10));
        queue.pop();
        queue.disconnect();
        queue.connect();
        assert!(queue.take_keyframe_request());
        queue.push(frame(Codec::H264, false, 100, 10));
        assert_eq!(queue.pop(), None);
    }

    #[test]
    fn a_target_at_half_speed_asks_for_a_keyframe_once_a_dropped_group() {
        let mut queue = SendQueue::new(limits(8 * 1024 * 1024, 4));
        let (mut requests, mut asked, mut credit) = (0, true, 0);
        // A minute of 25 pictures a second; the sender answers each request, and has no
        // keyframes of its own.
        for n in 0..1500 {
            queue.push(frame(Codec::H264, asked, n * 40, 10_000));
            queue.push(frame(Codec::Aac, true, n * 40, 300));
            asked = queue.take_keyframe_request();
            credit += 5_150;
            while credit > 0 {
                let len = queue.pop().map(|frame| frame.data.len() as i64);
                credit -= len.unwrap_or(credit);
            }
            asked |= queue.take_keyframe_request();
            requests += u64::from(asked);
        }
        assert!(requests <= queue.dropped().gops, "{requests} requests");
        assert!((2..=15).contains(&requests), "{requests} requests");
    }

    #[test]
    fn while_disconnected_sound_is_not_kept_longer_than_the_limit() {
        let mut queue = SendQueue::new(limits(1_000_000, 4));
        queue.push(frame(Codec::H264, true, 0, 10));
        queue.disconnect();
        for n in 0..1000 {
            queue.push(frame(Codec::Aac, true, n * 20, 10));
            assert!(queue.frames.len() <= 202);
        }
        assert_eq!(queue.bytes, queue.frames.len() * 10);
        queue.connect();
        assert!(queue.take_keyframe_request());
        assert_eq!(queue.pop(), None);
        assert_eq!(
            queue.dropped(),
            Dropped {
                video_frames: 1,
                audio_frames: 1000,
                gops: 1
            }
        );
    }

    #[test]
    fn a_new_connection_does_not_get_a_group_that_lost_its_tail_or_is_old() {
        // The group grew beyond the limit.
        let mut queue = SendQueue::new(limits(1_000_000, 4));
        queue.push(frame(Codec::H264, true, 0, 10));
        queue.disconnect();
        queue.push(frame(Codec::H264, true, 20, 10));
        for n in 1..200 {
            queue.push(frame(Codec::H264, false, 20 + n * 40, 10));
        }
        queue.connect();
        assert!(queue.take_keyframe_request());
        assert_eq!(queue.pop(), None);
        assert_eq!(queue.dropped().video_frames, 201);
        // What comes next is sent, from its keyframe on.
        queue.push(frame(Codec::H264, false, 8020, 10));
        queue.push(frame(Codec::H264, true, 8060, 10));
        assert_eq!(drain(&mut queue), [(Codec::H264, true, 8060)]);
        // The group stopped long before the newest sound.
        queue.disconnect();
        queue.push(frame(Codec::H264, true, 9000, 10));
        queue.push(frame(Codec::Aac, true, 13_001, 10));
        queue.connect();
        assert!(queue.take_keyframe_request());
        assert_eq!(queue.pop(), None);
    }

    proptest! {
        #[test]
        fn groups_come_out_without_a_hole_and_every_frame_is_accounted_for(
            input in prop::collection::vec(
                (0u8..4, prop::bool::weighted(0.2), 0usize..400, prop::bool::weighted(0.3)), 0..200)
        ) {
            let mut queue = SendQueue::new(limits(1500, 2));
            let (mut sent, mut pushed) = (Vec::new(), 0u64);
            let mut index = 0;
            for (kind, keyframe, len, pop) in input {
                pushed += 1;
                if kind == 0 {
                    queue.push(frame(Codec::Aac, true, 0, len));
                } else {
                    // The index of the video frame travels as its time.
                    queue.push(frame(Codec::H264, keyframe, index, len));
                    index += 1;
                }
                prop_assert!(queue.bytes <= 1500 + AUDIO_RESERVE);
                if pop {
                    sent.extend(queue.pop());
                }
            }
            sent.extend(std::iter::from_fn(|| queue.pop()));
            let dropped = queue.dropped();
            prop_assert_eq!(sent.len() as u64 + dropped.video_frames + dropped.audio_frames, pushed);
            let mut previous = None;
            for frame in sent.iter().filter(|frame| frame.codec == Codec::H264) {
                let index = frame.timestamp_us / 1000;
                prop_assert!(frame.keyframe || previous == Some(index - 1));
                previous = Some(index);
            }
        }
    }
}
