//! A signal connection that is lost is made again, and the session goes on: tracks, streams and
//! subscriptions stay as they are, and media flow all the while.

use std::time::Duration;

use futures::StreamExt;
use livekit_protocol::{LeaveRequest, leave_request, signal_response};
use livekit_stream::{
    DisconnectReason, RoomEvent, RoomOptions, TrackSource, VideoFrameEvent, VideoStream,
};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::require;

/// Somebody who publishes, and a guest behind a proxy who sees it.
struct Scene {
    server: LiveKitServer,
    proxy: SignalProxy,
    publisher: Publisher,
    _camera: PublishedTrack,
    guest: Guest,
    video: VideoStream,
}

impl Scene {
    async fn start(options: RoomOptions) -> Self {
        let server = LiveKitServer::start().await;
        let proxy = SignalProxy::start(&server).await;
        let token = server.participant_token("room", "guest");
        let mut guest = Guest::join_at(&proxy.url(), &token, options).await;
        let publisher =
            Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
        let clip = VideoClip::make(VideoOptions::default());
        let camera = publisher.publish(PublishOptions::camera(clip)).await;
        let mut video = VideoStream::new(&guest.video_track().await);
        take(&mut video, 10).await;
        server.active("room", "guest", DEADLINE).await;
        Self {
            server,
            proxy,
            publisher,
            _camera: camera,
            guest,
            video,
        }
    }

    /// The guest's sid, as the server knows it.
    async fn sid(&self) -> String {
        let participants = self.server.participants("room").await;
        let guest = participants.iter().find(|one| one["identity"] == "guest");
        let guest = guest.expect("the guest is in the room");
        guest["sid"].as_str().expect("a sid").to_owned()
    }

    async fn leave(self) {
        self.publisher.leave().await;
        self.guest.room.close().await;
    }
}

fn leave(action: leave_request::Action) -> signal_response::Message {
    signal_response::Message::Leave(LeaveRequest {
        action: action.into(),
        ..LeaveRequest::default()
    })
}

fn assert_growing(frames: &[VideoFrameEvent]) {
    for pair in frames.windows(2) {
        assert!(pair[0].timestamp_us < pair[1].timestamp_us);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_signal_connection_is_resumed_while_media_flow() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let mut scene = Scene::start(RoomOptions::default()).await;
    let sid = scene.sid().await;
    scene.proxy.set_open(false);
    scene.proxy.cut();
    scene.guest.reconnecting().await;
    // Two seconds without signals: attempts fail, and pictures come.
    let mut frames = take(&mut scene.video, 60).await;
    scene.proxy.set_open(true);
    let meanwhile = scene.guest.reconnected().await;
    assert!(meanwhile.is_empty(), "{meanwhile:?}");
    frames.extend(take(&mut scene.video, 60).await);
    assert_growing(&frames);
    // The server looks for another path for media each time; what is lost on the way takes until
    // the next keyframe.
    let gap = frames
        .windows(2)
        .map(|pair| pair[1].timestamp_us - pair[0].timestamp_us)
        .max();
    assert!(gap.expect("frames") < 3_000_000, "a gap of {gap:?} us");
    assert_eq!(scene.sid().await, sid);
    assert_eq!(scene.proxy.connections(), 2);

    // Again, and at once: what is published meanwhile comes.
    scene.proxy.cut();
    scene.guest.reconnecting().await;
    let clip = VideoClip::make(VideoOptions::default());
    let screen = scene.publisher.publish(PublishOptions::screen_share(clip));
    let screen = screen.await;
    let track = scene.guest.video_track().await;
    assert_eq!(track.sid(), screen.sid());
    take(&mut VideoStream::new(&track), 10).await;
    assert_eq!(scene.sid().await, sid);
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_servers_leave_is_obeyed() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let mut scene = Scene::start(RoomOptions::default()).await;
    let sid = scene.sid().await;
    scene
        .proxy
        .tell_client(leave(leave_request::Action::Resume));
    scene.guest.reconnecting().await;
    let meanwhile = scene.guest.reconnected().await;
    assert!(meanwhile.is_empty(), "{meanwhile:?}");
    assert_eq!(scene.sid().await, sid);
    take(&mut scene.video, 30).await;

    scene
        .proxy
        .tell_client(leave(leave_request::Action::Reconnect));
    scene.guest.reconnecting().await;
    let track = scene.guest.video_track().await;
    assert_ne!(scene.sid().await, sid);
    take(&mut VideoStream::new(&track), 30).await;
    // The track of the session before is over, and so is the stream made of it.
    let rest = tokio::time::timeout(DEADLINE, scene.video.by_ref().count()).await;
    assert!(rest.is_ok(), "the stream of the old track goes on");

    // Servers that know no actions say it so.
    let sid = scene.sid().await;
    let again = LeaveRequest {
        can_reconnect: true,
        ..LeaveRequest::default()
    };
    scene
        .proxy
        .tell_client(signal_response::Message::Leave(again));
    scene.guest.reconnecting().await;
    let track = scene.guest.video_track().await;
    assert_ne!(scene.sid().await, sid);
    take(&mut VideoStream::new(&track), 10).await;

    let mut end = LeaveRequest {
        action: leave_request::Action::Disconnect.into(),
        ..LeaveRequest::default()
    };
    end.set_reason(livekit_protocol::DisconnectReason::ServerShutdown);
    scene
        .proxy
        .tell_client(signal_response::Message::Leave(end));
    let reason = scene.guest.disconnected().await;
    assert_eq!(reason, DisconnectReason::ServerShutdown);
    assert!(!scene.guest.room.is_connected());
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reconnecting_is_given_up_in_time() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let options = RoomOptions::default().with_reconnect_timeout(Duration::from_secs(2));
    let mut scene = Scene::start(options).await;
    scene.proxy.set_open(false);
    scene.proxy.cut();
    scene.guest.reconnecting().await;
    let reason = scene.guest.disconnected().await;
    assert_eq!(reason, DisconnectReason::SignalLost);
    scene.leave().await;

    let options = RoomOptions::default().with_reconnect_timeout(Duration::ZERO);
    let mut scene = Scene::start(options).await;
    scene.proxy.cut();
    let ended = scene.guest.until(|event| match event {
        RoomEvent::Reconnecting => panic!("nobody asked for it"),
        RoomEvent::Disconnected { reason } => Some(reason),
        _ => None,
    });
    assert_eq!(ended.await, DisconnectReason::SignalLost);
    scene.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_room_is_closed_while_it_reconnects() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let mut scene = Scene::start(RoomOptions::default()).await;
    scene.proxy.set_open(false);
    scene.proxy.cut();
    scene.guest.reconnecting().await;
    let closed = tokio::time::timeout(DEADLINE, scene.guest.room.close()).await;
    assert!(closed.is_ok(), "the room is not closed");
    let last = scene.guest.events.collect::<Vec<_>>().await.pop();
    assert!(matches!(
        last,
        Some(RoomEvent::Disconnected {
            reason: DisconnectReason::ClientInitiated
        })
    ));
    scene.publisher.leave().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn media_that_are_lost_come_back() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let mut scene = Scene::start(options).await;
    let alice = scene.guest.room.remote_participant("alice");
    let alice = alice.expect("the publisher is in the room");
    let mut video = VideoStream::from_participant(&alice, TrackSource::Camera);
    let mut frames = take(&mut video, 10).await;
    network.set_cut(true);
    // The server notices first, and ends the signal connection too.
    scene.guest.reconnecting().await;
    network.set_cut(false);
    scene.guest.reconnected().await;
    frames.extend(take(&mut video, 60).await);
    assert_growing(&frames);
    scene.leave().await;
}
