//! A writer of Matroska for what ffmpeg does not write: a file is read, its frames are changed, and
//! it is written again.

use bytes::Bytes;
use livekit_stream::demux::mkv::{Event, Frame, Header, Reader, TrackKind};

pub const EBML: u32 = 0x1A45_DFA3;
pub const SEGMENT: u32 = 0x1853_8067;
pub const INFO: u32 = 0x1549_A966;
pub const TRACKS: u32 = 0x1654_AE6B;
pub const CLUSTER: u32 = 0x1F43_B675;
pub const SIMPLE_BLOCK: u32 = 0xA3;

/// An element whose size has eight bytes.
pub fn element(id: u32, data: &[u8]) -> Vec<u8> {
    let mut out = id_bytes(id);
    out.extend((data.len() as u64 | 1 << 56).to_be_bytes());
    out.extend(data);
    out
}

/// The header of an element of unknown size.
pub fn unknown(id: u32) -> Vec<u8> {
    let mut out = id_bytes(id);
    out.push(0xff);
    out
}

fn id_bytes(id: u32) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    bytes[id.leading_zeros() as usize / 8..].to_vec()
}

pub fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

/// All that is read in a file.
pub fn read(file: &[u8]) -> (Header, Vec<Frame>) {
    let mut reader = Reader::new();
    reader.push(Bytes::copy_from_slice(file));
    reader.finish();
    let (mut header, mut frames) = (None, Vec::new());
    while let Some(event) = reader.read().unwrap() {
        match event {
            Event::Header(found) => header = Some(*found),
            Event::Frame(frame) => frames.push(frame),
        }
    }
    (header.unwrap(), frames)
}

/// Everything in front of the first cluster, with private data of ours where it is given.
pub fn head(header: &Header, private: impl Fn(u64) -> Option<Vec<u8>>) -> Vec<u8> {
    let mut entries = Vec::new();
    for track in &header.tracks {
        let kind = if track.kind == TrackKind::Video { 1 } else { 2 };
        let private = private(track.number).unwrap_or_else(|| track.codec_private.to_vec());
        let mut entry = [
            number(0xD7, track.number),
            number(0x83, kind),
            element(0x86, track.codec_id.as_bytes()),
            number(0x56AA, track.codec_delay_ns),
        ]
        .concat();
        if !private.is_empty() {
            entry.extend(element(0x63A2, &private));
        }
        if let Some(duration) = track.default_duration_ns {
            entry.extend(number(0x23_E383, duration));
        }
        if let Some(video) = track.video {
            let sides = [
                number(0xB0, video.width.into()),
                number(0xBA, video.height.into()),
            ];
            entry.extend(element(0xE0, &sides.concat()));
        }
        if let Some(audio) = track.audio {
            let rate = element(0xB5, &audio.sample_rate.to_be_bytes());
            let channels = number(0x9F, audio.channels.into());
            entry.extend(element(0xE1, &[rate, channels].concat()));
        }
        entries.extend(element(0xAE, &entry));
    }
    let info = number(0x2A_D7B1, header.timestamp_scale_ns);
    [
        element(EBML, &element(0x4282, b"matroska")),
        unknown(SEGMENT),
        element(INFO, &info),
        element(TRACKS, &entries),
    ]
    .concat()
}

/// A cluster of unknown size for each frame.
pub fn clusters(header: &Header, frames: &[Frame]) -> Vec<u8> {
    let mut out = Vec::new();
    for frame in frames {
        let time = frame.timestamp_ns as u64 / header.timestamp_scale_ns;
        let flags = if frame.keyframe { 0x80 } else { 0 };
        let block = [&[0x80 | frame.track as u8, 0, 0, flags], &frame.data[..]].concat();
        out.extend(unknown(CLUSTER));
        out.extend(number(0xE7, time));
        out.extend(element(SIMPLE_BLOCK, &block));
    }
    out
}

/// A file whose frames of video were changed: frames that become none are left out.
pub fn rewritten(
    file: &[u8],
    private: &[u8],
    change: impl Fn(usize, &[u8]) -> Vec<Vec<u8>>,
) -> Vec<u8> {
    let (header, frames) = read(file);
    let video = header
        .tracks
        .iter()
        .find(|track| track.kind == TrackKind::Video)
        .unwrap()
        .number;
    let mut out = head(&header, |track| (track == video).then(|| private.to_vec()));
    let mut count = 0;
    for frame in frames {
        if frame.track != video {
            out.extend(clusters(&header, &[frame]));
            continue;
        }
        for data in change(count, &frame.data) {
            let mut changed = frame.clone();
            changed.data = data.into();
            out.extend(clusters(&header, &[changed]));
        }
        count += 1;
    }
    out
}

/// The bytes in front of a file's first cluster, and each of its clusters with its time in
/// milliseconds. For ffmpeg's files, whose clusters have known sizes.
pub fn split(file: &[u8]) -> (Vec<u8>, Vec<(u64, Vec<u8>)>) {
    let id = CLUSTER.to_be_bytes();
    let mut starts: Vec<usize> = Vec::new();
    let mut at = 0;
    while let Some(found) = file[at..].windows(4).position(|window| window == id) {
        starts.push(at + found);
        at += found + 4;
    }
    // Seek heads name clusters too, in front of the first one.
    let header_end = starts
        .iter()
        .copied()
        .find(|start| cluster_time(&file[*start..]).is_some());
    let header_end = header_end.unwrap();
    let mut clusters = Vec::new();
    let mut at = header_end;
    while let Some(time) = cluster_time(&file[at..]) {
        let (size, length) = vint(&file[at + 4..]);
        let end = at + 4 + length + size as usize;
        clusters.push((time, file[at..end].to_vec()));
        at = end;
    }
    (file[..header_end].to_vec(), clusters)
}

/// The time of the cluster that begins here.
fn cluster_time(bytes: &[u8]) -> Option<u64> {
    let body = bytes.strip_prefix(&CLUSTER.to_be_bytes())?;
    let (_, length) = vint(body);
    let mut body = body.get(length..)?;
    // CRC-32, of four bytes.
    if body.starts_with(&[0xBF, 0x84]) {
        body = body.get(6..)?;
    }
    let timestamp = body.strip_prefix(&[0xE7])?;
    let (size, length) = vint(timestamp);
    let digits = timestamp.get(length..length + size as usize)?;
    Some(
        digits
            .iter()
            .fold(0, |time, byte| time << 8 | u64::from(*byte)),
    )
}

fn vint(bytes: &[u8]) -> (u64, usize) {
    let length = bytes[0].leading_zeros() as usize + 1;
    let head = u64::from(bytes[0]) & ((1 << (8 - length)) - 1);
    let value = bytes[1..length]
        .iter()
        .fold(head, |value, byte| value << 8 | u64::from(*byte));
    (value, length)
}
