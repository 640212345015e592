//! AAC: the AudioSpecificConfig (ISO/IEC 14496-3 section 1.6.2.1).
