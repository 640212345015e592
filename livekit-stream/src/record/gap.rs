//! What goes where a publisher sent no sound: silence, as Opus packets that need no encoder.

use bytes::Bytes;

use crate::codec::{Codec, opus};
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};

/// A packet of 20 ms that decodes to silence: CELT fullband with nothing in it (RFC 6716
/// section 3.1, and section 2.1.9 for what an empty frame means to a decoder).
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// How long [`SILENCE`] lasts.
const SILENCE_US: i64 = 20_000;

/// A gap shorter than this is left as it is: jitter of the sender's clock.
const SHORTEST_GAP_US: i64 = 30_000;

/// How far the pictures may be ahead of the sound before silence is put in its place: more than
/// the jitter buffer of either can hold back.
const PATIENCE_US: i64 = 1_000_000;

/// Keeps a track of Opus packets without gaps.
#[derive(Debug)]
pub(super) struct Filler {
    /// The end of what was given out.
    next_us: i64,
    filled_us: i64,
    late_packets: u64,
}

impl Filler {
    /// `start_us` is where the track has to begin.
    pub(super) fn new(start_us: i64) -> Self {
        Self {
            next_us: start_us,
            filled_us: 0,
            late_packets: 0,
        }
    }

    /// Takes a packet and appends it to `out`, behind the silence that is missing before it. A
    /// packet whose time is taken already is dropped and counted.
    pub(super) fn packet(&mut self, packet: EncodedFrame, out: &mut Vec<EncodedFrame>) {
        let duration_us = opus::duration(&packet.data)
            .map_or(SILENCE_US, |samples| i64::from(samples) * 1000 / 48);
        let gap = packet.timestamp_us - self.next_us;
        // One that overlaps by less cuts the silence before it short.
        if gap <= -SILENCE_US / 2 {
            self.late_packets += 1;
            return;
        }
        if gap >= SHORTEST_GAP_US {
            self.fill_until(packet.timestamp_us, out);
        }
        self.next_us = packet.timestamp_us + duration_us;
        out.push(packet);
    }

    /// The pictures have reached `video_us`.
    pub(super) fn video_at(&mut self, video_us: i64, out: &mut Vec<EncodedFrame>) {
        if video_us - self.next_us > PATIENCE_US {
            self.fill_until(video_us - PATIENCE_US / 2, out);
        }
    }

    /// Fills up to the end of the recording.
    pub(super) fn finish(&mut self, end_us: i64, out: &mut Vec<EncodedFrame>) {
        self.fill_until(end_us, out);
    }

    /// How much silence was put in, in microseconds.
    pub(super) fn filled_us(&self) -> i64 {
        self.filled_us
    }

    /// Packets that came after their time had been filled.
    pub(super) fn late_packets(&self) -> u64 {
        self.late_packets
    }

    fn fill_until(&mut self, end_us: i64, out: &mut Vec<EncodedFrame>) {
        while self.next_us + SILENCE_US <= end_us {
            out.push(EncodedFrame {
                codec: Codec::Opus,
                data: Bytes::from_static(SILENCE),
                keyframe: true,
                timestamp_us: self.next_us,
                rotation: VideoRotation::Deg0,
                size: VideoSize::default(),
                lost_packets: 0,
            });
            self.next_us += SILENCE_US;
            self.filled_us += SILENCE_US;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packet(timestamp_us: i64) -> EncodedFrame {
        EncodedFrame {
            codec: Codec::Opus,
            // 20 ms of CELT.
            data: Bytes::from_static(&[0xfc, 1, 2, 3]),
            keyframe: true,
            timestamp_us,
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        }
    }

    #[test]
    fn a_steady_track_passes_untouched() {
        let (mut filler, mut out) = (Filler::new(0), Vec::new());
        for n in 0..50 {
            filler.packet(packet(n * 20_000), &mut out);
            filler.video_at(n * 20_000, &mut out);
        }
        assert_eq!(out.len(), 50);
        assert_eq!(filler.filled_us(), 0);
    }

    #[test]
    fn a_gap_is_filled_without_overlap() {
        let (mut filler, mut out) = (Filler::new(0), Vec::new());
        filler.packet(packet(0), &mut out);
        filler.packet(packet(1_010_000), &mut out);
        assert_eq!(filler.filled_us(), 980_000);
        for pair in out.windows(2) {
            let step = pair[1].timestamp_us - pair[0].timestamp_us;
            assert!((20_000..50_000).contains(&step), "{step}");
        }
    }

    #[test]
    fn silence_follows_the_pictures_while_nobody_speaks() {
        let (mut filler, mut out) = (Filler::new(0), Vec::new());
        for n in 0..100 {
            filler.video_at(n * 100_000, &mut out);
        }
        let end = out.last().map_or(0, |last| last.timestamp_us);
        assert!(end > 8_000_000, "{end}");
        filler.finish(10_000_000, &mut out);
        assert_eq!(filler.filled_us(), 10_000_000);
    }

    #[test]
    fn a_packet_whose_time_is_filled_is_counted() {
        let (mut filler, mut out) = (Filler::new(0), Vec::new());
        filler.finish(1_000_000, &mut out);
        filler.packet(packet(500_000), &mut out);
        assert_eq!(filler.late_packets(), 1);
    }
}
