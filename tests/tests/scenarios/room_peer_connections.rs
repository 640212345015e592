//! The server expects one of a session's two connections to come up, and which one depends on the
//! token: the subscriber's for somebody who may subscribe, else the publisher's.

use livekit_stream::{Room, RoomEvent, RoomOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::{LiveKitServer, VideoGrants};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;

/// A token with the room's grant and these two.
fn token(server: &LiveKitServer, subscribe: bool, publish: bool) -> String {
    server.token(
        "guest",
        VideoGrants {
            room_join: true,
            room: "room".to_owned(),
            can_subscribe: Some(subscribe),
            can_publish: Some(publish),
            can_publish_data: Some(publish),
            ..VideoGrants::default()
        },
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_becomes_active_whatever_its_token_grants() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    for (subscribe, publish) in [(true, true), (true, false), (false, true), (false, false)] {
        let token = token(&server, subscribe, publish);
        let (room, events) = Room::connect(&server.url(), &token, RoomOptions::default())
            .await
            .expect("the token is good");
        let mut guest = Guest { room, events };
        guest
            .until(|event| matches!(event, RoomEvent::MediaConnected).then_some(()))
            .await;
        server.active("room", "guest", DEADLINE).await;
        guest.room.close().await;
    }
}
