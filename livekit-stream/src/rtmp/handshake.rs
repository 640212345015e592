//! The simple handshake (Adobe RTMP 1.0 section 5.2), for both sides.
//!
//! The undocumented "complex" handshake signs these bytes with a key of Adobe's. Servers that
//! know it fall back to the simple one when the version field in C1 is zero, as it is here; such
//! servers may fill S2 with a signature instead of the echo, so a differing echo is reported by
//! [`Client::echo_matches`] and is not an error (librtmp and FFmpeg do the same).

/// Bytes of C1, C2, S1 and S2 each.
pub const PACKET_LEN: usize = 1536;

/// Random bytes in C1 and S1.
pub const RANDOM_LEN: usize = PACKET_LEN - 8;

/// The only protocol version in use; 31 and below are allowed to speak it, higher values are
/// not RTMP (section 5.2.2).
const VERSION: u8 = 3;
const HIGHEST_VERSION: u8 = 31;

/// The peer does not speak RTMP.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The first byte is not a version of RTMP.
    #[error("the peer answered with byte {version:#04x} where an RTMP version belongs")]
    NotRtmp {
        /// The byte.
        version: u8,
    },
}

/// The publishing side.
#[derive(Debug)]
pub struct Client {
    sent: Box<[u8; PACKET_LEN]>,
    received: Vec<u8>,
    echo_matches: bool,
}

impl Client {
    /// Starts with the client's time in milliseconds and random bytes, and appends C0 and C1 to
    /// `out`.
    pub fn new(time_ms: u32, random: &[u8; RANDOM_LEN], out: &mut Vec<u8>) -> Self {
        let sent = first_packet(time_ms, random);
        out.push(VERSION);
        out.extend_from_slice(&sent[..]);
        Self {
            sent,
            received: Vec::new(),
            echo_matches: false,
        }
    }

    /// Takes bytes of the server. When S0, S1 and S2 are complete it appends C2 to `out` and
    /// returns the bytes that follow them, which belong to the chunk stream.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.received.extend_from_slice(bytes);
        check_version(&self.received)?;
        let Some((packets, rest)) = self.received.split_at_checked(1 + 2 * PACKET_LEN) else {
            return Ok(None);
        };
        let (first, second) = packets
            .get(1..)
            .unwrap_or_default()
            .split_at_checked(PACKET_LEN)
            .unwrap_or_default();
        self.echo_matches = second.get(8..) == self.sent.get(8..);
        out.extend_from_slice(first);
        Ok(Some(rest.to_vec()))
    }

    /// Whether S2 echoed the random bytes of C1; false before the handshake is complete.
    #[must_use]
    pub fn echo_matches(&self) -> bool {
        self.echo_matches
    }
}

/// The side that is published to.
#[derive(Debug)]
pub struct Server {
    sent: Box<[u8; PACKET_LEN]>,
    received: Vec<u8>,
    answered: bool,
}

impl Server {
    /// Waits for a client, with the server's time in milliseconds and random bytes.
    #[must_use]
    pub fn new(time_ms: u32, random: &[u8; RANDOM_LEN]) -> Self {
        Self {
            sent: first_packet(time_ms, random),
            received: Vec::new(),
            answered: false,
        }
    }

    /// Takes bytes of the client. Appends S0, S1 and S2 to `out` once C0 and C1 are there; when
    /// C2 is complete, returns the bytes that follow it.
    pub fn receive(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<Option<Vec<u8>>, Error> {
        self.received.extend_from_slice(bytes);
        check_version(&self.received)?;
        if !self.answered
            && let Some(first) = self.received.get(1..=PACKET_LEN)
        {
            out.push(VERSION);
            out.extend_from_slice(&self.sent[..]);
            out.extend_from_slice(first);
            self.answered = true;
        }
        Ok(self.received.get(1 + 2 * PACKET_LEN..).map(<[u8]>::to_vec))
    }
}

/// C1 or S1: time, a zero version that asks for the simple handshake, random bytes.
fn first_packet(time_ms: u32, random: &[u8; RANDOM_LEN]) -> Box<[u8; PACKET_LEN]> {
    let mut packet = Box::new([0; PACKET_LEN]);
    packet[..4].copy_from_slice(&time_ms.to_be_bytes());
    packet[8..].copy_from_slice(random);
    packet
}

fn check_version(received: &[u8]) -> Result<(), Error> {
    match received.first() {
        Some(&version) if !(VERSION..=HIGHEST_VERSION).contains(&version) => {
            Err(Error::NotRtmp { version })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn client_and_server_agree_whatever_the_reads_are() {
        for step in [1, 7, 1536, 5000] {
            let mut to_server = Vec::new();
            let mut client = Client::new(1, &[7; RANDOM_LEN], &mut to_server);
            let mut server = Server::new(2, &[9; RANDOM_LEN]);
            let mut to_client = Vec::new();
            for part in to_server.chunks(step) {
                assert_eq!(server.receive(part, &mut to_client), Ok(None));
            }
            to_client.extend_from_slice(b"after");
            let mut to_server = Vec::new();
            let mut rest = Vec::new();
            for part in to_client.chunks(step) {
                if to_server.is_empty() {
                    rest = client
                        .receive(part, &mut to_server)
                        .unwrap()
                        .unwrap_or_default();
                } else {
                    rest.extend_from_slice(part);
                }
            }
            assert_eq!(rest, b"after");
            assert!(client.echo_matches());
            assert_eq!(to_server.len(), PACKET_LEN);
            assert_eq!(
                server.receive(&to_server, &mut Vec::new()).unwrap(),
                Some(Vec::new())
            );
        }
    }

    #[test]
    fn a_server_that_signs_s2_instead_of_echoing_is_accepted() {
        let mut client = Client::new(0, &[7; RANDOM_LEN], &mut Vec::new());
        let mut answer = vec![VERSION];
        answer.resize(1 + 2 * PACKET_LEN, 0xaa);
        let mut out = Vec::new();
        assert_eq!(client.receive(&answer, &mut out), Ok(Some(Vec::new())));
        assert!(!client.echo_matches());
        assert_eq!(out, vec![0xaa; PACKET_LEN]);
    }

    #[test]
    fn an_http_server_is_recognised_by_its_first_byte() {
        let mut client = Client::new(0, &[0; RANDOM_LEN], &mut Vec::new());
        assert_eq!(
            client.receive(b"HTTP/1.1 400 Bad Request", &mut Vec::new()),
            Err(Error::NotRtmp { version: b'H' })
        );
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_never_panic(
            parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..2000), 0..5)
        ) {
            let mut out = Vec::new();
            let mut client = Client::new(0, &[0; RANDOM_LEN], &mut out);
            let mut server = Server::new(0, &[0; RANDOM_LEN]);
            for part in parts {
                let _ = client.receive(&part, &mut out);
                let _ = server.receive(&part, &mut out);
            }
        }
    }
}
