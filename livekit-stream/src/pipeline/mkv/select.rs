//! Which tracks of a file are used.

use super::{TranscodeError, TranscodeOptions};
use crate::demux::mkv::{Encoding, Header, Track, TrackKind};

/// The tracks to be used; at least one.
#[derive(Debug)]
pub(super) struct Selection {
    pub(super) video: Option<Track>,
    pub(super) audio: Option<Track>,
}

/// Whether a codec's pictures are copied.
fn is_copied(track: &Track) -> bool {
    matches!(
        track.codec_id.as_str(),
        "V_MPEG4/ISO/AVC" | "V_MPEGH/ISO/HEVC" | "V_VP9" | "V_AV1"
    )
}

pub(super) fn select(
    header: &Header,
    options: &TranscodeOptions,
) -> Result<Selection, TranscodeError> {
    let of = |kind| {
        let tracks = header.tracks.iter();
        tracks.filter(move |track| track.kind == kind && track.enabled)
    };
    let numbered = |kind, name, number| {
        of(kind)
            .find(|track| track.number == number)
            .ok_or(TranscodeError::NoSuchTrack { kind: name, number })
    };
    let video = match options.video_track {
        Some(number) => Some(numbered(TrackKind::Video, "video", number)?).filter(|t| is_copied(t)),
        None => of(TrackKind::Video).find(|track| is_copied(track)),
    };
    let audio = match options.audio_track {
        _ if !options.audio => None,
        Some(number) => Some(numbered(TrackKind::Audio, "audio", number)?),
        None => of(TrackKind::Audio).next(),
    };
    // A film whose pictures cannot be copied is not to end up as its sound alone.
    let is_usable = video.is_some() || (audio.is_some() && of(TrackKind::Video).next().is_none());
    if !is_usable {
        let codecs: Vec<&str> = header
            .tracks
            .iter()
            .map(|track| track.codec_id.as_str())
            .collect();
        return Err(TranscodeError::NoUsableTrack {
            tracks: if codecs.is_empty() {
                "no track".to_owned()
            } else {
                codecs.join(", ")
            },
        });
    }
    for track in video.iter().chain(&audio) {
        if let Encoding::Unsupported(encoding) = track.encoding {
            return Err(TranscodeError::Encoding {
                number: track.number,
                codec: track.codec_id.clone(),
                encoding,
            });
        }
    }
    Ok(Selection {
        video: video.cloned(),
        audio: audio.cloned(),
    })
}
