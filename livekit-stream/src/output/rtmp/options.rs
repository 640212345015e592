use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use crate::codec::{Codec, MediaKind};
use crate::mux::flv;
use crate::rtmp::session::Capabilities;

/// How a publisher connects, buffers and comes back.
///
/// ```
/// use std::time::Duration;
/// use livekit_stream::output::rtmp::{EnhancedRtmp, PublisherOptions};
///
/// let options = PublisherOptions::default();
/// assert_eq!(options.connect_timeout, Duration::from_secs(10));
/// assert_eq!(options.write_timeout, Duration::from_secs(10));
/// assert_eq!(options.close_timeout, Duration::from_secs(5));
/// assert_eq!(options.buffer.duration, Duration::from_secs(4));
/// assert_eq!(options.buffer.bytes, 8 * 1024 * 1024);
/// assert_eq!(options.reconnect.max_attempts, 20);
/// assert!(!options.audio_only && !options.reconnect.first_connection);
/// assert_eq!(options.enhanced, EnhancedRtmp::Announced);
/// ```
#[derive(Clone)]
#[non_exhaustive]
pub struct PublisherOptions {
    /// From the first packet to the server's consent. Default 10 s.
    pub connect_timeout: Duration,
    /// How long the server may take nothing while there is something to send. Default 10 s.
    pub write_timeout: Duration,
    /// How long closing waits for what is buffered. Default 5 s.
    pub close_timeout: Duration,
    /// What is kept for a server that is slower than the media.
    pub buffer: BufferLimits,
    /// What happens after a failure.
    pub reconnect: ReconnectOptions,
    /// No video will come: sound is sent at once. Otherwise a stream starts at its first video
    /// keyframe, and sound before it is left out; only when none has come with two seconds of
    /// sound, the stream starts with those and pictures may join it later. Default false.
    pub audio_only: bool,
    /// Whether H.265, AV1, VP9 and Opus go to the server as they are. Default: if it announces
    /// them.
    pub enhanced: EnhancedRtmp,
    /// Frames a second, for the stream's metadata; `None` leaves it out. Default `None`.
    pub frame_rate: Option<f64>,
    /// How `rtmps://` servers are verified. Default: Mozilla's root certificates.
    pub tls: Option<Arc<rustls::ClientConfig>>,
}

impl Default for PublisherOptions {
    fn default() -> Self {
        Self {
            connect_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(10),
            close_timeout: Duration::from_secs(5),
            buffer: BufferLimits::default(),
            reconnect: ReconnectOptions::default(),
            audio_only: false,
            enhanced: EnhancedRtmp::default(),
            frame_rate: None,
            tls: None,
        }
    }
}

impl fmt::Debug for PublisherOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PublisherOptions")
            .field("connect_timeout", &self.connect_timeout)
            .field("write_timeout", &self.write_timeout)
            .field("close_timeout", &self.close_timeout)
            .field("buffer", &self.buffer)
            .field("reconnect", &self.reconnect)
            .field("audio_only", &self.audio_only)
            .field("enhanced", &self.enhanced)
            .field("frame_rate", &self.frame_rate)
            .finish_non_exhaustive()
    }
}

/// Whether codecs that RTMP of 2012 lacks are sent by FourCC (Enhanced RTMP v2). H.264 and AAC are
/// always sent the old way, which every server takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum EnhancedRtmp {
    /// Each codec that the server announces when it accepts the connection.
    #[default]
    Announced,
    /// Also where the server announces nothing: several take what they do not announce, FFmpeg
    /// among them. Others drop the stream, or what they do not know of it.
    Always,
    /// None.
    Never,
}

impl EnhancedRtmp {
    /// The codecs that go to a server of these capabilities.
    pub(super) fn codecs(self, server: &Capabilities) -> Vec<Codec> {
        let takes = |codec: Codec| match self {
            Self::Always => true,
            Self::Never => false,
            Self::Announced => flv::four_cc(codec).is_some_and(|name| match codec.kind() {
                MediaKind::Video => server.takes_video(name),
                MediaKind::Audio => server.takes_audio(name),
            }),
        };
        let enhanced = ENHANCED_CODECS.into_iter().filter(|codec| takes(*codec));
        LEGACY_CODECS.into_iter().chain(enhanced).collect()
    }

    /// What the server is told.
    pub(super) fn capabilities(self) -> Capabilities {
        if self == Self::Never {
            return Capabilities::default();
        }
        let names = |kind| {
            let codecs = ENHANCED_CODECS
                .into_iter()
                .filter(|codec| codec.kind() == kind);
            codecs.filter_map(flv::four_cc).collect::<Vec<_>>()
        };
        Capabilities::new(&names(MediaKind::Video), &names(MediaKind::Audio))
    }
}

impl FromStr for EnhancedRtmp {
    type Err = String;

    fn from_str(value: &str) -> Result<Self, String> {
        match value {
            "announced" => Ok(Self::Announced),
            "always" => Ok(Self::Always),
            "never" => Ok(Self::Never),
            _ => Err(format!("{value:?} is not one of announced, always, never")),
        }
    }
}

/// What every server takes.
pub(crate) const LEGACY_CODECS: [Codec; 2] = [Codec::H264, Codec::Aac];

/// What goes by FourCC.
pub(crate) const ENHANCED_CODECS: [Codec; 4] = [Codec::H265, Codec::Av1, Codec::Vp9, Codec::Opus];

/// How much is kept. What does not fit is dropped by whole groups of pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BufferLimits {
    /// Media time from the oldest frame to the newest. Default 4 s.
    pub duration: Duration,
    /// Bytes. Default 8 MiB. Sound may take one more, so that it has no gap where video has.
    pub bytes: usize,
}

impl Default for BufferLimits {
    fn default() -> Self {
        Self {
            duration: Duration::from_secs(4),
            bytes: 8 * 1024 * 1024,
        }
    }
}

/// When and how often a connection is made again.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReconnectOptions {
    /// The pause before the first attempt; each further one doubles. Up to half of it is taken
    /// away at random. Default 500 ms.
    pub initial_delay: Duration,
    /// The longest pause. Default 30 s.
    pub max_delay: Duration,
    /// Attempts without success before the publisher fails for good. 0: it never comes back.
    /// Default 20, about nine minutes.
    pub max_attempts: u32,
    /// How many of them may end with the stream key rejected: after a broken connection servers
    /// often hold the old session for some time. Default 6.
    pub max_rejections: u32,
    /// Whether the very first connection is attempted again too. Default false: a typing error
    /// in the address or the key is told at once.
    pub first_connection: bool,
}

impl Default for ReconnectOptions {
    fn default() -> Self {
        Self {
            initial_delay: Duration::from_millis(500),
            max_delay: Duration::from_secs(30),
            max_attempts: 20,
            max_rejections: 6,
            first_connection: false,
        }
    }
}
