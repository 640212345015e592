//! Opus: the duration and channel count that a packet's TOC byte tells (RFC 6716 section 3.1).
