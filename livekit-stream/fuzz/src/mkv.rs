//! Matroska, read and turned into MP4.

use std::io;

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use livekit_stream::demux::mkv::{Event, MkvError, Reader, Stats};
use livekit_stream::pipeline::mkv::{Segment, TranscodeOptions, segment_mkv, transcode_mkv};

/// Events of a file that comes in pieces of this size.
fn read(data: &[u8], piece: usize) -> (Vec<Event>, Stats, Option<MkvError>) {
    let mut reader = Reader::new();
    let mut events = Vec::new();
    let mut pieces = data.chunks(piece);
    loop {
        match reader.read() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => match pieces.next() {
                Some(piece) => reader.push(Bytes::copy_from_slice(piece)),
                None => break,
            },
            Err(error) => return (events, reader.stats(), Some(whatever_came(error))),
        }
    }
    reader.finish();
    let error = loop {
        match reader.read() {
            Ok(Some(event)) => events.push(event),
            Ok(None) => break None,
            Err(error) => break Some(whatever_came(error)),
        }
    };
    (events, reader.stats(), error)
}

/// The error without the bytes it shows: up to twelve of those that have come.
fn whatever_came(mut error: MkvError) -> MkvError {
    if let MkvError::NotEbml { start } | MkvError::Malformed { start, .. } = &mut error {
        start.clear();
    }
    error
}

pub(crate) fn demux(data: &[u8]) {
    let whole = read(data, data.len().max(1));
    let frames = whole.0.iter().filter_map(|event| match event {
        Event::Frame(frame) => Some(frame.data.len()),
        Event::Header(_) => None,
    });
    // Header stripping puts bytes in front of frames, each of which took more than one.
    assert!(frames.sum::<usize>() <= data.len().saturating_mul(data.len().max(1)));
    assert!(whole.1.bytes <= data.len() as u64);
    assert_eq!(whole, read(data, 7), "in pieces of 7 bytes");
}

pub(crate) fn pipeline(data: &[u8]) {
    let source = || {
        let pieces: Vec<_> = data.chunks(1_000).map(Bytes::copy_from_slice).collect();
        stream::iter(pieces).map(io::Result::Ok)
    };
    let options = TranscodeOptions::default();
    let mut mp4 = transcode_mkv(source(), options.clone()).expect("good options");
    let mut first = true;
    while let Some(item) = block_on(mp4.next()) {
        let Ok(piece) = item else {
            continue;
        };
        let name: &[u8] = if first { b"ftyp" } else { b"moof" };
        assert_eq!(piece.get(4..8), Some(name));
        first = false;
    }
    let segment = Segment::new(200.0, 200.0);
    let mut mp4 = segment_mkv(source(), segment, options).expect("good times");
    while let Some(item) = block_on(mp4.next()) {
        assert!(item.is_err() || item.is_ok_and(|piece| piece.get(4..8) == Some(b"moof")));
    }
}
