//! What the publishing and the playing end have in common: the handshake, `connect`,
//! `createStream`, and the server's refusals.

use std::fmt;

use super::link::Link;
use super::{COMMAND_CHUNK_STREAM, PUBLISH_CHUNK_STREAM, SessionError, is};
use crate::rtmp::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::handshake;
use crate::rtmp::url::RtmpUrl;

/// The acknowledgement window asked of the server.
const WINDOW: u32 = 2_500_000;

const CONNECT: f64 = 1.0;
/// For what an end asks of the server before its stream.
pub(super) const RELEASE_STREAM: f64 = 2.0;
pub(super) const FC_PUBLISH: f64 = 3.0;
const CREATE_STREAM: f64 = 4.0;
/// `publish` or `play`.
const START: f64 = 5.0;
pub(super) const FC_UNPUBLISH: f64 = 6.0;
const DELETE_STREAM: f64 = 7.0;

/// How far a session with a server has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Stage {
    /// The handshake.
    Handshake,
    /// `connect` was sent, which names the application.
    Connect,
    /// `createStream` was sent.
    CreateStream,
    /// `publish`, or a player's `play`, was sent, which names the stream key.
    Publish,
    /// The server takes media, or plays.
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

/// What an answer of the server is to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Answer {
    /// The application was accepted: `createStream` comes next.
    Connected,
    /// There is a stream: it can be [started](Client::start).
    StreamCreated,
    /// Something that is not waited for.
    Other,
}

/// A client's session until its stream is there.
pub(super) struct Client {
    pub(super) url: RtmpUrl,
    pub(super) stage: Stage,
    pub(super) link: Link,
    pub(super) stream_id: u32,
    handshake: handshake::Client,
    properties: Vec<(&'static str, Value)>,
}

impl Client {
    /// `properties` are those of `connect` besides the application.
    pub(super) fn new(
        url: RtmpUrl,
        time_ms: u32,
        random: &[u8; handshake::RANDOM_LEN],
        properties: impl Into<Vec<(&'static str, Value)>>,
    ) -> Self {
        let mut link = Link::default();
        let handshake = handshake::Client::new(time_ms, random, &mut link.out);
        Self {
            url,
            stage: Stage::Handshake,
            link,
            stream_id: 0,
            handshake,
            properties: properties.into(),
        }
    }

    /// More properties of `connect`, before anything is received.
    pub(super) fn add_properties(&mut self, more: Vec<(&'static str, Value)>) {
        self.properties.extend(more);
    }

    /// Takes bytes from the server; their messages are those of the link.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if self.stage > Stage::Handshake {
            return Ok(self.link.receive(bytes)?);
        }
        match self.handshake.receive(bytes, &mut self.link.out)? {
            Some(rest) => {
                self.connect();
                Ok(self.link.receive(&rest)?)
            }
            None => Ok(()),
        }
    }

    pub(super) fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.link.out)
    }

    pub(super) fn key(&self) -> Value {
        Value::string(self.url.key())
    }

    /// Calls a command of the connection.
    pub(super) fn call(&mut self, name: &str, transaction: f64, arguments: impl Into<Vec<Value>>) {
        let command = Command::new(name, transaction, arguments);
        self.link.send(COMMAND_CHUNK_STREAM, &command.to_message(0));
    }

    fn connect(&mut self) {
        self.stage = Stage::Connect;
        let mut properties = vec![
            ("app", Value::from(self.url.app())),
            ("tcUrl", Value::string(self.url.tc_url())),
        ];
        properties.append(&mut self.properties);
        self.call("connect", CONNECT, [Value::object(properties)]);
    }

    pub(super) fn create_stream(&mut self) {
        self.call("createStream", CREATE_STREAM, [Value::Null]);
    }

    /// Calls `publish` or `play` with the stream key and an argument of its own.
    pub(super) fn start(&mut self, name: &str, argument: Value) {
        self.stage = Stage::Publish;
        let command = Command::new(name, START, [Value::Null, self.key(), argument]);
        self.link
            .send(PUBLISH_CHUNK_STREAM, &command.to_message(self.stream_id));
    }

    /// Whether the server knows of a stream that it can be told to delete.
    pub(super) fn has_stream(&self) -> bool {
        self.stage > Stage::CreateStream && self.stage < Stage::Closed
    }

    /// Ends the stream.
    pub(super) fn close(&mut self) {
        if self.has_stream() {
            let stream = Value::Number(f64::from(self.stream_id));
            self.call("deleteStream", DELETE_STREAM, [Value::Null, stream]);
        }
        self.stage = Stage::Closed;
    }

    /// Takes in a `_result`.
    pub(super) fn result(&mut self, command: &Command) -> Result<Answer, SessionError> {
        if self.stage == Stage::Connect && is(command.transaction, CONNECT) {
            self.stage = Stage::CreateStream;
            self.link.announce_window(WINDOW);
            return Ok(Answer::Connected);
        }
        if self.stage == Stage::CreateStream && is(command.transaction, CREATE_STREAM) {
            let id = command.arguments.get(1).and_then(Value::as_number);
            let id = id.filter(|id| (0.0..=f64::from(u32::MAX)).contains(id));
            self.stream_id = id.map(|id| id as u32).ok_or(SessionError::BadAnswer {
                command: "createStream",
                missing: "stream id",
            })?;
            return Ok(Answer::StreamCreated);
        }
        Ok(Answer::Other)
    }

    /// Takes in an `_error`. Servers that know no `releaseStream` or `FCPublish` say so: that is
    /// no failure.
    pub(super) fn error(&self, command: &Command) -> Result<(), SessionError> {
        let fatal = match self.stage {
            Stage::Connect => is(command.transaction, CONNECT),
            Stage::CreateStream => is(command.transaction, CREATE_STREAM),
            Stage::Publish => is(command.transaction, START),
            _ => false,
        };
        if fatal {
            Err(self.rejected(&command.status()))
        } else {
            Ok(())
        }
    }

    /// Whether a status refuses the application, or is any other failure of a session that goes on.
    pub(super) fn refuses(&self, status: &Status) -> bool {
        let refused = matches!(
            status.code.as_str(),
            "NetConnection.Connect.Rejected" | "NetConnection.Connect.InvalidApp"
        );
        (refused || status.level == "error") && self.stage < Stage::Closed
    }

    pub(super) fn rejected(&self, status: &Status) -> SessionError {
        SessionError::Rejected {
            connect: self.stage <= Stage::Connect,
            code: self.url.redact(&status.code),
            description: self.url.redact(&status.description),
        }
    }
}

/// Without the buffers: they hold the key.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client")
            .field("url", &self.url)
            .field("stage", &self.stage)
            .finish_non_exhaustive()
    }
}
