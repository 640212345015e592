//! H.264: NAL units, parameter sets, picture size, the keyframe test (ITU-T H.264, ISO/IEC 14496-15).
