//! LiveKit rooms: joining, participants, publications, tracks, events.
//!
//! `signal.rs` alone names LiveKit's signalling crate and `transport/` alone the WebRTC crate.
//! Depends on [`crate::rtp`], [`crate::frame`] and the fan-out; never on outputs.

mod data;
mod error;
mod event;
mod options;
mod participant;
mod presence;
mod publication;
mod session;
mod settings;
mod signal;
mod token;
mod track;
pub(crate) mod transport;
pub(crate) mod webrtc;

use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};

pub use data::{DataMessage, Transcription, TranscriptionSegment};
pub use error::{ConnectError, SubscribeError};
pub use event::{DisconnectReason, RoomEvent, RoomEvents};
pub use options::RoomOptions;
pub use participant::{ParticipantKind, RemoteParticipant};
pub(crate) use presence::Presence;
pub use publication::{RemoteTrackPublication, TrackSource};
pub use settings::{StreamState, VideoQuality};
pub use token::{TokenOptions, mint_token};
pub use track::{RemoteAudioTrack, RemoteTrack, RemoteVideoTrack};
pub use transport::{BandwidthEstimates, SenderReports, WebRtcTrack};
pub use webrtc::WebRtcPeer;

use session::{Command, Session, Shared};

/// A joined room.
///
/// Dropping it leaves the room too, but only [`Room::close`] waits until the server has been
/// told.
///
/// ```no_run
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// use futures::StreamExt;
/// use livekit_stream::{RemoteTrack, Room, RoomEvent, RoomOptions, VideoStream};
///
/// let (room, mut events) = Room::connect("wss://example.org", "token", RoomOptions::default()).await?;
/// while let Some(event) = events.next().await {
///     if let RoomEvent::TrackSubscribed { track: RemoteTrack::Video(track), .. } = event {
///         let mut video = VideoStream::new(&track);
///         while let Some(event) = video.next().await {
///             println!("{} us: {}x{}", event.timestamp_us, event.frame.width(), event.frame.height());
///         }
///     }
/// }
/// room.close().await;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Room {
    shared: Arc<Shared>,
    commands: mpsc::Sender<Command>,
}

/// A room that is looked at, see [`Room::view`].
#[derive(Debug, Clone)]
pub(crate) struct RoomView(Arc<Shared>);

impl RoomView {
    pub(crate) fn participants(&self) -> Vec<RemoteParticipant> {
        self.0.participants()
    }

    pub(crate) fn is_left(&self) -> bool {
        self.0.ended().is_some()
    }
}

impl Room {
    /// Joins the room that `token` grants, on the server at `url` (`ws`, `wss`, `http` or
    /// `https`).
    ///
    /// Returns when the server has let us in; tracks come as events while the media connection
    /// is made.
    ///
    /// # Errors
    /// See [`ConnectError`]: each cause has a variant of its own, and none shows the token.
    pub async fn connect(
        url: &str,
        token: &str,
        options: RoomOptions,
    ) -> Result<(Self, RoomEvents), ConnectError> {
        let (shared, commands, events) = Session::start(url, token, options).await?;
        Ok((Self { shared, commands }, events))
    }

    /// The room's name.
    pub fn name(&self) -> String {
        self.shared.name()
    }

    /// The room's sid; empty if the server has not told it yet.
    pub fn sid(&self) -> String {
        self.shared.sid()
    }

    /// Our own identity in the room.
    pub fn identity(&self) -> String {
        self.shared.identity().to_owned()
    }

    /// The participants present, in order of their identities.
    pub fn remote_participants(&self) -> Vec<RemoteParticipant> {
        self.shared.participants()
    }

    /// The participant of an identity, if present.
    pub fn remote_participant(&self, identity: &str) -> Option<RemoteParticipant> {
        self.shared.participant(identity)
    }

    /// Whoever bears this identity while the room lasts.
    pub(crate) fn presence(&self, identity: &str) -> Presence {
        Presence::Identity {
            room: Arc::clone(&self.shared),
            identity: identity.to_owned(),
        }
    }

    /// Who is there, also for those who do not keep the room joined.
    pub(crate) fn view(&self) -> RoomView {
        RoomView(Arc::clone(&self.shared))
    }

    /// The present moment on the room's media clock, in microseconds: what `timestamp_us` of
    /// frames is compared with to tell their age.
    pub fn now_us(&self) -> i64 {
        self.shared.now_us()
    }

    /// Whether the room has not been left, by us or by the server's will.
    pub fn is_connected(&self) -> bool {
        !self.commands.is_closed()
    }

    /// Leaves the room: tells the server, ends every track's streams, closes the connections.
    pub async fn close(self) {
        let (done, closed) = oneshot::channel();
        if self.commands.send(Command::Close { done }).await.is_ok() {
            // An error means that the session ended by itself meanwhile: closed all the same.
            let _ = closed.await;
        }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let (done, _) = oneshot::channel();
        // A full queue closes too: the session ends when the last sender of commands is gone.
        let _ = self.commands.try_send(Command::Close { done });
    }
}
