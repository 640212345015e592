//! How to join.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use super::transport::{self, InterfaceFilter, Network};

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
/// assert!(!options.single_peer_connection);
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
    /// How the TURN servers are verified that are reached over TLS. Default: Mozilla's root
    /// certificates.
    pub turn_tls: Option<Arc<rustls::ClientConfig>>,
    /// One peer connection for both directions, which we offer and the server answers, where the
    /// server knows of it. Else there are two, and the server offers the one that media come by.
    /// Default false: a track then comes with the server's offer, without another round trip in
    /// which the server asks for ours, and livekit-server (as of 1.11) does not tell with one
    /// connection which tracks it pauses.
    pub single_peer_connection: bool,
    interfaces: Option<InterfaceFilter>,
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
            turn_tls: None,
            single_peer_connection: false,
            interfaces: None,
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

    /// Sets [`RoomOptions::turn_tls`].
    #[must_use]
    pub fn with_turn_tls(mut self, config: Arc<rustls::ClientConfig>) -> Self {
        self.turn_tls = Some(config);
        self
    }

    /// Sets [`RoomOptions::single_peer_connection`].
    #[must_use]
    pub fn with_single_peer_connection(mut self, single: bool) -> Self {
        self.single_peer_connection = single;
        self
    }

    /// Uses for media only those network interfaces whose names `filter` says yes to: no others'
    /// addresses are bound or told to the server, nor are servers connected to over TCP where the
    /// way leads over them. Default: all of them. Loopback is used where the server is on this
    /// machine. The filter is asked anew whenever a path to the server is looked for.
    ///
    /// ```
    /// use livekit_stream::RoomOptions;
    ///
    /// let options = RoomOptions::default().with_interface_filter(|name| !name.starts_with("docker"));
    /// ```
    #[must_use]
    pub fn with_interface_filter(
        mut self,
        filter: impl Fn(&str) -> bool + Send + Sync + 'static,
    ) -> Self {
        self.interfaces = Some(InterfaceFilter::new(filter));
        self
    }

    /// The network of peer connections with these options.
    pub(super) fn network(&self, loopback: bool) -> Network {
        let runtime = self.runtime.clone();
        Network {
            runtime: runtime.unwrap_or_else(transport::default_runtime),
            loopback,
            interfaces: self.interfaces.clone(),
            tls: self.turn_tls.clone(),
            names: Arc::default(),
        }
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
            .field("single_peer_connection", &self.single_peer_connection)
            .finish_non_exhaustive()
    }
}
