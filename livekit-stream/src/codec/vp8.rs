//! VP8: the frame header (RFC 6386 section 9.1).
