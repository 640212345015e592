use proptest::prelude::*;

use super::*;
use crate::rtmp::session::COMMAND_CHUNK_STREAM;
use crate::rtmp::session::link::Link;

const KEY: &str = "s3cret?token=abcdef";

/// A server that says what a test makes it say.
struct Server {
    link: Link,
    heard: Vec<Message>,
}

impl Server {
    fn hear(&mut self, client: &mut PlaySession) {
        self.link.receive(&client.take_output()).unwrap();
        while let Some(message) = self.link.next_message() {
            self.heard.push(message);
        }
    }

    fn commands(&self) -> Vec<Command> {
        let read = |message| Command::from_message(message).unwrap();
        self.heard.iter().filter_map(read).collect()
    }

    fn say(
        &mut self,
        client: &mut PlaySession,
        message: &Message,
    ) -> Result<Vec<PlayEvent>, SessionError> {
        self.link.send(COMMAND_CHUNK_STREAM, message);
        client.receive(&std::mem::take(&mut self.link.out))?;
        self.hear(client);
        Ok(std::iter::from_fn(|| client.next_event()).collect())
    }

    fn status(
        &mut self,
        client: &mut PlaySession,
        status: &Status,
    ) -> Result<Vec<PlayEvent>, SessionError> {
        let message = Command::on_status(status).to_message(1);
        self.say(client, &message)
    }
}

/// Both ends after the handshake.
fn connected() -> (PlaySession, Server) {
    let url = RtmpUrl::parse(&format!("rtmp://h/live/{KEY}")).unwrap();
    let mut client = PlaySession::new(url, 0, &[1; handshake::RANDOM_LEN]);
    let mut handshake = handshake::Server::new(0, &[2; handshake::RANDOM_LEN]);
    let mut answer = Vec::new();
    handshake
        .receive(&client.take_output(), &mut answer)
        .unwrap();
    client.receive(&answer).unwrap();
    let rest = handshake
        .receive(&client.take_output(), &mut answer)
        .unwrap()
        .unwrap();
    let mut server = Server {
        link: Link::default(),
        heard: Vec::new(),
    };
    server.link.receive(&rest).unwrap();
    server.hear(&mut client);
    (client, server)
}

fn result(transaction: f64, second: Value) -> Message {
    Command::new("_result", transaction, [Value::Null, second]).to_message(0)
}

fn playing() -> (PlaySession, Server) {
    let (mut client, mut server) = connected();
    let events = server.say(&mut client, &result(1.0, Value::Null)).unwrap();
    assert_eq!(events, [PlayEvent::Connected]);
    let events = server
        .say(&mut client, &result(4.0, Value::from(5.0)))
        .unwrap();
    assert_eq!(events, []);
    let start = Status::ok("NetStream.Play.Start", "");
    let events = server.status(&mut client, &start).unwrap();
    assert_eq!(events, [PlayEvent::Playing]);
    (client, server)
}

#[test]
fn a_stream_is_asked_for_and_said_goodbye_to() {
    let (mut client, mut server) = playing();
    assert_eq!(client.stage(), Stage::Published);
    client.close();
    server.hear(&mut client);
    let commands = server.commands();
    let names: Vec<_> = commands.iter().map(|command| &command.name[..]).collect();
    assert_eq!(names, ["connect", "createStream", "play", "deleteStream"]);
    let text = |name| commands[0].arguments[0].get(name).and_then(Value::as_str);
    assert_eq!(
        (text("app"), text("tcUrl")),
        (Some("live"), Some("rtmp://h/live"))
    );
    let any = Value::StrictArray(vec!["*".into()]);
    assert_eq!(commands[0].arguments[0].get("fourCcList"), Some(&any));
    assert_eq!(commands[2].text(1), Some(KEY));
    let play = server.heard.iter().find(|message| message.stream_id == 5);
    assert!(play.is_some(), "play is not on its stream");
    assert!(!format!("{client:?}").contains("s3cret"));
}

#[test]
fn media_comes_as_it_was_sent_and_aggregates_are_taken_apart() {
    let (mut client, mut server) = playing();
    let media = |type_id, timestamp, payload: &[u8]| Message {
        type_id,
        stream_id: 5,
        timestamp,
        payload: Bytes::copy_from_slice(payload),
    };
    let message = media(message::VIDEO, 70, b"picture");
    let events = server.say(&mut client, &message).unwrap();
    let expected = |tag_type, timestamp_ms, body: &'static [u8]| {
        PlayEvent::Media(MediaMessage {
            tag_type,
            timestamp_ms,
            body: Bytes::from_static(body),
        })
    };
    assert_eq!(events, [expected(9, 70, b"picture")]);
    // Times in an aggregate count from its first tag's.
    let mut tags = Vec::new();
    for (type_id, time, body) in [(8_u8, 500_u16, b"ab"), (9, 540, b"cd"), (22, 541, b"ef")] {
        tags.extend([type_id, 0, 0, 2, 0]);
        tags.extend(time.to_be_bytes());
        tags.extend([0, 0, 0, 0]);
        tags.extend(body);
        tags.extend([0, 0, 0, 13]);
    }
    tags.extend([9, 0, 0, 200]);
    let message = media(message::AGGREGATE, 1_000, &tags);
    let events = server.say(&mut client, &message).unwrap();
    assert_eq!(
        events,
        [expected(8, 1_000, b"ab"), expected(9, 1_040, b"cd")]
    );
}

#[test]
fn the_end_and_what_is_refused_are_told_without_the_key() {
    for (code, event) in [
        ("NetStream.Play.UnpublishNotify", PlayEvent::Unpublished),
        ("NetStream.Play.Complete", PlayEvent::Completed),
    ] {
        let (mut client, mut server) = playing();
        let events = server.status(&mut client, &Status::ok(code, "")).unwrap();
        assert_eq!(events, [event]);
    }
    let (mut client, mut server) = connected();
    let missing = Status::error("NetStream.Play.StreamNotFound", "no s3cret here");
    let error = server.status(&mut client, &missing).unwrap_err();
    assert!(
        matches!(&error, SessionError::Rejected { connect: true, code, .. }
            if code == "NetStream.Play.StreamNotFound"),
        "{error}"
    );
    assert!(!error.to_string().contains("s3cret"), "{error}");
    let (mut client, mut server) = connected();
    server.say(&mut client, &result(1.0, Value::Null)).unwrap();
    let error = server.say(&mut client, &result(4.0, Value::Null));
    assert!(matches!(error, Err(SessionError::BadAnswer { .. })));
}

proptest! {
    #[test]
    fn arbitrary_messages_never_panic(
        messages in prop::collection::vec(
            (any::<u8>(), any::<u32>(), prop::collection::vec(any::<u8>(), 0..60)), 0..12),
    ) {
        let (mut client, mut server) = playing();
        for (type_id, timestamp, payload) in messages {
            let message = Message { type_id, stream_id: 5, timestamp, payload: payload.into() };
            // Housekeeping would change how the server itself has to write.
            if (7..=30).contains(&type_id) {
                let _ = server.say(&mut client, &message);
            }
        }
    }
}
