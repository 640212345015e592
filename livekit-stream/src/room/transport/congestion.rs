//! Tells the sender how much the way to us carries, in whichever manner it asks for.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use rtc::interceptor::{AttributedPacket, TwccReceiverBuilder};
use rtc::interceptor::{Interceptor, Packet, Registry, Slot, StreamInfo, TaggedPacket};
use rtc::peer_connection::configuration::media_engine::MediaEngine;
use rtc::rtcp::payload_feedbacks::receiver_estimated_maximum_bitrate::ReceiverEstimatedMaximumBitrate;
use rtc::rtp::packet::Packet as RtpPacket;
use rtc::rtp_transceiver::rtp_sender::{
    RTCPFeedback, RTCRtpHeaderExtensionCapability, RtpCodecKind,
};
use rtc::sansio::Protocol;
use rtc::shared::TransportContext;
use rtc::shared::error::Error;
use rtc::shared::marshal::MarshalSize;

use crate::rtp::{Arrival, Estimator};

const ABS_SEND_TIME: &str = "http://www.webrtc.org/experiments/rtp-hdrext/abs-send-time";
const TRANSPORT_CC: &str =
    "http://www.ietf.org/id/draft-holmer-rmcat-transport-wide-cc-extensions-01";
const GOOG_REMB: &str = "goog-remb";

/// An estimate that has not changed is told again after so long.
const REPEAT: Duration = Duration::from_secs(1);

/// One that has grown is not told before so long: it grows all the time.
const SHORTEST: Duration = Duration::from_millis(100);

/// Shares by which an estimate has to grow or fall to be worth telling at once.
const GROWN: f64 = 1.02;
const FALLEN: f64 = 0.97;

/// Streams that one message can name (draft-alvestrand-rmcat-remb-03 section 2.2).
const MOST_STREAMS: usize = 255;

/// Bytes of a packet of padding alone, whose length is not known here any more. Those that probe
/// the network are about as long as padding can be, 255.
const PADDING: usize = 224;

/// An interceptor of the `webrtc` crate that estimates what the way from the peer carries and
/// tells the peer, by REMB (draft-alvestrand-rmcat-remb-03): a sender with several layers can then
/// choose one that fits.
///
/// The estimate is one for the whole connection. It is made of the send times that packets have in
/// the abs-send-time header extension (draft-ietf-rmcat-gcc-02 section 5), and told when it
/// changes and once a second.
///
/// Rooms have it. Whoever builds a peer connection for [`WebRtcPeer`](crate::WebRtcPeer) puts it
/// into the connection's registry, once the codecs are registered:
///
/// ```
/// # fn example() -> Result<(), rtc::shared::error::Error> {
/// use livekit_stream::BandwidthEstimates;
/// use rtc::interceptor::Registry;
/// use rtc::peer_connection::configuration::media_engine::MediaEngine;
///
/// let mut media_engine = MediaEngine::default();
/// media_engine.register_default_codecs()?;
/// let registry = BandwidthEstimates::configure(Registry::new(), &mut media_engine)?;
/// # Ok(())
/// # }
/// # example().unwrap();
/// ```
#[derive(Default)]
pub struct BandwidthEstimates {
    read: VecDeque<TaggedPacket>,
    write: VecDeque<TaggedPacket>,
    extension_id: Option<u8>,
    streams: Vec<u32>,
    /// SSRCs of retransmissions: their packets count, but a message names the streams they repair.
    repairs: Vec<u32>,
    estimator: Estimator,
    sent: Option<(Instant, f64)>,
    due: Option<Instant>,
}

impl BandwidthEstimates {
    /// Among the interceptors that see packets as they arrive, and write of their own.
    pub const SLOT: Slot = Slot::Custom(9_500);

    /// Puts an interceptor into `registry`, and what it needs negotiated into `media_engine`.
    ///
    /// # Errors
    ///
    /// When the media engine has no room for another header extension.
    pub fn configure(
        registry: Registry,
        media_engine: &mut MediaEngine,
    ) -> Result<Registry, Error> {
        let feedback = RTCPFeedback {
            typ: GOOG_REMB.to_owned(),
            parameter: String::new(),
        };
        media_engine.register_feedback(feedback, RtpCodecKind::Video);
        media_engine.register_header_extension(
            RTCRtpHeaderExtensionCapability {
                uri: ABS_SEND_TIME.to_owned(),
            },
            RtpCodecKind::Video,
            None,
        )?;
        Ok(registry.with(Self::SLOT, Self::default()))
    }

    /// Sees to it that the estimate is told when it is time.
    fn schedule(&mut self, now: Instant) {
        let Some(estimate) = self.estimator.bits_per_second() else {
            return;
        };
        let due = match self.sent {
            None => now,
            Some((_, sent)) if estimate < sent * FALLEN => now,
            Some((at, sent)) if estimate > sent * GROWN => at + SHORTEST,
            Some((at, _)) => at + REPEAT,
        };
        self.due = Some(due);
    }
}

/// Both kinds of feedback in a connection's registry. A sender that asks for both gets both: which of
/// them LiveKit's server goes by is a matter of its configuration, and not of what it asks for.
pub(super) fn configure(
    registry: Registry,
    media_engine: &mut MediaEngine,
) -> Result<Registry, Error> {
    let feedback = RTCPFeedback {
        typ: "transport-cc".to_owned(),
        parameter: String::new(),
    };
    for kind in [RtpCodecKind::Video, RtpCodecKind::Audio] {
        media_engine.register_feedback(feedback.clone(), kind);
        let uri = TRANSPORT_CC.to_owned();
        media_engine.register_header_extension(
            RTCRtpHeaderExtensionCapability { uri },
            kind,
            None,
        )?;
    }
    let registry = registry.with(Slot::TwccReceiver, TwccReceiverBuilder::new().build());
    BandwidthEstimates::configure(registry, media_engine)
}

fn size(packet: &RtpPacket) -> usize {
    let padding = if packet.header.padding && packet.payload.is_empty() {
        PADDING
    } else {
        0
    };
    packet.header.marshal_size() + packet.payload.len() + padding
}

impl Protocol<TaggedPacket, TaggedPacket, ()> for BandwidthEstimates {
    type Rout = TaggedPacket;
    type Wout = TaggedPacket;
    type Eout = ();
    type Error = Error;
    type Time = Instant;

    fn handle_read(&mut self, packet: TaggedPacket) -> Result<(), Error> {
        if let Some(id) = self.extension_id
            && let Packet::Rtp(rtp) = &packet.message.packet
            && let Some(extension) = rtp.header.get_extension(id)
            && let [high, middle, low] = *extension
        {
            let arrival = Arrival {
                ssrc: rtp.header.ssrc,
                sequence_number: rtp.header.sequence_number,
                send_time: u32::from_be_bytes([0, high, middle, low]),
                size: size(rtp),
            };
            self.estimator.handle_packet(packet.now, arrival);
            self.schedule(packet.now);
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

    fn handle_timeout(&mut self, now: Instant) -> Result<(), Error> {
        if self.due.is_none_or(|due| now < due) {
            return Ok(());
        }
        // Nothing is told again before a packet comes.
        self.due = None;
        let Some(estimate) = self.estimator.bits_per_second() else {
            return Ok(());
        };
        if self.streams.is_empty() {
            return Ok(());
        }
        self.sent = Some((now, estimate));
        let message = ReceiverEstimatedMaximumBitrate {
            sender_ssrc: 0,
            bitrate: estimate as f32,
            ssrcs: self.streams.iter().copied().take(MOST_STREAMS).collect(),
        };
        tracing::trace!(bits_per_second = estimate, "bandwidth estimate");
        self.write.push_back(TaggedPacket {
            now,
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtcp(vec![Box::new(message)])),
        });
        Ok(())
    }

    fn poll_timeout(&mut self) -> Option<Instant> {
        self.due
    }
}

impl Interceptor for BandwidthEstimates {
    fn bind_local_stream(&mut self, _: &StreamInfo) {}

    fn unbind_local_stream(&mut self, _: &StreamInfo) {}

    fn bind_remote_stream(&mut self, info: &StreamInfo) {
        let id = |uri: &str| {
            let mut extensions = info.rtp_header_extensions.iter();
            let extension = extensions.find(|extension| extension.uri == uri)?;
            u8::try_from(extension.id).ok().filter(|id| *id != 0)
        };
        let wanted = |typ: &str| info.rtcp_feedback.iter().any(|one| one.typ == typ);
        if !wanted(GOOG_REMB) {
            return;
        }
        if let Some(id) = id(ABS_SEND_TIME) {
            self.extension_id = Some(id);
            self.repairs.extend(info.ssrc_rtx);
            if !self.repairs.contains(&info.ssrc) && !self.streams.contains(&info.ssrc) {
                self.streams.push(info.ssrc);
            }
        }
    }

    fn unbind_remote_stream(&mut self, info: &StreamInfo) {
        self.streams.retain(|ssrc| *ssrc != info.ssrc);
        let is_repair = |ssrc: &u32| *ssrc == info.ssrc || info.ssrc_rtx == Some(*ssrc);
        self.repairs.retain(|ssrc| !is_repair(ssrc));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rtc::interceptor::{RTCPFeedback, RTPHeaderExtension};
    use rtc::rtp::header::Header;

    const ID: u8 = 4;

    fn stream(ssrc: u32, uri: &str) -> StreamInfo {
        StreamInfo {
            ssrc,
            ssrc_rtx: Some(ssrc + 1),
            rtp_header_extensions: vec![RTPHeaderExtension {
                uri: uri.to_owned(),
                id: u16::from(ID),
            }],
            rtcp_feedback: vec![RTCPFeedback {
                typ: GOOG_REMB.to_owned(),
                parameter: String::new(),
            }],
            ..StreamInfo::default()
        }
    }

    fn packet(now: Instant, number: u16, sent_us: u64) -> TaggedPacket {
        let mut header = Header {
            version: 2,
            sequence_number: number,
            ssrc: 10,
            ..Header::default()
        };
        let send_time = ((sent_us << 18) / 1_000_000) as u32;
        let extension = send_time.to_be_bytes()[1..].to_vec();
        header
            .set_extension(ID, extension.into())
            .expect("an extension");
        TaggedPacket {
            now,
            transport: TransportContext::default(),
            message: AttributedPacket::new(Packet::Rtp(RtpPacket {
                header,
                payload: vec![0; 1230].into(),
            })),
        }
    }

    /// Passes a packet each 10 ms, delayed as `delay_ms` says, and collects what is told.
    fn run(
        estimates: &mut BandwidthEstimates,
        packets: std::ops::Range<u64>,
        delay_ms: fn(u64) -> u64,
    ) -> Vec<(u64, ReceiverEstimatedMaximumBitrate)> {
        let epoch = Instant::now();
        let mut told = Vec::new();
        for number in packets {
            let at_ms = number * 10 + delay_ms(number);
            let now = epoch + Duration::from_millis(at_ms);
            let packet = packet(now, number as u16, number * 10_000);
            estimates.handle_read(packet).expect("it is taken");
            assert!(estimates.poll_read().is_some(), "it passes on");
            if estimates.poll_timeout().is_some_and(|due| due <= now) {
                estimates.handle_timeout(now).expect("it is time");
            }
            while let Some(written) = estimates.poll_write() {
                let Packet::Rtcp(messages) = written.message.packet else {
                    panic!("RTCP alone is written");
                };
                for message in messages {
                    let message = message.as_any();
                    let message = message.downcast_ref::<ReceiverEstimatedMaximumBitrate>();
                    told.push((at_ms, message.expect("a REMB").clone()));
                }
            }
        }
        told
    }

    #[test]
    fn an_estimate_is_told_when_it_grows_once_a_second_and_at_once_when_it_falls() {
        let mut estimates = BandwidthEstimates::default();
        estimates.bind_remote_stream(&stream(10, ABS_SEND_TIME));
        estimates.bind_remote_stream(&StreamInfo {
            ssrc_rtx: None,
            ..stream(11, ABS_SEND_TIME)
        });
        let told = run(&mut estimates, 0..2000, |number| {
            number.saturating_sub(1500) * 2
        });
        assert!(told.iter().all(|(_, message)| message.ssrcs == [10]));
        let (first_ms, first) = &told[0];
        assert!((900..1200).contains(first_ms), "{first_ms}");
        assert!((0.9e6..1.1e6).contains(&first.bitrate), "{}", first.bitrate);
        for pair in told.windows(2) {
            let between_ms = pair[1].0 - pair[0].0;
            assert!(between_ms <= 1020, "{between_ms}");
            assert!(between_ms >= 100 || pair[1].1.bitrate < pair[0].1.bitrate);
        }
        let falls = told
            .iter()
            .find(|(at_ms, message)| *at_ms > 15_000 && message.bitrate < 1.2e6);
        assert!(falls.is_some_and(|(at_ms, _)| *at_ms < 16_000), "{falls:?}");
    }

    #[test]
    fn nothing_is_told_to_a_sender_that_does_not_ask() {
        let mut unasked = stream(10, ABS_SEND_TIME);
        unasked.rtcp_feedback.clear();
        for info in [unasked, stream(10, "urn:x")] {
            let mut estimates = BandwidthEstimates::default();
            estimates.bind_remote_stream(&info);
            assert!(run(&mut estimates, 0..500, |_| 0).is_empty());
            assert_eq!(estimates.poll_timeout(), None);
        }
    }

    #[test]
    fn a_stream_that_ended_is_not_named() {
        let mut estimates = BandwidthEstimates::default();
        estimates.bind_remote_stream(&stream(10, ABS_SEND_TIME));
        estimates.bind_remote_stream(&stream(20, ABS_SEND_TIME));
        estimates.unbind_remote_stream(&stream(20, ABS_SEND_TIME));
        let told = run(&mut estimates, 0..300, |_| 0);
        assert!(!told.is_empty());
        assert!(told.iter().all(|(_, message)| message.ssrcs == [10]));
    }
}
