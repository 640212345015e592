//! An AV1 camera is recorded as it was sent.

use livekit_stream_tests::chromium::{self, BrowserOptions};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::copied::{record_browser, record_copied};
use livekit_stream_tests::guest::DEADLINE;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_temporal_unit_is_in_the_file_bit_for_bit_and_plays_in_a_browser() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Chromium);
    let copied = record_copied(VideoCodec::Av1).await;
    assert_eq!(copied.probe.video().codec, "av1");
    assert_eq!(copied.report.tracks[0].codec, "AV1");

    let file = std::fs::read(&copied.path).expect("the file is read");
    let mime = "video/mp4; codecs=\"av01.0.01M.08,opus\"";
    let played = chromium::play(mime, vec![file.into()], DEADLINE).await;
    assert_eq!(played.error, None);
    assert!(played.current_time > 4.5, "{played:?}");
    assert!(played.decoded_frames >= 145, "{played:?}");
    assert_eq!((played.width, played.height), (640, 360));
}

/// A browser sends three spatial layers in one stream, whatever it is told of simulcast.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browsers_layers_are_one_picture() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    for simulcast in [true, false] {
        let options = BrowserOptions::default()
            .codec(VideoCodec::Av1)
            .simulcast(simulcast);
        let copied = record_browser(options, "av01.0.05M.08").await;
        assert_eq!(copied.report.tracks[0].codec, "AV1");
        // The highest layer's size, smaller than the camera's on a busy machine.
        let video = copied.probe.video();
        assert_eq!(video.width * 9, video.height * 16);
    }
}
