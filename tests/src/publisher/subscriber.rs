//! The least that a subscriber can be: it keeps the RTP packets of every track. It shows what
//! reaches a subscriber without the library under test.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rtc::rtp::packet::Packet;
use tokio::sync::mpsc;
use tokio::time::timeout;
use webrtc::media_stream::track_remote::{TrackRemote, TrackRemoteEvent};

use super::session::Session;
use crate::impairment::Impairment;

/// A participant that only listens.
pub struct Subscriber {
    session: Session,
    tracks: mpsc::UnboundedReceiver<Arc<dyn TrackRemote>>,
}

/// The packets of one subscribed track.
#[derive(Debug)]
pub struct ReceivedTrack {
    /// The server's name for the track, `TR_...`.
    pub sid: String,
    packets: Arc<Mutex<Vec<Packet>>>,
}

impl Subscriber {
    /// Joins and subscribes to everything.
    pub async fn join(url: &str, token: &str) -> Self {
        Self::join_over(url, token, Impairment::default()).await
    }

    /// Joins over a network that behaves as `impairment` says.
    pub async fn join_over(url: &str, token: &str, impairment: Impairment) -> Self {
        let (sender, tracks) = mpsc::unbounded_channel();
        let session = Session::join(url, token, true, impairment, sender).await;
        Self { session, tracks }
    }

    /// The next track that arrives.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn track(&mut self, deadline: Duration) -> ReceivedTrack {
        let track = timeout(deadline, self.tracks.recv()).await;
        let track = track
            .unwrap_or_else(|_| panic!("no track in {deadline:?}"))
            .expect("the session goes on");
        let packets = Arc::new(Mutex::new(Vec::new()));
        let received = ReceivedTrack {
            sid: track.track_id().await,
            packets: Arc::clone(&packets),
        };
        tokio::spawn(async move {
            while let Some(event) = track.poll().await {
                if let TrackRemoteEvent::OnRtpPacket(packet) = event {
                    packets
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push(packet);
                }
            }
        });
        received
    }

    /// Says goodbye and leaves.
    pub async fn leave(self) {
        self.session.leave().await;
        self.session.close().await;
    }
}

impl ReceivedTrack {
    /// All packets so far, in order of arrival.
    pub fn packets(&self) -> Vec<Packet> {
        self.packets
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Waits for so many packets.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn packets_at_least(&self, count: usize, deadline: Duration) -> Vec<Packet> {
        let enough = async {
            while self.packets().len() < count {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        assert!(
            timeout(deadline, enough).await.is_ok(),
            "{} of {count} packets of {} in {deadline:?}",
            self.packets().len(),
            self.sid
        );
        self.packets()
    }
}
