//! A track in the room, and the log of what was sent on it.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use webrtc::media_stream::track_local::{TrackLocal, TrackLocalEvent};
use webrtc::rtp_transceiver::RtpSender;

use super::pump::{self, Control, Output, Payloads, Timeline};
use super::{Media, PublishOptions, TrackInfo, keyframes};

/// One access unit, or packet of sound, that went out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sent {
    /// Its place in the clip's `units` or `packets`.
    pub index: usize,
    /// Whether it is a keyframe; always for sound.
    pub keyframe: bool,
    /// The timestamp of its RTP packets.
    pub rtp_timestamp: u32,
    /// The same on the publisher's media clock, microseconds since its epoch.
    pub media_us: i64,
    /// When it was handed to the connection.
    pub at: Instant,
}

/// A track in the room, playing its clip. Dropping it stops the clip; the track stays in the room.
pub struct PublishedTrack {
    options: PublishOptions,
    info: TrackInfo,
    control: Arc<Control>,
    sender: Arc<dyn RtpSender>,
    finished: watch::Receiver<bool>,
    tasks: [JoinHandle<()>; 2],
}

impl PublishedTrack {
    pub(super) fn start(
        options: PublishOptions,
        info: TrackInfo,
        mut layers: Vec<Output>,
        sender: Arc<dyn RtpSender>,
        timeline: Arc<Timeline>,
    ) -> Self {
        let output = layers.pop().expect("a track has at least one layer");
        let control = Arc::new(Control::default());
        if options.muted {
            control.set_muted(true);
        }
        let (finish, finished) = watch::channel(false);
        let requests = tokio::spawn(count_requests(
            Arc::clone(&output.track),
            Arc::clone(&control),
        ));
        let play = {
            let (control, options) = (Arc::clone(&control), options.clone());
            tokio::spawn(async move {
                let PublishOptions {
                    media,
                    lower,
                    repeat,
                    answer_keyframe_requests: answer,
                    discontinuous,
                    ..
                } = options;
                match media {
                    Media::Video(clip) => {
                        let lower = lower.into_iter().zip(layers).collect();
                        let picture = pump::Picture {
                            clip,
                            output,
                            lower,
                        };
                        pump::play_video(picture, repeat, answer, timeline, control).await;
                    }
                    Media::Audio(clip) => {
                        pump::play_audio(clip, repeat, discontinuous, output, timeline, control)
                            .await;
                    }
                }
                finish.send_replace(true);
            })
        };
        Self {
            options,
            info,
            control,
            sender,
            finished,
            tasks: [requests, play],
        }
    }

    /// The server's name for it, `TR_...`.
    pub fn sid(&self) -> &str {
        &self.info.sid
    }

    /// What the server told about it when it was announced.
    pub fn info(&self) -> &TrackInfo {
        &self.info
    }

    /// How it was published.
    pub fn options(&self) -> &PublishOptions {
        &self.options
    }

    /// Everything sent so far, in order.
    pub fn sent(&self) -> Vec<Sent> {
        self.control.sent().clone()
    }

    /// The frames of [`sent`](Self::sent), as a file that copied them holds them: pictures without
    /// parameter sets, Opus packets.
    pub fn sent_frames(&self) -> Vec<Bytes> {
        let sent = self.control.sent();
        sent.iter()
            .map(|sent| self.options.frame(sent.index))
            .collect()
    }

    /// Sends packets with these payloads, whatever they are, before one of the next frames: a
    /// later call's come before a later frame. Each second one has the marker and all of a call
    /// have one timestamp of their own. `instead`: that frame itself is left out.
    pub fn send_payloads(&self, payloads: Vec<Bytes>, instead: bool) {
        self.control.send_payloads(Payloads { payloads, instead });
    }

    /// Waits until all of these payloads have been sent.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn payloads_sent(&self, deadline: Duration) {
        let sent = async {
            while self.control.has_payloads() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            timeout(deadline, sent).await.is_ok(),
            "payloads are left after {deadline:?}"
        );
    }

    /// Keyframe requests received so far.
    pub fn keyframe_requests(&self) -> usize {
        self.control.keyframe_requests()
    }

    /// Waits until the clip has been played, when it plays once.
    pub async fn finished(&self) {
        let mut finished = self.finished.clone();
        let _ = finished.wait_for(|finished| *finished).await;
    }

    /// Waits until at least so many units have been sent.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn sent_at_least(&self, units: usize, deadline: Duration) {
        let enough = async {
            while self.control.sent().len() < units {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            timeout(deadline, enough).await.is_ok(),
            "{} of {units} units sent in {deadline:?}",
            self.control.sent().len()
        );
    }

    pub(super) fn control(&self) -> &Control {
        &self.control
    }

    /// Ends both tasks, for they hold the track's locks, and gives the sender back.
    pub(super) async fn stop(mut self) -> Arc<dyn RtpSender> {
        for task in &mut self.tasks {
            task.abort();
            let _ = task.await;
        }
        Arc::clone(&self.sender)
    }
}

impl Drop for PublishedTrack {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

async fn count_requests(track: Arc<impl TrackLocal + ?Sized>, control: Arc<Control>) {
    while let Some(TrackLocalEvent::OnRtcpPacket(packets)) = track.poll().await {
        if packets
            .iter()
            .any(|packet| keyframes::is_keyframe_request(&**packet))
        {
            control.request_keyframe();
        }
    }
}
