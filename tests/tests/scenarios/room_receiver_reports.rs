//! What the server learns from our receiver reports (RFC 3550 section 6.4.2) is what happened.

use livekit_stream::{RoomOptions, VideoStream};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::guest::{Guest, eventually, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

/// The line in the server's log with what it knew of the picture it sent, when that ended.
fn line(log: &str) -> Option<&str> {
    log.lines()
        .filter(|line| line.contains("rtp stats") && line.contains("\"downstream\""))
        .find(|line| line.contains("video/H264"))
}

/// The first number of this name.
fn number(line: &str, name: &str) -> f64 {
    let (_, rest) = line
        .split_once(&format!("\"{name}\": "))
        .unwrap_or_else(|| panic!("{name} in {line}"));
    let end = rest.find([',', '}']).unwrap_or(rest.len());
    let number = rest[..end].parse();
    number.unwrap_or_else(|_| panic!("{name} is {}", &rest[..end]))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn loss_and_the_way_to_us_are_reported_as_they_are() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start_talkative().await;
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default().kbps(2000, 20));
    let _camera = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let mut video = VideoStream::new(&track);
    take(&mut video, 30).await;
    network.set_receive_loss(0.05);
    // Longer than the time between two sender reports of the server's.
    take(&mut video, 210).await;
    network.set_receive_loss(0.0);
    take(&mut video, 120).await;
    publisher.leave().await;
    eventually("the server tells", || line(&server.log()).is_some()).await;
    let log = server.log();
    let line = line(&log).expect("it was there");

    let lost = network.counts().lost_received as f64;
    let reported = number(line, "packetsLostFromRR");
    // Retransmissions are lost too, and reported of their own stream.
    assert!(
        (0.8 * lost..=lost).contains(&reported),
        "{reported} of {lost} lost packets"
    );
    let repeated = number(line, "nackAcks");
    assert!(
        repeated < 1.5 * lost,
        "{repeated} retransmissions for {lost} lost packets"
    );
    let behind = number(line, "extHighestSN") - number(line, "extHighestSNFromRR");
    // A second's packets and a bit, and whole cycles that the server counts from elsewhere.
    let behind = behind.rem_euclid(65536.0);
    assert!(behind < 500.0, "{behind} packets behind");
    let jitter_ms = number(line, "jitterFromRR") / 90.0;
    assert!(
        (0.0..100.0).contains(&jitter_ms),
        "{jitter_ms} ms of jitter"
    );
    guest.room.close().await;
}
