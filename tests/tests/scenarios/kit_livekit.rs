//! The kit's LiveKit server starts, is administered and restarted.

use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;
use serde_json::json;

#[tokio::test]
async fn two_servers_run_side_by_side_and_restart_on_their_ports() {
    require!(Peer::LiveKit);
    let (mut first, second) = tokio::join!(LiveKitServer::start(), LiveKitServer::start());
    assert_ne!(first.url(), second.url());
    first
        .create_room("here", &json!({"emptyTimeout": 60}))
        .await;
    assert!(first.participants("here").await.is_empty());

    let url = first.url();
    first.kill();
    first.start_again().await;
    assert_eq!(first.url(), url);
    let rooms = first.room_service("", "ListRooms", &json!({})).await;
    assert_eq!(rooms.expect("rooms are listed")["rooms"], json!([]));
    first.create_room("again", &json!({})).await;
    first.delete_room("again").await;
}
