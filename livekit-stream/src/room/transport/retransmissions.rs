//! Retransmissions as the packets they repeat, before anybody asks for those again.

use std::collections::{HashMap, VecDeque};
use std::time::Instant;

use rtc::interceptor::{Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::rtp::packet::Packet as RtpPacket;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// The original sequence number before the payload (RFC 4588 section 4).
const ORIGINAL_NUMBER: usize = 2;

/// Unwraps retransmissions (RFC 4588), which the `webrtc` crate does behind all interceptors: what
/// asks for lost packets has to see that they came, or it asks until it gives up. A server that
/// counts how often it is asked takes that for a network that is full.
#[derive(Default)]
pub(super) struct Retransmissions {
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
    /// By the SSRC of the retransmissions.
    streams: HashMap<u32, Repaired>,
}

#[derive(Debug, Clone, Copy)]
struct Repaired {
    ssrc: u32,
    payload_type: u8,
    payload_type_rtx: u8,
}

impl Retransmissions {
    /// Behind all that measures packets as they arrive, and before [`NACK_SLOT`](Self::NACK_SLOT).
    pub(super) const SLOT: Slot = Slot::Custom(12_100);

    /// Where the generator of requests belongs.
    pub(super) const NACK_SLOT: Slot = Slot::Custom(12_200);

    fn unwrap(&self, packet: &mut RtpPacket) {
        let header = &mut packet.header;
        if let Some(repaired) = self.streams.get(&header.ssrc)
            && header.payload_type == repaired.payload_type_rtx
            && let [high, low, ..] = *packet.payload
        {
            header.ssrc = repaired.ssrc;
            header.payload_type = repaired.payload_type;
            header.sequence_number = u16::from_be_bytes([high, low]);
            packet.payload = packet.payload.slice(ORIGINAL_NUMBER..);
        }
    }
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for Retransmissions {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtp(rtp) = &mut packet.message.packet {
            self.unwrap(rtp);
        }
        self.read.push_back(packet);
        Ok(())
    }

    fn poll_read(&mut self) -> Option<TaggedPacket> {
        self.read.pop_front()
    }

    fn handle_write(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        self.write.push_back(packet);
        Ok(())
    }

    fn poll_write(&mut self) -> Option<TaggedPacket> {
        self.write.pop_front()
    }
}

impl Interceptor for Retransmissions {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        if let Some((ssrc_rtx, payload_type_rtx)) = info.ssrc_rtx.zip(info.payload_type_rtx) {
            let repaired = Repaired {
                ssrc: info.ssrc,
                payload_type: info.payload_type,
                payload_type_rtx,
            };
            self.streams.insert(ssrc_rtx, repaired);
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams
            .retain(|_, repaired| repaired.ssrc != info.ssrc);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use rtc::interceptor::{AttributedPacket, RTCPFeedback};
    use rtc::rtcp::transport_feedbacks::transport_layer_nack::TransportLayerNack;
    use rtc::rtp::header::Header;
    use rtc::shared::TransportContext;

    fn stream() -> StreamInfo {
        StreamInfo {
            ssrc: 1,
            ssrc_rtx: Some(2),
            payload_type: 96,
            payload_type_rtx: Some(97),
            clock_rate: 90_000,
            rtcp_feedback: vec![RTCPFeedback {
                typ: "nack".to_owned(),
                parameter: String::new(),
            }],
            ..StreamInfo::default()
        }
    }

    fn packet(
        now: Instant,
        (ssrc, payload_type): (u32, u8),
        number: u16,
        payload: &'static [u8],
    ) -> TaggedPacket {
        let header = Header {
            version: 2,
            sequence_number: number,
            payload_type,
            ssrc,
            ..Header::default()
        };
        let payload = payload.into();
        TaggedPacket {
            now,
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtp(RtpPacket { header, payload })),
        }
    }

    #[test]
    fn a_packet_that_was_repeated_is_not_asked_for_again() {
        let mut chain = super::super::receiving().build();
        chain.bind_remote_stream(&stream());
        let epoch = Instant::now();
        let mut asked = 0;
        let mut came = Vec::new();
        for ms in 0..1000u16 {
            let now = epoch + Duration::from_millis(ms.into());
            let arrives = match ms {
                // After it was asked for, and before it would be again.
                171 => Some(packet(now, (2, 97), 7, &[0, 10, 5, 5])),
                // A probe, and what says it is of another codec.
                141 => Some(packet(now, (2, 97), 8, &[])),
                151 => Some(packet(now, (2, 98), 9, &[0, 11, 5, 5])),
                _ if ms % 10 == 0 && ms != 100 => Some(packet(now, (1, 96), ms / 10, &[1])),
                _ => None,
            };
            if let Some(packet) = arrives {
                chain.handle_read(packet).expect("it is taken");
            }
            while let Some(read) = chain.poll_read() {
                if let Packet::Rtp(packet) = read.message.packet {
                    came.push((packet.header.ssrc, packet.header.sequence_number));
                    if packet.header.sequence_number == 10 && packet.header.ssrc == 1 {
                        assert_eq!(packet.header.payload_type, 96);
                        assert_eq!(&packet.payload[..], &[5, 5]);
                    }
                }
            }
            chain.handle_timeout(now).expect("time passes");
            while let Some(written) = chain.poll_write() {
                if let Packet::Rtcp(messages) = written.message.packet {
                    let nacks = messages
                        .iter()
                        .filter(|message| message.as_any().is::<TransportLayerNack>());
                    asked += nacks.count();
                }
            }
        }
        assert!(came.contains(&(1, 10)) && !came.contains(&(2, 7)));
        assert!(came.contains(&(2, 8)) && came.contains(&(2, 9)));
        assert_eq!(asked, 1);
    }
}
