//! TURN on a byte stream: where a message ends and the next begins, without sockets.
//!
//! Over TCP and TLS a client and its server exchange STUN messages and ChannelData one after the
//! other, and nothing but their own lengths says where each ends (RFC 8489 section 6.2.2, RFC 8656
//! section 12.5).

use bytes::{Buf, Bytes, BytesMut};

/// The header of a STUN message (RFC 8489 section 5).
const STUN_HEADER_LEN: usize = 20;

/// What each STUN message has after its length.
const MAGIC_COOKIE: [u8; 4] = [0x21, 0x12, 0xA4, 0x42];

/// Channel number and length (RFC 8656 section 12.4).
const CHANNEL_HEADER_LEN: usize = 4;

/// Bytes that are neither a STUN message nor ChannelData.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("neither a STUN message nor ChannelData begins with {start:02x?}")]
pub struct MalformedMessage {
    /// The first bytes.
    pub start: [u8; 4],
}

/// Takes a stream apart into the messages it consists of.
///
/// ```
/// use livekit_stream::turn::{Reader, frame};
///
/// let mut stream = Vec::new();
/// frame(&[0x40, 0, 0, 3, 7, 8, 9], &mut stream)?;
/// assert_eq!(stream.len(), 8, "ChannelData is padded to four bytes");
///
/// let mut reader = Reader::default();
/// reader.receive(&stream[..5]);
/// assert_eq!(reader.next_message()?, None);
/// reader.receive(&stream[5..]);
/// assert_eq!(reader.next_message()?.as_deref(), Some(&[0x40, 0, 0, 3, 7, 8, 9][..]));
/// # Ok::<(), livekit_stream::turn::MalformedMessage>(())
/// ```
#[derive(Debug, Default)]
pub struct Reader {
    buffer: BytesMut,
}

impl Reader {
    /// Takes what has come. Whoever calls [`next_message`](Self::next_message) until there is none
    /// has less than one message kept here, which is 64 KiB at most.
    pub fn receive(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole message, ChannelData without its padding; `None` until more has come.
    ///
    /// # Errors
    ///
    /// [`MalformedMessage`] when there is something else: the stream cannot be read on.
    pub fn next_message(&mut self) -> Result<Option<Bytes>, MalformedMessage> {
        let Some(lengths) = measure(&self.buffer)? else {
            return Ok(None);
        };
        if self.buffer.len() < lengths.padded {
            return Ok(None);
        }
        let message = self.buffer.copy_to_bytes(lengths.message);
        self.buffer.advance(lengths.padded - lengths.message);
        Ok(Some(message))
    }
}

/// Appends a message as it goes on a stream: ChannelData is padded to a multiple of four bytes.
/// Bytes after the message's end are left out.
///
/// # Errors
///
/// [`MalformedMessage`] when it is neither a STUN message nor ChannelData, or not whole.
pub fn frame(message: &[u8], stream: &mut Vec<u8>) -> Result<(), MalformedMessage> {
    let lengths = measure(message)?;
    let whole = lengths.and_then(|it| Some((message.get(..it.message)?, it.padded)));
    let Some((whole, padded)) = whole else {
        return Err(malformed(message));
    };
    stream.extend_from_slice(whole);
    stream.resize(stream.len() + padded - whole.len(), 0);
    Ok(())
}

struct Lengths {
    message: usize,
    padded: usize,
}

/// How long the message is that begins here; `None` if that is not known yet.
fn measure(bytes: &[u8]) -> Result<Option<Lengths>, MalformedMessage> {
    let &[first, _, high, low, ..] = bytes else {
        return Ok(None);
    };
    let length = usize::from(u16::from_be_bytes([high, low]));
    match first {
        // The two first bits of a STUN message are zero, and its length counts whole words.
        0x00..=0x3F if length.is_multiple_of(4) => {
            let cookie = bytes.get(4..8);
            if cookie.is_some_and(|cookie| cookie != MAGIC_COOKIE) {
                return Err(malformed(bytes));
            }
            let message = STUN_HEADER_LEN + length;
            Ok(Some(Lengths {
                message,
                padded: message,
            }))
        }
        // The numbers of channels are 0x4000 to 0x4FFF.
        0x40..=0x4F => {
            let message = CHANNEL_HEADER_LEN + length;
            Ok(Some(Lengths {
                message,
                padded: message.next_multiple_of(4),
            }))
        }
        _ => Err(malformed(bytes)),
    }
}

fn malformed(bytes: &[u8]) -> MalformedMessage {
    let mut start = [0; 4];
    for (to, from) in start.iter_mut().zip(bytes) {
        *to = *from;
    }
    MalformedMessage { start }
}

/// The transaction of a STUN request, which a client repeats until it is answered; `None` for
/// everything else (RFC 8489 section 5).
pub(crate) fn request_transaction(message: &[u8]) -> Option<[u8; 12]> {
    let is_request =
        matches!(message, [first, second, ..] if first & 0xC1 == 0 && second & 0x10 == 0);
    let id = message.get(8..STUN_HEADER_LEN).filter(|_| is_request)?;
    id.try_into().ok()
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn stun(kind: u16, words: usize) -> Vec<u8> {
        let mut message = kind.to_be_bytes().to_vec();
        message.extend_from_slice(&(4 * words as u16).to_be_bytes());
        message.extend_from_slice(&MAGIC_COOKIE);
        message.extend_from_slice(b"transaction!");
        message.resize(STUN_HEADER_LEN + 4 * words, 7);
        message
    }

    fn channel_data(payload: &[u8]) -> Vec<u8> {
        let mut message = vec![0x40, 1];
        message.extend_from_slice(&(payload.len() as u16).to_be_bytes());
        message.extend_from_slice(payload);
        message
    }

    fn message() -> impl Strategy<Value = Vec<u8>> {
        prop_oneof![
            (0_u16..0x4000, 0_usize..64).prop_map(|(kind, words)| stun(kind, words)),
            vec(any::<u8>(), 0..300).prop_map(|payload| channel_data(&payload)),
        ]
    }

    proptest! {
        #[test]
        fn messages_come_out_as_they_went_in_however_the_stream_is_cut(
            messages in vec(message(), 0..8),
            cuts in vec(1_usize..100, 1..8),
        ) {
            let mut stream = Vec::new();
            for message in &messages {
                frame(message, &mut stream).expect("a message");
            }
            let mut reader = Reader::default();
            let mut received = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                if rest.is_empty() {
                    break;
                }
                let (part, after) = rest.split_at((*cut).min(rest.len()));
                rest = after;
                reader.receive(part);
                while let Some(message) = reader.next_message().expect("a message") {
                    received.push(message.to_vec());
                }
            }
            prop_assert_eq!(received, messages);
        }

        #[test]
        fn anything_else_is_an_error_and_never_a_panic(bytes in vec(any::<u8>(), 0..200)) {
            let mut reader = Reader::default();
            reader.receive(&bytes);
            let mut total = 0;
            while let Ok(Some(message)) = reader.next_message() {
                total += message.len();
            }
            prop_assert!(total <= bytes.len());
            let mut stream = Vec::new();
            if frame(&bytes, &mut stream).is_err() {
                prop_assert!(stream.is_empty());
            }
        }
    }

    #[test]
    fn only_requests_have_a_transaction_that_is_repeated() {
        // Allocate as a request, an indication, a success and an error (RFC 8489 section 5).
        let kinds = [0x0003, 0x0013, 0x0103, 0x0113];
        let found = kinds.map(|kind| request_transaction(&stun(kind, 0)).is_some());
        assert_eq!(found, [true, false, false, false]);
        assert_eq!(request_transaction(&channel_data(&[0; 40])), None);
        assert_eq!(request_transaction(&[0, 3, 0, 0]), None);
    }
}
