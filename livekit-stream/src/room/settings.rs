//! What we want of a track: whether it is to come at all, and which of its layers.

use livekit_protocol as proto;

use crate::frame::VideoSize;

/// One of the qualities in which a publisher sends a video at once, by simulcast or SVC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum VideoQuality {
    /// The smallest layer.
    Low,
    /// The one between.
    Medium,
    /// The largest layer.
    High,
}

/// Whether the server sends a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum StreamState {
    /// It does, as long as there is something to send.
    Active,
    /// It does not, as the network has no room for it.
    Paused,
}

impl StreamState {
    pub(super) fn from_proto(state: i32) -> Self {
        if state == proto::StreamState::Paused as i32 {
            Self::Paused
        } else {
            Self::Active
        }
    }
}

/// The layer wanted, by its name or by the size it is shown in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Layer {
    Quality(VideoQuality),
    Size(VideoSize),
}

/// Everything that is wanted of a track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wish {
    pub(super) subscribed: bool,
    pub(super) enabled: bool,
    pub(super) layer: Layer,
    /// The highest frame rate, 0 for any.
    pub(super) fps: u32,
}

impl Wish {
    /// What the server does unless it is told otherwise.
    pub(super) fn new(auto_subscribe: bool) -> Self {
        Self {
            subscribed: auto_subscribe,
            enabled: true,
            layer: Layer::Quality(VideoQuality::High),
            fps: 0,
        }
    }

    /// Whether the layers or the flow of a track are other than the server's defaults.
    pub(super) fn has_settings(&self) -> bool {
        let default = Self::new(self.subscribed);
        *self != default
    }

    /// The message that tells the server.
    pub(super) fn settings(&self, track_sid: &str) -> proto::UpdateTrackSettings {
        let (quality, size) = match self.layer {
            Layer::Quality(quality) => (quality, VideoSize::default()),
            Layer::Size(size) => (VideoQuality::High, size),
        };
        let quality = match quality {
            VideoQuality::Low => proto::VideoQuality::Low,
            VideoQuality::Medium => proto::VideoQuality::Medium,
            VideoQuality::High => proto::VideoQuality::High,
        };
        proto::UpdateTrackSettings {
            track_sids: vec![track_sid.to_owned()],
            disabled: !self.enabled,
            quality: quality as i32,
            width: size.width,
            height: size.height,
            fps: self.fps,
            priority: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_layer_asked_for_is_told() {
        let mut wish = Wish::new(true);
        assert!(!wish.has_settings());
        wish.layer = Layer::Size(VideoSize {
            width: 640,
            height: 360,
        });
        assert!(wish.has_settings());
        let settings = wish.settings("TR_1");
        assert_eq!((settings.width, settings.height), (640, 360));
        wish.layer = Layer::Quality(VideoQuality::Low);
        let settings = wish.settings("TR_1");
        assert_eq!((settings.width, settings.height), (0, 0));
        assert_eq!(settings.quality, proto::VideoQuality::Low as i32);
        assert!(!settings.disabled);
    }
}
