//! The options that say whose media is taken, and which.

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use livekit_stream::codec::MediaKind;
use livekit_stream::{
    AudioMode, MediaSource, OutputBuilder, RemoteParticipant, Room, RoomEvent, TrackSource,
    VideoMode, VideoQuality,
};

use crate::encoding::Encoding;

/// A shared screen's sound is published just after its picture; so long it is waited for.
const SCREEN_AUDIO_WAIT: Duration = Duration::from_secs(1);

/// Whose media is taken, and which.
#[derive(clap::Args)]
#[command(next_help_heading = "Selection")]
pub(crate) struct Selection {
    /// Identity of a participant to take [default: the first who has what is asked for]
    #[arg(long = "participant", value_name = "ID")]
    pub(crate) participants: Vec<String>,
    /// Camera with microphone, or screen with its sound
    #[arg(long, default_value = "camera", value_name = "camera|screen")]
    pub(crate) source: MediaSource,
    /// What becomes of the pictures: auto copies what the output can hold and transcodes the rest
    #[arg(long, default_value = "auto", value_name = "auto|copy|h264|none")]
    pub(crate) video: VideoMode,
    /// What becomes of the sound
    #[arg(long, default_value = "auto", value_name = "auto|copy|aac|none")]
    pub(crate) audio: AudioMode,
    /// Which layer to take of a video that is published in several [default: high]
    #[arg(long, value_name = "high|medium|low", value_parser = quality)]
    pub(crate) quality: Option<VideoQuality>,
    /// End after so many seconds of media [default: at Ctrl-C, SIGTERM or the room's end]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub(crate) duration: Option<Duration>,
    #[command(flatten)]
    pub(crate) encoding: Encoding,
}

/// Parses a positive number of seconds.
pub(crate) fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text
        .parse()
        .map_err(|_| "not a number of seconds".to_owned())?;
    match Duration::try_from_secs_f64(seconds) {
        Ok(duration) if !duration.is_zero() => Ok(duration),
        _ => Err("not a positive number of seconds".to_owned()),
    }
}

fn quality(text: &str) -> Result<VideoQuality, String> {
    match text {
        "high" => Ok(VideoQuality::High),
        "medium" => Ok(VideoQuality::Medium),
        "low" => Ok(VideoQuality::Low),
        _ => Err("not one of high, medium, low".to_owned()),
    }
}

impl Selection {
    /// Whether nothing is left to take.
    pub(crate) fn is_empty(&self) -> bool {
        self.video == VideoMode::None && self.audio == AudioMode::None
    }

    /// These options on a recorder or a restreamer.
    pub(crate) fn apply<O>(&self, builder: OutputBuilder<O>) -> OutputBuilder<O> {
        let builder = builder
            .source(self.source)
            .video(self.video)
            .audio(self.audio)
            .encoder(self.encoding.options());
        match self.duration {
            Some(duration) => builder.duration(duration),
            None => builder,
        }
    }

    /// What is waited for, in words.
    fn awaited(&self) -> String {
        let what = match (self.video, self.source) {
            (VideoMode::None, _) => "a microphone",
            (_, MediaSource::Camera) => "a camera",
            (_, MediaSource::Screen) => "a screen",
        };
        match self.participants.as_slice() {
            [] => format!("somebody with {what}"),
            [one] => one.clone(),
            several => several.join(", "),
        }
    }
}

/// How many participants are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// One: the chosen, else the first with pictures.
    One,
    /// Everybody, or all who are chosen.
    All,
}

/// Finds the participants to take as they come.
pub(crate) struct Finder<'a> {
    selection: &'a Selection,
    scope: Scope,
    taken: HashSet<String>,
    /// When the pictures of those who are waited for were first seen.
    seen: HashMap<String, Instant>,
}

impl<'a> Finder<'a> {
    pub(crate) fn new(selection: &'a Selection, scope: Scope) -> Self {
        Self {
            selection,
            scope,
            taken: HashSet::new(),
            seen: HashMap::new(),
        }
    }

    /// The identities to take from now on. Each is told once: recorders follow theirs themselves.
    pub(crate) fn find(&mut self, room: &Room, now: Instant) -> Vec<String> {
        let mut found = Vec::new();
        for participant in room.remote_participants() {
            let full = self.scope == Scope::One && !self.taken.is_empty();
            if !full && self.wants(&participant, now) {
                let identity = participant.identity().to_owned();
                self.taken.insert(identity.clone());
                found.push(identity);
            }
        }
        found
    }

    /// Asks for the layer that is wanted, as soon as a video is published.
    pub(crate) async fn ask(&self, event: &RoomEvent) {
        if let (Some(quality), RoomEvent::TrackPublished { publication, .. }) =
            (self.selection.quality, event)
            && publication.kind() == MediaKind::Video
        {
            // In a room that has been left there is nothing to ask for.
            let _ = publication.set_video_quality(quality).await;
        }
    }

    /// What is waited for, in words.
    pub(crate) fn awaited(&self) -> String {
        self.selection.awaited()
    }

    /// Whether what this participant does is of interest.
    pub(crate) fn concerns(&self, identity: &str) -> bool {
        let chosen = &self.selection.participants;
        match self.scope {
            _ if chosen.iter().any(|one| one == identity) => true,
            Scope::One => self.taken.contains(identity),
            Scope::All => chosen.is_empty(),
        }
    }

    /// Whether nobody else will be taken, however long one waits.
    pub(crate) fn is_complete(&self) -> bool {
        let chosen = &self.selection.participants;
        match self.scope {
            Scope::One => !self.taken.is_empty(),
            Scope::All => {
                !self.taken.is_empty() && chosen.iter().all(|one| self.taken.contains(one))
            }
        }
    }

    fn wants(&mut self, participant: &RemoteParticipant, now: Instant) -> bool {
        let identity = participant.identity();
        let chosen = self
            .selection
            .participants
            .iter()
            .any(|one| one == identity);
        if self.taken.contains(identity) || !(chosen || self.selection.participants.is_empty()) {
            return false;
        }
        let source = self.selection.source;
        let video = source.video_publications(participant);
        let audio = source.audio_publications(participant);
        let with_video = self.selection.video != VideoMode::None;
        let with_audio = self.selection.audio != AudioMode::None;
        if with_video && !video.is_empty() {
            let first_seen = *self.seen.entry(identity.to_owned()).or_insert(now);
            return source == MediaSource::Camera
                || !with_audio
                || audio
                    .iter()
                    .any(|track| track.source() == TrackSource::ScreenShareAudio)
                || now.duration_since(first_seen) >= SCREEN_AUDIO_WAIT;
        }
        // Sound alone will do if no pictures are asked for, or if it is known whose is wanted.
        let alone =
            !with_video || source == MediaSource::Camera && (chosen || self.scope == Scope::All);
        with_audio && alone && !audio.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_are_positive_numbers() {
        assert_eq!(seconds("2.5"), Ok(Duration::from_millis(2500)));
        for wrong in ["", "ten", "0", "-1", "NaN", "inf", "1e30"] {
            assert!(seconds(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn qualities_are_names() {
        assert_eq!(quality("low"), Ok(VideoQuality::Low));
        assert!(quality("720p").is_err() && quality("").is_err());
    }
}
