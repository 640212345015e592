use crate::demux::mkv;

/// What became of a file's frames. Counts never go back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct TranscodeStats {
    /// Samples of video written.
    pub video_frames: u64,
    /// Samples of audio written.
    pub audio_frames: u64,
    /// Fragments given out.
    pub fragments: u64,
    /// Bytes given out.
    pub bytes_out: u64,
    /// Frames of video dropped because they held no coded picture.
    pub empty: u64,
    /// Frames of video dropped because no keyframe came before them.
    pub before_keyframe: u64,
    /// Frames dropped because they are outside of the segment or behind the longest duration.
    pub outside: u64,
    /// Packets of sound dropped because they could not be read or decoded.
    pub damaged_audio: u64,
    /// Packets of sound dropped because too much waited for the first keyframe.
    pub overflowed: u64,
    /// What the reader met.
    pub input: mkv::Stats,
}
