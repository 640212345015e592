//! Publications: tracks that a participant has announced, subscribed to or not.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use livekit_protocol as proto;
use tokio::sync::mpsc;

use super::session::Command;
use super::{RemoteTrack, SubscribeError};
use crate::codec::MediaKind;
use crate::frame::VideoSize;

/// Where a track comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum TrackSource {
    /// The publisher did not say.
    Unknown,
    /// A camera.
    Camera,
    /// A microphone.
    Microphone,
    /// A shared screen.
    ScreenShare,
    /// The sound of a shared screen.
    ScreenShareAudio,
}

impl TrackSource {
    pub(super) fn from_proto(source: i32) -> Self {
        match proto::TrackSource::try_from(source) {
            Ok(proto::TrackSource::Camera) => Self::Camera,
            Ok(proto::TrackSource::Microphone) => Self::Microphone,
            Ok(proto::TrackSource::ScreenShare) => Self::ScreenShare,
            Ok(proto::TrackSource::ScreenShareAudio) => Self::ScreenShareAudio,
            Ok(proto::TrackSource::Unknown) | Err(_) => Self::Unknown,
        }
    }

    /// The name in lower case with underscores, such as `screen_share`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Camera => "camera",
            Self::Microphone => "microphone",
            Self::ScreenShare => "screen_share",
            Self::ScreenShareAudio => "screen_share_audio",
        }
    }
}

impl fmt::Display for TrackSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[derive(Debug)]
struct State {
    info: proto::TrackInfo,
    track: Option<RemoteTrack>,
    desired: bool,
}

#[derive(Debug)]
struct Inner {
    sid: String,
    commands: mpsc::WeakSender<Command>,
    state: Mutex<State>,
}

/// A track somebody has published. Clones are handles of the same publication.
#[derive(Debug, Clone)]
pub struct RemoteTrackPublication {
    inner: Arc<Inner>,
}

impl RemoteTrackPublication {
    pub(super) fn new(
        info: proto::TrackInfo,
        auto_subscribe: bool,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        let sid = info.sid.clone();
        let state = Mutex::new(State {
            info,
            track: None,
            desired: auto_subscribe,
        });
        Self {
            inner: Arc::new(Inner {
                sid,
                commands,
                state,
            }),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.inner
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The track's sid, unique in the server.
    pub fn sid(&self) -> &str {
        &self.inner.sid
    }

    /// The name the publisher gave it.
    pub fn name(&self) -> String {
        self.lock().info.name.clone()
    }

    /// Video or audio.
    pub fn kind(&self) -> MediaKind {
        if self.lock().info.r#type == proto::TrackType::Audio as i32 {
            MediaKind::Audio
        } else {
            MediaKind::Video
        }
    }

    /// Camera, microphone, screen.
    pub fn source(&self) -> TrackSource {
        TrackSource::from_proto(self.lock().info.source)
    }

    /// The MIME type it was announced with, such as `video/H264`.
    pub fn mime_type(&self) -> String {
        self.lock().info.mime_type.clone()
    }

    /// The picture size it was announced with; zero for audio.
    pub fn size(&self) -> VideoSize {
        let state = self.lock();
        VideoSize {
            width: state.info.width,
            height: state.info.height,
        }
    }

    /// Whether the publisher has muted it.
    pub fn is_muted(&self) -> bool {
        self.lock().info.muted
    }

    /// Whether a subscription is wanted, its media come or not.
    pub fn is_desired(&self) -> bool {
        self.lock().desired
    }

    /// Whether its media can be read.
    pub fn is_subscribed(&self) -> bool {
        self.lock().track.is_some()
    }

    /// The track, while subscribed.
    pub fn track(&self) -> Option<RemoteTrack> {
        self.lock().track.clone()
    }

    /// Subscribes or unsubscribes; the room's events tell when it is done.
    ///
    /// # Errors
    /// [`SubscribeError::RoomClosed`].
    pub async fn set_subscribed(&self, subscribed: bool) -> Result<(), SubscribeError> {
        let closed = || SubscribeError::RoomClosed {
            track: self.sid().to_owned(),
        };
        let commands = self.inner.commands.upgrade().ok_or_else(closed)?;
        self.lock().desired = subscribed;
        let sid = self.sid().to_owned();
        commands
            .send(Command::Subscribe { sid, subscribed })
            .await
            .map_err(|_| closed())
    }

    /// Takes what the server says now; tells whether `muted` changed.
    pub(super) fn update(&self, info: proto::TrackInfo) -> bool {
        let mut state = self.lock();
        let changed = state.info.muted != info.muted;
        state.info = info;
        changed
    }

    pub(super) fn set_track(&self, track: Option<RemoteTrack>) -> Option<RemoteTrack> {
        std::mem::replace(&mut self.lock().track, track)
    }
}
