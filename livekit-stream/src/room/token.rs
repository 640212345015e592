//! Access tokens: minting one, and telling from one why a server refused it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use livekit_token::{AccessToken, Claims, VideoGrants};

use super::ConnectError;

/// Whom a minted token lets in.
///
/// ```
/// let options = livekit_stream::TokenOptions::default();
/// assert!(options.hidden);
/// assert_eq!(options.ttl.as_secs(), 6 * 3600);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct TokenOptions {
    /// Hidden from the other participants, as a recorder is. Default true.
    pub hidden: bool,
    /// How long the token is valid. Default 6 hours.
    pub ttl: Duration,
}

impl Default for TokenOptions {
    fn default() -> Self {
        Self {
            hidden: true,
            ttl: Duration::from_secs(6 * 3600),
        }
    }
}

/// Mints a token that lets `identity` join `room` and subscribe, but not publish.
///
/// # Errors
/// [`ConnectError::MalformedToken`] if the key, the secret, the room or the identity is empty.
pub fn mint_token(
    api_key: &str,
    api_secret: &str,
    room: &str,
    identity: &str,
    options: &TokenOptions,
) -> Result<String, ConnectError> {
    for (value, reason) in [
        (api_key, "the API key is empty"),
        (api_secret, "the API secret is empty"),
        (room, "the room's name is empty"),
        (identity, "the identity is empty"),
    ] {
        if value.is_empty() {
            return Err(ConnectError::MalformedToken { reason });
        }
    }
    let grants = VideoGrants {
        room_join: true,
        room: room.to_owned(),
        can_publish: Some(false),
        can_publish_data: Some(false),
        can_subscribe: Some(true),
        hidden: options.hidden,
        recorder: options.hidden,
        ..VideoGrants::default()
    };
    AccessToken::with_api_key(api_key, api_secret)
        .with_identity(identity)
        .with_ttl(options.ttl)
        .with_grants(grants)
        .to_jwt()
        .map_err(|_| ConnectError::MalformedToken {
            reason: "it cannot be signed",
        })
}

/// What is wrong with a token that the server refused at `now`, as far as the token itself tells.
pub(super) fn why_refused(token: &str, now: SystemTime) -> Option<ConnectError> {
    let Ok(claims) = Claims::from_unverified(token) else {
        return Some(ConnectError::MalformedToken {
            reason: "it is not a JWT with LiveKit's claims",
        });
    };
    let now = now.duration_since(UNIX_EPOCH).unwrap_or_default();
    let expiry = Duration::from_secs(claims.exp as u64);
    if expiry < now {
        return Some(ConnectError::TokenExpired {
            expired_ago: now.saturating_sub(expiry),
        });
    }
    if !claims.video.room_join {
        return Some(ConnectError::MissingGrant { grant: "roomJoin" });
    }
    if claims.video.room.is_empty() {
        return Some(ConnectError::MissingGrant { grant: "room" });
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_minted_token_is_good_until_it_expires() {
        let token =
            mint_token("key", "secret", "room", "me", &TokenOptions::default()).expect("minted");
        let now = SystemTime::now();
        assert_eq!(why_refused(&token, now), None);
        let late = now + Duration::from_secs(7 * 3600);
        assert!(matches!(
            why_refused(&token, late),
            Some(ConnectError::TokenExpired { .. })
        ));
    }

    #[test]
    fn a_token_without_the_room_grant_is_told_apart() {
        let token = AccessToken::with_api_key("key", "secret")
            .with_identity("me")
            .with_grants(VideoGrants::default())
            .to_jwt()
            .expect("minted");
        assert_eq!(
            why_refused(&token, SystemTime::now()),
            Some(ConnectError::MissingGrant { grant: "roomJoin" })
        );
    }

    #[test]
    fn what_is_no_token_is_malformed() {
        assert!(matches!(
            why_refused("not a token", SystemTime::now()),
            Some(ConnectError::MalformedToken { .. })
        ));
    }

    #[test]
    fn empty_credentials_are_refused() {
        let options = TokenOptions::default();
        assert!(mint_token("", "secret", "room", "me", &options).is_err());
        assert!(mint_token("key", "secret", "", "me", &options).is_err());
    }
}
