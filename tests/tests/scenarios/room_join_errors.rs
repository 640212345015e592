//! Each cause that keeps one out of a room has an error of its own, and none shows the token.

use std::time::Duration;

use livekit_stream::{ConnectError, Room, RoomOptions};
use livekit_stream_tests::livekit::{LiveKitServer, VideoGrants};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;
use livekit_token::AccessToken;

async fn refused(url: &str, token: &str) -> ConnectError {
    refused_within(Duration::from_secs(30), url, token).await
}

async fn refused_within(timeout: Duration, url: &str, token: &str) -> ConnectError {
    let options = RoomOptions::default().with_connect_timeout(timeout);
    let error = Room::connect(url, token, options)
        .await
        .expect_err("it is refused");
    let told = format!("{error} {error:?}");
    assert!(
        token.is_empty() || !told.contains(token),
        "the token is shown: {told}"
    );
    error
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_cause_is_told_apart() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let good = server.participant_token("room", "guest");
    let url = server.url();

    let error = refused("no url at all", &good).await;
    assert!(
        matches!(error, ConnectError::InvalidUrl { .. }),
        "{error:?}"
    );
    let error = refused("rtmp://127.0.0.1/room", &good).await;
    assert_eq!(
        error,
        ConnectError::UnsupportedScheme {
            scheme: "rtmp".to_owned()
        }
    );
    // The discard port, where nobody listens.
    let error = refused("ws://127.0.0.1:9", &good).await;
    assert!(
        matches!(error, ConnectError::Unreachable { .. }),
        "{error:?}"
    );
    let error = refused(&url, "garbage").await;
    assert!(
        matches!(error, ConnectError::MalformedToken { .. }),
        "{error:?}"
    );
    let error = refused(&url, "").await;
    assert!(
        matches!(error, ConnectError::MalformedToken { .. }),
        "{error:?}"
    );

    let grants = || VideoGrants {
        room_join: true,
        room: "room".to_owned(),
        ..VideoGrants::default()
    };
    let forged = AccessToken::with_api_key(server.api_key(), "not the secret of this server....")
        .with_identity("guest")
        .with_grants(grants())
        .to_jwt()
        .expect("a token");
    let error = refused(&url, &forged).await;
    assert!(
        matches!(error, ConnectError::Unauthorized { .. }),
        "{error:?}"
    );

    let expired = server.expired_token("room", "guest", Duration::from_secs(3600));
    let error = refused(&url, &expired).await;
    assert!(
        matches!(error, ConnectError::TokenExpired { .. }),
        "{error:?}"
    );

    let error = refused(&url, &server.token("guest", VideoGrants::default())).await;
    assert_eq!(error, ConnectError::MissingGrant { grant: "roomJoin" });
}

#[tokio::test]
async fn a_server_that_never_answers_is_a_timeout() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port");
    let address = silent.local_addr().expect("an address");
    let token = livekit_stream::mint_token(
        "devkey",
        "secret",
        "room",
        "guest",
        &livekit_stream::TokenOptions::default(),
    )
    .expect("a token");
    let error = refused_within(Duration::from_secs(3), &format!("ws://{address}"), &token).await;
    assert!(matches!(error, ConnectError::Timeout { .. }), "{error:?}");
}
