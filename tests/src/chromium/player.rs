//! A browser that plays media through Media Source Extensions.

use std::collections::HashMap;
use std::time::Duration;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::Browser;

const PAGE: &str = include_str!("../../browser/play.html");
/// Media plays at this multiple of its speed, to save time; every picture is still decoded.
const RATE: f64 = 2.0;

/// How the media played. A file that cannot be decoded may well append without complaint: look
/// at `error`, `current_time` and `decoded_frames`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(default)]
#[non_exhaustive]
pub struct Playback {
    /// What went wrong, in the browser's words.
    pub error: Option<String>,
    /// Seconds; the end of the media when it played through.
    pub current_time: f64,
    /// Seconds, once the media has ended.
    pub duration: Option<f64>,
    /// Beginnings and ends of what was buffered, in seconds.
    pub buffered: Vec<(f64, f64)>,
    /// Pictures that came out of the decoder.
    pub decoded_frames: u32,
    /// Pictures among them that came too late to be shown.
    pub dropped_frames: u32,
    /// Pixels of the last picture.
    pub width: u32,
    /// Pixels of the last picture.
    pub height: u32,
}

/// Appends chunks to a SourceBuffer one by one, plays from the beginning of what is buffered to
/// its end, and tells how it went.
///
/// ```no_run
/// # async fn example(chunks: Vec<bytes::Bytes>) {
/// use std::time::Duration;
/// let mime = "video/mp4; codecs=\"avc1.42E01F,opus\"";
/// let played = livekit_stream_tests::chromium::play(mime, chunks, Duration::from_secs(30)).await;
/// assert_eq!(played.error, None);
/// # }
/// ```
///
/// # Panics
///
/// When playing takes longer than the deadline.
pub async fn play(mime: &str, chunks: Vec<Bytes>, deadline: Duration) -> Playback {
    let parameters = json!({"mime": mime, "chunks": chunks.len(), "rate": RATE});
    let files: HashMap<_, _> = chunks
        .into_iter()
        .enumerate()
        .map(|(index, chunk)| (format!("/chunk/{index}"), chunk))
        .collect();
    let mut browser = Browser::open(PAGE, &parameters, files).await;
    let played = browser.event("played", deadline).await;
    serde_json::from_value(played).expect("the page reports how it played")
}
