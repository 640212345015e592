//! How to join.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Options of [`Room::connect`](super::Room::connect).
///
/// ```
/// let options = livekit_stream::RoomOptions::default();
/// assert!(options.auto_subscribe);
/// assert_eq!(options.connect_timeout.as_secs(), 10);
/// assert_eq!(options.event_capacity, 1024);
/// assert_eq!(options.reconnect_timeout.as_secs(), 120);
/// assert_eq!(options.reconnect_delay.as_millis(), 300);
/// assert_eq!(options.max_reconnect_delay.as_secs(), 5);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct RoomOptions {
    /// Subscribe to every track as it is published. Default true; else see
    /// [`RemoteTrackPublication::set_subscribed`](super::RemoteTrackPublication::set_subscribed).
    pub auto_subscribe: bool,
    /// How long joining may take. Default 10 s.
    pub connect_timeout: Duration,
    /// Events kept for a reader that is behind; then the oldest is dropped and counted.
    /// Default 1024.
    pub event_capacity: usize,
    /// How long a lost connection is tried to be made again before the room is left. Zero: it is
    /// left at once. Default 2 minutes.
    pub reconnect_timeout: Duration,
    /// The pause before the second attempt to connect again; the first comes at once, and each
    /// further pause doubles. Up to half of it is taken away at random. Default 300 ms.
    pub reconnect_delay: Duration,
    /// The longest pause. Default 5 s.
    pub max_reconnect_delay: Duration,
    /// The sockets, timers and tasks WebRTC uses. Default: the ambient tokio runtime, with large
    /// socket buffers.
    pub runtime: Option<Arc<dyn webrtc::runtime::Runtime>>,
}

impl Default for RoomOptions {
    fn default() -> Self {
        Self {
            auto_subscribe: true,
            connect_timeout: Duration::from_secs(10),
            event_capacity: 1024,
            reconnect_timeout: Duration::from_secs(120),
            reconnect_delay: Duration::from_millis(300),
            max_reconnect_delay: Duration::from_secs(5),
            runtime: None,
        }
    }
}

impl RoomOptions {
    /// Sets [`RoomOptions::auto_subscribe`].
    #[must_use]
    pub fn with_auto_subscribe(mut self, auto_subscribe: bool) -> Self {
        self.auto_subscribe = auto_subscribe;
        self
    }

    /// Sets [`RoomOptions::connect_timeout`].
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets [`RoomOptions::reconnect_timeout`].
    #[must_use]
    pub fn with_reconnect_timeout(mut self, timeout: Duration) -> Self {
        self.reconnect_timeout = timeout;
        self
    }

    /// Sets [`RoomOptions::reconnect_delay`] and [`RoomOptions::max_reconnect_delay`].
    #[must_use]
    pub fn with_reconnect_delays(mut self, first: Duration, longest: Duration) -> Self {
        self.reconnect_delay = first;
        self.max_reconnect_delay = longest;
        self
    }

    /// Sets [`RoomOptions::runtime`].
    #[must_use]
    pub fn with_runtime(mut self, runtime: Arc<dyn webrtc::runtime::Runtime>) -> Self {
        self.runtime = Some(runtime);
        self
    }
}

impl fmt::Debug for RoomOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RoomOptions")
            .field("auto_subscribe", &self.auto_subscribe)
            .field("connect_timeout", &self.connect_timeout)
            .field("event_capacity", &self.event_capacity)
            .field("reconnect_timeout", &self.reconnect_timeout)
            .field("reconnect_delay", &self.reconnect_delay)
            .field("max_reconnect_delay", &self.max_reconnect_delay)
            .finish_non_exhaustive()
    }
}
