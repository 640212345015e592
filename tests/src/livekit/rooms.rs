//! What the server's operator does to a room from outside: its RoomService, Twirp's JSON flavour.

use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use livekit_token::VideoGrants;
use serde_json::{Value, json};

use super::LiveKitServer;
use crate::http;

/// The one call that needs no room.
pub(super) const LIST_ROOMS: &str = "/twirp/livekit.RoomService/ListRooms";

impl LiveKitServer {
    /// Calls a method of the RoomService, with an administrator's token for `room`.
    ///
    /// # Errors
    ///
    /// The status code and Twirp's error object, when the server refuses.
    pub async fn room_service(
        &self,
        room: &str,
        method: &str,
        request: &Value,
    ) -> Result<Value, (u16, Value)> {
        let token = self.token(
            "administrator",
            VideoGrants {
                room_admin: true,
                room_create: true,
                room_list: true,
                room: room.to_owned(),
                ..VideoGrants::default()
            },
        );
        let path = format!("/twirp/livekit.RoomService/{method}");
        let (status, answer) = http::post_json(self.address(), &path, &token, request)
            .await
            .unwrap_or_else(|error| panic!("{method} cannot be called: {error}"));
        if status == 200 {
            Ok(answer)
        } else {
            Err((status, answer))
        }
    }

    /// The participants of a room, as the server's JSON has them (`identity`, `sid`, `tracks`).
    pub async fn participants(&self, room: &str) -> Vec<Value> {
        let answer = self
            .room_service(room, "ListParticipants", &json!({"room": room}))
            .await;
        match answer {
            Ok(answer) => answer["participants"]
                .as_array()
                .cloned()
                .unwrap_or_default(),
            // A room that nobody has joined yet has nobody in it.
            Err((404, _)) => Vec::new(),
            Err(error) => panic!("ListParticipants of {room:?}: {error:?}"),
        }
    }

    /// Waits until a participant is active: joined, with its media connection up. A client knows
    /// that it is connected some milliseconds before the server does, and the server drops one
    /// that goes before at once.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn active(&self, room: &str, identity: &str, deadline: Duration) {
        let end = Instant::now() + deadline;
        loop {
            let participants = self.participants(room).await;
            let participant = participants.iter().find(|one| one["identity"] == identity);
            if participant.is_some_and(|participant| participant["state"] == "ACTIVE") {
                return;
            }
            assert!(
                Instant::now() < end,
                "{identity} is not active in {deadline:?}: {participants:?}"
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Creates a room before anybody joins it; `extra` is merged into the request
    /// (`emptyTimeout`, `departureTimeout`, `maxParticipants`).
    pub async fn create_room(&self, room: &str, extra: &Value) {
        let mut request = json!({"name": room});
        for (key, value) in extra.as_object().into_iter().flatten() {
            request[key] = value.clone();
        }
        self.expect(room, "CreateRoom", &request).await;
    }

    /// Closes a room; everybody in it is told and disconnected.
    pub async fn delete_room(&self, room: &str) {
        self.expect(room, "DeleteRoom", &json!({"room": room}))
            .await;
    }

    /// Throws a participant out.
    pub async fn remove_participant(&self, room: &str, identity: &str) {
        let request = json!({"room": room, "identity": identity});
        self.expect(room, "RemoveParticipant", &request).await;
    }

    /// Sends everybody in a room a data message, reliably.
    pub async fn send_data(&self, room: &str, topic: &str, payload: &[u8]) {
        let request = json!({
            "room": room, "topic": topic, "data": BASE64_STANDARD.encode(payload),
            "kind": "RELIABLE",
        });
        self.expect(room, "SendData", &request).await;
    }

    /// Mutes (or unmutes, where the server allows it) a participant's track.
    pub async fn mute_track(&self, room: &str, identity: &str, track_sid: &str, muted: bool) {
        let request =
            json!({"room": room, "identity": identity, "trackSid": track_sid, "muted": muted});
        self.expect(room, "MutePublishedTrack", &request).await;
    }

    async fn expect(&self, room: &str, method: &str, request: &Value) {
        if let Err((status, error)) = self.room_service(room, method, request).await {
            panic!("{method} {request}: {status} {error}");
        }
    }
}
