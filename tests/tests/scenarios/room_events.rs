//! What happens in a room comes as events, in order, and the handles tell the same.

use std::time::Duration;

use livekit_stream::{DisconnectReason, RoomEvent, RoomOptions, TrackSource};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn participants_and_tracks_come_mute_and_go() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    assert_eq!(guest.room.name(), "room");
    assert_eq!(guest.room.identity(), "guest");
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    assert_eq!(alice.identity(), "alice");

    let clip = VideoClip::make(VideoOptions::default());
    let track = publisher.publish(PublishOptions::camera(clip)).await;
    let (subscribed, owner) = guest.track().await;
    assert_eq!(subscribed.sid(), track.sid());
    assert_eq!(subscribed.source(), TrackSource::Camera);
    assert_eq!(owner.identity(), "alice");
    assert!(alice.track(TrackSource::Camera).is_some());

    publisher.set_muted(&track, true).await;
    let muted = guest
        .until(|event| match event {
            RoomEvent::TrackMuted { publication, .. } => Some(publication),
            _ => None,
        })
        .await;
    assert!(muted.is_muted() && muted.is_subscribed());
    publisher.set_muted(&track, false).await;
    guest
        .until(|event| matches!(event, RoomEvent::TrackUnmuted { .. }).then_some(()))
        .await;

    let sid = track.sid().to_owned();
    publisher.unpublish(track).await;
    guest
        .until(|event| match event {
            RoomEvent::TrackUnsubscribed { track, .. } => (track.sid() == sid).then_some(()),
            _ => None,
        })
        .await;
    assert!(alice.track(TrackSource::Camera).is_none());
    publisher.leave().await;
    guest
        .until(|event| match event {
            RoomEvent::ParticipantDisconnected(gone) => (gone.identity() == "alice").then_some(()),
            _ => None,
        })
        .await;
    assert!(alice.has_left());
    assert!(guest.room.remote_participants().is_empty());
    let Guest { room, mut events } = guest;
    room.close().await;
    let mut last = None;
    while let Some(event) = futures::StreamExt::next(&mut events).await {
        last = Some(event);
    }
    assert!(matches!(
        last,
        Some(RoomEvent::Disconnected {
            reason: DisconnectReason::ClientInitiated
        })
    ));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_auto_subscribe_only_what_is_asked_for_comes() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let options = RoomOptions::default().with_auto_subscribe(false);
    let mut guest = Guest::join_with(&server, "room", "guest", options).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(VideoClip::make(VideoOptions::default())),
            PublishOptions::microphone(AudioClip::make(4)),
        ])
        .await;
    let mut published = Vec::new();
    while published.len() < 2 {
        published.push(
            guest
                .until(|event| match event {
                    RoomEvent::TrackPublished { publication, .. } => Some(publication),
                    RoomEvent::TrackSubscribed { .. } => panic!("nobody asked for a track"),
                    _ => None,
                })
                .await,
        );
    }
    let microphone = published
        .iter()
        .find(|publication| publication.source() == TrackSource::Microphone)
        .expect("the microphone is published");
    // Twice: the second subscription must bring media as the first did.
    for _ in 0..2 {
        microphone
            .set_subscribed(true)
            .await
            .expect("the room is open");
        let track = guest.audio_track().await;
        assert_eq!(track.sid(), tracks[1].sid());
        let mut sound = livekit_stream::AudioStream::new(&track);
        let frames = livekit_stream_tests::guest::take(&mut sound, 25).await;
        assert_eq!(frames[0].sample_rate, 48_000);
        microphone
            .set_subscribed(false)
            .await
            .expect("the room is open");
        guest
            .until(|event| matches!(event, RoomEvent::TrackUnsubscribed { .. }).then_some(()))
            .await;
    }
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_reason_of_a_disconnection_is_told() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let reason = |event| match event {
        RoomEvent::Disconnected { reason } => Some(reason),
        _ => None,
    };

    let mut removed = Guest::join(&server, "room", "removed").await;
    removed
        .until(|event| matches!(event, RoomEvent::MediaConnected).then_some(()))
        .await;
    server.remove_participant("room", "removed").await;
    assert_eq!(
        removed.until(reason).await,
        DisconnectReason::ParticipantRemoved
    );
    assert!(!removed.room.is_connected());

    let mut first = Guest::join(&server, "room", "twin").await;
    let second = Guest::join(&server, "room", "twin").await;
    assert_eq!(
        first.until(reason).await,
        DisconnectReason::DuplicateIdentity
    );
    second.room.close().await;

    let mut deleted = Guest::join(&server, "doomed", "guest").await;
    deleted
        .until(|event| matches!(event, RoomEvent::MediaConnected).then_some(()))
        .await;
    server.delete_room("doomed").await;
    assert_eq!(deleted.until(reason).await, DisconnectReason::RoomDeleted);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_guest_stays_in_an_empty_room_beyond_the_servers_join_timeout() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    guest
        .until(|event| matches!(event, RoomEvent::MediaConnected).then_some(()))
        .await;
    let ended = guest.until(|event| matches!(event, RoomEvent::Disconnected { .. }).then_some(()));
    // A client whose media never connect is thrown out after 15 s; ours has connected without a
    // single track.
    let stayed = tokio::time::timeout(Duration::from_secs(18).min(DEADLINE), ended).await;
    assert!(stayed.is_err(), "the guest was thrown out");
    guest.room.close().await;
}
