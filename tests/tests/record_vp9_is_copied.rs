//! A VP9 camera is recorded as it was sent.

use livekit_stream_tests::chromium::{self, BrowserOptions};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::copied::{record_browser, record_copied};
use livekit_stream_tests::guest::DEADLINE;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_frame_is_in_the_file_bit_for_bit_and_plays_in_a_browser() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Chromium);
    let copied = record_copied(VideoCodec::Vp9).await;
    assert_eq!(copied.probe.video().codec, "vp9");
    assert_eq!(copied.report.tracks[0].codec, "VP9");

    let file = std::fs::read(&copied.path).expect("the file is read");
    let mime = "video/mp4; codecs=\"vp09.00.21.08,opus\"";
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
            .codec(VideoCodec::Vp9)
            .simulcast(simulcast);
        let copied = record_browser(options, "vp09.00.31.08").await;
        assert_eq!(copied.report.tracks[0].codec, "VP9");
        // The highest layer's size, smaller than the camera's on a busy machine.
        let video = copied.probe.video();
        assert_eq!(video.width * 9, video.height * 16);
    }
}
