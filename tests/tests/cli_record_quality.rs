//! `livekit-stream record --quality` takes one layer of a video that a browser publishes in three.

use std::time::Duration;

use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{media, require};

const DEADLINE: Duration = Duration::from_secs(40);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_lowest_layer_is_recorded_for_as_long_as_a_browser_takes_to_its_highest() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let server = LiveKitServer::start().await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().codec(VideoCodec::H264);
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("low.mp4");
    let mut command = cli::command_for(&server);
    command.args(["record", "--room", "room", "--duration", "12"]);
    command.args(["--quality", "low", "--output"]).arg(&path);
    let ended = Program::start(&mut command).ended(DEADLINE).await;
    browser.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    media::decode_without_errors(&path);
    let probe = media::probe(&path);
    assert_eq!((probe.video().width, probe.video().height), (320, 180));
    // The lowest layer has 150 kb/s at most, the highest ten times as much.
    let bytes = std::fs::metadata(&path).expect("the file is there").len();
    assert!(bytes < 12 * 250_000 / 8, "{bytes} bytes");
}
