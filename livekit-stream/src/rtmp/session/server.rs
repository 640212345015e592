//! The end that is published to: enough of a server to receive one stream a connection.

use std::collections::VecDeque;
use std::fmt;

use bytes::Bytes;

use super::link::Link;
use super::{
    AUDIO_CHUNK_STREAM, COMMAND_CHUNK_STREAM, Capabilities, DATA_CHUNK_STREAM, SessionError,
    VIDEO_CHUNK_STREAM, without_set_data_frame,
};
use crate::rtmp::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::handshake;
use crate::rtmp::message::{self, Message};

/// The one message stream a connection gets.
const STREAM_ID: u32 = 1;

/// Set Peer Bandwidth's limit type "dynamic" (section 5.4.5).
const DYNAMIC: u8 = 2;

/// How a server presents itself.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ServerOptions {
    /// The size of the chunks it sends. Default 4096.
    pub chunk_size: usize,
    /// The acknowledgement window and peer bandwidth it announces, in bytes. Default 2,500,000.
    pub window: u32,
    /// What it says to take by FourCC (Enhanced RTMP v2). Default: nothing.
    pub capabilities: Capabilities,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            chunk_size: 4096,
            window: 2_500_000,
            capabilities: Capabilities::default(),
        }
    }
}

/// What a client wants to publish. `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct PublishRequest {
    app: String,
    key: String,
}

impl PublishRequest {
    /// The application.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// Whether it is this application and this stream key. Comparing takes the same time wherever
    /// they differ, so nobody finds a key out letter by letter.
    #[must_use]
    pub fn is(&self, app: &str, key: &str) -> bool {
        let differs = |a: &str, b: &str| {
            a.len() != b.len() || a.bytes().zip(b.bytes()).fold(0, |all, (a, b)| all | a ^ b) != 0
        };
        !differs(&self.app, app.trim_matches('/')) & !differs(&self.key, key)
    }

    /// The stream key, with its query. **A secret**: not for logs.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for PublishRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.app.split('?').next().unwrap_or_default();
        write!(f, "PublishRequest({app}/***)")
    }
}

/// What a client wants to play. `Debug` hides the key.
#[derive(Clone, PartialEq, Eq)]
pub struct PlayRequest {
    app: String,
    key: String,
}

impl PlayRequest {
    /// The application.
    #[must_use]
    pub fn app(&self) -> &str {
        &self.app
    }

    /// The stream key, with its query. **A secret**: not for logs.
    #[must_use]
    pub fn key(&self) -> &str {
        &self.key
    }
}

impl fmt::Debug for PlayRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let app = self.app.split('?').next().unwrap_or_default();
        write!(f, "PlayRequest({app}/***)")
    }
}

/// What the bodies of media messages are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaMessage {
    /// The FLV tag type: 8 audio, 9 video, 18 script data.
    pub tag_type: u8,
    /// Milliseconds, modulo 2^32.
    pub timestamp_ms: u32,
    /// The body of the FLV tag. Script data starts with `onMetaData`.
    pub body: Bytes,
}

/// What the client did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ServerEvent {
    /// It wants to publish: answer with [`ServerSession::accept`] or [`ServerSession::reject`].
    PublishRequested(PublishRequest),
    /// It wants to play: answer with [`ServerSession::accept`] or [`ServerSession::reject`].
    PlayRequested(PlayRequest),
    /// It sent media. Only after the stream was accepted.
    Media(MediaMessage),
    /// It ended the stream that it published, or played.
    Unpublished,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Handshake,
    Open,
    Asked,
    Publishing,
    AskedToPlay,
    Playing,
}

/// Receives one stream. Feed what the socket reads to [`receive`](Self::receive), write what
/// [`take_output`](Self::take_output) returns.
pub struct ServerSession {
    options: ServerOptions,
    state: State,
    handshake: handshake::Server,
    link: Link,
    app: String,
    events: VecDeque<ServerEvent>,
}

impl ServerSession {
    /// Waits for a client, with the server's clock in milliseconds and random bytes for the
    /// handshake.
    #[must_use]
    pub fn new(options: ServerOptions, time_ms: u32, random: &[u8; handshake::RANDOM_LEN]) -> Self {
        Self {
            options,
            state: State::Handshake,
            handshake: handshake::Server::new(time_ms, random),
            link: Link::default(),
            app: String::new(),
            events: VecDeque::new(),
        }
    }

    /// Takes bytes from the client. After an error the connection is of no more use.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        if self.state == State::Handshake {
            let Some(rest) = self.handshake.receive(bytes, &mut self.link.out)? else {
                return Ok(());
            };
            self.state = State::Open;
            return self.receive(&rest);
        }
        self.link.receive(bytes)?;
        while let Some(message) = self.link.next_message() {
            match message.type_id {
                message::AUDIO | message::VIDEO | message::DATA_AMF0 => self.media(message),
                _ => {
                    if let Some(command) = Command::from_message(&message)? {
                        self.command(&command);
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes for the client since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.link.out)
    }

    /// What the client did since the last call, one by one.
    pub fn next_event(&mut self) -> Option<ServerEvent> {
        self.events.pop_front()
    }

    /// Accepts the stream that was asked for.
    pub fn accept(&mut self) {
        if self.state == State::Asked {
            self.state = State::Publishing;
            self.link
                .send_user_control(message::STREAM_BEGIN, STREAM_ID);
            self.send_status(&Status::ok(
                "NetStream.Publish.Start",
                "The stream is published.",
            ));
        }
        if self.state == State::AskedToPlay {
            self.state = State::Playing;
            self.link
                .send_user_control(message::STREAM_BEGIN, STREAM_ID);
            for (code, description) in [
                ("NetStream.Play.Reset", "The stream is reset."),
                ("NetStream.Play.Start", "The stream is played."),
            ] {
                self.send_status(&Status::ok(code, description));
            }
        }
    }

    /// Sends a player the body of an FLV tag: 8 audio, 9 video, 18 script data. Milliseconds wrap
    /// at 2^32. Ignored unless a stream is played.
    pub fn send_media(&mut self, tag_type: u8, timestamp_ms: u64, body: Bytes) {
        let chunk_stream = match tag_type {
            message::AUDIO => AUDIO_CHUNK_STREAM,
            message::VIDEO => VIDEO_CHUNK_STREAM,
            message::DATA_AMF0 => DATA_CHUNK_STREAM,
            _ => return,
        };
        if self.state == State::Playing {
            let message = Message {
                type_id: tag_type,
                stream_id: STREAM_ID,
                timestamp: timestamp_ms as u32,
                payload: body,
            };
            self.link.send(chunk_stream, &message);
        }
    }

    /// Ends the stream that is played.
    pub fn end(&mut self) {
        if self.state == State::Playing {
            self.state = State::Open;
            self.link.send_user_control(message::STREAM_EOF, STREAM_ID);
            self.send_status(&Status::ok("NetStream.Play.Stop", "The stream has ended."));
        }
    }

    /// Rejects the stream that was asked for, with a code such as `NetStream.Publish.BadName`,
    /// or ends it with such an error later.
    pub fn reject(&mut self, code: &str, description: &str) {
        if !matches!(self.state, State::Handshake | State::Open) {
            self.state = State::Open;
            self.send_status(&Status::error(code, description));
        }
    }

    /// Asks the client for a sign of life. `time_ms` comes back in its answer.
    pub fn ping(&mut self, time_ms: u32) {
        self.link.send_user_control(message::PING_REQUEST, time_ms);
    }

    /// Changes the size of the chunks that follow.
    pub fn set_chunk_size(&mut self, size: usize) {
        self.link.set_chunk_size(size);
    }

    /// Changes after how many bytes the client is to acknowledge.
    pub fn set_window(&mut self, size: u32) {
        self.link.announce_window(size);
    }

    /// Bytes that the client has not acknowledged yet.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.link.unacknowledged()
    }

    fn media(&mut self, message: Message) {
        if self.state != State::Publishing {
            return;
        }
        let body = if message.type_id == message::DATA_AMF0 {
            without_set_data_frame(message.payload)
        } else {
            message.payload
        };
        self.events.push_back(ServerEvent::Media(MediaMessage {
            tag_type: message.type_id,
            timestamp_ms: message.timestamp,
            body,
        }));
    }

    fn command(&mut self, command: &Command) {
        let transaction = command.transaction;
        match command.name.as_str() {
            "connect" => self.connect(command),
            "releaseStream" => self.answer("_result", transaction, [Value::Null, Value::Undefined]),
            "FCPublish" => {
                let status = Status::ok("NetStream.Publish.Start", "");
                self.answer("onFCPublish", 0.0, [Value::Null, status.to_value()]);
                self.answer("_result", transaction, [Value::Null, Value::Undefined]);
            }
            "createStream" => {
                let id = Value::Number(f64::from(STREAM_ID));
                self.answer("_result", transaction, [Value::Null, id]);
            }
            "publish" if self.state == State::Open => {
                self.state = State::Asked;
                let key = command.text(1).unwrap_or_default().to_owned();
                let app = self.app.clone();
                self.events
                    .push_back(ServerEvent::PublishRequested(PublishRequest { app, key }));
            }
            "play" if self.state == State::Open => {
                self.state = State::AskedToPlay;
                let key = command.text(1).unwrap_or_default().to_owned();
                let app = self.app.clone();
                self.events
                    .push_back(ServerEvent::PlayRequested(PlayRequest { app, key }));
            }
            "FCUnpublish" | "deleteStream" | "closeStream" => self.unpublish(),
            // Answers, and what asks for none.
            "_result" | "_error" | "onStatus" => {}
            _ if transaction > 0.0 => {
                let status = Status::error("NetConnection.Call.Failed", "unknown command");
                self.answer("_error", transaction, [Value::Null, status.to_value()]);
            }
            _ => {}
        }
    }

    fn connect(&mut self, command: &Command) {
        let app = command
            .arguments
            .first()
            .and_then(|object| object.get("app"))
            .and_then(Value::as_str)
            .unwrap_or_default()
            .trim_matches('/');
        app.clone_into(&mut self.app);
        let window = self.options.window;
        self.link.announce_window(window);
        let mut bandwidth = window.to_be_bytes().to_vec();
        bandwidth.push(DYNAMIC);
        self.link
            .send_control(message::SET_PEER_BANDWIDTH, bandwidth);
        self.link.set_chunk_size(self.options.chunk_size);
        let mut properties = vec![
            ("fmsVer", Value::from("FMS/3,0,1,123")),
            ("capabilities", Value::Number(31.0)),
        ];
        properties.extend(self.options.capabilities.properties());
        let properties = Value::object(properties);
        let Value::Object(mut information) =
            Status::ok("NetConnection.Connect.Success", "Connection succeeded.").to_value()
        else {
            return;
        };
        information.push(("objectEncoding".to_owned(), Value::Number(0.0)));
        self.answer(
            "_result",
            command.transaction,
            [properties, Value::Object(information)],
        );
    }

    fn unpublish(&mut self) {
        if self.state == State::Publishing {
            self.state = State::Open;
            self.send_status(&Status::ok("NetStream.Unpublish.Success", "Stream ended."));
            self.events.push_back(ServerEvent::Unpublished);
        } else if self.state == State::Playing {
            self.state = State::Open;
            self.events.push_back(ServerEvent::Unpublished);
        }
    }

    fn answer(&mut self, name: &str, transaction: f64, arguments: impl Into<Vec<Value>>) {
        let command = Command::new(name, transaction, arguments);
        self.link.send(COMMAND_CHUNK_STREAM, &command.to_message(0));
    }

    fn send_status(&mut self, status: &Status) {
        let message = Command::on_status(status).to_message(STREAM_ID);
        self.link.send(COMMAND_CHUNK_STREAM, &message);
    }
}

/// Without the buffers: they may hold the key.
impl fmt::Debug for ServerSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ServerSession")
            .field("state", &self.state)
            .finish_non_exhaustive()
    }
}
