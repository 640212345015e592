use std::time::Duration;

use proptest::prelude::*;
use proptest::sample::Index;

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

const SPS: [u8; 25] = [
    0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3,
    0xc0, 0xf1, 0x42, 0xa4, 0x80,
];
const PPS: [u8; 5] = [0x68, 0xcb, 0x83, 0xcb, 0x20];

const VPS_265: [u8; 23] = [
    0x40, 0x01, 0x0c, 0x01, 0xff, 0xff, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c,
    0x95, 0x98,
];
const SPS_265: [u8; 42] = [
    0x42, 0x01, 0x01, 0x01, 0x60, 0, 0, 3, 0, 0x90, 0, 0, 3, 0, 0, 3, 0, 0x3c, 0xa0, 0x0a, 0x48,
    0x0b, 0x9c, 0x95, 0x96, 0x56, 0x69, 0x24, 0xca, 0xf0, 0x16, 0x80, 0x80, 0, 0, 3, 0, 0x80, 0, 0,
    0x0f, 0x04,
];
const PPS_265: [u8; 7] = [0x44, 0x01, 0xc1, 0x72, 0xb4, 0x62, 0x40];
const VP9_KEYFRAME: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0b, 0x56, 0x06];
const AV1_SEQUENCE: [u8; 13] = [
    0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0, 0x40,
];

/// A sender of its own making: splits frames into packets as the RFCs say.
#[derive(Clone)]
struct Packetizer {
    codec: Codec,
    mtu: usize,
    number: u16,
    timestamp: u32,
    marker: bool,
    /// The picture ID of the next VP8 frame, for senders that number all their frames.
    picture: Option<u16>,
}

impl Packetizer {
    fn new(codec: Codec) -> Self {
        Self {
            codec,
            mtu: 100,
            number: 65_530,
            timestamp: u32::MAX - 7000,
            marker: true,
            picture: None,
        }
    }

    fn packets(&mut self, frame: &[u8], keyframe: bool) -> Vec<Packet> {
        let payloads = match self.codec {
            Codec::H264 => self.h264(frame),
            Codec::H265 => self.h265(frame),
            Codec::Vp8 => self.vp8(frame, keyframe),
            Codec::Vp9 => self.vp9(frame, keyframe),
            Codec::Av1 => self.av1(frame, keyframe),
            _ => vec![frame.to_vec()],
        };
        let last = payloads.len() - 1;
        let packets = payloads
            .into_iter()
            .enumerate()
            .map(|(i, payload)| {
                let number = self.number;
                self.number = number.wrapping_add(1);
                Packet {
                    sequence_number: number,
                    timestamp: self.timestamp,
                    marker: self.marker && i == last,
                    payload: payload.into(),
                    rotation: None,
                }
            })
            .collect();
        self.picture = self.picture.map(|id| id.wrapping_add(1));
        self.timestamp = self.timestamp.wrapping_add(match self.codec {
            Codec::Opus => 960,
            _ => 3000,
        });
        packets
    }

    fn padding(&mut self) -> Packet {
        let number = self.number;
        self.number = number.wrapping_add(1);
        Packet {
            sequence_number: number,
            timestamp: self.timestamp.wrapping_sub(3000),
            marker: false,
            payload: Bytes::new(),
            rotation: None,
        }
    }

    fn h264(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        let mut aggregate: Vec<&[u8]> = Vec::new();
        let flush = |aggregate: &mut Vec<&[u8]>, payloads: &mut Vec<Vec<u8>>| {
            match &aggregate[..] {
                [] => {}
                [one] => payloads.push(one.to_vec()),
                many => {
                    let mut stap = vec![0x78];
                    for unit in many {
                        stap.extend_from_slice(&(unit.len() as u16).to_be_bytes());
                        stap.extend_from_slice(unit);
                    }
                    payloads.push(stap);
                }
            }
            aggregate.clear();
        };
        for unit in crate::codec::h264::annexb_nal_units(frame) {
            let size: usize = aggregate.iter().map(|unit| unit.len() + 2).sum();
            if size + unit.len() + 3 > self.mtu {
                flush(&mut aggregate, &mut payloads);
            }
            if unit.len() <= self.mtu {
                aggregate.push(unit);
                continue;
            }
            let chunks: Vec<&[u8]> = unit[1..].chunks(self.mtu - 2).collect();
            for (i, chunk) in chunks.iter().enumerate() {
                let start = u8::from(i == 0) << 7;
                let end = u8::from(i + 1 == chunks.len()) << 6;
                let header = [unit[0] & 0xe0 | 0x1c, start | end | unit[0] & 0x1f];
                payloads.push([&header[..], chunk].concat());
            }
        }
        flush(&mut aggregate, &mut payloads);
        payloads
    }

    fn h265(&self, frame: &[u8]) -> Vec<Vec<u8>> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for unit in crate::codec::h265::annexb_nal_units(frame) {
            if unit.len() <= self.mtu {
                payloads.push(unit.to_vec());
                continue;
            }
            let chunks: Vec<&[u8]> = unit[2..].chunks(self.mtu - 3).collect();
            for (i, chunk) in chunks.iter().enumerate() {
                let start = u8::from(i == 0) << 7;
                let end = u8::from(i + 1 == chunks.len()) << 6;
                let header = [unit[0] & 0x81 | 0x62, unit[1], start | end | unit[0] >> 1];
                payloads.push([&header[..], chunk].concat());
            }
        }
        payloads
    }

    fn vp9(&self, frame: &[u8], keyframe: bool) -> Vec<Vec<u8>> {
        let chunks: Vec<&[u8]> = frame.chunks(self.mtu - 4).collect();
        let last = chunks.len() - 1;
        let packet = |(i, chunk): (usize, &&[u8])| {
            let begins = u8::from(i == 0) << 3 | u8::from(i == last) << 2;
            let first = 0x80 | u8::from(!keyframe) << 6 | begins;
            [&[first, 0x81, 0x23][..], chunk].concat()
        };
        chunks.iter().enumerate().map(packet).collect()
    }

    /// One element a packet, whose length is that of the packet.
    fn av1(&self, frame: &[u8], keyframe: bool) -> Vec<Vec<u8>> {
        let mut payloads: Vec<Vec<u8>> = Vec::new();
        for obu in crate::codec::av1::obus(frame) {
            let element = [&[obu.bytes[0] & !2], obu.payload].concat();
            let chunks: Vec<&[u8]> = element.chunks(self.mtu - 1).collect();
            for (i, chunk) in chunks.iter().enumerate() {
                let continues = u8::from(i > 0) << 7 | u8::from(i + 1 < chunks.len()) << 6;
                let new_sequence = u8::from(keyframe && payloads.is_empty()) << 3;
                payloads.push([&[0x10 | continues | new_sequence][..], chunk].concat());
            }
        }
        payloads
    }

    fn vp8(&self, frame: &[u8], keyframe: bool) -> Vec<Vec<u8>> {
        // The descriptor's size changes from frame to frame.
        let number = self.picture.map(|id| (id | 0x8000).to_be_bytes());
        let extension: &[u8] = match &number {
            Some([high, low]) => &[0x90, 0x80, *high, *low],
            None if keyframe => &[0x90, 0x80, 0x81, 2],
            None => &[0x10],
        };
        frame
            .chunks(self.mtu)
            .enumerate()
            .map(|(i, chunk)| {
                let mut payload = extension.to_vec();
                if i > 0 {
                    payload[0] &= 0xef;
                }
                payload.extend_from_slice(chunk);
                payload
            })
            .collect()
    }
}

fn nal(header: u8, body: &[u8]) -> Vec<u8> {
    // No zeros: the content does not matter, start codes do.
    let body: Vec<u8> = body.iter().map(|byte| byte | 1).collect();
    [&[0, 0, 0, 1, header][..], &body].concat()
}

fn nal_265(header: u8, body: &[u8]) -> Vec<u8> {
    let body: Vec<u8> = body.iter().map(|byte| byte | 1).collect();
    [&[0, 0, 0, 1, header, 1][..], &body].concat()
}

/// An OBU of a frame with its size.
fn obu(start: u8, body: &[u8]) -> Vec<u8> {
    let mut obu = vec![0x32];
    let payload = [&[start, 0, 0x84, 0, 2, 8, 0x20, 0x88], body].concat();
    crate::codec::av1::write_leb128(payload.len(), &mut obu);
    [obu, payload].concat()
}

/// A frame of this codec with this content.
fn frame(codec: Codec, keyframe: bool, body: &[u8]) -> Vec<u8> {
    match (codec, keyframe) {
        (Codec::H264, true) => [
            &[0, 0, 0, 1][..],
            &SPS,
            &[0, 0, 0, 1],
            &PPS,
            &nal(0x65, body),
        ]
        .concat(),
        (Codec::H264, false) => nal(0x41, body),
        (Codec::Vp8, true) => [&[0x10, 2, 0, 0x9d, 1, 0x2a, 0x40, 1, 0xb4, 0][..], body].concat(),
        (Codec::Vp8, false) => [&[0x11, 2, 0][..], body].concat(),
        (Codec::H265, true) => [
            &[0, 0, 0, 1][..],
            &VPS_265,
            &[0, 0, 0, 1],
            &SPS_265,
            &[0, 0, 0, 1],
            &PPS_265,
            &nal_265(0x26, body),
        ]
        .concat(),
        (Codec::H265, false) => nal_265(0x02, body),
        // Nothing behind looks like the index of a superframe.
        (Codec::Vp9, true) => [&VP9_KEYFRAME[..], body, &[0]].concat(),
        (Codec::Vp9, false) => [&[0x86, 0x00, 0x40, 0x92][..], body, &[0]].concat(),
        (Codec::Av1, true) => [&AV1_SEQUENCE[..], &obu(0x10, body)].concat(),
        (Codec::Av1, false) => obu(0x30, body),
        _ => [&[0xf8][..], body].concat(),
    }
}

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
    let mut b = Bench::new(Codec::Vp8);
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

#[derive(Debug, Clone)]
struct Stream {
    codec: Codec,
    mtu: usize,
    marker: bool,
    /// Whether a keyframe, its content, and the padding packets behind it.
    frames: Vec<(bool, Vec<u8>, u8)>,
}

fn stream() -> impl Strategy<Value = Stream> {
    let frame = (
        prop::bool::weighted(0.2),
        proptest::collection::vec(any::<u8>(), 1..700),
        prop_oneof![4 => Just(0_u8), 1 => 1..4_u8],
    );
    (
        proptest::sample::select(&CODECS[..]),
        40..400_usize,
        prop::bool::weighted(0.8),
        proptest::collection::vec(frame, 2..40),
    )
        .prop_map(|(codec, mtu, marker, mut frames)| {
            frames[0].0 = true;
            Stream {
                codec,
                mtu,
                marker,
                frames,
            }
        })
}

impl Stream {
    /// The frames, one more that ends the last, and the packets of all.
    fn build(&self) -> (Vec<Vec<u8>>, Vec<Packet>) {
        self.build_numbered(None)
    }

    fn build_numbered(&self, picture: Option<u16>) -> (Vec<Vec<u8>>, Vec<Packet>) {
        let mut sender = Packetizer::new(self.codec);
        sender.picture = picture;
        (sender.mtu, sender.marker) = (self.mtu, self.marker);
        let (mut frames, mut packets) = (Vec::new(), Vec::new());
        for (i, (keyframe, body, padding)) in self.frames.iter().enumerate() {
            // Each frame is known by its content.
            let body = [&[2 * i as u8 + 1], &body[..]].concat();
            let data = frame(self.codec, *keyframe, &body);
            packets.extend(sender.packets(&data, *keyframe));
            packets.extend((0..*padding).map(|_| sender.padding()));
            frames.push(data);
        }
        frames.push(frame(self.codec, false, &[0x77]));
        packets.extend(sender.packets(&frames[frames.len() - 1], false));
        (frames, packets)
    }
}

/// Moves packets, but never before the first, which must open the stream.
fn shuffle(packets: &mut Vec<Packet>, swaps: &[(Index, usize)], copies: &[Index]) {
    let length = packets.len() - 1;
    for (index, distance) in swaps {
        let at = 1 + index.index(length);
        let other = (at + distance).min(length);
        packets.swap(at, other);
    }
    for copy in copies {
        let at = copy.index(packets.len());
        packets.insert(at, packets[at].clone());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn without_loss_every_frame_comes_out_bit_for_bit_in_order(
        stream in stream(),
        swaps in proptest::collection::vec((any::<Index>(), 1..20_usize), 0..40),
        copies in proptest::collection::vec(any::<Index>(), 0..20),
    ) {
        let (frames, mut packets) = stream.build();
        shuffle(&mut packets, &swaps, &copies);
        let mut b = Bench::new(stream.codec);
        let mut received = Vec::new();
        for (i, packet) in packets.into_iter().enumerate() {
            received.extend(b.receive(i as u64, vec![packet]));
        }
        prop_assert!(received.len() + 1 >= frames.len());
        for (received, sent) in received.iter().zip(&frames) {
            prop_assert_eq!(&received.data[..], &sent[..]);
            prop_assert_eq!(received.lost_packets, 0);
        }
        let stats = b.receiver.stats();
        prop_assert_eq!((stats.lost, stats.frames_dropped), (0, 0));
        prop_assert_eq!(stats.duplicates, copies.len() as u64);
        prop_assert!(!b.receiver.poll_keyframe_request());
    }

    #[test]
    fn with_loss_only_frames_that_were_sent_come_out_and_none_without_its_references(
        stream in stream(),
        picture in any::<Option<u16>>(),
        swaps in proptest::collection::vec((any::<Index>(), 1..20_usize), 0..20),
        losses in proptest::collection::vec(any::<Index>(), 1..20),
    ) {
        let (frames, mut packets) = stream.build_numbered(picture);
        shuffle(&mut packets, &swaps, &[]);
        for loss in &losses {
            if packets.len() > 2 {
                packets.remove(1 + loss.index(packets.len() - 1));
            }
        }
        let mut b = Bench::new(stream.codec);
        let mut received = Vec::new();
        for (i, packet) in packets.into_iter().enumerate() {
            received.extend(b.receive(i as u64 * 20, vec![packet]));
        }
        received.extend(b.wait(1_000_000));
        let mut next = 0;
        for received in &received {
            let found = frames.iter().position(|sent| sent == &received.data[..]);
            prop_assert!(found.is_some_and(|at| at >= next), "{found:?} after {next}");
            let at = found.unwrap();
            let follows = at == next || stream.codec == Codec::Opus;
            prop_assert!(follows || received.keyframe);
            prop_assert!(at == next || received.lost_packets > 0);
            next = at + 1;
        }
    }

    #[test]
    fn lost_padding_costs_numbered_frames_nothing(
        mut stream in stream(),
        first_picture in any::<u16>(),
        swaps in proptest::collection::vec((any::<Index>(), 1..20_usize), 0..10),
        losses in proptest::collection::vec(any::<Index>(), 1..40),
    ) {
        (stream.codec, stream.marker) = (Codec::Vp8, true);
        let (frames, mut packets) = stream.build_numbered(Some(first_picture));
        shuffle(&mut packets, &swaps, &[]);
        for loss in &losses {
            let at = loss.index(packets.len());
            if packets[at].payload.is_empty() {
                packets.remove(at);
            }
        }
        let mut b = Bench::new(Codec::Vp8);
        let mut received = Vec::new();
        for (i, packet) in packets.into_iter().enumerate() {
            received.extend(b.receive(i as u64, vec![packet]));
        }
        prop_assert_eq!(received.len(), frames.len());
        for (received, sent) in received.iter().zip(&frames) {
            prop_assert_eq!(&received.data[..], &sent[..]);
            prop_assert_eq!(received.lost_packets, 0);
        }
        prop_assert_eq!(b.receiver.stats().lost, 0);
        prop_assert!(!b.receiver.poll_keyframe_request());
    }

    #[test]
    fn garbage_never_panics(
        codec in prop_oneof![6 => proptest::sample::select(&CODECS[..]), 1 => Just(Codec::Aac)],
        packets in proptest::collection::vec(
            (prop_oneof![4 => 0..50_u16, 1 => any::<u16>()],
             prop_oneof![4 => 0..5_u32, 1 => any::<u32>()],
             any::<bool>(),
             proptest::collection::vec(any::<u8>(), 0..30),
             0..300_u64),
            0..150),
    ) {
        let mut b = Bench::new(codec);
        let mut now = 0;
        for (sequence_number, timestamp, marker, payload, wait) in packets {
            now += wait;
            b.receive(now, vec![Packet { sequence_number, timestamp, marker, payload: payload.into(), rotation: None }]);
            b.receiver.handle_sender_report(b.at(now), u64::from(timestamp) << 20, timestamp);
            b.receiver.poll_keyframe_request();
            prop_assert!(b.receiver.poll_timeout().is_none_or(|at| at > b.at(now)));
        }
        let _ = b.receiver.stats();
    }
}
