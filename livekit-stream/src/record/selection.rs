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
    /// Copied if the output takes the publisher's codec, else transcoded to H.264.
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

/// What to do with pictures in `codec` for an output that takes H.264 alone.
pub(super) fn video_plan(mode: VideoMode, codec: Codec) -> Plan {
    match (mode, codec) {
        (_, Codec::H264) => Plan::Copy,
        (VideoMode::Auto | VideoMode::H264, _) => Plan::Transcode(Codec::H264),
        _ => Plan::Refuse,
    }
}

/// What to do with sound in `codec` for an output that takes AAC, and Opus if `opus`.
pub(super) fn audio_plan(mode: AudioMode, codec: Codec, opus: bool) -> Plan {
    match (mode, codec) {
        (_, Codec::Aac) => Plan::Copy,
        (AudioMode::Auto | AudioMode::Copy, Codec::Opus) if opus => Plan::Copy,
        (AudioMode::Auto | AudioMode::Aac, _) => Plan::Transcode(Codec::Aac),
        _ => Plan::Refuse,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_output_takes_is_copied() {
        assert_eq!(video_plan(VideoMode::Auto, Codec::H264), Plan::Copy);
        assert_eq!(
            video_plan(VideoMode::Auto, Codec::Vp8),
            Plan::Transcode(Codec::H264)
        );
        assert_eq!(video_plan(VideoMode::Copy, Codec::Vp8), Plan::Refuse);
        assert_eq!(audio_plan(AudioMode::Auto, Codec::Opus, true), Plan::Copy);
        assert_eq!(
            audio_plan(AudioMode::Auto, Codec::Opus, false),
            Plan::Transcode(Codec::Aac)
        );
        assert_eq!(
            audio_plan(AudioMode::Aac, Codec::Opus, true),
            Plan::Transcode(Codec::Aac)
        );
        assert_eq!(
            audio_plan(AudioMode::Copy, Codec::Opus, false),
            Plan::Refuse
        );
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
