//! Subscribed tracks.

use std::fmt;
use std::sync::Arc;

use super::TrackSource;
use crate::codec::{Codec, MediaKind};
use crate::fanout::{TrackHub, TrackStats};

macro_rules! track {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone)]
        pub struct $name {
            hub: Arc<TrackHub>,
            source: TrackSource,
        }

        impl $name {
            pub(super) fn new(hub: Arc<TrackHub>, source: TrackSource) -> Self {
                Self { hub, source }
            }

            /// The track's sid.
            pub fn sid(&self) -> &str {
                self.hub.id()
            }

            /// Where it comes from.
            pub fn source(&self) -> TrackSource {
                self.source
            }

            /// Its codec; `None` for one this crate cannot read.
            pub fn codec(&self) -> Option<Codec> {
                self.hub.codec()
            }

            /// The MIME type negotiated, such as `video/VP8`.
            pub fn mime_type(&self) -> &str {
                self.hub.mime()
            }

            /// What it has received so far.
            pub fn stats(&self) -> TrackStats {
                self.hub.stats()
            }

            /// Whether no more frames will come.
            pub fn is_ended(&self) -> bool {
                self.hub.is_ended()
            }

            pub(crate) fn hub(&self) -> &Arc<TrackHub> {
                &self.hub
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name))
                    .field("sid", &self.sid())
                    .field("source", &self.source)
                    .field("mime_type", &self.mime_type())
                    .finish_non_exhaustive()
            }
        }
    };
}

track! {
    /// A subscribed video track. Clones are handles of the same track.
    RemoteVideoTrack
}

track! {
    /// A subscribed audio track. Clones are handles of the same track.
    RemoteAudioTrack
}

impl RemoteVideoTrack {
    /// Asks the publisher for a keyframe. Not needed after loss or for a new stream: those ask
    /// by themselves.
    pub fn request_keyframe(&self) {
        self.hub.request_keyframe();
    }
}

/// A subscribed track.
#[derive(Debug, Clone)]
pub enum RemoteTrack {
    /// Pictures.
    Video(RemoteVideoTrack),
    /// Sound.
    Audio(RemoteAudioTrack),
}

impl RemoteTrack {
    pub(super) fn new(hub: Arc<TrackHub>, source: TrackSource) -> Self {
        match hub.kind() {
            MediaKind::Video => Self::Video(RemoteVideoTrack::new(hub, source)),
            MediaKind::Audio => Self::Audio(RemoteAudioTrack::new(hub, source)),
        }
    }

    /// The track's sid.
    pub fn sid(&self) -> &str {
        self.hub().id()
    }

    /// Video or audio.
    pub fn kind(&self) -> MediaKind {
        self.hub().kind()
    }

    /// Where it comes from.
    pub fn source(&self) -> TrackSource {
        match self {
            Self::Video(track) => track.source(),
            Self::Audio(track) => track.source(),
        }
    }

    /// Its codec; `None` for one this crate cannot read.
    pub fn codec(&self) -> Option<Codec> {
        self.hub().codec()
    }

    /// The MIME type negotiated, such as `audio/opus`.
    pub fn mime_type(&self) -> &str {
        self.hub().mime()
    }

    /// What it has received so far.
    pub fn stats(&self) -> TrackStats {
        self.hub().stats()
    }

    pub(crate) fn hub(&self) -> &Arc<TrackHub> {
        match self {
            Self::Video(track) => track.hub(),
            Self::Audio(track) => track.hub(),
        }
    }
}
