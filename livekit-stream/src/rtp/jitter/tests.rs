use super::*;

const WAIT: Duration = Duration::from_millis(500);

struct Bench {
    epoch: Instant,
    buffer: JitterBuffer,
    payloads: Vec<Bytes>,
}

impl Bench {
    fn new(codec: Codec) -> Self {
        Self {
            epoch: Instant::now(),
            buffer: JitterBuffer::new(JitterOptions::new(codec)),
            payloads: Vec::new(),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.epoch + Duration::from_millis(ms)
    }

    /// Puts in a packet at a time and returns the first payload byte of each packet of each frame
    /// released. A payload that begins with 0x80 or more is a frame's known start.
    fn put(
        &mut self,
        ms: u64,
        number: u16,
        timestamp: u32,
        marker: bool,
        byte: u8,
    ) -> Vec<Vec<u8>> {
        self.put_payload(ms, number, timestamp, marker, &[byte])
    }

    fn put_payload(
        &mut self,
        ms: u64,
        number: u16,
        timestamp: u32,
        marker: bool,
        payload: &[u8],
    ) -> Vec<Vec<u8>> {
        let packet = Packet {
            sequence_number: number,
            timestamp,
            marker,
            payload: Bytes::copy_from_slice(payload),
            rotation: None,
        };
        let start = payload.first().is_some_and(|byte| *byte >= 0x80);
        self.buffer.insert(self.at(ms), packet, start);
        self.poll(ms)
    }

    fn poll(&mut self, ms: u64) -> Vec<Vec<u8>> {
        let now = self.at(ms);
        let mut frames = Vec::new();
        while self.buffer.poll_frame(now, &mut self.payloads).is_some() {
            frames.push(self.payloads.iter().map(|payload| payload[0]).collect());
        }
        frames
    }
}

#[test]
fn a_frame_is_released_with_its_last_packet() {
    let mut b = Bench::new(Codec::H264);
    assert!(b.put(0, 10, 1, false, 0x80).is_empty());
    assert_eq!(b.put(0, 11, 1, true, 1), [[0x80, 1]]);
    assert_eq!(b.put(0, 12, 2, true, 2), [[2]]);
    assert_eq!(b.buffer.poll_timeout(), None);
}

#[test]
fn a_frame_without_marker_ends_where_the_timestamp_changes() {
    let mut b = Bench::new(Codec::Vp8);
    b.put(0, 10, 1, false, 0x80);
    b.put(0, 11, 1, false, 1);
    assert_eq!(b.put(0, 12, 2, false, 0x82), [[0x80, 1]]);
    assert_eq!(b.put(0, 13, 3, false, 0x83), [[0x82]]);
}

#[test]
fn overtaken_packets_are_sorted_across_the_wrap_of_sequence_numbers() {
    let mut b = Bench::new(Codec::H264);
    assert_eq!(b.put(0, 65534, 1, true, 0x80), [[0x80]]);
    assert!(b.put(0, 1, 2, true, 4).is_empty());
    assert!(b.put(0, 65535, 2, false, 2).is_empty());
    assert_eq!(b.buffer.poll_timeout(), Some(b.at(0) + WAIT));
    assert_eq!(b.put(20, 0, 2, false, 3), [[2, 3, 4]]);
    assert_eq!(b.buffer.stats().recovered, 2);
    assert_eq!(b.buffer.stats().lost, 0);
}

#[test]
fn packets_that_precede_the_first_one_are_taken_as_long_as_nothing_was_released() {
    let mut b = Bench::new(Codec::H264);
    b.put(0, 12, 1, false, 3);
    b.put(0, 10, 1, false, 0x80);
    b.put(0, 13, 1, true, 4);
    assert_eq!(b.put(0, 11, 1, false, 2), [[0x80, 2, 3, 4]]);
    assert!(b.put(0, 9, 0, true, 9).is_empty());
}

#[test]
fn a_frame_whose_start_was_missed_is_dropped() {
    let mut b = Bench::new(Codec::Vp8);
    b.put(0, 10, 1, false, 1);
    assert!(b.put(0, 11, 1, true, 2).is_empty());
    assert_eq!(b.buffer.stats().frames_dropped, 1);
    assert!(!b.buffer.take_break());
    assert_eq!(b.put(0, 12, 2, true, 3), [[3]]);
}

#[test]
fn a_lost_packet_costs_its_frame_after_the_wait_and_is_counted() {
    let mut b = Bench::new(Codec::H264);
    b.put(0, 10, 1, true, 0x80);
    b.put(33, 11, 2, false, 1);
    b.put(33, 13, 2, true, 3);
    b.put(66, 14, 3, true, 4);
    assert!(b.poll(532).is_empty());
    assert_eq!(b.buffer.poll_timeout(), Some(b.at(533)));
    // The packet behind the gap belongs to the broken frame; the next frame is whole.
    assert_eq!(b.poll(533), [[4]]);
    assert!(b.buffer.take_break() && !b.buffer.take_break());
    let stats = b.buffer.stats();
    assert_eq!((stats.lost, stats.frames_dropped), (1, 1));
    assert!(b.put(600, 12, 2, false, 2).is_empty());
    assert_eq!((b.buffer.stats().late, b.buffer.stats().duplicates), (1, 0));
    b.put(600, 14, 3, true, 4);
    assert_eq!(b.buffer.stats().duplicates, 1);
}

#[test]
fn one_missing_packet_behind_an_unfinished_frame_was_its_last() {
    let mut b = Bench::new(Codec::H264);
    b.put(0, 10, 1, true, 0x80);
    b.put(0, 11, 2, false, 1);
    b.put(0, 13, 3, true, 3);
    assert_eq!(b.poll(500), [[3]]);
    // Of two missing packets the second may be the next frame's first.
    b.put(600, 14, 4, false, 4);
    b.put(600, 17, 5, true, 5);
    b.put(600, 18, 6, true, 6);
    assert_eq!(b.poll(1100), [[6]]);
    assert_eq!(b.buffer.stats().frames_dropped, 3);
}

#[test]
fn padding_fills_its_place_and_no_more() {
    let mut b = Bench::new(Codec::Vp8);
    b.put(0, 10, 1, true, 0x80);
    for number in 11..2000 {
        assert!(b.put_payload(0, number, 1, true, &[]).is_empty());
    }
    b.put(0, 2000, 2, false, 1);
    b.put_payload(0, 2001, 2, false, &[]);
    assert_eq!(b.put(0, 2002, 2, true, 2), [[1, 2]]);
    assert_eq!(b.buffer.slots.len(), 0);
}

#[test]
fn sound_is_released_packet_by_packet_and_waits_less() {
    let mut b = Bench::new(Codec::Opus);
    assert_eq!(b.put(0, 1, 0, false, 1), [[1]]);
    assert!(b.put(0, 4, 2880, false, 4).is_empty());
    assert!(b.put(0, 3, 1920, false, 3).is_empty());
    assert!(b.put(0, 3, 1920, false, 3).is_empty());
    assert_eq!(b.poll(150), [[3], [4]]);
    let stats = b.buffer.stats();
    assert_eq!(
        (stats.lost, stats.duplicates, stats.frames_dropped),
        (1, 1, 0)
    );
}

#[test]
fn a_restarted_stream_is_not_loss() {
    let mut b = Bench::new(Codec::H264);
    b.put(0, 60_000, 1, true, 0x80);
    // One stray packet is ignored.
    assert!(b.put(0, 20_000, 9, true, 9).is_empty());
    assert_eq!(b.put(0, 60_001, 2, true, 1), [[1]]);
    assert!(b.put(0, 5, 500, false, 0x82).is_empty());
    assert_eq!(b.put(0, 6, 500, true, 3), [[0x82, 3]]);
    assert!(b.buffer.take_break());
    let stats = b.buffer.stats();
    assert_eq!((stats.lost, stats.restarts), (0, 1));
}

#[test]
fn a_restart_a_little_below_is_found_out_by_its_new_timestamps() {
    let mut b = Bench::new(Codec::Opus);
    b.put(0, 1000, 5000, false, 1);
    let released = (0..100)
        .map(|i| {
            b.put(0, 900 + i, 10_000 + u32::from(i) * 960, false, 2)
                .len()
        })
        .sum::<usize>();
    assert_eq!(released, 100 - 63);
    assert_eq!(b.buffer.stats().restarts, 1);
}

#[test]
fn a_full_buffer_gives_up_early_and_stays_bounded() {
    let mut b = Bench::new(Codec::H264);
    b.put(0, 0, 0, true, 0x80);
    // A gap that would be waited for, then a flood without markers or new timestamps.
    for number in 2..20_000_u16 {
        b.put(1, number, 7, false, 1);
        assert!(b.buffer.slots.len() <= b.buffer.options.max_packets);
    }
    assert_eq!(b.buffer.stats().lost, 1);
    assert!(b.buffer.take_break());
    assert_eq!(b.put(2, 20_000, 8, true, 0x82), [[0x82]]);
}

#[test]
fn bytes_are_bounded_as_well() {
    let mut b = Bench::new(Codec::Vp8);
    b.buffer.options.max_bytes = 10_000;
    for number in 0..100 {
        b.put_payload(0, number, 7, false, &[0x80; 1000]);
        assert!(b.buffer.bytes <= 10_000);
    }
}
