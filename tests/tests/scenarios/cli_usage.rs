//! What the command line asks for is checked before anything is joined: one line says what is
//! wrong and what to do, and nothing is touched.

use std::fs;
use std::time::Duration;

use livekit_stream_tests::cli;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

const DEADLINE: Duration = Duration::from_secs(30);

/// Nobody listens there: whoever got so far has not checked its options.
const NOWHERE: [(&str, &str); 3] = [
    ("LIVEKIT_URL", "ws://127.0.0.1:9"),
    ("LIVEKIT_API_KEY", "key"),
    ("LIVEKIT_API_SECRET", "a-secret-that-is-not-shown"),
];

/// Runs the program with these variables; gives its exit code and its one line of error.
async fn error(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
    let mut command = cli::command();
    command.args(arguments).envs(variables.iter().copied());
    let ended = cli::run(&mut command, DEADLINE).await;
    let error = ended.error().to_owned();
    assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
    for (name, value) in variables {
        if matches!(*name, "LIVEKIT_API_SECRET" | "LIVEKIT_TOKEN") && !value.is_empty() {
            assert!(!ended.stderr.contains(value), "{name} in {}", ended.stderr);
        }
    }
    (ended.code, error)
}

#[tokio::test]
async fn credentials_that_are_missing_are_named() {
    let arguments = ["record", "--room", "room", "--output", "out.mp4"];
    let [url, key, secret] = NOWHERE;
    for (variables, wanted) in [
        (vec![], "no server: give --url or set LIVEKIT_URL"),
        (vec![url], "give --token or --api-key and --api-secret"),
        (
            vec![url, key],
            "give --api-secret or set LIVEKIT_API_SECRET",
        ),
        (vec![url, secret], "give --api-key or set LIVEKIT_API_KEY"),
        (vec![url, ("LIVEKIT_TOKEN", "")], "give --token or"),
    ] {
        let (code, error) = error(&arguments, &variables).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(wanted), "{error}");
    }
}

#[tokio::test]
async fn a_wrong_command_line_is_told_in_one_line() {
    for (arguments, wanted) in [
        (&["record", "--room", "room"][..], "--output <FILE|DIR>"),
        (
            &["record", "--output", "out.mp4", "--participants", "alice"],
            "'--participants' found; tip: a similar argument exists: '--participant'",
        ),
        (
            &["record", "--output", "out.mp4", "--duration", "ten"],
            "'ten' for '--duration <SECONDS>': not a number of seconds",
        ),
        (
            &["record", "--output", "out.mp4", "--video", "vp8"],
            "\"vp8\" is not one of auto, copy, h264, none",
        ),
        (
            &["record", "--output", "out.mp4", "--preset", "placebo"],
            "\"placebo\" is not one of ultrafast,",
        ),
        (
            &["restream", "--to", "rtmp://a/b/c", "--encoder", "x265"],
            "\"x265\" is not one of openh264,",
        ),
        (&["record", "--output"], "a value is required"),
        (&["recrod"], "unrecognized subcommand 'recrod'"),
    ] {
        let (code, error) = error(arguments, &[]).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(error.contains(wanted), "{arguments:?}: {error}");
        assert!(error.ends_with("; see --help"), "{error}");
    }
}

#[tokio::test]
async fn a_stream_key_in_the_wrong_place_is_not_shown() {
    let target = "rtmp://127.0.0.1/app/a-stream-key";
    for arguments in [&["restream", "--room", "room", target][..], &[target]] {
        let (code, error) = error(arguments, &[]).await;
        assert_eq!(code, Some(2), "{error}");
        assert!(!error.contains("a-stream-key"), "{error}");
        assert!(error.contains("'rtmp://...'"), "{error}");
    }
}

#[tokio::test]
async fn an_existing_file_is_not_overwritten() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.mp4");
    fs::write(&path, b"precious").expect("written");
    let path = path.to_str().expect("UTF-8");
    let arguments = ["record", "--room", "room", "--output", path];
    let (code, told) = error(&arguments, &NOWHERE).await;
    assert_eq!(
        (code, told),
        (
            Some(1),
            format!("{path} already exists: give another path or --force")
        )
    );
    let forced: Vec<&str> = arguments.iter().copied().chain(["--force"]).collect();
    let (code, told) = error(&forced, &NOWHERE).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("127.0.0.1:9"), "{told}");
    assert_eq!(
        fs::read(path).expect("read"),
        b"precious",
        "nothing was recorded"
    );
}

#[tokio::test]
async fn an_encoder_that_cannot_be_had_is_told_before_anything_is_joined() {
    let record = ["record", "--room", "room", "--output", "out.mp4"];
    for (options, wanted) in [
        (
            ["--bit-rate", "5"],
            "bit_rate = 5 is out of range: 10 000 to 240 000 000",
        ),
        // On other systems than Apple's, with the feature `ffmpeg` and without.
        (["--encoder", "h264_videotoolbox"], "h264_videotoolbox"),
    ] {
        let arguments: Vec<&str> = record.into_iter().chain(options).collect();
        let (code, told) = error(&arguments, &NOWHERE).await;
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(wanted), "{told}");
    }
    let copied = ["--video", "copy", "--preset", "fast"];
    let (code, told) = error(&[&record[..], &copied].concat(), &NOWHERE).await;
    assert_eq!(code, Some(2), "{told}");
    assert!(told.contains("have no effect with --video copy"), "{told}");
}

#[tokio::test]
async fn what_does_not_go_together_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("out.mp4");
    let path = path.to_str().expect("UTF-8");
    let record = ["record", "--room", "room", "--output", path];
    let restream = [
        "restream",
        "--room",
        "room",
        "--to",
        "rtmp://127.0.0.1/app/key",
    ];
    for (command, more, wanted) in [
        (
            record,
            &["--participant", "a", "--participant", "b"][..],
            "give a directory",
        ),
        (
            record,
            &["--video", "none", "--audio", "none"],
            "nothing to record",
        ),
        (
            record,
            &["--report", "/nonexistent/report.json"],
            "/nonexistent/report.json",
        ),
        (
            restream,
            &["--participant", "a", "--participant", "b"],
            "a restream for each",
        ),
        (restream, &["--to", "rtmp://127.0.0.1/app"], "--to"),
    ] {
        let arguments: Vec<&str> = command.iter().chain(more).copied().collect();
        let (_, error) = error(&arguments, &NOWHERE).await;
        assert!(error.contains(wanted), "{more:?}: {error}");
    }
    assert!(
        !fs::exists(path).expect("readable"),
        "no file is left behind"
    );
}

#[tokio::test]
async fn a_directory_that_was_made_for_nothing_goes_again() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("recordings");
    let text = path.to_str().expect("UTF-8");
    let (code, _) = error(&["record", "--room", "room", "--output", text], &NOWHERE).await;
    assert_eq!(code, Some(1));
    assert!(!path.exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_for_another_room_names_both() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let (url, token) = (server.url(), server.participant_token("granted", "guest"));
    let variables = [("LIVEKIT_URL", &*url), ("LIVEKIT_TOKEN", &*token)];
    let arguments = ["record", "--room", "wanted", "--output", "out.mp4"];
    let (code, told) = error(&arguments, &variables).await;
    assert_eq!(code, Some(2));
    assert!(
        told.contains("--room wanted") && told.contains("the room granted"),
        "{told}"
    );
    let arguments = ["record", "--identity", "me", "--output", "out.mp4"];
    let (_, told) = error(&arguments, &variables).await;
    assert!(told.contains("--identity me"), "{told}");
}
