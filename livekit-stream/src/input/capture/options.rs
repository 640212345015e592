//! How a capture is made.

use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use super::{BlockingCapture, CaptureError, RtmpCapture};
use crate::frame::VideoFormat;
use crate::output::rtmp::ReconnectOptions;
use crate::rtmp::RtmpUrl;

/// Rates that the resampler takes.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=384_000;
/// The largest side of a picture.
const MAX_SIDE: u32 = 16_384;

/// Where the stream comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// A server plays it.
    Play,
    /// A publisher comes to us.
    Listen,
}

/// What a capture is asked for.
#[derive(Clone)]
pub(super) struct Options {
    pub(super) url: RtmpUrl,
    pub(super) way: Way,
    /// Where to listen, if not on the URL's host and port.
    pub(super) listen_on: Option<SocketAddr>,
    pub(super) width: Option<u32>,
    pub(super) height: Option<u32>,
    pub(super) fps: Option<f64>,
    pub(super) format: VideoFormat,
    pub(super) audio_sample_rate: u32,
    pub(super) audio_channels: u32,
    pub(super) buffer_size: usize,
    pub(super) decode: bool,
    pub(super) connect_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) reconnect: ReconnectOptions,
    pub(super) tls: Option<Arc<rustls::ClientConfig>>,
}

impl fmt::Debug for Options {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Options")
            .field("url", &self.url)
            .field("way", &self.way)
            .field("width", &self.width)
            .field("height", &self.height)
            .field("fps", &self.fps)
            .finish_non_exhaustive()
    }
}

/// How an [`RtmpCapture`] is made: see its methods `builder` and `listen`.
#[derive(Debug, Clone)]
#[must_use]
pub struct RtmpCaptureBuilder {
    options: Result<Options, CaptureError>,
}

impl RtmpCaptureBuilder {
    pub(super) fn new(url: &str, way: Way) -> Self {
        let options = url.parse().map(|url| Options {
            url,
            way,
            listen_on: None,
            width: None,
            height: None,
            fps: None,
            format: VideoFormat::Rgb24,
            audio_sample_rate: 16_000,
            audio_channels: 1,
            buffer_size: 10,
            decode: true,
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
            reconnect: ReconnectOptions::default(),
            tls: None,
        });
        Self {
            options: options.map_err(CaptureError::from),
        }
    }

    fn set(mut self, set: impl FnOnce(&mut Options)) -> Self {
        if let Ok(options) = &mut self.options {
            set(options);
        }
        self
    }

    /// Listens on this address instead of the URL's host and port; port 0 takes a free one, see
    /// [`RtmpCapture::local_addr`]. Without effect where a server plays.
    pub fn listen_on(self, address: SocketAddr) -> Self {
        self.set(|options| options.listen_on = Some(address))
    }

    /// Scales pictures to this width. With a height alone, the width follows in proportion.
    /// Default: the source's.
    pub fn width(self, width: u32) -> Self {
        self.set(|options| options.width = Some(width))
    }

    /// Scales pictures to this height. With a width alone, the height follows in proportion.
    /// Default: the source's.
    pub fn height(self, height: u32) -> Self {
        self.set(|options| options.height = Some(height))
    }

    /// Gives so many pictures a second, evenly spaced: each is the source's nearest in time.
    /// Default: the source's pictures, each once, at their own times.
    pub fn fps(self, fps: f64) -> Self {
        self.set(|options| options.fps = Some(fps))
    }

    /// The pictures' format. Default [`VideoFormat::Rgb24`].
    pub fn format(self, format: VideoFormat) -> Self {
        self.set(|options| options.format = format)
    }

    /// Samples a second and channel. Default 16 000.
    pub fn audio_sample_rate(self, sample_rate: u32) -> Self {
        self.set(|options| options.audio_sample_rate = sample_rate)
    }

    /// Channels of sound, 1 or 2. Default 1.
    pub fn audio_channels(self, channels: u32) -> Self {
        self.set(|options| options.audio_channels = channels)
    }

    /// Keeps the newest `buffer_size` pictures for a reader that is behind; 0 is unbounded. Of
    /// sound the newest ten seconds are kept. Default 10.
    pub fn buffer_size(self, buffer_size: usize) -> Self {
        self.set(|options| options.buffer_size = buffer_size)
    }

    /// Whether pictures and sound are decoded. Without, only encoded frames can be had, and
    /// nothing is spent on what nobody looks at. Default true.
    pub fn decode(self, decode: bool) -> Self {
        self.set(|options| options.decode = decode)
    }

    /// From the first packet to the server's consent. Default 10 s.
    pub fn connect_timeout(self, timeout: Duration) -> Self {
        self.set(|options| options.connect_timeout = timeout)
    }

    /// How long a server that has sent media may send nothing until the connection is taken for
    /// dead. Publishers that we listen for always have 30 s. Default 30 s.
    pub fn idle_timeout(self, timeout: Duration) -> Self {
        self.set(|options| options.idle_timeout = timeout)
    }

    /// When and how often a connection that was lost, or a stream that was ended, is taken up
    /// again. With `max_attempts` 0 the capture ends with its first connection.
    pub fn reconnect(self, reconnect: ReconnectOptions) -> Self {
        self.set(|options| options.reconnect = reconnect)
    }

    /// How `rtmps://` servers are verified. Default: Mozilla's root certificates.
    pub fn tls(self, config: Arc<rustls::ClientConfig>) -> Self {
        self.set(|options| options.tls = Some(config))
    }

    /// The capture, not started yet.
    ///
    /// # Errors
    ///
    /// A wrong address, and options out of range.
    pub fn build(self) -> Result<RtmpCapture, CaptureError> {
        let options = self.options?;
        options.check()?;
        Ok(RtmpCapture::new(options))
    }

    /// The capture, started.
    ///
    /// # Errors
    ///
    /// As [`build`](Self::build) and [`RtmpCapture::start`].
    pub async fn start(self) -> Result<RtmpCapture, CaptureError> {
        let capture = self.build()?;
        capture.start().await?;
        Ok(capture)
    }

    /// The capture, started, for programs without async: it has a runtime of its own.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start), and when the system gives no thread.
    pub fn start_blocking(self) -> Result<BlockingCapture, CaptureError> {
        BlockingCapture::start(self.build()?)
    }
}

impl Options {
    fn check(&self) -> Result<(), CaptureError> {
        let wrong = |option, value: String, allowed| {
            Err(CaptureError::OptionOutOfRange {
                option,
                value,
                allowed,
            })
        };
        for (option, side) in [("width", self.width), ("height", self.height)] {
            if let Some(side) = side
                && !(1..=MAX_SIDE).contains(&side)
            {
                return wrong(option, side.to_string(), "1 to 16384 pixels");
            }
        }
        if let Some(fps) = self.fps
            && !(fps.is_finite() && (0.01..=1_000.0).contains(&fps))
        {
            return wrong("fps", fps.to_string(), "0.01 to 1000 pictures a second");
        }
        if !RATES.contains(&self.audio_sample_rate) {
            let value = self.audio_sample_rate.to_string();
            return wrong("audio_sample_rate", value, "4000 to 384000 Hz");
        }
        if !matches!(self.audio_channels, 1 | 2) {
            return wrong("audio_channels", self.audio_channels.to_string(), "1 or 2");
        }
        if self.way == Way::Listen && self.url.tls() {
            return wrong("url", "rtmps".to_owned(), "rtmp, where it is listened on");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wrong_options_are_named_and_keys_are_not_shown() {
        let builder = || RtmpCapture::builder("rtmp://localhost/live/s3cr3t-key");
        let wrong = [
            (builder().width(0), "width = 0"),
            (builder().height(20_000), "height = 20000"),
            (builder().fps(f64::NAN), "fps = NaN"),
            (builder().audio_sample_rate(1), "audio_sample_rate = 1"),
            (builder().audio_channels(3), "audio_channels = 3"),
            (
                RtmpCapture::listen("rtmps://localhost/live/key"),
                "url = rtmps",
            ),
            (RtmpCapture::builder("http://localhost/live/key"), "rtmp://"),
        ];
        for (builder, expected) in wrong {
            let error = builder.build().expect_err(expected).to_string();
            assert!(error.contains(expected), "{error}");
        }
        let capture = builder().build().expect("the defaults are right");
        assert!(!format!("{:?} {capture:?}", builder()).contains("s3cr3t"));
    }
}
