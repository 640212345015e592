//! Fragmented MP4 (ISO/IEC 14496-12, 14496-15).
