//! Opus packets out of an Ogg file (RFC 3533, RFC 7845).

use std::time::Duration;

use super::OpusPacket;

/// Fixed part of a page's header, up to the number of segments.
const PAGE_HEADER: usize = 27;
/// A segment of this length is continued by the next one.
const FULL_SEGMENT: u8 = 255;

/// The packets after `OpusHead` and `OpusTags`.
pub(super) fn opus_packets(file: &[u8]) -> Vec<OpusPacket> {
    let mut packets: Vec<Vec<u8>> = Vec::new();
    let mut packet = Vec::new();
    let mut rest = file;
    while !rest.is_empty() {
        assert!(rest.starts_with(b"OggS"), "not an Ogg page");
        let segments = usize::from(rest[PAGE_HEADER - 1]);
        let (table, mut body) = rest[PAGE_HEADER..].split_at(segments);
        for length in table {
            let (segment, after) = body.split_at(usize::from(*length));
            packet.extend_from_slice(segment);
            body = after;
            if *length < FULL_SEGMENT {
                packets.push(std::mem::take(&mut packet));
            }
        }
        rest = body;
    }
    assert!(
        packets.len() > 2 && packets[0].starts_with(b"OpusHead"),
        "not an Opus file"
    );
    packets
        .into_iter()
        .skip(2)
        .map(|data| OpusPacket {
            duration: duration(&data),
            data: data.into(),
        })
        .collect()
}

/// The duration by the TOC byte (RFC 6716 section 3.1, table 2).
fn duration(packet: &[u8]) -> Duration {
    let toc = packet.first().copied().unwrap_or_default();
    let microseconds = match toc >> 3 {
        silk @ 0..=11 => [10_000, 20_000, 40_000, 60_000][usize::from(silk % 4)],
        hybrid @ 12..=15 => [10_000, 20_000][usize::from(hybrid % 2)],
        celt => [2_500, 5_000, 10_000, 20_000][usize::from(celt % 4)],
    };
    let frames = match toc & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(packet.get(1).copied().unwrap_or_default() & 0x3F),
    };
    Duration::from_micros(microseconds) * frames
}
