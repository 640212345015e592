//! The server is told what the subscriber's network carries, and chooses a layer that fits.

use std::time::{Duration, Instant};

use livekit_stream::{RoomOptions, VideoStream};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::guest::{Guest, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

/// Servers look for more room every few seconds, and less often the longer they find none.
const DEADLINE: Duration = Duration::from_secs(90);

/// Less than the largest layer of 1.7 Mb/s needs, and more than the next one of 450 kb/s.
const NARROW: f64 = 450e3;

/// What a home router keeps.
const LONGEST_WAIT: Duration = Duration::from_millis(300);

/// Takes pictures until 60 in a row have passed the test; their widths are in the message of a
/// failure.
async fn steady(what: &str, video: &mut VideoStream, wanted: impl Fn(u32) -> bool) {
    let (mut in_a_row, mut widths) = (0, Vec::new());
    let start = Instant::now();
    let steady = async {
        while in_a_row < 60 {
            let width = take(video, 1).await[0].frame.width();
            if widths.last().is_none_or(|(_, last)| *last != width) {
                widths.push((start.elapsed().as_millis(), width));
            }
            in_a_row = if wanted(width) { in_a_row + 1 } else { 0 };
        }
    };
    let in_time = tokio::time::timeout(DEADLINE, steady).await.is_ok();
    println!("{what}: {widths:?} within {:?}", start.elapsed());
    assert!(in_time, "{what}: no such pictures");
}

/// Takes pictures for so long; tells the longest time from one to the next, and their widths.
async fn watch(video: &mut VideoStream, length: Duration) -> (Duration, Vec<u32>) {
    let (start, mut times, mut widths) = (Instant::now(), Vec::new(), Vec::new());
    while start.elapsed() < length {
        let picture = take(video, 1).await.remove(0);
        times.push(picture.timestamp_us);
        let width = picture.frame.width();
        if widths.last() != Some(&width) {
            widths.push(width);
        }
    }
    let steps = times.windows(2).map(|pair| pair[0].abs_diff(pair[1]));
    let longest = Duration::from_micros(steps.max().unwrap_or_default());
    (longest, widths)
}

/// `full` is what the server's log says when it has found that the network is full.
async fn a_layer_that_fits_is_chosen(server: LiveKitServer, full: &str) {
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default()
        .codec(VideoCodec::H264)
        .keep_size();
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let track = guest.video_track().await;
    let mut video = VideoStream::new(&track);

    let told = || server.log().matches(full).count();
    let mut windows = Vec::new();
    while windows.last() != Some(&(true, 0)) {
        // A machine that stalls makes packets late, which looks the same: one quiet window will do.
        assert!(
            windows.len() < 4,
            "there is room for the largest: {windows:?}"
        );
        steady("wide", &mut video, |width| width == 1280).await;
        let before = told();
        let (_, widths) = watch(&mut video, Duration::from_secs(5)).await;
        windows.push((widths == [1280], told() - before));
    }
    let before_it_was_full = told();

    network.narrow(NARROW, LONGEST_WAIT);
    steady("narrow", &mut video, |width| width < 1280).await;
    let (before, bytes) = (Instant::now(), network.counts().received_bytes);
    let (longest, widths) = watch(&mut video, Duration::from_secs(8)).await;
    let came = (network.counts().received_bytes - bytes) as f64 * 8.0;
    let rate = came / before.elapsed().as_secs_f64();
    println!(
        "{rate:.0} b/s, {widths:?}, {longest:?} without a picture, {:?}",
        network.counts()
    );
    // What is counted last still has to pass the queue.
    let queue = NARROW * LONGEST_WAIT.as_secs_f64() / before.elapsed().as_secs_f64();
    assert!(rate < NARROW + queue, "{rate} b/s");
    assert!(
        longest < Duration::from_secs(2),
        "{longest:?} without a picture"
    );

    assert!(told() > before_it_was_full);

    network.widen();
    steady("wide again", &mut video, |width| width == 1280).await;
    browser.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_fits_is_chosen_by_our_estimates() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let server = LiveKitServer::start().await;
    a_layer_that_fits_is_chosen(server, "remote bwe: channel congestion detected").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_layer_that_fits_is_chosen_by_the_servers_estimates() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let server = LiveKitServer::start_estimating().await;
    a_layer_that_fits_is_chosen(server, "\"to\": \"CONGESTED\"").await;
}
