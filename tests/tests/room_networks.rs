//! Media come where the network lets them: over TCP where there is no UDP, and by way of a TURN
//! server where nothing else can be reached.

use livekit_stream::{RoomOptions, VideoStream};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;
use livekit_stream_tests::turn::TurnServer;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_over_tcp_where_there_is_no_udp() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let server = LiveKitServer::start_without_udp().await;
    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().codec(VideoCodec::H264);
    let browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let track = guest.video_track().await;
    let mut video = VideoStream::new(&track);
    take(&mut video, 60).await;
    assert_eq!(track.stats().packets_lost, 0);
    server.active("room", "guest", DEADLINE).await;
    // Another path is looked for after the signal connection was lost, and found.
    proxy.cut();
    guest.reconnecting().await;
    guest.reconnected().await;
    take(&mut video, 60).await;
    assert_eq!(video.errors(), 0, "{:?}", video.last_error());
    browser.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_by_way_of_a_turn_server() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Coturn);
    let turn = TurnServer::start().await;
    let server = LiveKitServer::start_with_turn(&turn).await;
    let network = Impairment::default();
    network.set_only_port(turn.port());
    let options = RoomOptions::default().with_runtime(network.runtime());
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _camera = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    take(&mut VideoStream::new(&track), 60).await;
    assert_eq!(track.stats().packets_lost, 0);
    publisher.leave().await;
    guest.room.close().await;
}
