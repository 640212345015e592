//! Media come where the network lets them: over TCP where there is no UDP, by way of a TURN server
//! where nothing else can be reached, over IPv6 alone, and over the interfaces that are to be used.

use livekit_stream::{ConnectError, Room, RoomOptions, VideoStream};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::{LiveKitServer, OWN_TURN_HOST, SignalProxy, ipv6_address};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;
use livekit_stream_tests::turn::{TurnServer, TurnTransport};

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

/// Somebody publishes, and the guest sees it whole.
async fn sees(server: &LiveKitServer, guest: &mut Guest) -> VideoStream {
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _camera = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;
    let mut video = VideoStream::new(&track);
    take(&mut video, 60).await;
    assert_eq!(track.stats().packets_lost, 0);
    publisher.leave().await;
    video
}

/// A guest for whom nothing can be reached but a TURN server, by one of its transports.
async fn by_way_of_turn(transport: TurnTransport) {
    let turn = TurnServer::start().await;
    let server = LiveKitServer::start_with_turn(&turn, transport).await;
    let network = Impairment::default();
    network.set_only_port(turn.port(transport));
    let options = RoomOptions::default()
        .with_runtime(network.runtime())
        .with_turn_tls(turn.client_tls());
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    sees(&server, &mut guest).await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_by_way_of_a_turn_server_over_udp() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Coturn);
    by_way_of_turn(TurnTransport::Udp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_by_way_of_a_turn_server_over_tcp() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Coturn);
    by_way_of_turn(TurnTransport::Tcp).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_by_way_of_a_turn_server_over_tls_and_again_after_a_resume() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Coturn);
    let turn = TurnServer::start().await;
    let server = LiveKitServer::start_with_turn(&turn, TurnTransport::Tls).await;
    let proxy = SignalProxy::start(&server).await;
    let network = Impairment::default();
    network.set_only_port(turn.port(TurnTransport::Tls));
    let options = RoomOptions::default()
        .with_runtime(network.runtime())
        .with_turn_tls(turn.client_tls());
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, options).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _camera = publisher.publish(PublishOptions::camera(clip)).await;
    let mut video = VideoStream::new(&guest.video_track().await);
    take(&mut video, 30).await;
    server.active("room", "guest", DEADLINE).await;
    // New sockets, and new connections to the TURN server with them.
    proxy.cut();
    guest.reconnecting().await;
    guest.reconnected().await;
    take(&mut video, 60).await;
    assert_eq!(video.errors(), 0, "{:?}", video.last_error());
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_by_way_of_the_servers_own_turn_server() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start_with_own_turn().await;
    let (address, certificate) = server.own_turn();
    let network = Impairment::default();
    network.set_only_port(address.port());
    network.set_host(OWN_TURN_HOST, address);
    let options = RoomOptions::default()
        .with_runtime(network.runtime())
        .with_turn_tls(certificate.client());
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    sees(&server, &mut guest).await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn signals_and_media_come_over_ipv6_alone() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let Some(address) = ipv6_address() else {
        println!("skipped: this machine has no IPv6 beyond itself");
        return;
    };
    let server = LiveKitServer::start_with_ipv6(address).await;
    assert!(server.url().starts_with("ws://[::1]:"));
    let mut guest = Guest::join(&server, "room", "guest").await;
    sees(&server, &mut guest).await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_come_over_the_interfaces_that_are_to_be_used() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let none = RoomOptions::default().with_interface_filter(|_| false);
    let token = server.participant_token("room", "guest");
    let refused = Room::connect(&server.url(), &token, none).await.err();
    let Some(ConnectError::Media { reason }) = refused else {
        panic!("{refused:?}");
    };
    assert!(reason.contains("interface"), "{reason}");

    let network = Impairment::default();
    let options = RoomOptions::default()
        .with_runtime(network.runtime())
        .with_interface_filter(|name| name.starts_with("lo"));
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    sees(&server, &mut guest).await;
    let bound = network.addresses();
    let loopback = bound.iter().all(|address| address.ip().is_loopback());
    assert!(!bound.is_empty() && loopback, "{bound:?}");
    guest.room.close().await;
}
