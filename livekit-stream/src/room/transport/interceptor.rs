//! Lets sender reports through to the receivers; the interceptor chain keeps RTCP to itself
//! otherwise.

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{
    Attribute, AttributedPacket, Interceptor, Packet, Slot, StreamInfo, TaggedPacket,
};
use rtc::rtcp::sender_report::SenderReport;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// An interceptor of the `webrtc` crate that hands each sender report (RFC 3550 section 6.4.1) to
/// the track it is of.
///
/// The crate gives RTCP to the application only where it is asked to, and then a whole compound
/// packet to the track that its first part names; LiveKit's server reports of all tracks of a
/// subscriber in one compound.
///
/// Whoever builds a peer connection for [`WebRtcPeer`](crate::WebRtcPeer) puts it into the
/// connection's registry: without it sound and pictures are placed by their arrival alone.
///
/// ```
/// use livekit_stream::SenderReports;
/// use rtc::interceptor::Registry;
///
/// let registry = Registry::new().with(SenderReports::SLOT, SenderReports::default());
/// ```
#[derive(Default)]
pub struct SenderReports {
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
}

impl SenderReports {
    /// Behind the receiver reports, which need sender reports too.
    pub const SLOT: Slot = Slot::SenderReport;
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for SenderReports {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(compound) = &packet.message.packet {
            for part in compound {
                if let Some(report) = part.as_any().downcast_ref::<SenderReport>() {
                    self.read.push_back(alone(report, &packet));
                }
            }
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

/// A report on its own for the application. Its blocks, which name other streams and would send it
/// there, are left out.
fn alone(report: &SenderReport, compound: &TaggedPacket) -> TaggedPacket {
    let report = SenderReport {
        reports: Vec::new(),
        ..report.clone()
    };
    let mut message = AttributedPacket::new(Packet::Rtcp(vec![Box::new(report)]));
    message.add(Attribute::DeliverToApplication);
    TaggedPacket {
        now: compound.now,
        transport: compound.transport,
        message,
    }
}

impl Interceptor for SenderReports {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}

#[cfg(test)]
mod tests {
    use super::*;

    use rtc::rtcp::goodbye::Goodbye;
    use rtc::rtcp::reception_report::ReceptionReport;
    use rtc::shared::TransportContext;

    fn report(ssrc: u32) -> SenderReport {
        SenderReport {
            ssrc,
            ntp_time: u64::from(ssrc) << 32,
            reports: vec![ReceptionReport {
                ssrc: 99,
                ..ReceptionReport::default()
            }],
            ..SenderReport::default()
        }
    }

    #[test]
    fn each_report_of_a_compound_reaches_its_own_track() {
        let mut reports = SenderReports::default();
        let compound = Packet::Rtcp(vec![
            Box::new(report(1)),
            Box::new(report(2)),
            Box::new(Goodbye::default()),
        ]);
        let packet = TaggedPacket {
            now: Instant::now(),
            transport: TransportContext::default(),
            message: AttributedPacket::new(compound),
        };
        reports.handle_read(packet).expect("it is taken in");
        let mut read = Vec::new();
        while let Some(packet) = reports.poll_read() {
            let delivered = packet.message.has(&Attribute::DeliverToApplication);
            let Packet::Rtcp(parts) = packet.message.packet else {
                panic!("no RTP was there");
            };
            let named = parts[0].destination_ssrc().first().copied();
            read.push((delivered, parts.len(), named));
        }
        assert_eq!(
            read,
            [(true, 1, Some(1)), (true, 1, Some(2)), (false, 3, Some(99))]
        );
    }
}
