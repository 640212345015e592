//! Browsers as publishers: simulcast, sizes that change in mid-stream, DTX.

use std::time::Duration;

use livekit_stream::{Recorder, RecordingReport, Treatment};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::guest::Guest;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

const MEDIA: Duration = Duration::from_secs(10);

async fn record(options: BrowserOptions) -> (RecordingReport, tempfile::TempDir) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let token = server.publisher_token("room", "browser");
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.mp4");
    let recorder = Recorder::builder(&participant)
        .duration(MEDIA)
        .to_file(&path)
        .await;
    let finished = recorder.expect("recording").finished();
    let report = tokio::time::timeout(Duration::from_secs(40), finished).await;
    let report = report.expect("media come in time").expect("a recording");
    browser.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    let probe = media::assert_plays(&path);
    assert_eq!(probe.video().codec, "h264");
    assert_eq!(probe.audio().codec, "opus");
    assert!(
        (9_500_000..10_200_000).contains(&report.duration_us),
        "{} us",
        report.duration_us
    );
    assert!(media::decoded_frames(&path) as u64 == report.tracks[0].frames);
    assert!(
        report.tracks[0].frames > 120,
        "{} pictures",
        report.tracks[0].frames
    );
    (report, folder)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_default_is_transcoded() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Libvpx,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let (report, _folder) = record(BrowserOptions::default()).await;
    assert_eq!(report.tracks[0].codec, "VP8");
    assert_eq!(report.tracks[0].treatment, Treatment::Transcoded);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_h264_is_copied_through_changes_of_size() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let (report, _folder) = record(BrowserOptions::default().codec(VideoCodec::H264)).await;
    assert_eq!(report.tracks[0].codec, "H.264");
    assert_eq!(report.tracks[0].treatment, Treatment::Copied);
}
