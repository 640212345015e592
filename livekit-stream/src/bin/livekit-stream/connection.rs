//! The options that say which room to join, and as whom.

use livekit_stream::{Room, RoomEvents, RoomOptions, TokenOptions, mint_token};
use livekit_token::Claims;

use crate::failure::{Failure, causes};

/// Where the room is. Each option can be given by LiveKit's own environment variable instead.
#[derive(clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Connection {
    /// Room to join; a token names it already
    #[arg(long)]
    room: Option<String>,
    /// Server, such as wss://example.livekit.cloud
    #[arg(long, env = "LIVEKIT_URL", hide_env_values = true)]
    url: Option<String>,
    /// Access token
    #[arg(long, env = "LIVEKIT_TOKEN", hide_env_values = true)]
    token: Option<String>,
    /// API key, to make a token with
    #[arg(
        long,
        env = "LIVEKIT_API_KEY",
        hide_env_values = true,
        value_name = "KEY"
    )]
    api_key: Option<String>,
    /// API secret that goes with the key
    #[arg(
        long,
        env = "LIVEKIT_API_SECRET",
        hide_env_values = true,
        value_name = "SECRET"
    )]
    api_secret: Option<String>,
    /// Identity in the room, hidden from the others [default: recorder-RANDOM]
    #[arg(long)]
    identity: Option<String>,
}

/// A server and a token that should let us in.
pub(crate) struct Access {
    url: String,
    token: String,
}

impl Connection {
    /// Checks the options and makes a token if none is given.
    pub(crate) fn access(&self) -> Result<Access, Failure> {
        let url = given(self.url.as_ref())
            .ok_or_else(|| Failure::usage("no server: give --url or set LIVEKIT_URL"))?;
        Ok(Access {
            url: url.to_owned(),
            token: self.token()?,
        })
    }

    fn token(&self) -> Result<String, Failure> {
        let (key, secret) = (
            given(self.api_key.as_ref()),
            given(self.api_secret.as_ref()),
        );
        match (given(self.token.as_ref()), key, secret) {
            (Some(token), ..) => {
                self.check(token)?;
                Ok(token.to_owned())
            }
            (None, Some(key), Some(secret)) => self.mint(key, secret),
            (None, Some(_), None) => Err(Failure::usage(
                "an API key without its secret: give --api-secret or set LIVEKIT_API_SECRET",
            )),
            (None, None, Some(_)) => Err(Failure::usage(
                "an API secret without its key: give --api-key or set LIVEKIT_API_KEY",
            )),
            (None, None, None) => Err(Failure::usage(
                "no credentials: give --token or --api-key and --api-secret, or set \
                 LIVEKIT_TOKEN or LIVEKIT_API_KEY and LIVEKIT_API_SECRET",
            )),
        }
    }

    /// A token names the room and the identity: what is given besides must not contradict it.
    fn check(&self, token: &str) -> Result<(), Failure> {
        if let Some(identity) = given(self.identity.as_ref()) {
            return Err(Failure::usage(format!(
                "--identity {identity} with a token: the token names the identity, leave one out"
            )));
        }
        // A malformed token is told by joining.
        let (Some(room), Ok(claims)) = (&self.room, Claims::from_unverified(token)) else {
            return Ok(());
        };
        let granted = claims.video.room;
        if granted.is_empty() || granted == *room {
            return Ok(());
        }
        Err(Failure::usage(format!(
            "--room {room} with a token for the room {granted}: leave out --room or give a token \
             for {room}"
        )))
    }

    fn mint(&self, key: &str, secret: &str) -> Result<String, Failure> {
        let room = given(self.room.as_ref())
            .ok_or_else(|| Failure::usage("no room: give --room (an API key does not name one)"))?;
        let identity = given(self.identity.as_ref()).map_or_else(
            || format!("recorder-{:08x}", rand::random::<u32>()),
            str::to_owned,
        );
        mint_token(key, secret, room, &identity, &TokenOptions::default())
            .map_err(|error| Failure::usage(causes(&error)))
    }
}

impl Access {
    /// Joins, without subscribing to anything yet.
    pub(crate) async fn join(&self) -> Result<(Room, RoomEvents), Failure> {
        let options = RoomOptions::default().with_auto_subscribe(false);
        let joined = Room::connect(&self.url, &self.token, options).await;
        joined.map_err(|error| Failure::failed(causes(&error)))
    }
}

/// A value that was given: scripts pass empty ones for those they lack.
fn given(value: Option<&String>) -> Option<&str> {
    value.map(String::as_str).filter(|value| !value.is_empty())
}
