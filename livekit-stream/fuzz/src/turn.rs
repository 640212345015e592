//! TURN on a byte stream.

use livekit_stream::turn::{Reader, frame};

pub(crate) fn stream(data: &[u8]) {
    let mut reader = Reader::default();
    let mut again = Vec::new();
    let mut messages = Vec::new();
    for part in data.chunks(1 + data.len() / 3) {
        reader.receive(part);
        loop {
            match reader.next_message() {
                Ok(Some(message)) => {
                    frame(&message, &mut again).expect("a message that was read");
                    messages.push(message);
                }
                Ok(None) => break,
                Err(_) => return,
            }
        }
    }
    let mut reader = Reader::default();
    reader.receive(&again);
    for message in messages {
        assert_eq!(reader.next_message(), Ok(Some(message)));
    }
}
