//! Lets sender reports through to the receivers; the interceptor chain keeps RTCP to itself
//! otherwise.

use std::collections::VecDeque;
use std::time::Instant;

use rtc::interceptor::{Attribute, Interceptor, Packet, Slot, StreamInfo, TaggedPacket};
use rtc::rtcp::sender_report::SenderReport;
use rtc::sansio::Protocol;
use rtc::shared::error::Error;

/// An interceptor of the `webrtc` crate that marks sender reports (RFC 3550 section 6.4.1) for
/// the application.
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

    fn handle_read(&mut self, mut packet: TaggedPacket) -> Result<(), Error> {
        if let Packet::Rtcp(reports) = &packet.message.packet
            && reports
                .iter()
                .any(|report| report.as_any().is::<SenderReport>())
        {
            packet.message.add(Attribute::DeliverToApplication);
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

impl Interceptor for SenderReports {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}
    fn unbind_local_stream(&mut self, _: &StreamInfo) {}
    fn bind_remote_stream(&mut self, _: &StreamInfo) {}
    fn unbind_remote_stream(&mut self, _: &StreamInfo) {}
}
