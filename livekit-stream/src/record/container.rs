//! The container that a file's name asks for.

use std::path::Path;
use std::time::Duration;

use bytes::Bytes;

use super::selection::{AudioMode, MP4, VideoMode};
use crate::codec::Codec;
use crate::frame::EncodedFrame;
use crate::mux::fmp4::{self, FragmentPolicy};
use crate::mux::{MuxError, Track, webm};

/// What a WebM file takes.
const WEBM: &[Codec] = &[Codec::Vp8, Codec::Vp9, Codec::Av1, Codec::Opus];

/// What a Matroska file takes.
const MATROSKA: &[Codec] = &[
    Codec::H264,
    Codec::H265,
    Codec::Vp8,
    Codec::Vp9,
    Codec::Av1,
    Codec::Opus,
    Codec::Aac,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Container {
    /// Fragmented.
    Mp4,
    WebM,
    Matroska,
}

impl Container {
    /// By the ending; what is not known is MP4.
    pub(super) fn of(path: &Path) -> Self {
        let ending = path.extension().unwrap_or_default().to_ascii_lowercase();
        match ending.to_str() {
            Some("webm") => Self::WebM,
            Some("mkv" | "mka") => Self::Matroska,
            _ => Self::Mp4,
        }
    }

    /// What it takes as it comes.
    pub(super) fn takes(self) -> &'static [Codec] {
        match self {
            Self::Mp4 => MP4,
            Self::WebM => WEBM,
            Self::Matroska => MATROSKA,
        }
    }

    /// What becomes of the pictures: nothing that WebM takes is encoded here, so its pictures are
    /// copied or refused.
    pub(super) fn video_mode(self, asked: VideoMode) -> Result<VideoMode, MuxError> {
        match (self, asked) {
            (Self::WebM, VideoMode::Auto) => Ok(VideoMode::Copy),
            (Self::WebM, VideoMode::H264) => Err(unsupported(Codec::H264)),
            _ => Ok(asked),
        }
    }

    pub(super) fn check_audio(self, asked: AudioMode) -> Result<(), MuxError> {
        match (self, asked) {
            (Self::WebM, AudioMode::Aac) => Err(unsupported(Codec::Aac)),
            _ => Ok(()),
        }
    }

    /// How the file is named where something does not go into it.
    pub(super) fn describe(self, path: &Path) -> String {
        let path = path.display();
        match self {
            Self::WebM => format!("{path} (WebM holds VP8, VP9 and AV1, .mkv holds all)"),
            Self::Mp4 | Self::Matroska => path.to_string(),
        }
    }

    /// What to do where a codec does not go into it.
    pub(super) fn hint(self) -> &'static str {
        match self {
            Self::WebM => "",
            Self::Mp4 | Self::Matroska => ": allow transcoding",
        }
    }
}

fn unsupported(codec: Codec) -> MuxError {
    MuxError::UnsupportedCodec {
        codec,
        container: "WebM",
    }
}

/// A muxer of either kind.
pub(super) enum Muxer {
    Mp4(Box<fmp4::Muxer>),
    WebM(Box<webm::Muxer>),
}

impl Muxer {
    /// Hands out pieces of this length.
    pub(super) fn new(
        container: Container,
        tracks: Vec<Track>,
        start_us: i64,
        piece: Duration,
    ) -> Result<Self, MuxError> {
        Ok(if container == Container::Mp4 {
            let options = fmp4::Options {
                fragment: FragmentPolicy::Duration(piece),
                origin_us: Some(start_us),
                ..fmp4::Options::default()
            };
            Self::Mp4(Box::new(fmp4::Muxer::new(tracks, options)?))
        } else {
            let options = webm::Options {
                latency: piece,
                origin_us: Some(start_us),
                matroska: container == Container::Matroska,
                ..webm::Options::default()
            };
            Self::WebM(Box::new(webm::Muxer::new(tracks, options)?))
        })
    }

    /// What the file begins with.
    pub(super) fn header(&self) -> Bytes {
        match self {
            Self::Mp4(muxer) => muxer.init_segment(),
            Self::WebM(muxer) => muxer.header(),
        }
    }

    pub(super) fn write(
        &mut self,
        index: usize,
        frame: EncodedFrame,
    ) -> Result<Option<Bytes>, MuxError> {
        match self {
            Self::Mp4(muxer) => muxer.write(index, frame),
            Self::WebM(muxer) => muxer.write(index, frame),
        }
    }

    pub(super) fn finish(&mut self) -> Result<Option<Bytes>, MuxError> {
        match self {
            Self::Mp4(muxer) => muxer.finish(),
            Self::WebM(muxer) => Ok(muxer.finish()),
        }
    }
}
