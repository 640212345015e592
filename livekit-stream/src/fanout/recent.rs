//! What a track sent last, for those who come a little late.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use crate::codec::MediaKind;
use crate::frame::EncodedFrame;

/// Frames kept for the first reader: what comes between the server's first packet and the
/// application's reaction to the event, with room for a slow one.
const BACKLOG: usize = 90;

/// How far back a later reader may begin. For a second after it has asked for a keyframe, LiveKit's
/// server lets no further request through to the publisher.
const RECENT: Duration = Duration::from_millis(900);

/// No more frames are kept than this, however fast they come.
const MOST: usize = 256;

/// Until the first reader comes, all frames, if they are few. After that pictures from the last
/// keyframe on while it is recent, and recent sound.
#[derive(Debug)]
pub(super) struct Recent {
    kind: MediaKind,
    /// With the times at which they came.
    frames: VecDeque<(Instant, EncodedFrame)>,
    /// The first reader has come, or none has in time.
    met: bool,
}

impl Recent {
    pub(super) fn new(kind: MediaKind) -> Self {
        Self {
            kind,
            frames: VecDeque::new(),
            met: false,
        }
    }

    pub(super) fn push(&mut self, now: Instant, frame: EncodedFrame) {
        if self.met {
            self.forget(now);
            match self.kind {
                MediaKind::Video if frame.keyframe => self.frames.clear(),
                // It needs frames that are not here any more.
                MediaKind::Video if self.frames.is_empty() => return,
                MediaKind::Video | MediaKind::Audio => {}
            }
        }
        self.frames.push_back((now, frame));
        if !self.met && self.frames.len() > BACKLOG {
            self.meet();
        }
    }

    /// For the first reader. `None` once there was one, or none in time.
    pub(super) fn backlog(&mut self) -> Option<Vec<EncodedFrame>> {
        if self.met {
            return None;
        }
        let frames = self.frames();
        self.meet();
        Some(frames)
    }

    /// For a later reader. `None` where there is nothing to begin with.
    pub(super) fn recent(&mut self, now: Instant) -> Option<Vec<EncodedFrame>> {
        self.forget(now);
        (!self.frames.is_empty()).then(|| self.frames())
    }

    /// The track has ended: nobody begins with it any more but a first reader.
    pub(super) fn end(&mut self) {
        if self.met {
            self.frames.clear();
        }
    }

    fn frames(&self) -> Vec<EncodedFrame> {
        self.frames.iter().map(|(_, frame)| frame.clone()).collect()
    }

    /// From now on only what later readers begin with is kept.
    fn meet(&mut self) {
        self.met = true;
        if self.kind == MediaKind::Video {
            let last = self.frames.iter().rposition(|(_, frame)| frame.keyframe);
            self.frames.drain(..last.unwrap_or(self.frames.len()));
        }
    }

    fn forget(&mut self, now: Instant) {
        let old = |came: Instant| now.saturating_duration_since(came) > RECENT;
        let too_many = |frames: &VecDeque<_>| frames.len() >= MOST;
        while self.frames.front().is_some_and(|(came, _)| old(*came)) || too_many(&self.frames) {
            match self.kind {
                MediaKind::Video => self.frames.clear(),
                MediaKind::Audio => drop(self.frames.pop_front()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::codec::Codec;
    use crate::frame::{VideoRotation, VideoSize};

    fn frame(codec: Codec, n: u32, keyframe: bool) -> EncodedFrame {
        EncodedFrame {
            codec,
            data: Bytes::new(),
            keyframe,
            timestamp_us: i64::from(n),
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        }
    }

    fn numbers(frames: Option<Vec<EncodedFrame>>) -> Option<Vec<i64>> {
        frames.map(|frames| frames.iter().map(|frame| frame.timestamp_us).collect())
    }

    /// A keyframe each `group` pictures, 33 ms apart.
    fn pictures(recent: &mut Recent, start: Instant, range: std::ops::Range<u32>, group: u32) {
        for n in range {
            let picture = frame(Codec::H264, n, n.is_multiple_of(group));
            recent.push(start + Duration::from_millis(33) * n, picture);
        }
    }

    #[test]
    fn the_first_reader_gets_all_and_once() {
        let start = Instant::now();
        let mut recent = Recent::new(MediaKind::Video);
        pictures(&mut recent, start, 0..80, 60);
        assert_eq!(numbers(recent.backlog()), Some((0..80).collect()));
        assert_eq!(numbers(recent.backlog()), None);
    }

    #[test]
    fn nobody_in_time_gets_nothing() {
        let start = Instant::now();
        let mut recent = Recent::new(MediaKind::Video);
        pictures(&mut recent, start, 0..91, 1_000);
        assert_eq!(numbers(recent.backlog()), None);
        let now = start + Duration::from_secs(3);
        assert_eq!(numbers(recent.recent(now)), None);
    }

    #[test]
    fn a_later_reader_gets_the_pictures_of_a_recent_keyframe() {
        let start = Instant::now();
        let at = |n: u32| start + Duration::from_millis(33) * n;
        let mut recent = Recent::new(MediaKind::Video);
        pictures(&mut recent, start, 0..20, 60);
        assert!(recent.backlog().is_some());
        assert_eq!(numbers(recent.recent(at(20))), Some((0..20).collect()));
        pictures(&mut recent, start, 20..50, 60);
        assert_eq!(numbers(recent.recent(at(50))), None);
        pictures(&mut recent, start, 50..65, 60);
        assert_eq!(numbers(recent.recent(at(65))), Some((60..65).collect()));
        // A still screen is old too.
        assert_eq!(numbers(recent.recent(at(200))), None);
    }

    #[test]
    fn the_first_reader_leaves_the_last_group_to_the_next_one() {
        let start = Instant::now();
        let mut recent = Recent::new(MediaKind::Video);
        pictures(&mut recent, start, 0..75, 60);
        assert_eq!(numbers(recent.backlog()), Some((0..75).collect()));
        let now = start + Duration::from_millis(33) * 76;
        assert_eq!(numbers(recent.recent(now)), Some((60..75).collect()));
        recent.end();
        assert_eq!(numbers(recent.recent(now)), None);
    }

    #[test]
    fn a_flood_is_not_kept() {
        let start = Instant::now();
        for kind in [MediaKind::Video, MediaKind::Audio] {
            let mut recent = Recent::new(kind);
            assert!(recent.backlog().is_some());
            for n in 0..10_000 {
                recent.push(start, frame(Codec::Opus, n, n == 0));
            }
            assert!(recent.frames.len() <= MOST);
        }
    }

    #[test]
    fn a_later_reader_gets_the_sound_of_the_last_second() {
        let start = Instant::now();
        let mut recent = Recent::new(MediaKind::Audio);
        assert_eq!(numbers(recent.backlog()), Some(Vec::new()));
        for n in 0..200 {
            recent.push(
                start + Duration::from_millis(20) * n,
                frame(Codec::Opus, n, true),
            );
        }
        let now = start + Duration::from_millis(20) * 199;
        assert_eq!(numbers(recent.recent(now)), Some((154..200).collect()));
    }
}
