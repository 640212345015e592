mod layers;
mod packetizer;
mod properties;

use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

use packetizer::{PPS, Packetizer, frame, nal};

use super::super::RoomClock;
use super::*;

const CODECS: [Codec; 6] = [
    Codec::H264,
    Codec::H265,
    Codec::Vp8,
    Codec::Vp9,
    Codec::Av1,
    Codec::Opus,
];

struct Bench {
    epoch: Instant,
    sender: Packetizer,
    receiver: Receiver,
}

impl Bench {
    fn new(codec: Codec) -> Self {
        let epoch = Instant::now();
        let clock = RoomClock::new(epoch)
            .participant()
            .track(codec.clock_rate());
        Self {
            epoch,
            sender: Packetizer::new(codec),
            receiver: Receiver::new(codec, clock, ReceiverOptions::new(codec)),
        }
    }

    fn at(&self, ms: u64) -> Instant {
        self.epoch + Duration::from_millis(ms)
    }

    fn send(&mut self, ms: u64, keyframe: bool, body: &[u8]) -> Vec<EncodedFrame> {
        let packets = self.make(keyframe, body);
        self.receive(ms, packets)
    }

    fn make(&mut self, keyframe: bool, body: &[u8]) -> Vec<Packet> {
        let frame = frame(self.sender.codec, keyframe, body);
        self.sender.packets(&frame, keyframe)
    }

    fn receive(&mut self, ms: u64, packets: Vec<Packet>) -> Vec<EncodedFrame> {
        let now = self.at(ms);
        for packet in packets {
            self.receiver.handle_packet(now, packet);
        }
        self.frames()
    }

    fn wait(&mut self, ms: u64) -> Vec<EncodedFrame> {
        let now = self.at(ms);
        self.receiver.handle_timeout(now);
        self.frames()
    }

    fn frames(&mut self) -> Vec<EncodedFrame> {
        std::iter::from_fn(|| self.receiver.poll_frame()).collect()
    }
}

#[test]
fn frames_come_out_whole_with_size_time_and_keyframe_mark() {
    for codec in [Codec::H264, Codec::Vp8] {
        let mut b = Bench::new(codec);
        let body = [0x55; 1000];
        let key = b.send(100, true, &body);
        let inter = b.send(140, false, &body);
        assert_eq!(key[0].data, frame(codec, true, &body));
        assert_eq!(inter[0].data, frame(codec, false, &body));
        assert_eq!((key[0].keyframe, inter[0].keyframe), (true, false));
        let size = VideoSize {
            width: 320,
            height: 180,
        };
        assert_eq!((key[0].size, inter[0].size), (size, size));
        assert_eq!(
            (key[0].timestamp_us, inter[0].timestamp_us),
            (100_000, 133_333)
        );
        let stats = b.receiver.stats();
        assert_eq!((stats.frames, stats.keyframes, stats.lost), (2, 1, 0));
        // One difference of 6.7 ms, 10 packets of one time before it and behind it.
        assert!((200..250).contains(&stats.jitter_us), "{}", stats.jitter_us);
        assert!(!b.receiver.poll_keyframe_request());
        assert_eq!(b.receiver.poll_timeout(), None);
    }
}

#[test]
fn pictures_before_the_first_keyframe_are_dropped_and_none_is_asked_for_at_once() {
    let mut b = Bench::new(Codec::Vp8);
    for i in 0..60 {
        assert!(b.send(i * 33, false, &[1]).is_empty());
        assert!(!b.receiver.poll_keyframe_request());
    }
    b.receiver.request_keyframe();
    assert!(!b.receiver.poll_keyframe_request());
    assert_eq!(b.receiver.poll_timeout(), Some(b.at(2000)));
    b.send(2000, false, &[1]);
    assert!(b.receiver.poll_keyframe_request() && !b.receiver.poll_keyframe_request());
    assert_eq!(b.send(2100, true, &[1]).len(), 1);
    assert_eq!(b.receiver.poll_timeout(), None);
    assert_eq!(b.receiver.stats().frames_dropped, 61);
}

#[test]
fn a_stream_that_begins_inside_its_keyframe_asks_for_another_at_once() {
    for codec in [Codec::Vp8, Codec::Vp9, Codec::H264] {
        let mut b = Bench::new(codec);
        let mut packets = b.make(true, &[0x55; 1000]);
        packets.remove(0);
        if codec == Codec::H264 {
            // The parameter sets come first.
            packets.drain(..3);
        }
        assert!(b.receive(0, packets).is_empty());
        assert!(!b.receiver.poll_keyframe_request());
        assert!(b.send(33, false, &[1]).is_empty());
        assert!(b.receiver.poll_keyframe_request(), "{codec}");
        assert!(b.send(99, false, &[1]).is_empty());
        assert!(!b.receiver.poll_keyframe_request());
        assert_eq!(b.receiver.poll_timeout(), Some(b.at(533)), "{codec}");
        assert_eq!(b.send(200, true, &[1]).len(), 1);
        assert_eq!(b.receiver.poll_timeout(), None);
    }
}

#[test]
fn an_unrepaired_loss_drops_until_the_keyframe_that_is_asked_for_again_and_again() {
    let mut b = Bench::new(Codec::H264);
    b.send(0, true, &[1; 300]);
    let mut broken = b.make(false, &[2; 300]);
    broken.remove(1);
    b.receive(33, broken);
    assert!(b.send(66, false, &[3; 300]).is_empty());
    assert!(!b.receiver.poll_keyframe_request());
    assert_eq!(b.receiver.poll_timeout(), Some(b.at(533)));
    assert!(b.wait(533).is_empty());
    assert!(b.receiver.poll_keyframe_request());
    // Repeated after 500, 750, 1000 and 1000 ms.
    let mut asked = Vec::new();
    for ms in (540..4000).step_by(10) {
        b.send(ms, false, &[4]);
        if b.receiver.poll_keyframe_request() {
            asked.push(ms);
        }
    }
    assert_eq!(asked, [1040, 1790, 2790, 3790]);
    let key = b.send(4000, true, &[5]);
    assert_eq!((key.len(), key[0].lost_packets), (1, 1));
    assert_eq!(b.send(4033, false, &[6])[0].lost_packets, 0);
    let stats = b.receiver.stats();
    assert_eq!((stats.lost, stats.keyframe_requests), (1, 5));
    assert_eq!(stats.frames_dropped, 2 + 346);
    assert_eq!(b.receiver.poll_timeout(), None);
}

#[test]
fn nobody_is_asked_for_ever_when_no_packet_comes() {
    let mut b = Bench::new(Codec::Vp8);
    b.send(0, true, &[1]);
    b.sender.number = b.sender.number.wrapping_add(1);
    b.send(10, false, &[1]);
    let mut requests = 0;
    while let Some(at) = b.receiver.poll_timeout() {
        b.receiver.handle_timeout(at);
        requests += u32::from(b.receiver.poll_keyframe_request());
    }
    assert_eq!(requests, 4);
    b.send(60_000, false, &[1]);
    assert!(b.receiver.poll_keyframe_request());
}

#[test]
fn a_retransmission_in_time_repairs_the_stream() {
    let mut b = Bench::new(Codec::Vp8);
    b.send(0, true, &[1; 300]);
    let mut packets = b.make(false, &[2; 300]);
    let missing = packets.remove(1);
    b.receive(33, packets);
    assert!(b.send(66, false, &[3]).is_empty());
    let frames = b.receive(400, vec![missing.clone(), missing]);
    let times: Vec<i64> = frames.iter().map(|frame| frame.timestamp_us).collect();
    assert_eq!(times, [33_333, 66_667]);
    let stats = b.receiver.stats();
    assert_eq!((stats.recovered, stats.duplicates, stats.lost), (1, 1, 0));
    assert!(!b.receiver.poll_keyframe_request());
}

#[test]
fn a_consumer_that_joins_late_gets_one_request_in_half_a_second() {
    let mut b = Bench::new(Codec::H264);
    b.send(0, true, &[1]);
    b.receiver.request_keyframe();
    b.receiver.request_keyframe();
    assert!(b.receiver.poll_keyframe_request() && !b.receiver.poll_keyframe_request());
    b.send(100, true, &[1]);
    b.receiver.request_keyframe();
    assert!(!b.receiver.poll_keyframe_request());
    assert_eq!(b.receiver.poll_timeout(), Some(b.at(500)));
    b.wait(500);
    assert!(b.receiver.poll_keyframe_request());
    // Frames flow meanwhile.
    assert_eq!(b.send(510, false, &[1]).len(), 1);
}

#[test]
fn lost_sound_costs_nothing_but_itself() {
    let mut b = Bench::new(Codec::Opus);
    b.send(0, true, &[1]);
    b.make(true, &[2]);
    b.make(true, &[3]);
    assert!(b.send(60, true, &[4]).is_empty());
    let frames = b.wait(210);
    assert_eq!((frames.len(), frames[0].lost_packets), (1, 2));
    assert_eq!(frames[0].timestamp_us, 60_000);
    assert!(!b.receiver.poll_keyframe_request());
    let stats = b.receiver.stats();
    assert_eq!((stats.lost, stats.frames, stats.frames_dropped), (2, 2, 0));
}

#[test]
fn the_blank_picture_that_ends_a_track_is_not_delivered() {
    let mut b = Bench::new(Codec::Vp8);
    b.send(0, true, &[1]);
    let blank = [0x10, 0, 0, 0x9d, 1, 0x2a, 8, 0, 8, 0, 0];
    let packets = b.sender.packets(&blank, true);
    assert!(b.receive(33, packets).is_empty());
    assert!(b.send(66, false, &[2]).is_empty());
    assert!(!b.receiver.poll_keyframe_request());
    let stats = b.receiver.stats();
    assert_eq!((stats.blank_frames, stats.frames_dropped), (2, 0));
    assert_eq!(b.send(100, true, &[3]).len(), 1);

    // The server's 2x2 picture in H.264.
    let mut b = Bench::new(Codec::H264);
    b.send(0, true, &[1]);
    let sps = [
        0x67, 0x42, 0xc0, 0x1f, 0x0f, 0xd9, 0x1f, 0x88, 0x88, 0x84, 0, 0, 3, 0, 4, 0, 0, 3, 0,
        0xc8, 0x3c, 0x60, 0xc9, 0x20,
    ];
    let blank = [
        &[0, 0, 0, 1][..],
        &sps,
        &[0, 0, 0, 1],
        &PPS,
        &nal(0x65, &[1]),
    ]
    .concat();
    let packets = b.sender.packets(&blank, true);
    assert!(b.receive(33, packets).is_empty());
    assert_eq!(b.receiver.stats().blank_frames, 1);
    assert_eq!(b.receiver.poll_timeout(), None);
}

#[test]
fn a_rotation_holds_until_the_next_one() {
    let mut b = Bench::new(Codec::H264);
    let mut packets = b.make(true, &[1; 300]);
    packets.last_mut().unwrap().rotation = Some(VideoRotation::Deg90);
    assert_eq!(b.receive(0, packets)[0].rotation, VideoRotation::Deg90);
    assert_eq!(b.send(33, false, &[1])[0].rotation, VideoRotation::Deg90);
    let mut packets = b.make(false, &[1]);
    packets[0].rotation = Some(VideoRotation::Deg0);
    assert_eq!(b.receive(66, packets)[0].rotation, VideoRotation::Deg0);
}

#[test]
fn lost_padding_is_not_waited_for_where_frames_are_numbered() {
    for codec in [Codec::Vp8, Codec::Vp9] {
        lost_padding_is_not_waited_for(codec);
    }
}

fn lost_padding_is_not_waited_for(codec: Codec) {
    let mut b = Bench::new(codec);
    b.sender.picture = Some(0x7fff);
    assert_eq!(b.send(0, true, &[1]).len(), 1);
    // A probe of which the middle arrives, and of which a part comes when it is too late.
    let probe: Vec<Packet> = (0..5).map(|_| b.sender.padding()).collect();
    b.receive(10, vec![probe[2].clone()]);
    assert_eq!(b.send(33, false, &[2]).len(), 1);
    b.receive(40, vec![probe[0].clone()]);
    let stats = b.receiver.stats();
    assert_eq!((stats.padding_lost, stats.lost, stats.late), (4, 0, 1));
    assert_eq!(b.receiver.poll_timeout(), None);
    // A frame that is missing is waited for, and so is one that came in part.
    b.make(false, &[3]);
    assert!(b.send(66, false, &[4]).is_empty());
    assert!(b.receiver.poll_timeout().is_some());
    b.wait(600);
    assert!(b.receiver.poll_keyframe_request());
}

#[test]
fn a_malformed_frame_breaks_the_chain() {
    let mut b = Bench::new(Codec::H264);
    b.send(0, true, &[1]);
    let mut packets = b.make(false, &[1]);
    packets[0].payload = Bytes::from_static(&[0x7c, 0x05, 1]);
    assert!(b.receive(33, packets).is_empty());
    assert!(b.receiver.poll_keyframe_request());
    assert!(b.send(66, false, &[1]).is_empty());
    assert_eq!(b.send(99, true, &[1]).len(), 1);
    assert_eq!(b.receiver.stats().frames_dropped, 2);
}
