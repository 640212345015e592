//! Row 2.5: what a monitor says of a room agrees with what was sent, alerts come with loss and go
//! with it, and the program serves the same as Prometheus text.

use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use futures::StreamExt;
use livekit_stream::monitor::{AlertRule, AlertState, Metric, StreamMonitor};
use livekit_stream::{Recorder, RoomOptions};
use livekit_stream_tests::cli::{self, Program};
use livekit_stream_tests::clip::VideoOptions;
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::http;
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::nginx::{GOOD_KEY, KEYED, LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::require;

const CAMERA: &str = "room/alice/camera";
const MICROPHONE: &str = "room/alice/microphone";

async fn publish(server: &LiveKitServer) -> (Publisher, Vec<PublishedTrack>) {
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let options = VideoOptions::default().seconds(40);
    let tracks = publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    (publisher, tracks)
}

/// Waits for it, and tells all figures if it does not come.
async fn eventually(what: &str, monitor: &StreamMonitor, condition: impl Fn() -> bool) {
    let deadline = tokio::time::Instant::now() + DEADLINE;
    while !condition() {
        let figures = monitor.streams().into_iter().map(|stream| {
            let values =
                Metric::ALL.map(|metric| (metric, monitor.get_metric(metric, Some(&stream))));
            format!("{stream}: {values:?}\n")
        });
        let now = tokio::time::Instant::now();
        assert!(
            now < deadline,
            "not in time: {what}\n{}",
            figures.collect::<String>()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// Bytes of the last `count` frames that were sent.
fn last_bytes(track: &PublishedTrack, count: usize) -> f64 {
    let frames = track.sent_frames();
    let last = frames.iter().rev().take(count);
    last.map(|frame| frame.len() as f64).sum()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn figures_agree_with_what_was_sent_and_alerts_follow_the_loss() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let mut guest = Guest::join_with(&server, "room", "monitor", options).await;
    let monitor = StreamMonitor::new();
    monitor.attach_room("room", &guest.room);
    let rule = AlertRule::above("loss", Metric::Loss, 0.03)
        .hold(Duration::from_millis(500))
        .clear_at(0.01)
        .clear_hold(Duration::from_secs(1));
    monitor.add_rule(rule.stream(MICROPHONE));
    let mut alerts = monitor.alerts();
    let (publisher, tracks) = publish(&server).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let recorder = Recorder::builder(&alice)
        .to_file(folder.path().join("alice.mp4"))
        .await;
    let recorder = recorder.expect("recording");
    monitor.attach("file", recorder.monitored());

    let get = |metric, stream: &str| monitor.get_metric(metric, Some(stream));
    let near = |value: Option<f64>, wanted: f64, share: f64| {
        value.is_some_and(|value| (value / wanted - 1.0).abs() < share)
    };
    // Thirty pictures and fifty packets of sound a second, received and written.
    let settled = || {
        near(get(Metric::Fps, CAMERA), 30.0, 0.1)
            && near(get(Metric::Fps, MICROPHONE), 50.0, 0.1)
            && near(get(Metric::Fps, "room"), 40.0, 0.1)
            && near(get(Metric::Fps, "file/camera"), 30.0, 0.2)
            && get(Metric::AvOffset, CAMERA).is_some()
    };
    eventually("rates that are those of the clip", &monitor, settled).await;
    // The clip's bit rate changes with its pictures: two seconds are compared with two seconds.
    let agrees = || {
        let sent = last_bytes(&tracks[0], 60) * 4.0;
        let sound = last_bytes(&tracks[1], 100) * 4.0;
        near(get(Metric::Bitrate, CAMERA), sent, 0.2)
            && near(get(Metric::Bitrate, MICROPHONE), sound, 0.2)
            && near(get(Metric::Bitrate, "file/camera"), sent, 0.3)
    };
    eventually("bit rates that are those sent", &monitor, agrees).await;
    let within = |metric, stream: &str, range: std::ops::Range<f64>| {
        get(metric, stream).is_some_and(|value| range.contains(&value))
    };
    let healthy = || {
        within(Metric::Latency, CAMERA, -0.05..0.3)
            && within(Metric::Jitter, CAMERA, 0.0..0.1)
            && within(Metric::AvOffset, CAMERA, -0.1..0.1)
            && within(Metric::Loss, MICROPHONE, 0.0..0.01)
            && within(Metric::Drops, CAMERA, 0.0..0.01)
            // Of the file too, by the room's clock.
            && within(Metric::Latency, "file/camera", -0.05..0.4)
            && within(Metric::Jitter, "file/camera", 0.0..0.1)
            && within(Metric::AvOffset, "file/camera", -0.15..0.15)
    };
    eventually("delays of a healthy network", &monitor, healthy).await;
    assert_eq!(get(Metric::Loss, "file/camera"), None);
    assert_eq!(monitor.get_alerts(None), []);

    // Retransmissions are lost as well: some of it stays lost.
    network.set_receive_loss(0.4);
    let raised = tokio::time::timeout(DEADLINE, alerts.next()).await;
    let raised = raised
        .expect("an alert in time")
        .expect("the monitor lives");
    assert_eq!(raised.state, AlertState::Raised);
    assert_eq!(
        (&*raised.alert.rule, &*raised.alert.stream),
        ("loss", MICROPHONE)
    );
    assert_eq!(monitor.get_alerts(Some("room")).len(), 1);
    assert_eq!(monitor.get_alerts(Some("file")).len(), 0);
    assert!(
        (0.03..0.5).contains(&raised.alert.value),
        "{:?}",
        raised.alert
    );
    network.set_receive_loss(0.0);
    let cleared = tokio::time::timeout(DEADLINE, alerts.next()).await;
    let cleared = cleared
        .expect("its end in time")
        .expect("the monitor lives");
    assert_eq!(cleared.state, AlertState::Cleared);
    assert!(cleared.alert.value <= 0.01, "{:?}", cleared.alert);
    assert_eq!(monitor.get_alerts(None), []);

    assert!(monitor.detach("file"));
    assert!(
        !monitor
            .streams()
            .iter()
            .any(|name| name.starts_with("file"))
    );
    recorder.stop().await.expect("a recording");
    publisher.leave().await;
    eventually("tracks that are gone", &monitor, || {
        monitor.streams().is_empty()
    })
    .await;
    guest.room.close().await;
}

/// The value of a line of Prometheus text (its exposition format 0.0.4) with these labels.
fn value(text: &str, name: &str, stream: &str) -> Option<f64> {
    let start = format!("{name}{{stream=\"{stream}\"}} ");
    text.lines()
        .find_map(|line| line.strip_prefix(&start)?.parse().ok())
}

/// An address that nobody listens on.
fn free_address() -> SocketAddr {
    let free = TcpListener::bind("127.0.0.1:0").expect("a port");
    free.local_addr().expect("its address")
}

/// What is served there.
async fn served(address: SocketAddr) -> String {
    let (status, body) = http::get(address, "/metrics").await.expect("an answer");
    assert_eq!(status, 200);
    String::from_utf8(body.to_vec()).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restream_serves_those_of_each_target() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let address = free_address();
    let mut command = cli::command_for(&server);
    command.args(["restream", "--room", "room", "--participant", "alice"]);
    command.args(["--to", &nginx.url(LIVE, "first-key")]);
    command.args(["--to", &nginx.url(KEYED, GOOD_KEY)]);
    command.args(["--metrics", &address.to_string()]);
    let mut program = Program::start(&mut command);
    program.says("metrics at", DEADLINE).await;
    let (publisher, _tracks) = publish(&server).await;
    let outputs = [
        "output/alice/camera".to_owned(),
        format!("output/alice/{}", nginx.url(LIVE, "***")),
        format!("output/alice/{}", nginx.url(KEYED, "***")),
    ];
    let ranges = [
        ("livekit_stream_frames_per_second", 26.0..34.0),
        (
            "livekit_stream_bitrate_bits_per_second",
            100_000.0..3_000_000.0,
        ),
        ("livekit_stream_jitter_seconds", 0.0..0.1),
        ("livekit_stream_latency_seconds", -0.05..0.4),
        ("livekit_stream_av_offset_seconds", -0.15..0.15),
        ("livekit_stream_dropped_frames_per_second", 0.0..0.01),
    ];
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let text = loop {
        let text = served(address).await;
        let settled = outputs.iter().all(|stream| {
            ranges.iter().all(|(name, range)| {
                value(&text, name, stream).is_some_and(|value| range.contains(&value))
            })
        });
        if settled {
            break text;
        }
        assert!(tokio::time::Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    for secret in ["first-key", GOOD_KEY, "secret"] {
        assert!(!text.contains(secret), "{text}");
    }
    program.interrupt();
    let ended = program.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    publisher.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_program_serves_them_as_prometheus_text() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let folder = tempfile::tempdir().expect("a folder");
    let address = free_address();
    let mut command = cli::record(&server, &folder.path().join("out.mp4"));
    command.args(["--metrics", &address.to_string()]);
    let mut program = Program::start(&mut command);
    let at = format!("metrics at http://{address}/metrics");
    program.says(&at, DEADLINE).await;
    let (publisher, tracks) = publish(&server).await;
    let figures = [
        (
            "livekit_stream_bitrate_bits_per_second",
            100_000.0..3_000_000.0,
        ),
        ("livekit_stream_packet_loss_ratio", 0.0..0.01),
        ("livekit_stream_jitter_seconds", 0.0..0.1),
        ("livekit_stream_latency_seconds", -0.05..0.3),
    ];
    let deadline = tokio::time::Instant::now() + DEADLINE;
    let text = loop {
        let text = served(address).await;
        let fps = |stream| value(&text, "livekit_stream_frames_per_second", stream);
        let settled = |fps: Option<f64>| fps.is_some_and(|fps| (27.0..33.0).contains(&fps));
        let frames = value(&text, "livekit_stream_frames_total", CAMERA);
        let mut figures = figures.iter();
        let healthy = figures.all(|(name, range)| {
            value(&text, name, CAMERA).is_some_and(|value| range.contains(&value))
        });
        if healthy
            && settled(fps(CAMERA))
            && settled(fps("output/alice/camera"))
            && frames.is_some_and(|frames| frames >= 30.0)
        {
            break text;
        }
        assert!(tokio::time::Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(200)).await;
    };
    assert!(
        text.contains("# TYPE livekit_stream_frames_per_second gauge"),
        "{text}"
    );
    assert!(
        text.contains("# TYPE livekit_stream_packets_total counter"),
        "{text}"
    );
    let frames = value(&text, "livekit_stream_frames_total", CAMERA).expect("frames");
    assert!(frames <= tracks[0].sent_frames().len() as f64, "{frames}");
    assert!(!text.contains("secret"), "{text}");

    // Somebody else has the address.
    let mut second = cli::record(&server, &folder.path().join("second.mp4"));
    second.args(["--metrics", &address.to_string()]);
    let refused = cli::run(&mut second, DEADLINE).await;
    assert_eq!(refused.code, Some(1), "{}", refused.stderr);
    let message = format!("cannot serve metrics on {address}");
    assert!(refused.stderr.contains(&message), "{}", refused.stderr);

    program.interrupt();
    let ended = program.ended(DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    publisher.leave().await;
}
