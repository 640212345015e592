#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::rtmp::message::{self, Message};

fn message(type_id: u8, stream_id: u32, timestamp: u32, payload: Vec<u8>) -> Message {
    Message {
        type_id,
        stream_id,
        timestamp,
        payload: Bytes::from(payload),
    }
}

fn read_all(reader: &mut Reader, bytes: &[u8]) -> Result<Vec<Message>, Error> {
    reader.receive(bytes)?;
    Ok(std::iter::from_fn(|| reader.next_message()).collect())
}

fn any_message() -> impl Strategy<Value = (u32, Message)> {
    let chunk_stream = prop_oneof![3u32..64, 64u32..320, 320u32..=65_599];
    let timestamp = prop_oneof![0u32..5000, 0xff_fff0u32..0x100_000f, any::<u32>()];
    let payload = prop::collection::vec(any::<u8>(), 0..600);
    (chunk_stream, 8u8..19, 0u32..3, timestamp, payload).prop_map(
        |(chunk_stream, type_id, stream_id, timestamp, payload)| {
            (
                chunk_stream,
                message(type_id, stream_id, timestamp, payload),
            )
        },
    )
}

proptest! {
    #[test]
    fn messages_survive_any_chunk_size_and_any_split_of_reads(
        messages in prop::collection::vec(any_message(), 1..20),
        chunk_size in 1usize..700,
        step in 1usize..900,
    ) {
        let mut writer = Writer::default();
        let mut bytes = Vec::new();
        writer.set_chunk_size(chunk_size, &mut bytes);
        for (chunk_stream, message) in &messages {
            writer.write(*chunk_stream, message, &mut bytes);
        }
        let mut reader = Reader::default();
        let mut read = Vec::new();
        for part in bytes.chunks(step) {
            read.extend(read_all(&mut reader, part).unwrap());
        }
        let written: Vec<_> = messages.into_iter().map(|(_, message)| message).collect();
        prop_assert_eq!(read, written);
    }

    #[test]
    fn messages_interleaved_chunk_by_chunk_come_out_whole(
        first in prop::collection::vec(any::<u8>(), 1..2000),
        second in prop::collection::vec(any::<u8>(), 1..2000),
    ) {
        let chunks = |chunk_stream, message: &Message| {
            let mut bytes = Vec::new();
            Writer::default().write(chunk_stream, message, &mut bytes);
            let (head, tail) = bytes.split_at(bytes.len().min(12 + DEFAULT_CHUNK_SIZE));
            let mut parts = vec![head.to_vec()];
            parts.extend(tail.chunks(1 + DEFAULT_CHUNK_SIZE).map(<[u8]>::to_vec));
            parts
        };
        let first = message(message::VIDEO, 1, 40, first);
        let second = message(message::AUDIO, 1, 41, second);
        let (mut a, mut b) = (chunks(6, &first).into_iter(), chunks(4, &second).into_iter());
        let mut bytes = Vec::new();
        loop {
            let (a, b) = (a.next(), b.next());
            if a.is_none() && b.is_none() {
                break;
            }
            bytes.extend(a.into_iter().flatten());
            bytes.extend(b.into_iter().flatten());
        }
        let mut read = read_all(&mut Reader::default(), &bytes).unwrap();
        read.sort_by_key(|message| message.timestamp);
        prop_assert_eq!(read, vec![first, second]);
    }

    #[test]
    fn arbitrary_bytes_never_panic_and_take_bounded_memory(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..10)
    ) {
        let mut reader = Reader::default();
        let mut input = 0;
        for part in parts {
            input += part.len();
            if read_all(&mut reader, &part).is_err() {
                break;
            }
            let streams = Limits::default().chunk_streams;
            prop_assert!(reader.held() <= 2 * input + streams * reader::FIRST_RESERVATION);
        }
    }
}

#[test]
fn equal_steps_of_equal_messages_take_one_byte_of_header() {
    let mut writer = Writer::default();
    let mut bytes = Vec::new();
    let mut sizes = Vec::new();
    for timestamp in [0, 20, 40, 60, 85] {
        let before = bytes.len();
        writer.write(
            4,
            &message(message::AUDIO, 1, timestamp, vec![0; 10]),
            &mut bytes,
        );
        sizes.push(bytes.len() - before - 10);
    }
    assert_eq!(sizes, [12, 4, 1, 1, 4]);
    let read = read_all(&mut Reader::default(), &bytes).unwrap();
    let times: Vec<_> = read.iter().map(|message| message.timestamp).collect();
    assert_eq!(times, [0, 20, 40, 60, 85]);
}

#[test]
fn a_time_that_steps_back_takes_a_full_header() {
    let mut writer = Writer::default();
    let mut bytes = Vec::new();
    for timestamp in [100, 90] {
        writer.write(
            4,
            &message(message::AUDIO, 1, timestamp, vec![1]),
            &mut bytes,
        );
    }
    let read = read_all(&mut Reader::default(), &bytes).unwrap();
    assert_eq!(read[1].timestamp, 90);
}

#[test]
fn times_wrap_at_32_bits() {
    let mut writer = Writer::default();
    let mut bytes = Vec::new();
    for timestamp in [u32::MAX - 10, 10] {
        writer.write(
            4,
            &message(message::AUDIO, 1, timestamp, vec![1]),
            &mut bytes,
        );
    }
    let read = read_all(&mut Reader::default(), &bytes).unwrap();
    assert_eq!(read[0].timestamp, u32::MAX - 10);
    assert_eq!(read[1].timestamp, 10);
}

#[test]
fn extended_timestamps_left_out_of_further_chunks_are_tolerated() {
    let sent = message(message::VIDEO, 1, 0x0100_0000, vec![7; 300]);
    let mut with = Vec::new();
    Writer::default().write(6, &sent, &mut with);
    let mut without = with.clone();
    for index in [2, 1] {
        let header = 12 + 4 + index * DEFAULT_CHUNK_SIZE + (index - 1) * 5;
        without.drain(header + 1..header + 5);
    }
    for bytes in [with, without] {
        for step in [1, 2, 3, 1000] {
            let mut reader = Reader::default();
            let mut read = Vec::new();
            for part in bytes.chunks(step) {
                read.extend(read_all(&mut reader, part).unwrap());
            }
            assert_eq!(read, std::slice::from_ref(&sent));
        }
    }
}

#[test]
fn an_aborted_message_is_forgotten_and_the_next_one_is_read() {
    let mut bytes = Vec::new();
    Writer::default().write(6, &message(message::VIDEO, 1, 0, vec![1; 200]), &mut bytes);
    bytes.truncate(12 + DEFAULT_CHUNK_SIZE);
    let mut writer = Writer::default();
    let abort = Message::control(message::ABORT, 6u32.to_be_bytes().to_vec());
    writer.write(CONTROL_CHUNK_STREAM, &abort, &mut bytes);
    let next = message(message::VIDEO, 1, 5, vec![2; 30]);
    writer.write(6, &next, &mut bytes);
    assert_eq!(read_all(&mut Reader::default(), &bytes).unwrap(), [next]);
}

#[test]
fn more_than_the_limits_is_an_error_that_names_them() {
    let limits = Limits {
        message_len: 100,
        chunk_streams: 2,
        ..Limits::default()
    };
    let mut bytes = Vec::new();
    Writer::default().write(6, &message(message::VIDEO, 1, 0, vec![0; 101]), &mut bytes);
    assert_eq!(
        read_all(&mut Reader::new(limits), &bytes),
        Err(Error::MessageTooLong {
            length: 101,
            limit: 100
        })
    );
    bytes.clear();
    for chunk_stream in 3..6 {
        Writer::default().write(chunk_stream, &message(8, 1, 0, vec![0]), &mut bytes);
    }
    assert_eq!(
        read_all(&mut Reader::new(limits), &bytes),
        Err(Error::TooManyChunkStreams { limit: 2 })
    );

    let limits = Limits {
        buffered: 300,
        ..Limits::default()
    };
    bytes.clear();
    for chunk_stream in 3..6 {
        let mut part = Vec::new();
        Writer::default().write(chunk_stream, &message(8, 1, 0, vec![0; 200]), &mut part);
        bytes.extend_from_slice(&part[..12 + DEFAULT_CHUNK_SIZE]);
    }
    assert_eq!(
        read_all(&mut Reader::new(limits), &bytes),
        Err(Error::TooMuchBuffered { limit: 300 })
    );
}

#[test]
fn broken_streams_are_errors() {
    assert_eq!(
        read_all(&mut Reader::default(), &[0xc4]),
        Err(Error::NoPreviousHeader {
            chunk_stream: 4,
            format: 3
        })
    );
    let mut bytes = Vec::new();
    Writer::default().write(6, &message(9, 1, 0, vec![1; 200]), &mut bytes);
    bytes.truncate(12 + DEFAULT_CHUNK_SIZE);
    bytes.push(6);
    assert_eq!(
        read_all(&mut Reader::default(), &bytes),
        Err(Error::MessageInterrupted { chunk_stream: 6 })
    );
    let mut bytes = Vec::new();
    let zero = Message::control(message::SET_CHUNK_SIZE, vec![0; 4]);
    Writer::default().write(CONTROL_CHUNK_STREAM, &zero, &mut bytes);
    assert_eq!(
        read_all(&mut Reader::default(), &bytes),
        Err(Error::ChunkSizeOutOfRange { size: 0 })
    );
}
