//! The task of one track: RTP from the peer connection, frames to the fan-out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::FutureExt;
use rtc::rtcp::payload_feedbacks::picture_loss_indication::PictureLossIndication;
use rtc::rtcp::sender_report::SenderReport;
use rtc::rtp_transceiver::rtp_sender::RtpCodecKind;
use tokio::sync::oneshot;
use webrtc::media_stream::track_remote::TrackRemoteEvent;

use super::WebRtcTrack;
use crate::codec::MediaKind;
use crate::fanout::TrackHub;
use crate::frame::VideoRotation;
use crate::rtp::{Packet, Receiver, ReceiverOptions, TrackClock};

/// What still comes of a track that is over, such as the server's last tiny pictures, comes within
/// this time.
const EBB: Duration = Duration::from_secs(3);

/// How often statistics are published while packets come.
const STATS_INTERVAL: Duration = Duration::from_millis(200);

/// Everything a track's task needs.
pub(crate) struct Source {
    pub(crate) track: WebRtcTrack,
    pub(crate) clock: TrackClock,
    pub(crate) hub: Arc<TrackHub>,
    /// The id of the video-orientation header extension, if it was negotiated.
    pub(crate) orientation_id: Option<u8>,
    /// Ends the task when its sender is dropped.
    pub(crate) stop: oneshot::Receiver<()>,
}

/// The MIME type of a track's codec, once its first packet has told it.
pub(crate) async fn codec_mime(track: &WebRtcTrack) -> Option<String> {
    for ssrc in track.ssrcs().await {
        if let Some(codec) = track.codec(ssrc).await {
            return Some(codec.mime_type);
        }
    }
    None
}

/// Whether a track is video or audio.
pub(crate) async fn media_kind(track: &WebRtcTrack) -> MediaKind {
    if track.kind().await == RtpCodecKind::Audio {
        MediaKind::Audio
    } else {
        MediaKind::Video
    }
}

/// Receives until the track ends or is stopped, then ends the fan-out and its statistics.
pub(crate) async fn receive(source: Source) {
    let Source {
        track,
        clock,
        hub,
        orientation_id,
        mut stop,
    } = source;
    match hub.codec() {
        Some(codec) => {
            let receiver = Receiver::new(codec, clock, ReceiverOptions::new(codec));
            let mut task = Task {
                track: &track,
                hub: &hub,
                orientation_id,
                ssrc: None,
                receiver,
            };
            task.run(&mut stop).await;
        }
        None => drain(&track, &mut stop).await,
    }
    hub.finish();
}

/// Reads and drops what still comes of a track that is over, until nothing does: the WebRTC crate
/// keeps a connection's tracks until its end, with all the packets that were not read.
pub(crate) async fn ebb(track: &WebRtcTrack) {
    let event = || tokio::time::timeout(EBB, track.poll());
    while let Ok(Some(event)) = event().await {
        if matches!(event, TrackRemoteEvent::OnEnded) {
            return;
        }
    }
}

/// Reads and drops: a queue nobody reads would be reported as an error for every packet.
async fn drain(track: &WebRtcTrack, stop: &mut oneshot::Receiver<()>) {
    loop {
        let event = tokio::select! {
            event = track.poll() => event,
            _ = &mut *stop => None,
        };
        if matches!(event, None | Some(TrackRemoteEvent::OnEnded)) {
            return;
        }
    }
}

struct Task<'a> {
    track: &'a WebRtcTrack,
    hub: &'a TrackHub,
    orientation_id: Option<u8>,
    /// The SSRC of the last packet.
    ssrc: Option<u32>,
    receiver: Receiver,
}

impl Task<'_> {
    async fn run(&mut self, stop: &mut oneshot::Receiver<()>) {
        let mut published = Instant::now();
        loop {
            let deadline = self.receiver.poll_timeout();
            let woken = tokio::select! {
                event = self.track.poll() => Woken::Event(event),
                () = self.hub.keyframe_wanted() => Woken::KeyframeWanted,
                () = sleep_until(deadline) => Woken::Timeout,
                _ = &mut *stop => Woken::Event(None),
            };
            let now = Instant::now();
            let ended = match woken {
                Woken::Event(event) => self.take(event, now),
                Woken::KeyframeWanted => {
                    self.receiver.request_keyframe();
                    false
                }
                Woken::Timeout => {
                    self.receiver.handle_timeout(now);
                    false
                }
            };
            while let Some(frame) = self.receiver.poll_frame() {
                self.hub.deliver(&frame);
            }
            if self.receiver.poll_keyframe_request() {
                self.request_keyframe().await;
            }
            if ended || now.duration_since(published) >= STATS_INTERVAL {
                published = now;
                self.hub.set_stats(&self.receiver.stats());
            }
            if ended {
                return;
            }
        }
    }

    /// Takes an event and all that wait behind it: waking up is the cost. Tells whether the track
    /// has ended.
    fn take(&mut self, first: Option<TrackRemoteEvent>, now: Instant) -> bool {
        let mut next = first;
        loop {
            match next {
                None | Some(TrackRemoteEvent::OnEnded) => return true,
                Some(event) => self.handle(event, now),
            }
            match self.track.poll().now_or_never() {
                Some(more) => next = more,
                None => return false,
            }
        }
    }

    fn handle(&mut self, event: TrackRemoteEvent, now: Instant) {
        match event {
            TrackRemoteEvent::OnRtpPacket(packet) => {
                let rotation = self
                    .orientation_id
                    .and_then(|id| packet.header.get_extension(id))
                    .and_then(|payload| payload.first().copied())
                    .map(VideoRotation::from_extension);
                self.ssrc = Some(packet.header.ssrc);
                let packet = Packet {
                    sequence_number: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    marker: packet.header.marker,
                    payload: packet.payload,
                    rotation,
                };
                self.receiver.handle_packet(now, packet);
            }
            TrackRemoteEvent::OnRtcpPacket(packets) => {
                for packet in packets {
                    if let Some(report) = packet.as_any().downcast_ref::<SenderReport>()
                        && self.ssrc.is_none_or(|ssrc| ssrc == report.ssrc)
                    {
                        self.receiver
                            .handle_sender_report(now, report.ntp_time, report.rtp_time);
                    }
                }
            }
            _ => {}
        }
    }

    /// Sends a picture loss indication (RFC 4585 section 6.3.1).
    async fn request_keyframe(&self) {
        let Some(media_ssrc) = self.ssrc else { return };
        let indication = PictureLossIndication {
            sender_ssrc: 0,
            media_ssrc,
        };
        // A connection that is gone ends the track by itself.
        let _ = self.track.write_rtcp(vec![Box::new(indication)]).await;
    }
}

enum Woken {
    Event(Option<TrackRemoteEvent>),
    KeyframeWanted,
    Timeout,
}

async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}
