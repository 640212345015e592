//! Whatever is sent, lost, moved and repeated: what comes out was sent, whole and in order.

use super::*;

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
        codec in prop_oneof![Just(Codec::Vp8), Just(Codec::Vp9)],
        first_picture in any::<u16>(),
        swaps in proptest::collection::vec((any::<Index>(), 1..20_usize), 0..10),
        losses in proptest::collection::vec(any::<Index>(), 1..40),
    ) {
        (stream.codec, stream.marker) = (codec, true);
        let (frames, mut packets) = stream.build_numbered(Some(first_picture));
        shuffle(&mut packets, &swaps, &[]);
        for loss in &losses {
            let at = loss.index(packets.len());
            if packets[at].payload.is_empty() {
                packets.remove(at);
            }
        }
        let mut b = Bench::new(codec);
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
