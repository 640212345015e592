//! Row 1.8: the same keys as the original's, which are written down here.

use livekit_stream::derive_mp4_cache_key;

#[test]
fn seed_1_8_keys_are_the_original_s() {
    let key = |chat, message, file| derive_mp4_cache_key(chat, message, file).unwrap_or_default();
    let file = Some("BQACAgIAAxkBAAI");
    assert_eq!(key(None, None, file), "65daba4ce6133c67");
    // The file's id is preferred, and an empty one is none.
    assert_eq!(key(Some("1"), Some(2), file), "65daba4ce6133c67");
    assert_eq!(
        key(Some("-1001234567890"), Some(42), None),
        "4482e73bda07d2a5"
    );
    assert_eq!(
        key(Some("-1001234567890"), Some(42), Some("")),
        "4482e73bda07d2a5"
    );
    for (chat, message) in [(None, Some(42)), (Some("channel"), None), (None, None)] {
        assert_eq!(derive_mp4_cache_key(chat, message, None), None);
    }
}
