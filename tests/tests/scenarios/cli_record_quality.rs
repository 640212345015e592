//! `livekit-stream record --quality` takes one layer of a video that a browser publishes in three.

use std::path::{Path, PathBuf};
use std::time::Duration;

use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{media, require};

const DEADLINE: Duration = Duration::from_secs(40);

/// Records so many seconds of a browser in the lowest quality.
async fn record_low(options: BrowserOptions, seconds: u32, folder: &Path) -> PathBuf {
    let server = LiveKitServer::start().await;
    let token = server.publisher_token("room", "browser");
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let path = folder.join("low.mp4");
    let mut command = cli::command_for(&server);
    command.args(["record", "--room", "room", "--quality", "low"]);
    command.args(["--duration", &seconds.to_string(), "--output"]);
    let ended = Program::start(command.arg(&path)).ended(DEADLINE).await;
    browser.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    media::decode_without_errors(&path);
    path
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lowest_layer_is_recorded_for_as_long_as_a_browser_takes_to_its_highest() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let folder = tempfile::tempdir().expect("a folder");
    let options = BrowserOptions::default().codec(VideoCodec::H264);
    let path = record_low(options.keep_size(), 16, folder.path()).await;
    // The server begins with a higher layer where a publisher does not send the lowest one yet.
    let sizes = media::frame_sizes(&path);
    assert_eq!(sizes.last(), Some(&(320, 180)), "{sizes:?}");
    assert!(sizes.len() <= 2, "{sizes:?}");
    // The lowest layer has 150 kb/s at most, the highest ten times as much.
    let probe = media::probe(&path);
    let from_us = 8_000_000;
    let packets = probe.packets_of(probe.video());
    let later = packets.iter().filter(|one| one.pts_us >= Some(from_us));
    let bytes: usize = later.map(|packet| packet.size).sum();
    assert!(bytes < 8 * 250_000 / 8, "{bytes} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lowest_spatial_layer_of_one_stream_is_recorded() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let folder = tempfile::tempdir().expect("a folder");
    let options = BrowserOptions::default().codec(VideoCodec::Vp9);
    let options = options.size(960, 540).keep_size();
    let path = record_low(options, 6, folder.path()).await;
    assert_eq!(media::probe(&path).video().codec, "vp9");
    // A quarter of the camera's, made even by the encoder.
    assert_eq!(media::frame_sizes(&path), [(240, 136)]);
}
