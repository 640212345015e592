//! The kit's RTMP server takes what ffmpeg pushes and gives it back.

use std::process::{Command, Stdio};
use std::time::Duration;

use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::nginx::{GOOD_KEY, KEYED, LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::process::Process;
use livekit_stream_tests::{media, require};

const DEADLINE: Duration = Duration::from_secs(20);

fn push(url: &str) -> Process {
    let (clip, sound) = (VideoClip::make(VideoOptions::default()), AudioClip::make(4));
    let mut command = Command::new(Peer::Ffmpeg.path());
    command
        .args(["-loglevel", "error", "-re", "-r", "30", "-i"])
        .arg(&clip.path);
    command.arg("-i").arg(&sound.path);
    command
        .args(["-c:v", "copy", "-c:a", "aac", "-f", "flv"])
        .arg(url);
    Process::spawn(command.stdout(Stdio::null()).stderr(Stdio::null()))
}

#[tokio::test]
async fn a_stream_is_pushed_and_pulled_before_and_after_a_restart() {
    require!(Peer::Nginx, Peer::Ffmpeg);
    let mut server = NginxRtmp::start().await;
    for _ in 0..2 {
        let mut pull = server.pull(LIVE, "any-key", 3).await;
        let _push = push(&server.url(LIVE, "any-key"));
        server.published("any-key", DEADLINE).await;
        let file = pull.finish(DEADLINE).await;
        media::decode_without_errors(file);
        let probe = media::probe(file);
        assert_eq!(
            (probe.video().codec.as_str(), probe.audio().codec.as_str()),
            ("h264", "aac")
        );
        assert!(!media::flashes_and_beeps(file).offsets().is_empty());
        server.kill();
        server.start_again().await;
    }
}

#[tokio::test]
async fn a_bad_key_is_rejected() {
    require!(Peer::Nginx, Peer::Ffmpeg);
    let server = NginxRtmp::start().await;
    let mut bad = push(&server.url(KEYED, "bad-key"));
    let status = bad.wait(DEADLINE).await.expect("ffmpeg gives up");
    assert!(!status.success());
    let _good = push(&server.url(KEYED, GOOD_KEY));
    server.published(GOOD_KEY, DEADLINE).await;
}
