//! Bad input is one line on stderr that names the value and what to do, and shows no secret.

use std::time::Duration;

use livekit_stream_tests::cli::{self, Ended};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::livekit::{LiveKitServer, VideoGrants};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::{media, require};

const DEADLINE: Duration = Duration::from_secs(40);

/// A row of the table: arguments, and what the error has to say.
struct Row<'a>(&'a [&'a str], &'a [&'a str]);

async fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Ended {
    let mut command = cli::command();
    command.args(arguments).envs(environment.iter().copied());
    cli::run(&mut command, DEADLINE).await
}

fn assert_told(ended: &Ended, arguments: &[&str], wanted: &[&str], secrets: &[&str]) {
    assert!(
        ended.code.is_some_and(|code| code != 0),
        "{arguments:?}: {ended:?}"
    );
    for word in wanted {
        let told = ended.stderr.to_lowercase();
        assert!(
            told.contains(&word.to_lowercase()),
            "{arguments:?}: no {word:?} in {told}"
        );
    }
    for secret in secrets {
        assert!(
            !ended.stderr.contains(secret),
            "{arguments:?}: a secret in {}",
            ended.stderr
        );
    }
    assert!(!ended.stderr.contains("panicked"), "{}", ended.stderr);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_url_a_token_or_an_output_is_told() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let out = folder.path().join("out.mp4");
    let out = out.to_str().expect("UTF-8");
    let url = server.url();
    let key = server.api_key();
    let secret = server.api_secret();
    let good = [
        ("LIVEKIT_URL", &*url),
        ("LIVEKIT_API_KEY", key),
        ("LIVEKIT_API_SECRET", secret),
    ];

    let rows = [
        Row(
            &[
                "record",
                "--room",
                "room",
                "--output",
                "/nonexistent/folder/out.mp4",
            ],
            &["/nonexistent/folder/out.mp4"],
        ),
        Row(
            &["record", "--room", "room", "--output", "/proc/out.mp4"],
            &["/proc/out.mp4"],
        ),
        Row(
            &[
                "record", "--room", "room", "--output", out, "--url", "nonsense",
            ],
            &["nonsense"],
        ),
        Row(
            &[
                "record",
                "--room",
                "room",
                "--output",
                out,
                "--url",
                "ftp://127.0.0.1",
            ],
            &["ftp", "ws"],
        ),
        Row(
            &[
                "record",
                "--room",
                "room",
                "--output",
                out,
                "--url",
                "ws://127.0.0.1:9",
            ],
            &["127.0.0.1:9"],
        ),
        Row(
            &[
                "record", "--room", "room", "--output", out, "--video", "vp8",
            ],
            &["vp8", "h264"],
        ),
        Row(
            &[
                "record",
                "--room",
                "room",
                "--output",
                out,
                "--duration",
                "-3",
            ],
            &["-3"],
        ),
        Row(
            &[
                "record", "--room", "room", "--output", out, "--source", "desk",
            ],
            &["desk", "screen"],
        ),
        Row(&["record", "--output", out], &["--room"]),
        Row(
            &[
                "restream",
                "--room",
                "room",
                "--to",
                "http://127.0.0.1/app/key-7",
            ],
            &["rtmp"],
        ),
        Row(
            &["restream", "--room", "room", "--to", "rtmp://127.0.0.1"],
            &["127.0.0.1", "application"],
        ),
        Row(
            &["restream", "--room", "room", "--to", "rtmp://127.0.0.1/app"],
            &["key"],
        ),
        Row(&["restream", "--room", "room"], &["--to"]),
    ];
    for Row(arguments, wanted) in rows {
        let ended = run(arguments, &good).await;
        assert_told(&ended, arguments, wanted, &[secret, "key-7"]);
    }

    let plain = ["record", "--output", out];
    let expired = server.expired_token("room", "guest", Duration::from_secs(7200));
    let no_grant = server.token("guest", VideoGrants::default());
    for (token, wanted) in [
        (&*expired, "expired"),
        (&*no_grant, "roomJoin"),
        ("garbage", "token"),
    ] {
        let environment = [("LIVEKIT_URL", &*url), ("LIVEKIT_TOKEN", token)];
        let ended = run(&plain, &environment).await;
        let secrets = if token == "garbage" {
            vec![]
        } else {
            vec![token]
        };
        assert_told(&ended, &plain, &[wanted], &secrets);
    }
    let wrong_secret = [
        ("LIVEKIT_URL", &*url),
        ("LIVEKIT_API_KEY", key),
        ("LIVEKIT_API_SECRET", "some-other-secret-of-32-characters"),
    ];
    let arguments = ["record", "--room", "room", "--output", out];
    let ended = run(&arguments, &wrong_secret).await;
    assert_told(
        &ended,
        &arguments,
        &["refuse"],
        &["some-other-secret-of-32-characters"],
    );
    let ended = run(&arguments, &[("LIVEKIT_URL", &*url)]).await;
    assert_told(&ended, &arguments, &["token"], &[]);
    assert!(
        !std::path::Path::new(out).exists(),
        "no file is left behind"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_keeps_what_was_written() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.mp4");
    // Files of this shell's children end at 512 KiB, as a full disk does.
    let mut command = cli::in_shell("ulimit -f 1024", &cli::record(&server, &path));
    let mut program = cli::Program::start(&mut command);
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let clip = VideoClip::make(VideoOptions::default().kbps(2000, 60));
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let ended = program.ended(DEADLINE).await;
    publisher.leave().await;
    assert!(ended.stderr.contains("out.mp4"), "{}", ended.stderr);
    assert!(ended.code.is_some_and(|code| code != 0), "{ended:?}");
    media::decode_without_errors(&path);
    assert!(media::decoded_frames(&path) >= 15);
}
