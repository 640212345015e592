//! A browser that publishes its fake camera and microphone into a room, by LiveKit's own client.

use std::collections::HashMap;
use std::fs;
use std::time::Duration;

use serde_json::{Value, json};

use super::Browser;
use crate::clip::VideoCodec;
use crate::peers::Peer;

const PAGE: &str = include_str!("../../browser/publish.html");
/// Chromium takes seconds to start on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(60);

/// What the browser publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BrowserOptions {
    /// VP8 unless changed, as every browser does by default.
    pub codec: VideoCodec,
    /// Three layers, 180 lines and up, unless changed, as every browser does by default.
    pub simulcast: bool,
    /// Pixels of the camera; 1280 unless changed.
    pub width: u32,
    /// Pixels of the camera; 720 unless changed.
    pub height: u32,
    /// Pictures a second; 30 unless changed.
    pub fps: u32,
    /// Highest video bit rate in kb/s; the client's own choice unless given.
    pub kbps: Option<u32>,
    /// Whether the microphone is published too; it is unless changed.
    pub audio: bool,
    /// Keeps the camera's size where the machine is too slow for it, and loses pictures instead;
    /// not unless changed.
    pub keep_size: bool,
    /// Whether camera and microphone are published muted.
    pub muted: bool,
}

impl Default for BrowserOptions {
    fn default() -> Self {
        Self {
            codec: VideoCodec::Vp8,
            simulcast: true,
            width: 1280,
            height: 720,
            fps: 30,
            kbps: None,
            audio: true,
            keep_size: false,
            muted: false,
        }
    }
}

impl BrowserOptions {
    /// The defaults with another codec.
    #[must_use]
    pub fn codec(mut self, codec: VideoCodec) -> Self {
        self.codec = codec;
        self
    }

    /// The same with or without simulcast.
    #[must_use]
    pub fn simulcast(mut self, simulcast: bool) -> Self {
        self.simulcast = simulcast;
        self
    }

    /// The same with a camera of this size.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// The same with a highest video bit rate in kb/s. Without simulcast and without one, the
    /// browser climbs through smaller sizes for about ten seconds.
    #[must_use]
    pub fn kbps(mut self, kbps: u32) -> Self {
        self.kbps = Some(kbps);
        self
    }

    /// The same in its full size on any machine. Layers have known sizes then.
    #[must_use]
    pub fn keep_size(mut self) -> Self {
        self.keep_size = true;
        self
    }

    /// The same without the microphone.
    #[must_use]
    pub fn without_audio(mut self) -> Self {
        self.audio = false;
        self
    }

    /// The same, muted until it is unmuted.
    #[must_use]
    pub fn muted(mut self) -> Self {
        self.muted = true;
        self
    }
}

/// A participant in a browser. Dropping it kills the browser: the server takes about 20 seconds
/// to notice; [`leave`](Self::leave) says goodbye.
pub struct BrowserPublisher {
    browser: Browser,
    video: String,
    audio: Option<String>,
}

impl BrowserPublisher {
    /// Starts the browser, joins and publishes; returns when the server has taken the tracks.
    ///
    /// # Panics
    ///
    /// When that fails or takes over a minute.
    pub async fn join(url: &str, token: &str, options: BrowserOptions) -> Self {
        let client = fs::read(Peer::LiveKitClient.path()).expect("the client's bundle is read");
        let files = HashMap::from([("/livekit-client.umd.js".to_owned(), client.into())]);
        let parameters = json!({
            "url": url,
            "token": token,
            "codec": options.codec.name(),
            "simulcast": options.simulcast,
            "width": options.width,
            "height": options.height,
            "fps": options.fps,
            "kbps": options.kbps,
            "audio": options.audio,
            "keepSize": options.keep_size,
            "muted": options.muted,
        });
        let mut browser = Browser::open(PAGE, &parameters, files).await;
        let published = browser.event("published", START_DEADLINE).await;
        Self {
            browser,
            video: published["video"].as_str().unwrap_or_default().to_owned(),
            audio: published["audio"].as_str().map(str::to_owned),
        }
    }

    /// The server's name for the camera's track, `TR_...`.
    pub fn video_sid(&self) -> &str {
        &self.video
    }

    /// The server's name for the microphone's track.
    pub fn audio_sid(&self) -> Option<&str> {
        self.audio.as_deref()
    }

    /// Turns the camera off; the track stays in the room, muted.
    pub async fn mute_camera(&mut self) {
        self.browser.command("mute", "video").await;
    }

    /// Turns the camera on again.
    pub async fn unmute_camera(&mut self) {
        self.browser.command("unmute", "video").await;
    }

    /// Mutes the microphone.
    pub async fn mute_microphone(&mut self) {
        self.browser.command("mute", "audio").await;
    }

    /// Unmutes the microphone.
    pub async fn unmute_microphone(&mut self) {
        self.browser.command("unmute", "audio").await;
    }

    /// Takes the camera's track out of the room.
    pub async fn unpublish_camera(&mut self) {
        self.browser.command("unpublish", "video").await;
    }

    /// Publishes the camera again, as a new track.
    pub async fn publish_camera(&mut self) {
        let sid = self.browser.command("publish", "video").await;
        sid.as_str().unwrap_or_default().clone_into(&mut self.video);
    }

    /// Publishes the camera again, in another codec, with or without simulcast.
    pub async fn publish_camera_as(&mut self, codec: VideoCodec, simulcast: bool) {
        let changes = json!({"codec": codec.name(), "simulcast": simulcast});
        let sid = self.browser.command("publish", &changes.to_string()).await;
        sid.as_str().unwrap_or_default().clone_into(&mut self.video);
    }

    /// Sends everybody a data message; without a topic if that is empty.
    pub async fn send_data(&mut self, topic: &str, text: &str, reliable: bool) {
        let argument = json!({"topic": topic, "text": text, "reliable": reliable});
        self.browser.command("data", &argument.to_string()).await;
    }

    /// Sends everybody a text stream.
    pub async fn send_text(&mut self, topic: &str, text: &str, attributes: &Value) {
        let argument = json!({"topic": topic, "text": text, "attributes": attributes});
        self.browser.command("text", &argument.to_string()).await;
    }

    /// Waits for an event of the room: `reconnecting`, `reconnected`, `disconnected`.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn event(&mut self, name: &str, deadline: Duration) {
        self.browser.event(name, deadline).await;
    }

    /// Leaves the room properly, then ends the browser.
    pub async fn leave(mut self) {
        self.browser.command("leave", "").await;
    }

    /// Kills the browser, as a crash does.
    pub fn kill(mut self) {
        self.browser.kill();
    }
}
