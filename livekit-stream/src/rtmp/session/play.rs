//! The playing end.

use std::collections::VecDeque;

use bytes::Bytes;

use super::client::{Answer, Client, Stage};
use super::{Capabilities, MediaMessage, SessionError, without_set_data_frame};
use crate::rtmp::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::handshake;
use crate::rtmp::message::{self, Message};
use crate::rtmp::url::RtmpUrl;

/// What players call themselves: the version that Flash Player stopped at, as FFmpeg's.
const FLASH_VERSION: &str = "LNX 9,0,124,2";

/// How much the server may send ahead, in milliseconds (section 7.1.7): FFmpeg's.
const BUFFER_MS: u32 = 3_000;

/// `play`'s start: a live stream, or a recorded one where there is none (section 7.2.2.1).
const LIVE_OR_RECORDED: f64 = -2_000.0;

/// A tag in an aggregate message: header, and size behind the body (section 7.1.6).
const TAG_HEADER: usize = 11;
const BACK_POINTER: usize = 4;

/// What the server did.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlayEvent {
    /// It accepted the application.
    Connected,
    /// It plays, or will as soon as somebody publishes.
    Playing,
    /// Audio, video or metadata.
    Media(MediaMessage),
    /// The publisher has ended the stream; the server may go on when one comes again.
    Unpublished,
    /// All of a recorded stream was sent.
    Completed,
}

/// Plays one stream. Feed what the socket reads to [`receive`](Self::receive), write what
/// [`take_output`](Self::take_output) returns.
///
/// It says to take every codec by FourCC (Enhanced RTMP v2).
#[derive(Debug)]
pub struct PlaySession {
    client: Client,
    events: VecDeque<PlayEvent>,
}

impl PlaySession {
    /// Starts a session with the client's clock in milliseconds and random bytes for the
    /// handshake; its first bytes are there at once.
    #[must_use]
    pub fn new(url: RtmpUrl, time_ms: u32, random: &[u8; handshake::RANDOM_LEN]) -> Self {
        let mut properties = vec![
            ("flashVer", Value::from(FLASH_VERSION)),
            ("fpad", Value::from(false)),
            ("capabilities", Value::Number(15.0)),
            ("audioCodecs", Value::Number(4071.0)),
            ("videoCodecs", Value::Number(252.0)),
            ("videoFunction", Value::Number(1.0)),
        ];
        let any = Capabilities {
            any_video: true,
            any_audio: true,
            ..Capabilities::default()
        };
        properties.extend(any.properties());
        Self {
            client: Client::new(url, time_ms, random, properties),
            events: VecDeque::new(),
        }
    }

    /// Takes bytes from the server. After an error the connection is of no more use.
    pub fn receive(&mut self, bytes: &[u8]) -> Result<(), SessionError> {
        self.client.receive(bytes)?;
        while let Some(message) = self.client.link.next_message() {
            match message.type_id {
                message::AUDIO | message::VIDEO | message::DATA_AMF0 => self.media(message),
                message::AGGREGATE => self.aggregate(&message),
                _ => {
                    if let Some(command) = Command::from_message(&message)? {
                        self.command(&command)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// The bytes for the server since the last call.
    pub fn take_output(&mut self) -> Vec<u8> {
        self.client.take_output()
    }

    /// What the server did since the last call, one by one.
    pub fn next_event(&mut self) -> Option<PlayEvent> {
        self.events.pop_front()
    }

    /// How far the session has come: [`Stage::Publish`] stands for `play`, [`Stage::Published`]
    /// for playing.
    #[must_use]
    pub fn stage(&self) -> Stage {
        self.client.stage
    }

    /// Ends the stream. The connection can be closed once the output is written.
    pub fn close(&mut self) {
        self.client.close();
    }

    fn play(&mut self) {
        self.client.start("play", Value::Number(LIVE_OR_RECORDED));
        let mut buffer = message::SET_BUFFER_LENGTH.to_be_bytes().to_vec();
        buffer.extend_from_slice(&self.client.stream_id.to_be_bytes());
        buffer.extend_from_slice(&BUFFER_MS.to_be_bytes());
        self.client.link.send_control(message::USER_CONTROL, buffer);
    }

    fn media(&mut self, message: Message) {
        if !matches!(self.client.stage, Stage::Publish | Stage::Published) {
            return;
        }
        let body = if message.type_id == message::DATA_AMF0 {
            without_set_data_frame(message.payload)
        } else {
            message.payload
        };
        self.events.push_back(PlayEvent::Media(MediaMessage {
            tag_type: message.type_id,
            timestamp_ms: message.timestamp,
            body,
        }));
    }

    /// Several FLV tags in one message; the first one's time is the message's (section 7.1.6).
    fn aggregate(&mut self, message: &Message) {
        let mut rest = message.payload.clone();
        let mut shift = None;
        while let Some(header) = rest.first_chunk::<TAG_HEADER>() {
            let [type_id, l0, l1, l2, t0, t1, t2, high, ..] = *header;
            let end = TAG_HEADER + u32::from_be_bytes([0, l0, l1, l2]) as usize;
            if end > rest.len() {
                return;
            }
            let time = u32::from_be_bytes([high, t0, t1, t2]);
            let shift = *shift.get_or_insert(message.timestamp.wrapping_sub(time));
            if matches!(
                type_id,
                message::AUDIO | message::VIDEO | message::DATA_AMF0
            ) {
                self.media(Message {
                    type_id,
                    stream_id: message.stream_id,
                    timestamp: time.wrapping_add(shift),
                    payload: rest.slice(TAG_HEADER..end),
                });
            }
            rest = rest
                .get(end + BACK_POINTER..)
                .map_or_else(Bytes::new, |tail| rest.slice_ref(tail));
        }
    }

    fn command(&mut self, command: &Command) -> Result<(), SessionError> {
        match command.name.as_str() {
            "_result" => self.result(command),
            "_error" => self.client.error(command),
            "onStatus" => self.status(&command.status()),
            "close" => {
                self.events.push_back(PlayEvent::Unpublished);
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn result(&mut self, command: &Command) -> Result<(), SessionError> {
        match self.client.result(command)? {
            Answer::Connected => {
                self.events.push_back(PlayEvent::Connected);
                self.client.create_stream();
            }
            Answer::StreamCreated => self.play(),
            Answer::Other => {}
        }
        Ok(())
    }

    fn status(&mut self, status: &Status) -> Result<(), SessionError> {
        let client = &mut self.client;
        let refused = matches!(
            status.code.as_str(),
            "NetStream.Play.StreamNotFound" | "NetStream.Play.Failed"
        );
        if refused || client.refuses(status) {
            return Err(client.rejected(status));
        }
        match status.code.as_str() {
            "NetStream.Play.Start" if client.stage == Stage::Publish => {
                client.stage = Stage::Published;
                self.events.push_back(PlayEvent::Playing);
            }
            "NetStream.Play.UnpublishNotify"
            | "NetStream.Play.Stop"
            | "NetConnection.Connect.Closed" => {
                self.events.push_back(PlayEvent::Unpublished);
            }
            "NetStream.Play.Complete" => self.events.push_back(PlayEvent::Completed),
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
