#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;
use crate::rtmp::RtmpUrl;
use crate::rtmp::amf0::Value;
use crate::rtmp::command::{Command, Status};
use crate::rtmp::message::{self, Message};

const KEY: &str = "s3cret?token=abcdef";

struct Pair {
    client: PublishSession,
    server: ServerSession,
    client_events: Vec<PublishEvent>,
    server_events: Vec<ServerEvent>,
}

impl Pair {
    fn new(options: ServerOptions) -> Self {
        let url = RtmpUrl::parse(&format!("rtmp://h/live/{KEY}")).unwrap();
        Self {
            client: PublishSession::new(url, 0, &[1; 1528]),
            server: ServerSession::new(options, 0, &[2; 1528]),
            client_events: Vec::new(),
            server_events: Vec::new(),
        }
    }

    /// Carries bytes both ways until neither side has more to say.
    fn run(&mut self) -> Result<(), SessionError> {
        loop {
            let (up, down) = (self.client.take_output(), self.server.take_output());
            if up.is_empty() && down.is_empty() {
                return Ok(());
            }
            self.server.receive(&up)?;
            self.client.receive(&down)?;
            self.client_events
                .extend(std::iter::from_fn(|| self.client.next_event()));
            self.server_events
                .extend(std::iter::from_fn(|| self.server.next_event()));
        }
    }

    fn published() -> Self {
        let mut pair = Self::new(ServerOptions::default());
        pair.run().unwrap();
        pair.server.accept();
        pair.run().unwrap();
        assert_eq!(pair.client.stage(), Stage::Published);
        pair.server_events.clear();
        pair
    }

    fn media(&mut self) -> Vec<MediaMessage> {
        self.server_events
            .drain(..)
            .filter_map(|event| match event {
                ServerEvent::Media(media) => Some(media),
                _ => None,
            })
            .collect()
    }

    /// Sends the client what no well-behaved server would, over the server's own chunk stream.
    fn say(&mut self, command: &Command) -> Result<(), SessionError> {
        let mut bytes = Vec::new();
        crate::rtmp::chunk::Writer::default().write(20, &command.to_message(0), &mut bytes);
        // Chunk size 4096 is in force on this direction and none of these is as long.
        self.client.receive(&bytes)
    }
}

#[test]
fn a_key_is_published_and_media_arrives_as_it_was_sent() {
    let mut pair = Pair::new(ServerOptions::default());
    pair.run().unwrap();
    let Some(ServerEvent::PublishRequested(request)) = pair.server_events.first() else {
        panic!("no request: {:?}", pair.server_events);
    };
    assert_eq!((request.app(), request.key()), ("live", KEY));
    assert_eq!(pair.client.stage(), Stage::Publish);
    pair.server.accept();
    pair.run().unwrap();
    assert_eq!(
        pair.client_events,
        [PublishEvent::Connected, PublishEvent::Published]
    );

    let mut metadata = Vec::new();
    Value::from("onMetaData").encode(&mut metadata);
    pair.client.send_metadata(&metadata);
    let picture = Bytes::from(vec![0x17; 100_000]);
    pair.client.send_video(0, picture.clone());
    pair.client.send_audio(7, Bytes::from_static(b"sound"));
    pair.client.send_video((1 << 32) + 5, picture.clone());
    pair.client.close();
    pair.run().unwrap();
    assert_eq!(pair.server_events.last(), Some(&ServerEvent::Unpublished));
    let media = |tag_type, timestamp_ms, body| MediaMessage {
        tag_type,
        timestamp_ms,
        body,
    };
    assert_eq!(
        pair.media(),
        [
            media(18, 0, metadata.into()),
            media(9, 0, picture.clone()),
            media(8, 7, Bytes::from_static(b"sound")),
            media(9, 5, picture),
        ]
    );
}

#[test]
fn media_before_the_server_agreed_is_not_sent() {
    let mut pair = Pair::new(ServerOptions::default());
    pair.client.send_video(0, Bytes::from_static(b"early"));
    pair.run().unwrap();
    pair.client.send_video(0, Bytes::from_static(b"early"));
    assert!(pair.client.take_output().is_empty());
}

#[test]
fn a_rejected_key_is_an_error_without_the_key() {
    let mut pair = Pair::new(ServerOptions::default());
    pair.run().unwrap();
    pair.server.reject(
        "NetStream.Publish.BadName",
        &format!("{KEY} is already publishing"),
    );
    assert_eq!(
        pair.run(),
        Err(SessionError::Rejected {
            connect: false,
            code: "NetStream.Publish.BadName".to_owned(),
            description: "*** is already publishing".to_owned(),
        })
    );
    assert!(!format!("{:?} {:?}", pair.client, pair.server_events).contains("s3cret"));
}

#[test]
fn a_rejected_application_is_told_apart_from_a_rejected_key() {
    let mut pair = Pair::new(ServerOptions::default());
    // Up to the end of the handshake.
    while pair.client.stage() == Stage::Handshake {
        pair.server.receive(&pair.client.take_output()).unwrap();
        pair.client.receive(&pair.server.take_output()).unwrap();
    }
    let status = Status::error("NetConnection.Connect.Rejected", "no such app");
    let error = pair.say(&Command::new(
        "_error",
        1.0,
        [Value::Null, status.to_value()],
    ));
    assert!(
        matches!(error, Err(SessionError::Rejected { connect: true, .. })),
        "{error:?}"
    );
}

#[test]
fn servers_that_know_no_fc_publish_are_served() {
    let mut pair = Pair::new(ServerOptions::default());
    while pair.client.stage() != Stage::CreateStream {
        pair.server.receive(&pair.client.take_output()).unwrap();
        pair.client.receive(&pair.server.take_output()).unwrap();
    }
    for transaction in [2.0, 3.0] {
        let status = Status::error("NetConnection.Call.Failed", "Method not found");
        pair.say(&Command::new(
            "_error",
            transaction,
            [Value::Null, status.to_value()],
        ))
        .unwrap();
    }
    pair.run().unwrap();
    assert_eq!(pair.client.stage(), Stage::Publish);
}

#[test]
fn a_stream_id_that_is_no_number_is_an_error() {
    let mut pair = Pair::new(ServerOptions::default());
    while pair.client.stage() != Stage::CreateStream {
        pair.server.receive(&pair.client.take_output()).unwrap();
        pair.client.receive(&pair.server.take_output()).unwrap();
    }
    for id in [Value::Null, Value::Number(f64::NAN), Value::Number(-1.0)] {
        assert!(matches!(
            pair.say(&Command::new("_result", 4.0, [Value::Null, id])),
            Err(SessionError::BadAnswer { .. })
        ));
    }
}

#[test]
fn errors_and_the_end_of_the_stream_are_heard_while_publishing() {
    let mut pair = Pair::published();
    pair.say(&Command::new("onBWDone", 0.0, [Value::Null]))
        .unwrap();
    pair.say(&Command::on_status(&Status::ok(
        "NetStream.Unpublish.Success",
        "",
    )))
    .unwrap();
    assert_eq!(pair.client.next_event(), Some(PublishEvent::Unpublished));
    pair.server.reject("NetStream.Publish.Denied", "expired");
    assert!(matches!(pair.run(), Err(SessionError::Rejected { .. })));
}

#[test]
fn ping_is_answered_with_the_servers_time() {
    let mut pair = Pair::published();
    pair.server.ping(0x0102_0304);
    pair.client.receive(&pair.server.take_output()).unwrap();
    let answer = pair.client.take_output();
    assert!(answer.ends_with(&[0, 7, 1, 2, 3, 4]), "{answer:?}");
}

#[test]
fn a_tiny_window_is_acknowledged_and_the_client_hears_acknowledgements() {
    let options = ServerOptions {
        window: 10,
        ..ServerOptions::default()
    };
    let mut pair = Pair::new(options);
    // Acknowledgements acknowledge each other at such a window: count rounds, not quiet.
    for _ in 0..12 {
        let (up, down) = (pair.client.take_output(), pair.server.take_output());
        pair.server.receive(&up).unwrap();
        pair.client.receive(&down).unwrap();
    }
    assert_eq!(pair.client.stage(), Stage::Publish);
    assert!(
        pair.server.unacknowledged() < 200,
        "{:?}",
        pair.server.unacknowledged()
    );

    let mut pair = Pair::published();
    pair.client.send_video(0, vec![0; 3_000_000].into());
    assert!(pair.client.unacknowledged() > 3_000_000);
    pair.run().unwrap();
    assert!(pair.client.unacknowledged() < 2_500_000);
}

#[test]
fn chunk_sizes_may_change_at_any_time() {
    let mut pair = Pair::published();
    for size in [1, 4096, 70_000, 128] {
        pair.server.set_chunk_size(size);
        pair.server.ping(9);
        pair.run().unwrap();
    }
    assert_eq!(pair.client.stage(), Stage::Published);
}

#[test]
fn commands_a_server_does_not_know_are_answered_with_an_error() {
    let mut pair = Pair::published();
    let mut bytes = Vec::new();
    let command = Command::new("getStreamLength", 9.0, [Value::Null]);
    crate::rtmp::chunk::Writer::default().write(20, &command.to_message(0), &mut bytes);
    pair.server.receive(&bytes).unwrap();
    let answer = pair.server.take_output();
    assert!(answer.windows(6).any(|part| part == b"_error"));
}

proptest! {
    #[test]
    fn arbitrary_bytes_after_the_handshake_never_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..600),
        published in any::<bool>(),
    ) {
        let mut pair = if published { Pair::published() } else { Pair::new(ServerOptions::default()) };
        let _ = pair.client.receive(&bytes);
        let _ = pair.server.receive(&bytes);
    }

    #[test]
    fn arbitrary_commands_never_panic(
        type_id in prop_oneof![Just(message::COMMAND_AMF0), Just(message::COMMAND_AMF3), 0u8..25],
        name in prop_oneof![
            Just("_result"), Just("_error"), Just("onStatus"), Just("connect"), Just("publish"),
            Just("createStream"), Just("deleteStream"), Just("close")
        ],
        transaction in 0u8..8,
        tail in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut payload = Vec::new();
        Value::from(name).encode(&mut payload);
        Value::Number(f64::from(transaction)).encode(&mut payload);
        payload.extend_from_slice(&tail);
        let message = Message { type_id, stream_id: 1, timestamp: 0, payload: payload.into() };
        let mut bytes = Vec::new();
        crate::rtmp::chunk::Writer::default().write(20, &message, &mut bytes);
        let mut pair = Pair::published();
        let _ = pair.client.receive(&bytes);
        let _ = pair.server.receive(&bytes);
    }
}
