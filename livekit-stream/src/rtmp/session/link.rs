//! What both ends share: chunks, flow control and ping (Adobe RTMP 1.0 sections 5.4 and 6.2).

use crate::rtmp::chunk::{self, CONTROL_CHUNK_STREAM};
use crate::rtmp::message::{self, Message};

/// The window assumed until the peer names one. Flash Media Server's own.
const DEFAULT_WINDOW: u32 = 2_500_000;

/// Messages over a chunk stream, with the protocol's housekeeping done.
#[derive(Debug, Default)]
pub(super) struct Link {
    reader: chunk::Reader,
    writer: chunk::Writer,
    /// Bytes for the peer, not yet taken.
    pub(super) out: Vec<u8>,
    /// Bytes of the chunk stream; the handshake is not counted.
    received: u64,
    acknowledged: u64,
    window: Option<u32>,
    announced_window: Option<u32>,
    written: u64,
    acknowledged_by_peer: u64,
}

impl Link {
    /// Takes bytes of the chunk stream and acknowledges them when it is time.
    pub(super) fn receive(&mut self, bytes: &[u8]) -> Result<(), chunk::Error> {
        self.received = self.received.saturating_add(bytes.len() as u64);
        self.reader.receive(bytes)?;
        self.acknowledge();
        Ok(())
    }

    /// The next message that is not housekeeping.
    pub(super) fn next_message(&mut self) -> Option<Message> {
        loop {
            let message = self.reader.next_message()?;
            match message.type_id {
                message::ACKNOWLEDGEMENT => self.acknowledged_by(message.number()),
                message::WINDOW_ACKNOWLEDGEMENT_SIZE => {
                    self.window = message.number();
                    self.acknowledge();
                }
                message::SET_PEER_BANDWIDTH => {
                    // Answered with our window if the peer does not know it (section 5.4.5).
                    if let Some(size) = message.number()
                        && self.announced_window != Some(size)
                    {
                        self.announce_window(size);
                    }
                }
                message::USER_CONTROL => self.user_control(&message),
                _ => return Some(message),
            }
        }
    }

    pub(super) fn send(&mut self, chunk_stream: u32, message: &Message) {
        let before = self.out.len();
        self.writer.write(chunk_stream, message, &mut self.out);
        self.count(before);
    }

    pub(super) fn send_control(&mut self, type_id: u8, payload: Vec<u8>) {
        self.send(CONTROL_CHUNK_STREAM, &Message::control(type_id, payload));
    }

    pub(super) fn set_chunk_size(&mut self, size: usize) {
        let before = self.out.len();
        self.writer.set_chunk_size(size, &mut self.out);
        self.count(before);
    }

    /// Tells the peer after how many bytes to acknowledge.
    pub(super) fn announce_window(&mut self, size: u32) {
        self.announced_window = Some(size);
        self.send_control(
            message::WINDOW_ACKNOWLEDGEMENT_SIZE,
            size.to_be_bytes().to_vec(),
        );
    }

    pub(super) fn send_user_control(&mut self, event: u16, data: u32) {
        let mut payload = event.to_be_bytes().to_vec();
        payload.extend_from_slice(&data.to_be_bytes());
        self.send_control(message::USER_CONTROL, payload);
    }

    /// Bytes of the chunk stream written and not yet acknowledged by the peer.
    pub(super) fn unacknowledged(&self) -> u64 {
        self.written.saturating_sub(self.acknowledged_by_peer)
    }

    fn count(&mut self, before: usize) {
        let added = self.out.len().saturating_sub(before) as u64;
        self.written = self.written.saturating_add(added);
    }

    /// Sends one acknowledgement for at least half a window, so that a peer that waits at the
    /// window's end never has to.
    fn acknowledge(&mut self) {
        let window = self.window.unwrap_or(DEFAULT_WINDOW);
        let due = u64::from((window / 2).max(1));
        if self.received.saturating_sub(self.acknowledged) >= due {
            self.acknowledged = self.received;
            // The sequence number is the count modulo 2^32 (section 5.4.3).
            let sequence = self.received as u32;
            self.send_control(message::ACKNOWLEDGEMENT, sequence.to_be_bytes().to_vec());
        }
    }

    /// Widens the peer's 32-bit count by what was acknowledged before.
    fn acknowledged_by(&mut self, sequence: Option<u32>) {
        if let Some(sequence) = sequence {
            let step = sequence.wrapping_sub(self.acknowledged_by_peer as u32);
            if i32::try_from(step).is_ok() {
                self.acknowledged_by_peer =
                    self.acknowledged_by_peer.saturating_add(u64::from(step));
            }
        }
    }

    fn user_control(&mut self, message: &Message) {
        let Some((event, data)) = message.payload.split_first_chunk::<2>() else {
            return;
        };
        if u16::from_be_bytes(*event) == message::PING_REQUEST
            && let Some(time) = data.first_chunk::<4>()
        {
            self.send_user_control(message::PING_RESPONSE, u32::from_be_bytes(*time));
        }
    }
}
