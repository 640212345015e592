//! The task of one track: RTP from the peer connection, frames to the fan-out.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
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
    if track.kind().await == RtpCodecKind::Audio { MediaKind::Audio } else { MediaKind::Video }
}

/// Receives until the track ends or is stopped, then ends the fan-out.
pub(crate) async fn receive(mut source: Source) {
    if let Some(codec) = source.hub.codec() {
        let receiver = Receiver::new(codec, source.clock.clone(), ReceiverOptions::default());
        run(&mut source, receiver).await;
    } else {
        drain(&mut source).await;
    }
    source.hub.end();
}

/// Reads and drops: a queue nobody reads would be reported as an error for every packet.
async fn drain(source: &mut Source) {
    loop {
        let event = tokio::select! {
            event = source.track.poll() => event,
            _ = &mut source.stop => None,
        };
        if matches!(event, None | Some(TrackRemoteEvent::OnEnded)) {
            return;
        }
    }
}

async fn run(source: &mut Source, mut receiver: Receiver) {
    let mut published = Instant::now();
    loop {
        let deadline = receiver.poll_timeout();
        let woken = tokio::select! {
            event = source.track.poll() => Woken::Event(event),
            () = source.hub.keyframe_wanted() => Woken::KeyframeWanted,
            () = sleep_until(deadline) => Woken::Timeout,
            _ = &mut source.stop => Woken::Event(None),
        };
        let now = Instant::now();
        let mut ended = false;
        match woken {
            Woken::Event(mut next) => loop {
                match next {
                    None | Some(TrackRemoteEvent::OnEnded) => {
                        ended = true;
                        break;
                    }
                    Some(event) => handle(event, now, source.orientation_id, &mut receiver),
                }
                // One wake-up takes everything that has come: waking is the cost.
                match source.track.poll().now_or_never() {
                    Some(more) => next = more,
                    None => break,
                }
            },
            Woken::KeyframeWanted => receiver.request_keyframe(),
            Woken::Timeout => receiver.handle_timeout(now),
        }
        while let Some(frame) = receiver.poll_frame() {
            source.hub.deliver(&frame);
        }
        if receiver.poll_keyframe_request() {
            request_keyframe(source).await;
        }
        if ended || now.duration_since(published) >= STATS_INTERVAL {
            published = now;
            source.hub.set_stats(&receiver.stats());
        }
        if ended {
            return;
        }
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

fn handle(event: TrackRemoteEvent, now: Instant, orientation: Option<u8>, receiver: &mut Receiver) {
    match event {
        TrackRemoteEvent::OnRtpPacket(packet) => {
            let rotation = orientation
                .and_then(|id| packet.header.get_extension(id))
                .and_then(|payload: Bytes| payload.first().copied())
                .map(VideoRotation::from_extension);
            receiver.handle_packet(
                now,
                Packet {
                    sequence_number: packet.header.sequence_number,
                    timestamp: packet.header.timestamp,
                    marker: packet.header.marker,
                    payload: packet.payload,
                    rotation,
                },
            );
        }
        TrackRemoteEvent::OnRtcpPacket(packets) => {
            for packet in packets {
                if let Some(report) = packet.as_any().downcast_ref::<SenderReport>() {
                    receiver.handle_sender_report(now, report.ntp_time, report.rtp_time);
                }
            }
        }
        _ => {}
    }
}

/// Sends a picture loss indication (RFC 4585 section 6.3.1).
async fn request_keyframe(source: &Source) {
    for ssrc in source.track.ssrcs().await {
        let indication = PictureLossIndication { sender_ssrc: 0, media_ssrc: ssrc };
        // A connection that is gone ends the track by itself.
        let _ = source.track.write_rtcp(vec![Box::new(indication)]).await;
    }
}
