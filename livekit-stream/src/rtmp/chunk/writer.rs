//! Messages to chunks.

use std::collections::HashMap;

use super::{CONTROL_CHUNK_STREAM, DEFAULT_CHUNK_SIZE, EXTENDED, MAX_CHUNK_SIZE};
use crate::rtmp::message::{self, Message};

/// Cuts messages into chunks, with the shortest header that says enough.
#[derive(Debug)]
pub struct Writer {
    chunk_size: usize,
    previous: HashMap<u32, Previous>,
}

/// What the last header on a chunk stream said.
#[derive(Debug, Clone, Copy)]
struct Previous {
    type_id: u8,
    stream_id: u32,
    length: usize,
    timestamp: u32,
    /// `None` after a full header: what a type 3 header means then is read differently by
    /// different servers (section 5.3.1.2.4), so none is sent.
    delta: Option<u32>,
}

impl Default for Writer {
    fn default() -> Self {
        Self {
            chunk_size: DEFAULT_CHUNK_SIZE,
            previous: HashMap::new(),
        }
    }
}

impl Writer {
    /// Sets the size of the chunks that follow, within `1..=`[`MAX_CHUNK_SIZE`], and appends the
    /// message that tells the peer.
    pub fn set_chunk_size(&mut self, size: usize, out: &mut Vec<u8>) {
        let size = size.clamp(1, MAX_CHUNK_SIZE);
        let message = Message::control(
            message::SET_CHUNK_SIZE,
            (size as u32).to_be_bytes().to_vec(),
        );
        self.write(CONTROL_CHUNK_STREAM, &message, out);
        self.chunk_size = size;
    }

    /// Appends a message's chunks to `out`. `chunk_stream` is brought into 2..=65599; a payload
    /// is cut at [`MAX_CHUNK_SIZE`] bytes, the most a header can announce.
    pub fn write(&mut self, chunk_stream: u32, message: &Message, out: &mut Vec<u8>) {
        let chunk_stream = chunk_stream.clamp(2, 65_599);
        let length = message.payload.len().min(MAX_CHUNK_SIZE);
        let payload = message.payload.get(..length).unwrap_or_default();
        out.reserve(length + 18 + length / self.chunk_size * 7);
        let extended = self.write_header(chunk_stream, message, length, out);
        for (index, part) in payload.chunks(self.chunk_size).enumerate() {
            if index > 0 {
                basic_header(3, chunk_stream, out);
                if let Some(timestamp) = extended {
                    out.extend_from_slice(&timestamp.to_be_bytes());
                }
            }
            out.extend_from_slice(part);
        }
    }

    /// Returns the extended timestamp that the message's further chunks repeat.
    fn write_header(
        &mut self,
        chunk_stream: u32,
        message: &Message,
        length: usize,
        out: &mut Vec<u8>,
    ) -> Option<u32> {
        let previous = self.previous.get(&chunk_stream).copied();
        // A delta of 24 bits or none: a later or an earlier time takes a full header.
        let delta = previous
            .filter(|previous| previous.stream_id == message.stream_id)
            .map(|previous| message.timestamp.wrapping_sub(previous.timestamp))
            .filter(|&delta| delta < EXTENDED);
        self.previous.insert(
            chunk_stream,
            Previous {
                type_id: message.type_id,
                stream_id: message.stream_id,
                length,
                timestamp: message.timestamp,
                delta,
            },
        );
        let (Some(previous), Some(delta)) = (previous, delta) else {
            basic_header(0, chunk_stream, out);
            let timestamp = message.timestamp;
            out.extend_from_slice(&low_24_bits(timestamp.min(EXTENDED)));
            out.extend_from_slice(&low_24_bits(length as u32));
            out.push(message.type_id);
            out.extend_from_slice(&message.stream_id.to_le_bytes());
            let extended = (timestamp >= EXTENDED).then_some(timestamp);
            if let Some(timestamp) = extended {
                out.extend_from_slice(&timestamp.to_be_bytes());
            }
            return extended;
        };
        let same_shape = previous.length == length && previous.type_id == message.type_id;
        if !same_shape {
            basic_header(1, chunk_stream, out);
            out.extend_from_slice(&low_24_bits(delta));
            out.extend_from_slice(&low_24_bits(length as u32));
            out.push(message.type_id);
        } else if previous.delta != Some(delta) {
            basic_header(2, chunk_stream, out);
            out.extend_from_slice(&low_24_bits(delta));
        } else {
            basic_header(3, chunk_stream, out);
        }
        None
    }
}

fn low_24_bits(value: u32) -> [u8; 3] {
    let [_, high, middle, low] = value.to_be_bytes();
    [high, middle, low]
}

/// Section 5.3.1.1: one, two or three bytes.
fn basic_header(format: u8, chunk_stream: u32, out: &mut Vec<u8>) {
    let format = format << 6;
    if let Ok(id) = u8::try_from(chunk_stream)
        && id < 64
    {
        out.push(format | id);
        return;
    }
    let id = chunk_stream.saturating_sub(64);
    if let Ok(id) = u8::try_from(id) {
        out.extend_from_slice(&[format, id]);
    } else {
        let [low, high, ..] = id.to_le_bytes();
        out.extend_from_slice(&[format | 1, low, high]);
    }
}
