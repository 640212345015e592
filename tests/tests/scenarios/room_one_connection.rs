//! One peer connection for both directions, where the server knows of it, or two: tracks come, go,
//! come late, are asked for again and outlive a lost signal connection alike, and the room is joined
//! anew where the server wants it.

use livekit_protocol::{LeaveRequest, leave_request, signal_response};
use livekit_stream::{RemoteTrack, RoomEvent, RoomOptions, TrackSource, VideoStream};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_one_connection() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    tracks_come_and_go(true).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_two_connections() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    tracks_come_and_go(false).await;
}

async fn tracks_come_and_go(single: bool) {
    let server = LiveKitServer::start().await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let both = PublishOptions::camera_and_microphone(VideoOptions::default());
    let both = publisher.publish_all(both).await;

    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "guest");
    let options = RoomOptions::default().with_single_peer_connection(single);
    let mut guest = Guest::join_at(&proxy.url(), &token, options).await;
    let said = format!("\"UseSinglePeerConnection\": {single}}}");
    let log = server.log();
    let joined = log
        .lines()
        .rfind(|line| line.contains("starting RTC session"));
    assert!(
        joined.is_some_and(|line| line.contains(&said)),
        "{joined:?}"
    );

    // Those that are there, in any order.
    let mut video = None;
    let mut audio = None;
    while video.is_none() || audio.is_none() {
        match guest.track().await.0 {
            RemoteTrack::Video(track) => video = Some(track),
            RemoteTrack::Audio(track) => audio = Some(track),
        }
    }
    let video = video.expect("a camera");
    let mut pictures = VideoStream::new(&video);
    take(&mut pictures, 30).await;
    server.active("room", "guest", DEADLINE).await;

    // One that comes late.
    let clip = VideoClip::make(VideoOptions::default());
    let screen = publisher.publish(PublishOptions::screen_share(clip)).await;
    let late = guest.video_track().await;
    assert_eq!(late.sid(), screen.sid());
    assert_eq!(late.source(), TrackSource::ScreenShare);
    take(&mut VideoStream::new(&late), 30).await;

    // The camera is not wanted, and is again.
    let alice = guest.room.remote_participant("alice").expect("she is here");
    let publication = alice.track_publication(video.sid()).expect("the camera");
    publication
        .set_subscribed(false)
        .await
        .expect("the room is open");
    let gone = guest.until(|event| match event {
        RoomEvent::TrackUnsubscribed { track, .. } => Some(track.sid().to_owned()),
        _ => None,
    });
    assert_eq!(gone.await, video.sid());
    publication
        .set_subscribed(true)
        .await
        .expect("the room is open");
    let again = guest.video_track().await;
    assert_eq!(again.sid(), video.sid());
    let mut pictures = VideoStream::new(&again);
    take(&mut pictures, 30).await;
    assert_eq!(again.stats().packets_lost, 0);

    // The signal connection is lost and the session goes on.
    proxy.cut();
    guest.reconnecting().await;
    let meanwhile = guest.reconnected().await;
    let lost = |event: &RoomEvent| matches!(event, RoomEvent::TrackUnsubscribed { .. });
    assert!(!meanwhile.iter().any(lost), "{meanwhile:?}");
    take(&mut pictures, 60).await;
    assert_eq!(pictures.errors(), 0, "{:?}", pictures.last_error());

    // What becomes of the tracks is told.
    let microphone = &both[1];
    publisher.set_muted(microphone, true).await;
    let muted = guest.until(|event| match event {
        RoomEvent::TrackMuted { publication, .. } => Some(publication.sid().to_owned()),
        _ => None,
    });
    assert_eq!(muted.await, microphone.sid());
    publisher.unpublish(screen).await;
    let gone = guest.until(|event| match event {
        RoomEvent::TrackUnpublished { publication, .. } => Some(publication.sid().to_owned()),
        _ => None,
    });
    assert_eq!(gone.await, late.sid());
    take(&mut pictures, 30).await;

    // The server wants the room to be joined anew.
    let leave = signal_response::Message::Leave(LeaveRequest {
        action: leave_request::Action::Reconnect.into(),
        ..LeaveRequest::default()
    });
    proxy.tell_client(leave);
    guest.reconnecting().await;
    take(&mut VideoStream::new(&guest.video_track().await), 30).await;
    publisher.leave().await;
    guest.room.close().await;
}
