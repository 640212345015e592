//! A browser's VP9 and AV1 of which the server passes on the lowest layer alone: every picture is
//! shown.

use std::time::Duration;

use livekit_stream::{Recorder, RemoteTrack, RoomEvent, VideoQuality};
use livekit_stream_tests::chromium::{self, BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

const MEDIA: Duration = Duration::from_secs(6);

async fn lowest_layer(codec: VideoCodec, codecs: &str) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let options = BrowserOptions::default().codec(codec);
    let token = server.publisher_token("room", "browser");
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let publication = guest
        .until(|event| match event {
            RoomEvent::TrackSubscribed {
                track: RemoteTrack::Video(_),
                publication,
                ..
            } => Some(publication),
            _ => None,
        })
        .await;
    let asked = publication.set_video_quality(VideoQuality::Low).await;
    asked.expect("the server is asked");
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("browser.mp4");
    let recorder = Recorder::builder(&participant)
        .duration(MEDIA)
        .to_file(&path)
        .await;
    let finished = recorder.expect("recording").finished();
    let report = tokio::time::timeout(DEADLINE + MEDIA, finished).await;
    let report = report.expect("media come in time").expect("a recording");
    browser.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    let video = &report.tracks[0];
    assert!(video.width <= 640, "the last pictures are small");
    media::decode_without_errors(&path);
    assert_eq!(media::decoded_frames(&path) as u64, video.frames);
    let file = std::fs::read(&path).expect("the file is read");
    let mime = format!("video/mp4; codecs=\"{codecs},opus\"");
    let played = chromium::play(&mime, vec![file.into()], DEADLINE).await;
    assert_eq!(played.error, None);
    assert_eq!((played.width, played.height), (video.width, video.height));
    assert!(
        u64::from(played.decoded_frames) + 10 > video.frames,
        "{played:?}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn vp9() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    lowest_layer(VideoCodec::Vp9, "vp09.00.31.08").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn av1() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    lowest_layer(VideoCodec::Av1, "av01.0.05M.08").await;
}
