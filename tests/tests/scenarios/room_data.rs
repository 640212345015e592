//! Data messages and transcriptions come as events, with the time of the media's clock.

use std::time::Duration;

use livekit_protocol::{DataPacket, Transcription, TranscriptionSegment, data_packet};
use livekit_stream::{DataMessage, RoomEvent, RoomOptions, Transcription as Transcript};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy, VideoGrants};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::Publisher;
use livekit_stream_tests::require;
use serde_json::json;

async fn data(guest: &mut Guest) -> DataMessage {
    guest
        .until(|event| match event {
            RoomEvent::DataReceived(message) => (message.topic != "probe").then_some(message),
            _ => None,
        })
        .await
}

/// Waits until messages reach a guest: its channels open some time after it is active, and what is
/// sent before is lost.
async fn reachable(server: &LiveKitServer, guest: &mut Guest) {
    let mut probing = tokio::time::interval(Duration::from_millis(100));
    let probed = guest.until(|event| match event {
        RoomEvent::DataReceived(message) => (message.topic == "probe").then_some(()),
        _ => None,
    });
    tokio::pin!(probed);
    loop {
        tokio::select! {
            () = &mut probed => return,
            _ = probing.tick() => server.send_data("room", "probe", b"").await,
        }
    }
}

async fn transcript(guest: &mut Guest) -> Transcript {
    guest
        .until(|event| match event {
            RoomEvent::TranscriptionReceived(transcription) => Some(transcription),
            _ => None,
        })
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_of_a_browser_and_of_the_servers_api_come() {
    require!(Peer::LiveKit, Peer::Chromium, Peer::LiveKitClient);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().without_audio();
    let mut browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    server.active("room", "guest", DEADLINE).await;
    reachable(&server, &mut guest).await;

    let sent = guest.room.now_us();
    browser.send_data("cues", "scene 1", true).await;
    let message = data(&mut guest).await;
    assert_eq!(
        (&*message.payload, &*message.topic),
        (&b"scene 1"[..], "cues")
    );
    assert_eq!(message.sender, "browser");
    let sender = message.participant.expect("the browser is in the room");
    assert_eq!(sender.sid(), participant.sid());
    assert!(message.reliable);
    assert!((sent..=guest.room.now_us()).contains(&message.timestamp_us));
    browser.send_data("", "now or never", false).await;
    let message = data(&mut guest).await;
    assert_eq!(
        (&*message.payload, &*message.topic),
        (&b"now or never"[..], "")
    );
    assert!(!message.reliable);

    // Of another topic, or as another kind of text, and then words.
    browser.send_text("lk.chat", "hello", &json!({})).await;
    let attributes = json!({
        "lk.segment_id": "SG_1",
        "lk.transcribed_track_id": browser.video_sid(),
        "lk.transcription_final": "true",
    });
    let words = "said in more than one chunk ".repeat(2_000);
    browser
        .send_text("lk.transcription", &words, &attributes)
        .await;
    let mut segments = Vec::new();
    loop {
        let transcript = transcript(&mut guest).await;
        assert_eq!(transcript.speaker, "browser");
        assert_eq!(transcript.track_sid, browser.video_sid());
        segments.extend(transcript.segments);
        if segments.last().is_some_and(|segment| segment.is_final) {
            break;
        }
    }
    assert!(segments.len() > 2, "{} versions", segments.len());
    for segment in &segments {
        assert_eq!(segment.id, "SG_1");
        assert!(words.starts_with(&segment.text));
    }
    let last = segments.last().expect("a segment");
    assert_eq!(last.text, words);

    server.send_data("room", "operator", b"fade out").await;
    let message = data(&mut guest).await;
    assert_eq!(
        (&*message.payload, &*message.topic),
        (&b"fade out"[..], "operator")
    );
    assert!(message.sender.is_empty() && message.participant.is_none());
    browser.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agents_transcriptions_come_before_and_after_a_lost_connection() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    let agent = Publisher::join(&server.url(), &server.agent_token("room", "agent")).await;
    let sender = agent.open_data().await;
    guest.participant().await;
    server.active("room", "guest", DEADLINE).await;
    reachable(&server, &mut guest).await;
    for (number, text) in ["one", "two"].into_iter().enumerate() {
        let segment = TranscriptionSegment {
            id: format!("SG_{number}"),
            text: text.to_owned(),
            r#final: number == 1,
            language: "en".to_owned(),
            ..TranscriptionSegment::default()
        };
        let transcription = Transcription {
            transcribed_participant_identity: "agent".to_owned(),
            track_id: "TR_speech".to_owned(),
            segments: vec![segment],
        };
        let packet = DataPacket {
            value: Some(data_packet::Value::Transcription(transcription)),
            ..DataPacket::default()
        };
        sender.send(&packet).await;
        let transcript = transcript(&mut guest).await;
        assert_eq!(transcript.speaker, "agent");
        assert!(transcript.participant.is_some());
        assert_eq!(transcript.track_sid, "TR_speech");
        let segment = &transcript.segments[0];
        assert_eq!((&*segment.text, &*segment.language), (text, "en"));
        assert_eq!(segment.is_final, number == 1);
        proxy.cut();
        guest.reconnecting().await;
        guest.reconnected().await;
    }
    agent.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_may_not_subscribe_gets_messages_too() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let proxy = SignalProxy::start(&server).await;
    let token = server.token(
        "guest",
        VideoGrants {
            room_join: true,
            room: "room".to_owned(),
            can_subscribe: Some(false),
            ..VideoGrants::default()
        },
    );
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    server.active("room", "guest", DEADLINE).await;
    reachable(&server, &mut guest).await;
    for words in ["fade out", "and in"] {
        server.send_data("room", "operator", words.as_bytes()).await;
        assert_eq!(&*data(&mut guest).await.payload, words.as_bytes());
        // Here it is we who offer another path.
        proxy.cut();
        guest.reconnecting().await;
        guest.reconnected().await;
    }
    guest.room.close().await;
}
