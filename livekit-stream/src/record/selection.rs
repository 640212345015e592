//! Which of a participant's tracks are taken, and in which codecs.

use std::fmt;
use std::str::FromStr;

use crate::codec::{Codec, MediaKind};
use crate::room::{RemoteParticipant, RemoteTrackPublication, TrackSource};
use crate::stream::Choice;

/// Which of a participant's tracks are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MediaSource {
    /// The camera, with the microphone.
    ///
    /// A track whose publisher did not tell its source stands in for a camera, or a microphone,
    /// that is not published.
    #[default]
    Camera,
    /// The shared screen, with its own sound or, while none is published, the microphone. Once
    /// sound of either has been written, it stays with that one.
    Screen,
}

const MICROPHONE: &[TrackSource] = &[TrackSource::Microphone, TrackSource::Unknown];

impl MediaSource {
    /// The pictures that are taken of this participant; several publications if it has several of
    /// one source.
    #[must_use]
    pub fn video_publications(
        self,
        participant: &RemoteParticipant,
    ) -> Vec<RemoteTrackPublication> {
        self.video().publications(participant, MediaKind::Video)
    }

    /// The sound that is taken of this participant.
    #[must_use]
    pub fn audio_publications(
        self,
        participant: &RemoteParticipant,
    ) -> Vec<RemoteTrackPublication> {
        self.audio().publications(participant, MediaKind::Audio)
    }

    pub(super) fn video(self) -> Choice {
        Choice::new(match self {
            Self::Camera => &[&[TrackSource::Camera, TrackSource::Unknown]],
            Self::Screen => &[&[TrackSource::ScreenShare]],
        })
    }

    pub(super) fn audio(self) -> Choice {
        Choice::new(match self {
            Self::Camera => &[MICROPHONE],
            Self::Screen => &[&[TrackSource::ScreenShareAudio], MICROPHONE],
        })
    }
}

/// A value of an option is none of those allowed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{value:?} is not one of {allowed}")]
pub struct ParseError {
    value: String,
    allowed: &'static str,
}

fn parse<T: Copy>(
    value: &str,
    table: &[(&str, T)],
    allowed: &'static str,
) -> Result<T, ParseError> {
    let found = table.iter().find(|row| row.0 == value);
    found.map(|row| row.1).ok_or(ParseError {
        value: value.to_owned(),
        allowed,
    })
}

impl FromStr for MediaSource {
    type Err = ParseError;

    fn from_str(value: &str) -> Result<Self, ParseError> {
        let table = [("camera", Self::Camera), ("screen", Self::Screen)];
        parse(value, &table, "camera, screen")
    }
}

impl fmt::Display for MediaSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Camera => "camera",
            Self::Screen => "screen",
        })
    }
}

/// What becomes of the pictures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum VideoMode {
    /// Copied if the output takes the publisher's codec (MP4: H.264, H.265, VP9, AV1; RTMP: H.264,
    /// and of the others what the server announces), else transcoded to H.264.
    #[default]
    Auto,
    /// Copied; a codec that the output does not take is an error.
    Copy,
    /// H.264: copied if the publisher sends it, else transcoded.
    H264,
    /// Left out.
    None,
}

impl FromStr for VideoMode {
    type Err = ParseError;

    fn from_str(value: &str) -> Result<Self, ParseError> {
        let table = [
            ("auto", Self::Auto),
            ("copy", Self::Copy),
            ("h264", Self::H264),
            ("none", Self::None),
        ];
        parse(value, &table, "auto, copy, h264, none")
    }
}

/// What becomes of the sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum AudioMode {
    /// Copied if the output takes Opus, else transcoded to AAC.
    #[default]
    Auto,
    /// Copied; an output that does not take Opus is an error.
    Copy,
    /// Transcoded to AAC, 48 kHz, stereo.
    Aac,
    /// Left out.
    None,
}

impl FromStr for AudioMode {
    type Err = ParseError;

    fn from_str(value: &str) -> Result<Self, ParseError> {
        let table = [
            ("auto", Self::Auto),
            ("copy", Self::Copy),
            ("aac", Self::Aac),
            ("none", Self::None),
        ];
        parse(value, &table, "auto, copy, aac, none")
    }
}

/// What to do with the frames of one track.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Plan {
    Copy,
    Transcode(Codec),
    Refuse,
}

/// What an MP4 file takes as it comes.
pub(super) const MP4: &[Codec] = &[
    Codec::H264,
    Codec::H265,
    Codec::Vp9,
    Codec::Av1,
    Codec::Opus,
    Codec::Aac,
];

/// What to do with pictures in `codec`; `taken`: the output takes them as they are.
pub(super) fn video_plan(mode: VideoMode, codec: Codec, taken: bool) -> Plan {
    match mode {
        VideoMode::Auto | VideoMode::Copy if taken => Plan::Copy,
        VideoMode::H264 if codec == Codec::H264 => Plan::Copy,
        VideoMode::Auto | VideoMode::H264 => Plan::Transcode(Codec::H264),
        VideoMode::Copy | VideoMode::None => Plan::Refuse,
    }
}

/// What to do with sound in `codec`; `taken`: the output takes it as it is.
pub(super) fn audio_plan(mode: AudioMode, codec: Codec, taken: bool) -> Plan {
    match mode {
        AudioMode::Auto | AudioMode::Copy if taken => Plan::Copy,
        AudioMode::Aac if codec == Codec::Aac => Plan::Copy,
        AudioMode::Auto | AudioMode::Aac => Plan::Transcode(Codec::Aac),
        AudioMode::Copy | AudioMode::None => Plan::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTMP: &[Codec] = &[Codec::H264, Codec::Aac];

    #[test]
    fn what_the_output_takes_is_copied() {
        let to_h264 = Plan::Transcode(Codec::H264);
        for (codec, takes, auto, copy, h264) in [
            (Codec::H264, MP4, Plan::Copy, Plan::Copy, Plan::Copy),
            (Codec::H265, MP4, Plan::Copy, Plan::Copy, to_h264),
            (Codec::Vp9, MP4, Plan::Copy, Plan::Copy, to_h264),
            (Codec::Av1, MP4, Plan::Copy, Plan::Copy, to_h264),
            (Codec::Vp8, MP4, to_h264, Plan::Refuse, to_h264),
            (Codec::H264, RTMP, Plan::Copy, Plan::Copy, Plan::Copy),
            (Codec::Vp9, RTMP, to_h264, Plan::Refuse, to_h264),
            (Codec::Av1, RTMP, to_h264, Plan::Refuse, to_h264),
        ] {
            let modes = [VideoMode::Auto, VideoMode::Copy, VideoMode::H264];
            let plans = modes.map(|mode| video_plan(mode, codec, takes.contains(&codec)));
            assert_eq!(plans, [auto, copy, h264], "{codec}");
        }
        let to_aac = Plan::Transcode(Codec::Aac);
        for (codec, takes, auto, copy, aac) in [
            (Codec::Opus, MP4, Plan::Copy, Plan::Copy, to_aac),
            (Codec::Opus, RTMP, to_aac, Plan::Refuse, to_aac),
            (Codec::Aac, RTMP, Plan::Copy, Plan::Copy, Plan::Copy),
        ] {
            let modes = [AudioMode::Auto, AudioMode::Copy, AudioMode::Aac];
            let plans = modes.map(|mode| audio_plan(mode, codec, takes.contains(&codec)));
            assert_eq!(plans, [auto, copy, aac], "{codec}");
        }
    }

    #[test]
    fn a_wrong_value_is_named_with_those_allowed() {
        let error = "vp8".parse::<VideoMode>().expect_err("not a mode");
        assert_eq!(
            error.to_string(),
            "\"vp8\" is not one of auto, copy, h264, none"
        );
    }
}
