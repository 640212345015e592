//! What can be watched.

use std::sync::Arc;

use crate::codec::MediaKind;
use crate::fanout::TrackStats;
use crate::input::RtmpCapture;
use crate::output::rtmp::{PublisherStats, RtmpPublisher};
use crate::room::{
    RemoteParticipant, RemoteTrack, RemoteTrackPublication, Room, RoomView, TrackSource,
};
use crate::timing::Timing;

/// Counts since a stream began. They never go back; where they do, a new stream has begun.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counters {
    /// Bytes received, written or sent.
    pub bytes: u64,
    /// Frames received, written or sent.
    pub frames: u64,
    /// Packets received.
    pub packets: u64,
    /// Packets lost for good.
    pub packets_lost: u64,
    /// Frames that came to nothing.
    pub frames_dropped: u64,
}

/// A stream at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Sample {
    /// What was counted.
    pub counters: Counters,
    /// Age of frames when they are delivered, in microseconds; `None` where it is not known.
    pub latency_us: Option<i64>,
    /// Interarrival jitter in microseconds.
    pub jitter_us: Option<u64>,
    /// How much later than their sound pictures come, in microseconds.
    pub av_offset_us: Option<i64>,
}

impl Sample {
    /// Counts alone.
    #[must_use]
    pub fn new(counters: Counters) -> Self {
        Self {
            counters,
            ..Self::default()
        }
    }

    /// How steadily its frames pass, besides.
    #[must_use]
    pub fn with(self, timing: Timing) -> Self {
        let Timing {
            latency_us,
            jitter_us,
            av_offset_us,
        } = timing;
        Self {
            latency_us,
            jitter_us,
            av_offset_us,
            ..self
        }
    }
}

impl From<TrackStats> for Sample {
    fn from(stats: TrackStats) -> Self {
        let counters = Counters {
            bytes: stats.bytes,
            frames: stats.frames,
            packets: stats.packets,
            packets_lost: stats.packets_lost,
            frames_dropped: stats.frames_dropped,
        };
        let has_frames = stats.frames > 0;
        Self {
            counters,
            latency_us: has_frames.then_some(stats.latency_us),
            jitter_us: has_frames.then_some(stats.jitter_us),
            av_offset_us: None,
        }
    }
}

/// Something to be watched. Called from the monitor's task: it must not wait.
pub trait MonitorSource: Send + Sync {
    /// Each stream's name below the source's own, and its sample; an empty name stands for the
    /// source itself.
    fn samples(&self) -> Vec<(String, Sample)>;

    /// Whether nothing more will come: the source is detached.
    fn is_ended(&self) -> bool {
        false
    }
}

impl<T: MonitorSource + ?Sized> MonitorSource for std::sync::Arc<T> {
    fn samples(&self) -> Vec<(String, Sample)> {
        (**self).samples()
    }

    fn is_ended(&self) -> bool {
        (**self).is_ended()
    }
}

impl MonitorSource for RemoteTrack {
    fn samples(&self) -> Vec<(String, Sample)> {
        vec![(String::new(), self.stats().into())]
    }

    fn is_ended(&self) -> bool {
        match self {
            Self::Video(track) => track.is_ended(),
            Self::Audio(track) => track.is_ended(),
        }
    }
}

impl MonitorSource for RtmpPublisher {
    fn samples(&self) -> Vec<(String, Sample)> {
        vec![(String::new(), self.stats().into())]
    }

    fn is_ended(&self) -> bool {
        self.state().is_final()
    }
}

impl From<PublisherStats> for Sample {
    fn from(stats: PublisherStats) -> Self {
        Self::new(Counters {
            bytes: stats.bytes_sent,
            frames: stats.video_frames_sent,
            frames_dropped: stats.video_frames_dropped,
            ..Counters::default()
        })
        .with(stats.timing)
    }
}

/// The targets of an [`RtmpOutput`](crate::RtmpOutput), each under its address without its stream key.
pub(crate) struct Targets(pub(crate) Arc<[RtmpPublisher]>);

impl MonitorSource for Targets {
    fn samples(&self) -> Vec<(String, Sample)> {
        let stats = self.0.iter().map(RtmpPublisher::stats);
        stats
            .map(|stats| (stats.target.clone(), stats.into()))
            .collect()
    }

    fn is_ended(&self) -> bool {
        self.0.iter().all(|target| target.state().is_final())
    }
}

/// What an RTMP source sends: its encoded pictures, and those that were lost on the way to the reader.
impl MonitorSource for RtmpCapture {
    fn samples(&self) -> Vec<(String, Sample)> {
        let stats = self.stats();
        let counters = Counters {
            bytes: stats.bytes_received,
            frames: stats.video_frames,
            frames_dropped: stats.pictures_dropped + stats.undecoded_dropped,
            ..Counters::default()
        };
        vec![(String::new(), Sample::new(counters).with(stats.timing))]
    }

    fn is_ended(&self) -> bool {
        self.state().is_final()
    }
}

/// All tracks of a room that are subscribed to, as they come and go, named `identity/source`. A
/// picture's A/V offset is that to the sound that goes with it; until the publisher's sender reports
/// have come, it counts from how both began.
#[derive(Debug)]
pub struct RoomSource {
    view: RoomView,
}

impl RoomSource {
    /// Watches a room that was joined, until it is left.
    #[must_use]
    pub fn new(room: &Room) -> Self {
        Self { view: room.view() }
    }
}

impl MonitorSource for RoomSource {
    fn samples(&self) -> Vec<(String, Sample)> {
        let participants = self.view.participants();
        participants.iter().flat_map(tracks).collect()
    }

    fn is_ended(&self) -> bool {
        self.view.is_left()
    }
}

fn tracks(participant: &RemoteParticipant) -> Vec<(String, Sample)> {
    let publications = participant.track_publications();
    let tracks: Vec<_> = publications
        .iter()
        .filter_map(RemoteTrackPublication::track)
        .collect();
    let mut samples: Vec<(String, Sample)> = Vec::new();
    for track in &tracks {
        let mut sample = Sample::from(track.stats());
        sample.av_offset_us = sound_of(track, &tracks).and_then(|sound| {
            let (pictures, sound) = (track.stats(), sound.stats());
            let known = pictures.frames > 0 && sound.frames > 0;
            known.then_some(pictures.latency_us - sound.latency_us)
        });
        let mut name = format!("{}/{}", participant.identity(), track.source());
        if samples.iter().any(|(other, _)| *other == name) {
            name = format!("{name}/{}", track.sid());
        }
        samples.push((name, sample));
    }
    samples
}

fn sound_of<'a>(track: &RemoteTrack, tracks: &'a [RemoteTrack]) -> Option<&'a RemoteTrack> {
    let wanted = match track.source() {
        TrackSource::ScreenShare => TrackSource::ScreenShareAudio,
        _ => TrackSource::Microphone,
    };
    let is_sound = |other: &&RemoteTrack| other.kind() == MediaKind::Audio;
    let mut sounds = tracks.iter().filter(is_sound);
    (track.kind() == MediaKind::Video)
        .then(|| sounds.find(|sound| sound.source() == wanted))
        .flatten()
}
