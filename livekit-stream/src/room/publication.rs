//! Publications: tracks that a participant has announced, subscribed to or not.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use livekit_protocol as proto;
use tokio::sync::mpsc;

use super::session::Command;
use super::settings::{Layer, Wish};
use super::{RemoteTrack, StreamState, SubscribeError, VideoQuality};
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
    wish: Wish,
    stream: StreamState,
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
        wish: Wish,
        commands: mpsc::WeakSender<Command>,
    ) -> Self {
        let sid = info.sid.clone();
        let state = Mutex::new(State {
            info,
            track: None,
            wish,
            stream: StreamState::Active,
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
        self.lock().wish.subscribed
    }

    /// Whether its media can be read.
    pub fn is_subscribed(&self) -> bool {
        self.lock().track.is_some()
    }

    /// The track, while subscribed.
    pub fn track(&self) -> Option<RemoteTrack> {
        self.lock().track.clone()
    }

    /// Whether its media are wanted at the moment, see [`set_enabled`](Self::set_enabled).
    pub fn is_enabled(&self) -> bool {
        self.lock().wish.enabled
    }

    /// Whether the server sends it.
    pub fn stream_state(&self) -> StreamState {
        self.lock().stream
    }

    /// Subscribes or unsubscribes; the room's events tell when it is done.
    ///
    /// # Errors
    /// [`SubscribeError::RoomClosed`].
    pub async fn set_subscribed(&self, subscribed: bool) -> Result<(), SubscribeError> {
        self.wish(Change::Subscription, |wish| wish.subscribed = subscribed)
            .await
    }

    /// Stops and restarts the flow of media and keeps the subscription: its streams wait.
    ///
    /// # Errors
    /// [`SubscribeError::RoomClosed`].
    pub async fn set_enabled(&self, enabled: bool) -> Result<(), SubscribeError> {
        self.wish(Change::Settings, |wish| wish.enabled = enabled)
            .await
    }

    /// Asks for a layer of a video that is published in several. The size changes in mid-stream,
    /// at a keyframe. Takes the place of [`set_video_dimensions`](Self::set_video_dimensions).
    ///
    /// LiveKit's server begins with a higher layer where the publisher does not send this one yet.
    ///
    /// # Errors
    /// [`SubscribeError::RoomClosed`].
    pub async fn set_video_quality(&self, quality: VideoQuality) -> Result<(), SubscribeError> {
        self.wish(Change::Settings, |wish| {
            wish.layer = Layer::Quality(quality);
        })
        .await
    }

    /// Asks for the smallest layer that fills a picture of so many pixels. Takes the place of
    /// [`set_video_quality`](Self::set_video_quality).
    ///
    /// # Errors
    /// [`SubscribeError::RoomClosed`].
    pub async fn set_video_dimensions(
        &self,
        width: u32,
        height: u32,
    ) -> Result<(), SubscribeError> {
        let layer = Layer::Size(VideoSize { width, height });
        self.wish(Change::Settings, |wish| wish.layer = layer).await
    }

    /// Asks for so many pictures a second at most, where the video has layers in time; 0 for all.
    ///
    /// # Errors
    /// [`SubscribeError::RoomClosed`].
    pub async fn set_video_fps(&self, fps: u32) -> Result<(), SubscribeError> {
        self.wish(Change::Settings, |wish| wish.fps = fps).await
    }

    /// Changes what is wanted and tells the server. A room that is about to reconnect does so
    /// afterwards.
    async fn wish(
        &self,
        change: Change,
        set: impl FnOnce(&mut Wish),
    ) -> Result<(), SubscribeError> {
        let closed = || SubscribeError::RoomClosed {
            track: self.sid().to_owned(),
        };
        let commands = self.inner.commands.upgrade().ok_or_else(closed)?;
        set(&mut self.lock().wish);
        let publication = self.clone();
        let command = match change {
            Change::Subscription => Command::Subscription(publication),
            Change::Settings => Command::Settings(publication),
        };
        commands.send(command).await.map_err(|_| closed())
    }

    pub(super) fn wished(&self) -> Wish {
        self.lock().wish
    }

    /// Takes the server's word; tells whether it is new.
    pub(super) fn set_stream_state(&self, state: StreamState) -> bool {
        std::mem::replace(&mut self.lock().stream, state) != state
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

/// What the server has to be told.
enum Change {
    Subscription,
    Settings,
}
