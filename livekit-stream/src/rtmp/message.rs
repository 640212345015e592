//! Messages: what chunks carry (Adobe RTMP 1.0 sections 5.4, 6.1 and 7).

use bytes::Bytes;

/// Set Chunk Size (section 5.4.1).
pub const SET_CHUNK_SIZE: u8 = 1;
/// Abort Message (section 5.4.2).
pub const ABORT: u8 = 2;
/// Acknowledgement (section 5.4.3).
pub const ACKNOWLEDGEMENT: u8 = 3;
/// User Control Message (section 6.2).
pub const USER_CONTROL: u8 = 4;
/// Window Acknowledgement Size (section 5.4.4).
pub const WINDOW_ACKNOWLEDGEMENT_SIZE: u8 = 5;
/// Set Peer Bandwidth (section 5.4.5).
pub const SET_PEER_BANDWIDTH: u8 = 6;
/// Audio, the body of an FLV audio tag.
pub const AUDIO: u8 = 8;
/// Video, the body of an FLV video tag.
pub const VIDEO: u8 = 9;
/// A command in AMF 3, which for publishing is a zero byte and then AMF 0.
pub const COMMAND_AMF3: u8 = 17;
/// Metadata in AMF 0.
pub const DATA_AMF0: u8 = 18;
/// A command in AMF 0.
pub const COMMAND_AMF0: u8 = 20;
/// Several FLV tags at once (section 7.1.6).
pub const AGGREGATE: u8 = 22;

/// User control event: the stream is ready (section 7.1.7).
pub const STREAM_BEGIN: u16 = 0;
/// User control event: the stream ends.
pub const STREAM_EOF: u16 = 1;
/// User control event: how much the client buffers, in milliseconds.
pub const SET_BUFFER_LENGTH: u16 = 3;
/// User control event: answer with [`PING_RESPONSE`] and the same time.
pub const PING_REQUEST: u16 = 6;
/// User control event: the answer to [`PING_REQUEST`].
pub const PING_RESPONSE: u16 = 7;

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// What the payload is: one of this module's constants.
    pub type_id: u8,
    /// The message stream: 0 for the connection itself, else what `createStream` returned.
    pub stream_id: u32,
    /// Milliseconds, modulo 2^32.
    pub timestamp: u32,
    /// The body.
    pub payload: Bytes,
}

impl Message {
    /// A message of the connection itself: stream 0, time 0.
    pub(crate) fn control(type_id: u8, payload: impl Into<Bytes>) -> Self {
        Self {
            type_id,
            stream_id: 0,
            timestamp: 0,
            payload: payload.into(),
        }
    }

    /// The 32-bit number that most protocol control messages start with.
    pub(crate) fn number(&self) -> Option<u32> {
        self.payload
            .first_chunk::<4>()
            .map(|bytes| u32::from_be_bytes(*bytes))
    }
}
