//! The publishing end.

use std::collections::VecDeque;

use bytes::Bytes;

use super::client::{Answer, Client, FC_PUBLISH, FC_UNPUBLISH, RELEASE_STREAM, Stage};
use super::{
    AUDIO_CHUNK_STREAM, Capabilities, DATA_CHUNK_STREAM, SessionError, VIDEO_CHUNK_STREAM,
};
use crate::rtmp::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::handshake;
use crate::rtmp::message::{self, Message};
use crate::rtmp::url::RtmpUrl;

/// The chunk size publishers use; OBS's. Larger saves nothing and keeps audio waiting.
const CHUNK_SIZE: usize = 4096;

/// What encoders call themselves: some servers take no name that does not start with `FMLE/`.
const FLASH_VERSION: &str = "FMLE/3.0 (compatible; livekit-stream)";

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
#[derive(Debug)]
pub struct PublishSession {
    client: Client,
    events: VecDeque<PublishEvent>,
    server_capabilities: Capabilities,
}

impl PublishSession {
    /// Starts a session with the client's clock in milliseconds and random bytes for the
    /// handshake; its first bytes are there at once.
    #[must_use]
    pub fn new(url: RtmpUrl, time_ms: u32, random: &[u8; handshake::RANDOM_LEN]) -> Self {
        let properties = [
            ("type", Value::from("nonprivate")),
            ("flashVer", Value::from(FLASH_VERSION)),
        ];
        Self {
            client: Client::new(url, time_ms, random, properties),
            events: VecDeque::new(),
            server_capabilities: Capabilities::default(),
        }
    }

    /// Tells the server which codecs may come by FourCC (Enhanced RTMP v2). Default: none.
    #[must_use]
    pub fn with_capabilities(mut self, capabilities: &Capabilities) -> Self {
        self.client.add_properties(capabilities.properties());
        self
    }

    /// What the server said to take by FourCC; nothing before [`PublishEvent::Connected`].
    #[must_use]
    pub fn server_capabilities(&self) -> &Capabilities {
        &self.server_capabilities
    }

    /// Takes bytes from the server. After an error the connection is of no more use.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.client.receive(bytes)?;
        while let Some(message) = self.client.link.next_message() {
            // Media and data of the server, AMF 3, aggregates: nobody asked for them.
            if let Some(command) = Command::from_message(&message)? {
                self.command(&command)?;
            }
        }
        Ok(())
    }

    /// The bytes for the server since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.client.take_output()
    }

    /// How many bytes [`take_output`](Self::take_output) would return.
    #[must_use]
    pub fn pending_output(&self) -> usize {
        self.client.link.out.len()
    }

    /// What the server did since the last call, one by one.
    pub fn next_event(&mut self) -> Option<PublishEvent> {
        self.events.pop_front()
    }

    /// How far the session has come.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.client.stage
    }

    /// Bytes that the server has not acknowledged yet. It does so only once a window.
    #[must_use]
    pub fn unacknowledged(&self) -> u64 {
        self.client.link.unacknowledged()
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
        if self.client.has_stream() {
            let key = self.client.key();
            self.client
                .call("FCUnpublish", FC_UNPUBLISH, [Value::Null, key]);
        }
        self.client.close();
    }

    fn send(&mut self, chunk_stream: u32, type_id: u8, timestamp_ms: u64, payload: Bytes) {
        if self.client.stage == Stage::Published {
            let message = Message {
                type_id,
                stream_id: self.client.stream_id,
                timestamp: timestamp_ms as u32,
                payload,
            };
            self.client.link.send(chunk_stream, &message);
        }
    }

    fn command(&mut self, command: &Command) -> Result<(), SessionError> {
        match command.name.as_str() {
            "_result" => self.result(command),
            "_error" => self.client.error(command),
            "onStatus" => self.status(&command.status()),
            "close" if self.client.stage == Stage::Published => {
                self.events.push_back(PublishEvent::Unpublished);
                Ok(())
            }
            // onBWDone, onFCPublish and what else servers send unasked.
            _ => Ok(()),
        }
    }

    fn result(&mut self, command: &Command) -> Result<(), SessionError> {
        let client = &mut self.client;
        match client.result(command)? {
            Answer::Connected => {
                self.server_capabilities = Capabilities::from_objects(&command.arguments);
                self.events.push_back(PublishEvent::Connected);
                client.link.set_chunk_size(CHUNK_SIZE);
                let key = client.key();
                client.call("releaseStream", RELEASE_STREAM, [Value::Null, key.clone()]);
                client.call("FCPublish", FC_PUBLISH, [Value::Null, key]);
                client.create_stream();
            }
            Answer::StreamCreated => client.start("publish", "live".into()),
            Answer::Other => {}
        }
        Ok(())
    }

    fn status(&mut self, status: &Status) -> Result<(), SessionError> {
        let refused = matches!(
            status.code.as_str(),
            "NetStream.Publish.BadName"
                | "NetStream.Publish.Denied"
                | "NetStream.Publish.Failed"
                | "NetStream.Publish.Rejected"
        );
        let client = &mut self.client;
        if (refused && client.stage < Stage::Closed) || client.refuses(status) {
            return Err(client.rejected(status));
        }
        match status.code.as_str() {
            "NetStream.Publish.Start" if client.stage == Stage::Publish => {
                client.stage = Stage::Published;
                self.events.push_back(PublishEvent::Published);
            }
            "NetStream.Unpublish.Success" | "NetConnection.Connect.Closed"
                if client.stage == Stage::Published =>
            {
                self.events.push_back(PublishEvent::Unpublished);
            }
            _ => {}
        }
        Ok(())
    }
}
