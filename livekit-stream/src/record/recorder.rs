//! One participant to one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;

use super::feed::{Feed, Item, Track, Wanted};
use super::job::{Job, PROGRESS_INTERVAL, Stop};
use super::report::{RecordError, RecordingReport, TrackReport};
use super::selection::{AudioMode, MediaSource, VideoMode};
use super::writer::{FileWriter, Written};
use crate::codec::Codec;
use crate::encode::VideoOptions;
use crate::room::{Presence, RemoteParticipant, Room};

/// How a [`Recorder`] is made.
#[derive(Debug, Clone)]
#[must_use]
pub struct RecorderBuilder {
    presence: Presence,
    source: MediaSource,
    video: VideoMode,
    audio: AudioMode,
    duration: Option<Duration>,
    encoder: VideoOptions,
}

impl RecorderBuilder {
    /// Camera (the default) or screen.
    pub fn source(mut self, source: MediaSource) -> Self {
        self.source = source;
        self
    }

    /// What becomes of the pictures. Default [`VideoMode::Auto`].
    pub fn video(mut self, mode: VideoMode) -> Self {
        self.video = mode;
        self
    }

    /// What becomes of the sound. Default [`AudioMode::Auto`].
    pub fn audio(mut self, mode: AudioMode) -> Self {
        self.audio = mode;
        self
    }

    /// Ends after this much media. Default: when the participant leaves, or at
    /// [`Recorder::stop`].
    pub fn duration(mut self, duration: Duration) -> Self {
        self.duration = Some(duration);
        self
    }

    /// How pictures are encoded that are not copied.
    pub fn encoder(mut self, options: VideoOptions) -> Self {
        self.encoder = options;
        self
    }

    /// Creates the file and starts to record. Has to be called within a tokio runtime.
    ///
    /// # Errors
    /// [`RecordError::Output`] when the file cannot be created.
    pub async fn to_file(self, path: impl AsRef<Path>) -> Result<Recorder, RecordError> {
        let path = path.as_ref().to_owned();
        let writer = FileWriter::create(&path, self.video, self.audio).await?;
        let wanted = Wanted {
            source: self.source,
            video: self.video,
            audio: self.audio,
            takes_opus: true,
            output: path.display().to_string(),
            encoder: self.encoder,
        };
        let feed = Feed::start(&self.presence, &wanted);
        let progress = RecordingReport::empty(self.presence.identity(), &path);
        let task = Task {
            participant: self.presence.identity().to_owned(),
            path,
            duration_us: self.duration.map(|duration| duration.as_micros() as i64),
            feed,
            writer,
        };
        Ok(Recorder {
            job: Job::start(progress, |stop, progress| task.run(stop, progress)),
        })
    }
}

/// A participant's camera and microphone, or screen, on their way to one fragmented MP4 file.
///
/// H.264 and Opus are copied as they come; VP8 is transcoded to H.264. The file is playable at
/// any moment, whatever becomes of this process. Dropping the recorder lets the recording go on
/// until the participant leaves; [`stop`](Self::stop) ends it.
///
/// ```no_run
/// # async fn example(participant: livekit_stream::RemoteParticipant) -> Result<(), Box<dyn std::error::Error>> {
/// use livekit_stream::Recorder;
///
/// let recorder = Recorder::builder(&participant).to_file("meeting.mp4").await?;
/// tokio::time::sleep(std::time::Duration::from_secs(60)).await;
/// let report = recorder.stop().await?;
/// println!("{} us in {} bytes", report.duration_us, report.bytes);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Recorder {
    job: Job<RecordingReport>,
}

impl Recorder {
    /// Records this participant; see the builder's methods.
    pub fn builder(participant: &RemoteParticipant) -> RecorderBuilder {
        Self::of(Presence::from(participant))
    }

    /// Records whoever bears this identity, present or not, until the room ends: somebody who
    /// leaves and comes back goes on in the same file.
    pub fn follow(room: &Room, identity: &str) -> RecorderBuilder {
        Self::of(room.presence(identity))
    }

    fn of(presence: Presence) -> RecorderBuilder {
        RecorderBuilder {
            presence,
            source: MediaSource::default(),
            video: VideoMode::default(),
            audio: AudioMode::default(),
            duration: None,
            encoder: VideoOptions::default(),
        }
    }

    /// The report as it stands.
    pub fn progress(&self) -> RecordingReport {
        self.job.progress()
    }

    /// Whether the recording is over.
    pub fn is_finished(&self) -> bool {
        self.job.is_finished()
    }

    /// Ends the recording and closes the file.
    ///
    /// # Errors
    /// What ended the recording before; what was written until then is playable.
    pub async fn stop(self) -> Result<RecordingReport, RecordError> {
        self.job.stop().await
    }

    /// Waits until the recording ends by itself: the duration is reached, or the participant has
    /// left.
    ///
    /// # Errors
    /// What ended the recording; what was written until then is playable.
    pub async fn finished(self) -> Result<RecordingReport, RecordError> {
        self.job.finished().await
    }
}

/// The recording's task.
struct Task {
    participant: String,
    path: PathBuf,
    duration_us: Option<i64>,
    feed: Feed,
    writer: FileWriter,
}

impl Task {
    async fn run(
        mut self,
        mut stop: Stop,
        progress: watch::Sender<RecordingReport>,
    ) -> Result<RecordingReport, RecordError> {
        let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
        let mut failure = None;
        let ended_by = loop {
            let item = tokio::select! {
                item = self.feed.next() => item,
                _ = tick.tick() => {
                    progress.send_replace(self.report("still recording"));
                    continue;
                }
                () = stop.requested() => break "stopped",
            };
            match item {
                None => break "the participant left",
                Some(Item::Failed(error)) => {
                    failure = Some(error);
                    break "an error";
                }
                Some(Item::Frame(frame)) => {
                    if self.is_past_the_end(frame.timestamp_us) {
                        break "the duration was reached";
                    }
                    let expected = self.feed.expects_video();
                    if let Err(error) = self.writer.write(frame, expected).await {
                        failure = Some(error.into());
                        break "an error";
                    }
                }
            }
        };
        let finished = self.writer.finish().await;
        let report = self.report(ended_by);
        progress.send_replace(report.clone());
        match (failure, finished) {
            (Some(error), _) => Err(error),
            (None, Err(error)) => Err(error.into()),
            (None, Ok(())) => Ok(report),
        }
    }

    fn is_past_the_end(&self, timestamp_us: i64) -> bool {
        match (self.duration_us, self.writer.start_us()) {
            (Some(duration), Some(start)) => timestamp_us - start >= duration,
            _ => false,
        }
    }

    fn report(&self, ended_by: &str) -> RecordingReport {
        let start = self.writer.start_us();
        let mut tracks = Vec::new();
        if let Some(track) = &self.feed.video {
            tracks.push(track_report(track, &self.writer.video, start, 0));
        }
        if let Some(track) = &self.feed.audio {
            tracks.push(track_report(
                track,
                &self.writer.audio,
                start,
                self.writer.silence_us,
            ));
        }
        RecordingReport {
            duration_us: start.map_or(0, |start| self.writer.end_us() - start),
            bytes: self.writer.bytes(),
            ended_by: ended_by.to_owned(),
            tracks,
            ..RecordingReport::empty(&self.participant, &self.path)
        }
    }
}

/// The report's line of one track.
pub(super) fn track_report(
    track: &Arc<Track>,
    written: &Written,
    start_us: Option<i64>,
    silence_us: i64,
) -> TrackReport {
    let stats = track.stats();
    let name = |codec: Option<Codec>| codec.map_or(String::new(), |codec| codec.name().to_owned());
    TrackReport {
        participant: track.presence.identity().to_owned(),
        source: track.source,
        codec: name(track.codec()),
        written_codec: name(written.codec),
        treatment: track.treatment(),
        width: stats.width,
        height: stats.height,
        frames: written.frames,
        keyframes: written.keyframes,
        bytes: written.bytes,
        packets_lost: stats.packets_lost,
        packets_recovered: stats.packets_recovered,
        frames_dropped: stats.frames_dropped + track.dropped() + written.dropped,
        silence_us,
        start_offset_us: match (written.first_us, start_us) {
            (Some(first), Some(start)) => first - start,
            _ => 0,
        },
        duration_us: written.duration_us(),
    }
}
