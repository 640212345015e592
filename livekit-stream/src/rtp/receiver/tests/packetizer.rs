//! Frames of each codec, and a sender that splits them into packets.

use super::*;
use crate::codec::h265::samples as h265;

const SPS: [u8; 25] = [
    0x67, 0x42, 0xc0, 0x0d, 0xd9, 0x01, 0x41, 0x9f, 0x9f, 0x01, 0x10, 0, 0, 3, 0, 0x10, 0, 0, 3, 3,
    0xc0, 0xf1, 0x42, 0xa4, 0x80,
];
pub(super) const PPS: [u8; 5] = [0x68, 0xcb, 0x83, 0xcb, 0x20];

const VP9_KEYFRAME: [u8; 10] = [0x82, 0x49, 0x83, 0x42, 0x00, 0x14, 0x10, 0x0b, 0x56, 0x06];
const AV1_SEQUENCE: [u8; 13] = [
    0x0a, 0x0b, 0, 0, 0, 0x04, 0x3c, 0xff, 0xbc, 0xda, 0xf9, 0, 0x40,
];

/// A sender of its own making: splits frames into packets as the RFCs say.
#[derive(Clone)]
pub(super) struct Packetizer {
    pub(super) codec: Codec,
    pub(super) mtu: usize,
    pub(super) number: u16,
    pub(super) timestamp: u32,
    pub(super) marker: bool,
    /// The picture ID of the next VP8 or VP9 frame, for senders that number all their frames.
    pub(super) picture: Option<u16>,
}

impl Packetizer {
    pub(super) fn new(codec: Codec) -> Self {
        Self {
            codec,
            mtu: 100,
            number: 65_530,
            timestamp: u32::MAX - 7000,
            marker: true,
            picture: None,
        }
    }

    pub(super) fn packets(&mut self, frame: &[u8], keyframe: bool) -> Vec<Packet> {
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

    pub(super) fn padding(&mut self) -> Packet {
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
            // Always the same one: a sender that does not count.
            let id = self.picture.map_or(0x8123, |id| id | 0x8000);
            [&[first][..], &id.to_be_bytes(), chunk].concat()
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

pub(super) fn nal(header: u8, body: &[u8]) -> Vec<u8> {
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
pub(super) fn frame(codec: Codec, keyframe: bool, body: &[u8]) -> Vec<u8> {
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
            &h265::VPS,
            &[0, 0, 0, 1],
            &h265::SPS,
            &[0, 0, 0, 1],
            &h265::PPS,
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
