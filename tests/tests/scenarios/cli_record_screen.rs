//! `livekit-stream record --source screen` takes the shared screen with its own sound, or with
//! the microphone when it has none, from somebody who has a camera too.

use std::path::PathBuf;
use std::time::Duration;

use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::{media, require};
use serde_json::Value;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(40);
const SECONDS: u32 = 20;

/// A recording of alice's screen; `screen` is published after her camera and microphone.
struct Recorded {
    path: PathBuf,
    tracks: Value,
    /// What was sent by microphone, screen and, if it has one, the screen's sound.
    sent: Vec<Vec<bytes::Bytes>>,
    _folder: TempDir,
}

async fn record_screen(screen: Vec<PublishOptions>) -> Recorded {
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, report) = (
        folder.path().join("screen.mp4"),
        folder.path().join("report.json"),
    );
    let mut command = cli::record(&server, &path);
    command.args(["--source", "screen", "--duration", "4", "--report"]);
    let mut program = Program::start(command.arg(&report));
    program
        .says("waiting for somebody with a screen", DEADLINE)
        .await;
    let token = server.publisher_token("room", "alice");
    let alice = Publisher::join(&server.url(), &token).await;
    let options = VideoOptions::default().seconds(SECONDS);
    let mut tracks = alice
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    tracks[0].sent_at_least(30, DEADLINE).await;
    assert!(!path.exists(), "a camera is not what was asked for");
    tracks.extend(alice.publish_all(screen).await);
    let ended = program.ended(DEADLINE).await;
    let sent = tracks[1..].iter().map(PublishedTrack::sent_frames);
    let sent = sent.collect();
    alice.leave().await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    let report = std::fs::read_to_string(&report).expect("a report");
    let report: Value = serde_json::from_str(&report).expect("JSON");
    Recorded {
        path,
        tracks: report["recordings"][0]["tracks"].clone(),
        sent,
        _folder: folder,
    }
}

impl Recorded {
    /// The screen's pictures and this sound were copied, and nothing else was.
    fn assert_copied(&self, sound: &[bytes::Bytes], sound_source: &str) {
        let probe = media::assert_plays(&self.path);
        assert_eq!(probe.streams.len(), 2);
        assert_eq!((probe.video().width, probe.video().height), (960, 540));
        let pictures = media::h264_pictures(&self.path);
        assert!(pictures.len() > 110, "{} pictures in 4 s", pictures.len());
        media::assert_run_of(&self.sent[1], &pictures);
        let packets = media::opus_without_silence(&self.path);
        assert!(packets.len() > 120, "{} packets of sound", packets.len());
        media::assert_run_of(sound, &packets);
        let tracks = &self.tracks;
        assert_eq!(tracks[0]["source"], "screen_share", "{tracks}");
        assert_eq!(tracks[0]["width"], 960, "{tracks}");
        assert_eq!(tracks[1]["source"], sound_source, "{tracks}");
        for track in 0..2 {
            assert_eq!(tracks[track]["treatment"], "copied", "{tracks}");
        }
    }
}

fn screen() -> PublishOptions {
    let options = VideoOptions::default().size(960, 540).seconds(SECONDS);
    PublishOptions::screen_share(VideoClip::make(options))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_screen_comes_with_its_own_sound() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let sound = PublishOptions::screen_share_audio(AudioClip::pitched(SECONDS, 880));
    let recorded = record_screen(vec![screen(), sound]).await;
    recorded.assert_copied(&recorded.sent[2], "screen_share_audio");
    media::assert_in_sync(&recorded.path, 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screen_without_sound_comes_with_the_microphone() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recorded = record_screen(vec![screen()]).await;
    recorded.assert_copied(&recorded.sent[0], "microphone");
}
