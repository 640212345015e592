//! Spatial layers of VP9 (RFC 9628) that the server leaves out, and such as are lost.

use super::*;
use crate::codec::vp9::frames;

/// The first bytes of a keyframe of 322x182.
const KEYFRAME: [u8; 12] = [
    0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0b, 0x56, 0x06, 7, 7,
];
/// Of its size.
const INTER: [u8; 5] = [0x86, 0x00, 0x40, 0x92, 9];
/// 644x364.
const UPPER: [u8; 10] = [0x86, 0x00, 0x80, 0x90, 0x01, 0x41, 0x80, 0xb5, 0x80, 8];

/// A sender of two layers in non-flexible mode, each frame in one packet.
struct Layers {
    number: u16,
    picture: u8,
}

impl Layers {
    /// The next picture in these layers, the last with the marker.
    fn picture(&mut self, keyframe: bool, layers: &[u8]) -> Vec<Packet> {
        self.picture = (self.picture + 1) & 0x7f;
        let packet = |layer: &u8| {
            // I, P, L, B, E; Z in the highest layer.
            let first = 0xac | u8::from(!keyframe) << 6 | u8::from(*layer > 0);
            let header = [first, self.picture, layer << 1 | u8::from(*layer > 0), 0];
            let body = match (layer, keyframe) {
                (0, true) => &KEYFRAME[..],
                (0, false) => &INTER,
                _ => &UPPER,
            };
            self.number = self.number.wrapping_add(1);
            Packet {
                sequence_number: self.number,
                timestamp: 3000 * u32::from(self.picture),
                marker: Some(layer) == layers.last(),
                payload: [&header[..], body].concat().into(),
                rotation: None,
            }
        };
        layers.iter().map(packet).collect()
    }
}

fn widths(frames: &[EncodedFrame]) -> Vec<u32> {
    frames.iter().map(|frame| frame.size.width).collect()
}

#[test]
fn the_server_may_leave_the_upper_layer_out() {
    let mut b = Bench::new(Codec::Vp9);
    let mut sender = Layers {
        number: 65_533,
        picture: 126,
    };
    for (index, (layers, width)) in [(&[0, 1][..], 644), (&[0], 322), (&[0], 322), (&[0, 1], 644)]
        .into_iter()
        .enumerate()
    {
        let packets = sender.picture(index == 0, layers);
        let got = b.receive(33 * index as u64, packets);
        assert_eq!(widths(&got), [width]);
        assert_eq!(frames(&got[0].data).unwrap().len(), layers.len());
    }
    assert!(!b.receiver.poll_keyframe_request());
}

#[test]
fn a_picture_that_lost_a_layer_is_dropped_and_a_keyframe_asked_for() {
    for lost in [0, 1] {
        let mut b = Bench::new(Codec::Vp9);
        let mut sender = Layers {
            number: 0,
            picture: 0,
        };
        assert_eq!(b.receive(0, sender.picture(true, &[0, 1])).len(), 1);
        let mut packets = sender.picture(false, &[0, 1]);
        packets.remove(lost);
        assert!(b.receive(33, packets).is_empty());
        // Its number is that of the next, which does not make what is missing padding.
        assert!(b.receive(66, sender.picture(false, &[0, 1])).is_empty());
        assert!(b.wait(700).is_empty(), "layer {lost}");
        assert!(b.receiver.poll_keyframe_request());
        assert!(b.receive(733, sender.picture(false, &[0, 1])).is_empty());
        let got = b.receive(766, sender.picture(true, &[0, 1]));
        assert_eq!(widths(&got), [644]);
        assert_eq!(got[0].lost_packets, 1);
    }
}
