//! A token whose time is over, which the token crate does not make.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::json;

/// A genuine token that expired `ago`, beyond any leeway (RFC 7519).
pub(super) fn expired_token(
    api_key: &str,
    api_secret: &str,
    room: &str,
    identity: &str,
    ago: Duration,
) -> String {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .expect("a clock after 1970");
    let expiry = now.saturating_sub(ago).as_secs();
    let claims = json!({
        "iss": api_key, "sub": identity, "name": identity, "nbf": expiry - 60, "exp": expiry,
        "video": { "roomJoin": true, "room": room },
    });
    let header = json!({ "alg": "HS256", "typ": "JWT" });
    let part = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", part(&header), part(&claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, api_secret.as_bytes());
    let signature = ring::hmac::sign(&key, signed.as_bytes());
    format!("{signed}.{}", URL_SAFE_NO_PAD.encode(signature))
}
