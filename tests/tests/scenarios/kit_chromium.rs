//! The kit's browser publishes into a room, and plays what a SourceBuffer can play.

use std::process::Command;
use std::time::{Duration, Instant};

use livekit_stream_tests::chromium::{self, BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::Subscriber;
use livekit_stream_tests::{process, require};
use serde_json::{Value, json};

const DEADLINE: Duration = Duration::from_secs(30);

/// Waits until the server tells of participants in the room what is wanted.
async fn until(server: &LiveKitServer, wanted: impl Fn(&[Value]) -> bool) {
    let end = Instant::now() + DEADLINE;
    loop {
        let participants = server.participants("room").await;
        if wanted(&participants) {
            return;
        }
        assert!(Instant::now() < end, "{participants:#?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_browser_publishes_mutes_and_leaves() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let server = LiveKitServer::start().await;
    let token = server.participant_token("room", "listener");
    let mut listener = Subscriber::join(&server.url(), &token).await;
    let token = server.participant_token("room", "browser");
    let options = BrowserOptions::default()
        .codec(VideoCodec::H264)
        .size(640, 360);
    let mut browser = BrowserPublisher::join(&server.url(), &token, options).await;

    let received = [
        listener.track(DEADLINE).await,
        listener.track(DEADLINE).await,
    ];
    for track in &received {
        track.packets_at_least(50, DEADLINE).await;
    }
    assert!(
        received
            .iter()
            .any(|track| track.sid == browser.video_sid())
    );
    assert!(
        received
            .iter()
            .any(|track| Some(track.sid.as_str()) == browser.audio_sid())
    );

    browser.mute_camera().await;
    // The browser has sent it, which the server need not have read yet.
    let is_muted = |participants: &[Value]| {
        let browsers = participants.iter().find(|one| one["identity"] == "browser");
        let tracks = browsers.and_then(|one| one["tracks"].as_array());
        let mut tracks = tracks.expect("the browser is in the room").iter();
        let video = tracks.find(|track| track["sid"] == browser.video_sid());
        video.expect("the muted track stays")["muted"] == json!(true)
    };
    until(&server, is_muted).await;
    browser.unmute_camera().await;

    browser.leave().await;
    let is_gone = |participants: &[Value]| {
        let mut others = participants.iter();
        others.all(|one| one["identity"] != "browser")
    };
    until(&server, is_gone).await;
    listener.leave().await;
}

#[tokio::test]
async fn a_fragmented_file_plays_and_a_wrong_one_tells_why() {
    require!(Peer::Chromium, Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let file = folder.path().join("clip.mp4");
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-loglevel", "error", "-r", "30", "-i"]);
    command
        .arg(VideoClip::make(VideoOptions::default()).path)
        .arg("-i");
    command
        .arg(AudioClip::make(4).path)
        .args(["-c", "copy", "-movflags"]);
    command
        .arg("frag_keyframe+empty_moov+default_base_moof")
        .arg(&file);
    process::run_ok(&mut command, DEADLINE);
    let bytes = bytes::Bytes::from(std::fs::read(&file).expect("the file is read"));
    // Three chunks, cut anywhere: a SourceBuffer takes bytes, not boxes.
    let third = bytes.len() / 3;
    let chunks = vec![
        bytes.slice(..third),
        bytes.slice(third..2 * third),
        bytes.slice(2 * third..),
    ];
    let mime = "video/mp4; codecs=\"avc1.42C01E,opus\"";
    let played = chromium::play(mime, chunks, DEADLINE).await;
    assert_eq!(played.error, None, "{played:?}");
    assert_eq!((played.width, played.height), (640, 360));
    assert!((3.9..4.2).contains(&played.current_time), "{played:?}");
    assert!(played.decoded_frames >= 100, "{played:?}");

    let played = chromium::play("video/mp4; codecs=\"hev1\"", vec![bytes.clone()], DEADLINE).await;
    assert!(played.error.is_some());
    let garbage = bytes::Bytes::from(vec![0x55; 5000]);
    let played = chromium::play(mime, vec![garbage], DEADLINE).await;
    assert!(played.error.is_some());
}
