use std::fmt::Write as _;

/// Hexadecimal digits of a key.
const DIGITS: usize = 16;

/// A key under which a transcoded stream can be cached: the first 16 hexadecimal digits of the
/// SHA-256 of what identifies its source. That is the file's id where there is one, else the chat
/// and the message together; `None` when neither is known. An empty `file_id` counts as none.
///
/// The keys are mediaflow-proxy's, so caches stay valid.
///
/// ```
/// use livekit_stream::pipeline::derive_mp4_cache_key;
///
/// let key = derive_mp4_cache_key(None, None, Some("BQACAgIAAxkBAAI"));
/// assert_eq!(key.as_deref(), Some("65daba4ce6133c67"));
/// let key = derive_mp4_cache_key(Some("-1001234567890"), Some(42), None);
/// assert_eq!(key.as_deref(), Some("4482e73bda07d2a5"));
/// assert_eq!(derive_mp4_cache_key(Some("7"), None, None), None);
/// ```
#[must_use]
pub fn derive_mp4_cache_key(
    chat_id: Option<&str>,
    message_id: Option<i64>,
    file_id: Option<&str>,
) -> Option<String> {
    let identity = match (file_id.filter(|id| !id.is_empty()), chat_id, message_id) {
        (Some(file_id), _, _) => format!("mp4:file_id:{file_id}"),
        (None, Some(chat_id), Some(message_id)) => format!("mp4:chat:{chat_id}:msg:{message_id}"),
        _ => return None,
    };
    let digest = ring::digest::digest(&ring::digest::SHA256, identity.as_bytes());
    let mut key = String::with_capacity(DIGITS);
    for byte in &digest.as_ref()[..DIGITS / 2] {
        let _ = write!(key, "{byte:02x}");
    }
    Some(key)
}
