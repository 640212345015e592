//! Both ends of RTMP, whole and piece by piece.

use livekit_stream::rtmp::amf0::{self, Value};
use livekit_stream::rtmp::chunk::{Limits, Reader, Writer};
use livekit_stream::rtmp::message::{self, Message};
use livekit_stream::rtmp::session::{
    PlayEvent, PlaySession, PublishSession, ServerEvent, ServerOptions, ServerSession,
};
use livekit_stream::rtmp::{RtmpUrl, handshake};

pub(crate) fn amf0(data: &[u8]) {
    if let Ok(values) = amf0::decode_all(data) {
        let mut bytes = Vec::new();
        amf0::encode_all(&values, &mut bytes);
        let again = amf0::decode_all(&bytes).expect("values just encoded");
        // NaN is no value's equal, and there is no other way to differ.
        let shown = |values: &[Value]| format!("{values:?}");
        assert_eq!(shown(&again), shown(&values));
    }
}

pub(crate) fn chunks(data: &[u8]) {
    let mut reader = Reader::new(Limits::default());
    // Two halves: a chunk may end anywhere.
    let (first, second) = data.split_at(data.len() / 2);
    if reader.receive(first).is_ok() {
        let _ = reader.receive(second);
    }
    while let Some(message) = reader.next_message() {
        assert!(message.payload.len() <= data.len());
    }
}

/// The input follows a handshake.
pub(crate) fn server(data: &[u8]) {
    let mut server = ServerSession::new(ServerOptions::default(), 0, &[1; handshake::RANDOM_LEN]);
    let mut hello = vec![3];
    hello.resize(1 + 2 * handshake::PACKET_LEN, 0);
    server.receive(&hello).expect("a plain handshake");
    for part in data.chunks(1 + data.len() / 3) {
        if server.receive(part).is_err() {
            return;
        }
        while let Some(event) = server.next_event() {
            if let ServerEvent::PublishRequested(_) = event {
                server.accept();
            }
        }
        server.take_output();
    }
}

/// The input follows a handshake.
pub(crate) fn client(data: &[u8]) {
    let url: RtmpUrl = "rtmp://localhost/live/key".parse().expect("a URL");
    let mut client = PublishSession::new(url, 0, &[1; handshake::RANDOM_LEN]);
    let mut hello = vec![3];
    hello.resize(1 + 2 * handshake::PACKET_LEN, 0);
    client.receive(&hello).expect("a plain handshake");
    for part in data.chunks(1 + data.len() / 3) {
        if client.receive(part).is_err() {
            return;
        }
        while client.next_event().is_some() {}
        client.take_output();
    }
}

/// The input follows a handshake and the answers up to `play`.
pub(crate) fn play(data: &[u8]) {
    let url: RtmpUrl = "rtmp://localhost/live/key".parse().expect("a URL");
    let mut client = PlaySession::new(url, 0, &[1; handshake::RANDOM_LEN]);
    let mut hello = vec![3];
    hello.resize(1 + 2 * handshake::PACKET_LEN, 0);
    client.receive(&hello).expect("a plain handshake");
    for (transaction, second) in [(1.0, Value::Null), (2.0, Value::from(1.0))] {
        let mut payload = Vec::new();
        let answer = [
            Value::from("_result"),
            Value::from(transaction),
            Value::Null,
            second,
        ];
        amf0::encode_all(&answer, &mut payload);
        let mut bytes = Vec::new();
        let message = Message {
            type_id: message::COMMAND_AMF0,
            stream_id: 0,
            timestamp: 0,
            payload: payload.into(),
        };
        Writer::default().write(3, &message, &mut bytes);
        client.receive(&bytes).expect("the server's answer");
    }
    for part in data.chunks(1 + data.len() / 3) {
        if client.receive(part).is_err() {
            return;
        }
        while let Some(event) = client.next_event() {
            if let PlayEvent::Media(media) = event {
                assert!(media.body.len() <= data.len());
            }
        }
        client.take_output();
    }
}

pub(crate) fn url(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    match text.parse::<RtmpUrl>() {
        Ok(url) => {
            let key = url.key();
            assert!(!key.is_empty());
            assert!(key.len() < 4 || !url.redact(key).contains(key));
        }
        Err(error) => assert!(!error.to_string().contains('\n')),
    }
}
