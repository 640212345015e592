//! The example captures from nginx what FFmpeg publishes there.

use std::process::Command;
use std::time::Duration;

use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::process::{self, Process};
use livekit_stream_tests::require;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pictures_come_with_their_sound() {
    require!(Peer::Ffmpeg, Peer::Nginx);
    let nginx = NginxRtmp::start().await;
    let url = nginx.url(LIVE, "key");
    let mut ffmpeg = Command::new(Peer::Ffmpeg.path());
    ffmpeg
        .args("-v error -nostdin -re -f lavfi -i testsrc2=size=640x360:rate=25".split(' '))
        .args("-re -f lavfi -i sine=sample_rate=44100 -c:v libx264 -preset veryfast".split(' '))
        .args("-pix_fmt yuv420p -g 25 -c:a aac -t 60 -f flv".split(' '))
        .arg(&url);
    let _publisher = Process::spawn(&mut ffmpeg);
    nginx.published("key", DEADLINE).await;
    let mut example = Command::new(env!("CARGO_BIN_EXE_rtmp_capture"));
    example.args([&url, "20"]);
    let printed = tokio::task::spawn_blocking(move || process::run_ok(&mut example, DEADLINE));
    let printed = String::from_utf8(printed.await.expect("it has run")).expect("text");
    print!("{printed}");
    let lines: Vec<_> = printed.lines().collect();
    assert_eq!(lines.len(), 21);
    let times: Vec<i64> = lines[..20]
        .iter()
        .map(|line| {
            line.split(' ')
                .next()
                .and_then(|us| us.parse().ok())
                .expect("a time")
        })
        .collect();
    assert!(
        times.windows(2).all(|pair| pair[1] - pair[0] == 100_000),
        "{times:?}"
    );
    assert!(lines[..20].iter().all(|line| line.contains(" 320x180 ")));
    let loud = |line: &&&str| {
        let loudest = line
            .rsplit(' ')
            .next()
            .and_then(|value| value.parse::<u16>().ok());
        line.contains("with 1600 samples") && loudest.is_some_and(|loudest| loudest > 1_000)
    };
    // The pieces at the very start may begin before the sound does.
    assert!(lines[..20].iter().filter(loud).count() >= 18);
    assert!(lines[20].contains(" 0 of them dropped"), "{}", lines[20]);
}
