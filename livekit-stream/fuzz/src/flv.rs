//! FLV: the tags of a file, and the bodies of tags as RTMP's messages carry them.

use livekit_stream::demux::flv::{Demuxer, Item, TagKind, TagReader};

fn push(demuxer: &mut Demuxer, kind: TagKind, time: u32, body: &[u8], given: usize) {
    let mut items = Vec::new();
    let _ = demuxer.push(kind, time, &body.to_vec().into(), &mut items);
    for item in items {
        if let Item::Frame(frame) = item {
            // Parameter sets go before each keyframe, and length prefixes of one byte become
            // start codes of four.
            assert!(frame.frame.data.len() <= 8 * given + 8);
        }
    }
}

pub(crate) fn file(data: &[u8]) {
    let (mut reader, mut demuxer) = (TagReader::default(), Demuxer::default());
    for part in data.chunks(1 + data.len() / 3) {
        reader.push(part);
        while let Ok(Some(tag)) = reader.next_tag() {
            push(
                &mut demuxer,
                tag.kind,
                tag.timestamp_ms,
                &tag.body,
                data.len(),
            );
        }
    }
}

/// Bodies, each behind its kind and its length in two bytes.
pub(crate) fn bodies(mut data: &[u8]) {
    let (mut demuxer, given) = (Demuxer::default(), data.len());
    let mut time = 0_u32;
    while let Some(([kind, high, low], rest)) = data.split_first_chunk() {
        let length = usize::from(u16::from_be_bytes([*high, *low])).min(rest.len());
        let (body, rest) = rest.split_at(length);
        data = rest;
        let kind = match kind % 3 {
            0 => TagKind::Audio,
            1 => TagKind::Video,
            _ => TagKind::Script,
        };
        time = time.wrapping_add((u32::from(*high) << 24) + 40);
        push(&mut demuxer, kind, time, body, given);
    }
}
