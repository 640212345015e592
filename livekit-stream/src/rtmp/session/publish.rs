//! The publishing end.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::link::Link;
use super::{
    AUDIO_CHUNK_STREAM, COMMAND_CHUNK_STREAM, DATA_CHUNK_STREAM, PUBLISH_CHUNK_STREAM,
    SessionError, VIDEO_CHUNK_STREAM,
};
use crate::rtmp::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::handshake;
use crate::rtmp::message::{self, Message};
use crate::rtmp::url::RtmpUrl;

/// The chunk size publishers use; OBS's. Larger saves nothing and keeps audio waiting.
const CHUNK_SIZE: usize = 4096;

/// The acknowledgement window asked of the server.
const WINDOW: u32 = 2_500_000;

/// What encoders call themselves: some servers take no name that does not start with `FMLE/`.
const FLASH_VERSION: &str = "FMLE/3.0 (compatible; livekit-stream)";

const CONNECT: f64 = 1.0;
const RELEASE_STREAM: f64 = 2.0;
const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
const PUBLISH: f64 = 5.0;
const FC_UNPUBLISH: f64 = 6.0;
const DELETE_STREAM: f64 = 7.0;

/// How far a publishing session has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The handshake.
    Handshake,
    /// `connect` was sent, which names the application.
    Connect,
    /// `createStream` was sent.
    CreateStream,
    /// `publish` was sent, which names the stream key.
    Publish,
    /// The server takes media.
    Published,
    /// `deleteStream` was sent.
    Closed,
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Handshake => "the handshake",
            Self::Connect => "connect (the application)",
            Self::CreateStream => "createStream",
            Self::Publish => "publish (the stream key)",
            Self::Published => "publishing",
            Self::Closed => "closing",
        })
    }
}

/// What the server did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishEvent {
    /// It accepted the application.
    Connected,
    /// It accepted the stream key: media may be sent.
    Published,
    /// It ended the stream by itself.
    Unpublished,
}

/// Publishes one stream. Feed what the socket reads to [`receive`](Self::receive), write what
/// [`take_output`](Self::take_output) returns.
pub struct PublishSession {
    url: RtmpUrl,
    stage: Stage,
    handshake: handshake::Client,
    link: Link,
    stream_id: u32,
    events: VecDeque<PublishEvent>,
}

impl PublishSession {
    /// Starts a session with the client's clock in milliseconds and random bytes for the
    /// handshake; its first bytes are there at once.
    #[must_use]
    pub fn new(url: RtmpUrl, time_ms: u32, random: &[u8; handshake::RANDOM_LEN]) -> Self {
        let mut link = Link::default();
        let handshake = handshake::Client::new(time_ms, random, &mut link.out);
        Self {
            url,
            stage: Stage::Handshake,
            handshake,
            link,
            stream_id: 0,
            events: VecDeque::new(),
        }
    }

    /// Takes bytes from the server. After an error the connection is of no more use.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if self.stage == Stage::Handshake {
            let Some(rest) = self.handshake.receive(bytes, &mut self.link.out)? else {
                return Ok(());
            };
            self.connect();
            return self.receive(&rest);
        }
        self.link.receive(bytes)?;
        while let Some(message) = self.link.next_message() {
            // Media and data of the server, AMF 3, aggregates: nobody asked for them.
            if let Some(command) = Command::from_message(&message)? {
                self.command(&command)?;
            }
        }
        Ok(())
    }

    /// The bytes for the server since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.link.out)
    }

    /// How many bytes [`take_output`](Self::take_output) would return.
    #[must_use]
    pub fn pending_output(&self) -> usize {
        self.link.out.len()
    }

    /// What the server did since the last call, one by one.
    pub fn next_event(&mut self) -> Option<PublishEvent> {
        self.events.pop_front()
    }

    /// How far the session has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.stage
    }

    /// Bytes that the server has not acknowledged yet. It does so only once a window.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.link.unacknowledged()
    }

    /// Sends stream metadata: `body` is the body of an FLV script data tag, `onMetaData` and its
    /// array. Ignored unless the stage is [`Stage::Published`], as are video and audio.
    pub fn send_metadata(&mut self, body: &[u8]) {
        let mut payload = Vec::with_capacity(body.len() + 16);
        Value::from("@setDataFrame").encode(&mut payload);
        payload.extend_from_slice(body);
        self.send(DATA_CHUNK_STREAM, message::DATA_AMF0, 0, payload.into());
    }

    /// Sends the body of an FLV video tag. Milliseconds wrap at 2^32.
    pub fn send_video(&mut self, timestamp_ms: u64, body: Bytes) {
        self.send(VIDEO_CHUNK_STREAM, message::VIDEO, timestamp_ms, body);
    }

    /// Sends the body of an FLV audio tag. Milliseconds wrap at 2^32.
    pub fn send_audio(&mut self, timestamp_ms: u64, body: Bytes) {
        self.send(AUDIO_CHUNK_STREAM, message::AUDIO, timestamp_ms, body);
    }

    /// Ends the stream. The connection can be closed once the output is written.
    pub fn close(&mut self) {
        if self.stage > Stage::CreateStream && self.stage < Stage::Closed {
            let key = Value::string(self.url.key());
            self.call("FCUnpublish", FC_UNPUBLISH, [Value::Null, key]);
            let stream = Value::Number(f64::from(self.stream_id));
            self.call("deleteStream", DELETE_STREAM, [Value::Null, stream]);
        }
        self.stage = Stage::Closed;
    }

    fn send(&mut self, chunk_stream: u32, type_id: u8, timestamp_ms: u64, payload: Bytes) {
        if self.stage == Stage::Published {
            let message = Message {
                type_id,
                stream_id: self.stream_id,
                timestamp: timestamp_ms as u32,
                payload,
            };
            self.link.send(chunk_stream, &message);
        }
    }

    fn call(&mut self, name: &str, transaction: f64, arguments: impl Into<Vec<Value>>) {
        let command = Command::new(name, transaction, arguments);
        self.link.send(COMMAND_CHUNK_STREAM, &command.to_message(0));
    }

    fn connect(&mut self) {
        self.stage = Stage::Connect;
        let object = Value::object([
            ("app", Value::from(self.url.app())),
            ("type", Value::from("nonprivate")),
            ("flashVer", Value::from(FLASH_VERSION)),
            ("tcUrl", Value::string(self.url.tc_url())),
        ]);
        self.call("connect", CONNECT, [object]);
    }

    fn create_stream(&mut self) {
        self.stage = Stage::CreateStream;
        self.link.announce_window(WINDOW);
        self.link.set_chunk_size(CHUNK_SIZE);
        let key = Value::string(self.url.key());
        self.call("releaseStream", RELEASE_STREAM, [Value::Null, key.clone()]);
        self.call("FCPublish", FC_PUBLISH, [Value::Null, key]);
        self.call("createStream", CREATE_STREAM, [Value::Null]);
    }

    fn publish(&mut self) {
        self.stage = Stage::Publish;
        let key = Value::string(self.url.key());
        let command = Command::new("publish", PUBLISH, [Value::Null, key, "live".into()]);
        self.link
            .send(PUBLISH_CHUNK_STREAM, &command.to_message(self.stream_id));
    }

    fn command(&mut self, command: &Command) -> Result<(), SessionError> {
        match command.name.as_str() {
            "_result" => self.result(command),
            "_error" => self.error(command),
            "onStatus" => self.status(&command.status()),
            "close" if self.stage == Stage::Published => {
                self.events.push_back(PublishEvent::Unpublished);
                Ok(())
            }
            // onBWDone, onFCPublish and what else servers send unasked.
            _ => Ok(()),
        }
    }

    fn result(&mut self, command: &Command) -> Result<(), SessionError> {
        if self.stage == Stage::Connect && is(command.transaction, CONNECT) {
            self.events.push_back(PublishEvent::Connected);
            self.create_stream();
        } else if self.stage == Stage::CreateStream && is(command.transaction, CREATE_STREAM) {
            self.stream_id = command
                .arguments
                .get(1)
                .and_then(Value::as_number)
                .filter(|id| (0.0..=f64::from(u32::MAX)).contains(id))
                .map(|id| id as u32)
                .ok_or(SessionError::BadAnswer {
                    command: "createStream",
                    missing: "stream id",
                })?;
            self.publish();
        }
        Ok(())
    }

    /// Servers that know no `releaseStream` or `FCPublish` say so: that is no failure.
    fn error(&mut self, command: &Command) -> Result<(), SessionError> {
        let fatal = match self.stage {
            Stage::Connect => is(command.transaction, CONNECT),
            Stage::CreateStream => is(command.transaction, CREATE_STREAM),
            Stage::Publish => is(command.transaction, PUBLISH),
            _ => false,
        };
        if fatal {
            Err(self.rejected(&command.status()))
        } else {
            Ok(())
        }
    }

    fn status(&mut self, status: &Status) -> Result<(), SessionError> {
        let refused = matches!(
            status.code.as_str(),
            "NetStream.Publish.BadName"
                | "NetStream.Publish.Denied"
                | "NetStream.Publish.Failed"
                | "NetStream.Publish.Rejected"
                | "NetConnection.Connect.Rejected"
                | "NetConnection.Connect.InvalidApp"
        );
        if (refused || status.level == "error") && self.stage < Stage::Closed {
            return Err(self.rejected(status));
        }
        match status.code.as_str() {
            "NetStream.Publish.Start" if self.stage == Stage::Publish => {
                self.stage = Stage::Published;
                self.events.push_back(PublishEvent::Published);
            }
            "NetStream.Unpublish.Success" | "NetConnection.Connect.Closed"
                if self.stage == Stage::Published =>
            {
                self.events.push_back(PublishEvent::Unpublished);
            }
            _ => {}
        }
        Ok(())
    }

    fn rejected(&self, status: &Status) -> SessionError {
        SessionError::Rejected {
            connect: self.stage <= Stage::Connect,
            code: self.url.redact(&status.code),
            description: self.url.redact(&status.description),
        }
    }
}

/// Transactions are small whole numbers in doubles.
fn is(transaction: f64, expected: f64) -> bool {
    (transaction - expected).abs() < 0.5
}

/// Without the buffers: they hold the key.
impl fmt::Debug for PublishSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublishSession")
            .field("url", &self.url)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
