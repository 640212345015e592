//! Chunks to messages.

use std::collections::{HashMap, VecDeque};

use bytes::{Buf, Bytes, BytesMut};

use super::{DEFAULT_CHUNK_SIZE, EXTENDED, Error, MAX_CHUNK_SIZE};
use crate::rtmp::message::{self, Message};

/// The most memory a message gets before its bytes have arrived.
pub(super) const FIRST_RESERVATION: usize = 64 * 1024;

/// The longest header: basic 3, message 11, extended timestamp 4 (section 5.3.1).
const MAX_HEADER: usize = 18;

/// What a [`Reader`] takes from its peer. Beyond it, reading is an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message in bytes. Default 16 MiB less one, the most a header can announce.
    pub message_len: usize,
    /// Bytes of all unfinished messages. Default 32 MiB.
    pub buffered: usize,
    /// Chunk streams in use. Default 64: publishers use about five.
    pub chunk_streams: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            message_len: MAX_CHUNK_SIZE,
            buffered: 32 * 1024 * 1024,
            chunk_streams: 64,
        }
    }
}

/// Joins chunks to messages. Set Chunk Size and Abort Message act on the reader itself and are
/// not handed out.
#[derive(Debug)]
pub struct Reader {
    limits: Limits,
    chunk_size: usize,
    streams: HashMap<u32, Stream>,
    /// Bytes of a header that is not complete yet: at most [`MAX_HEADER`].
    header: Vec<u8>,
    /// The chunk whose payload is being read: its stream and the bytes missing.
    chunk: Option<(u32, usize)>,
    buffered: usize,
    complete: VecDeque<Message>,
}

#[derive(Debug, Default)]
struct Stream {
    type_id: u8,
    /// The message stream.
    sent_to: u32,
    length: usize,
    timestamp: u32,
    delta: u32,
    /// The extended timestamp field of the last header that had one.
    extended: Option<u32>,
    /// The payload so far; `None` between messages.
    payload: Option<BytesMut>,
}

/// A header whose bytes are all there.
struct Header {
    len: usize,
    chunk_stream: u32,
}

impl Default for Reader {
    fn default() -> Self {
        Self::new(Limits::default())
    }
}

impl Reader {
    /// A reader at the start of a chunk stream, after the handshake.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            chunk_size: DEFAULT_CHUNK_SIZE,
            streams: HashMap::new(),
            header: Vec::with_capacity(MAX_HEADER),
            chunk: None,
            buffered: 0,
            complete: VecDeque::new(),
        }
    }

    /// Takes bytes in any portions. After an error the stream cannot be read any further.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        loop {
            if let Some((chunk_stream, missing)) = self.chunk {
                let part = bytes.get(..missing.min(bytes.len())).unwrap_or_default();
                bytes.advance(part.len());
                self.append(chunk_stream, part)?;
                let missing = missing.saturating_sub(part.len());
                if missing > 0 {
                    self.chunk = Some((chunk_stream, missing));
                    return Ok(());
                }
                self.chunk = None;
                self.finish_message(chunk_stream)?;
            }
            // Headers are read from their own small buffer: they may be split anywhere.
            let held = self.header.len();
            let added = bytes.len().min(MAX_HEADER.saturating_sub(held));
            self.header
                .extend_from_slice(bytes.get(..added).unwrap_or_default());
            let Some(header) = self.read_header()? else {
                return Ok(());
            };
            // What was copied beyond the header's end is still in `bytes`, but for up to three
            // bytes that were held while it was open whether an extended timestamp comes.
            bytes.advance(header.len.saturating_sub(held).min(bytes.len()));
            let payload = self
                .header
                .get(header.len..held)
                .unwrap_or_default()
                .to_vec();
            self.header.clear();
            self.start_chunk(header.chunk_stream)?;
            if !payload.is_empty() {
                self.receive(&payload)?;
            }
        }
    }

    /// The next complete message.
    pub fn next_message(&mut self) -> Option<Message> {
        self.complete.pop_front()
    }

    /// Memory held for unfinished messages.
    #[cfg(test)]
    pub(super) fn held(&self) -> usize {
        let payloads = self.streams.values().filter_map(|s| s.payload.as_ref());
        payloads.map(BytesMut::capacity).sum()
    }

    /// Reads a whole header into its stream's state, or leaves everything as it is.
    fn read_header(&mut self) -> Result<Option<Header>, Error> {
        let bytes = self.header.as_slice();
        let Some((format, chunk_stream, mut len)) = basic_header(bytes) else {
            return Ok(None);
        };
        let known = self.streams.get(&chunk_stream);
        // Some peers start a stream with type 1; its fields say all but the stream, which is 0.
        if known.is_none() {
            if format > 1 {
                return Err(Error::NoPreviousHeader {
                    chunk_stream,
                    format,
                });
            }
            if self.streams.len() >= self.limits.chunk_streams {
                return Err(Error::TooManyChunkStreams {
                    limit: self.limits.chunk_streams,
                });
            }
        }
        let in_message = known.is_some_and(|stream| stream.payload.is_some());
        if format < 3 && in_message {
            return Err(Error::MessageInterrupted { chunk_stream });
        }
        let fields_len = [11, 7, 3, 0].get(usize::from(format)).copied().unwrap_or(0);
        let Some(fields) = bytes.get(len..len + fields_len) else {
            return Ok(None);
        };
        len += fields_len;
        let time = number_24(fields);
        let has_extended = match time {
            Some(time) => time == EXTENDED,
            None => known.is_some_and(|stream| stream.extended.is_some()),
        };
        let mut extended = None;
        if has_extended {
            let Some(field) = bytes.get(len..).and_then(<[u8]>::first_chunk::<4>) else {
                return Ok(None);
            };
            let value = u32::from_be_bytes(*field);
            // Inside a message the field is left out by some peers: it is there only if it
            // repeats the header's.
            if !in_message || known.and_then(|stream| stream.extended) == Some(value) {
                extended = Some(value);
                len += 4;
            }
        }
        if let Some(length) = fields.get(3..).and_then(number_24) {
            let length = length as usize;
            if length > self.limits.message_len {
                return Err(Error::MessageTooLong {
                    length,
                    limit: self.limits.message_len,
                });
            }
        }
        let stream = self.streams.entry(chunk_stream).or_default();
        if let Some(length) = fields.get(3..).and_then(number_24) {
            stream.length = length as usize;
        }
        if let Some(&type_id) = fields.get(6) {
            stream.type_id = type_id;
        }
        if let Some(id) = fields.get(7..).and_then(<[u8]>::first_chunk::<4>) {
            stream.sent_to = u32::from_le_bytes(*id);
        }
        if let Some(time) = time {
            stream.extended = extended;
            let time = extended.unwrap_or(time);
            if format == 0 {
                stream.timestamp = time;
                // Section 5.3.1.2.4 would have a type 3 header repeat this time as a delta. No
                // peer means that; nginx and FFmpeg read it as no delta.
                stream.delta = 0;
            } else {
                stream.delta = time;
                stream.timestamp = stream.timestamp.wrapping_add(time);
            }
        } else if !in_message {
            stream.timestamp = stream.timestamp.wrapping_add(stream.delta);
        }
        Ok(Some(Header { len, chunk_stream }))
    }

    fn start_chunk(&mut self, chunk_stream: u32) -> Result<(), Error> {
        let chunk_size = self.chunk_size;
        let Some(stream) = self.streams.get_mut(&chunk_stream) else {
            return Ok(());
        };
        let length = stream.length;
        let payload = stream
            .payload
            .get_or_insert_with(|| BytesMut::with_capacity(length.min(FIRST_RESERVATION)));
        let missing = length.saturating_sub(payload.len()).min(chunk_size);
        if missing > 0 {
            self.chunk = Some((chunk_stream, missing));
            return Ok(());
        }
        self.finish_message(chunk_stream)
    }

    fn append(&mut self, chunk_stream: u32, part: &[u8]) -> Result<(), Error> {
        self.buffered = self.buffered.saturating_add(part.len());
        if self.buffered > self.limits.buffered {
            return Err(Error::TooMuchBuffered {
                limit: self.limits.buffered,
            });
        }
        if let Some(payload) = self
            .streams
            .get_mut(&chunk_stream)
            .and_then(|stream| stream.payload.as_mut())
        {
            payload.extend_from_slice(part);
        }
        Ok(())
    }

    /// Hands out the message if its last chunk is there.
    fn finish_message(&mut self, chunk_stream: u32) -> Result<(), Error> {
        let Some(stream) = self.streams.get_mut(&chunk_stream) else {
            return Ok(());
        };
        let Some(payload) = stream
            .payload
            .take_if(|payload| payload.len() >= stream.length)
        else {
            return Ok(());
        };
        self.buffered = self.buffered.saturating_sub(payload.len());
        let message = Message {
            type_id: stream.type_id,
            stream_id: stream.sent_to,
            timestamp: stream.timestamp,
            payload: tight(payload),
        };
        match message.type_id {
            message::SET_CHUNK_SIZE => self.set_chunk_size(message.number().unwrap_or(0))?,
            message::ABORT => self.abort(message.number()),
            _ => self.complete.push_back(message),
        }
        Ok(())
    }

    fn set_chunk_size(&mut self, size: u32) -> Result<(), Error> {
        // The top bit must be zero (section 5.4.1).
        if size == 0 || size > i32::MAX as u32 {
            return Err(Error::ChunkSizeOutOfRange { size });
        }
        self.chunk_size = (size as usize).min(MAX_CHUNK_SIZE);
        Ok(())
    }

    fn abort(&mut self, chunk_stream: Option<u32>) {
        if let Some(payload) = chunk_stream
            .and_then(|id| self.streams.get_mut(&id))
            .and_then(|stream| stream.payload.take())
        {
            self.buffered = self.buffered.saturating_sub(payload.len());
        }
    }
}

/// Growing doubles a buffer; a message that is kept gives the spare half back.
fn tight(payload: BytesMut) -> Bytes {
    if payload.capacity() > payload.len().saturating_mul(2) {
        Bytes::copy_from_slice(&payload)
    } else {
        payload.freeze()
    }
}

/// Type of header, chunk stream and length of the basic header (section 5.3.1.1).
fn basic_header(bytes: &[u8]) -> Option<(u8, u32, usize)> {
    let &first = bytes.first()?;
    let format = first >> 6;
    Some(match first & 0x3f {
        0 => (format, u32::from(*bytes.get(1)?) + 64, 2),
        1 => {
            let low = u32::from(*bytes.get(1)?);
            let high = u32::from(*bytes.get(2)?);
            (format, high * 256 + low + 64, 3)
        }
        id => (format, u32::from(id), 1),
    })
}

fn number_24(bytes: &[u8]) -> Option<u32> {
    bytes
        .first_chunk::<3>()
        .map(|&[high, middle, low]| u32::from_be_bytes([0, high, middle, low]))
}
