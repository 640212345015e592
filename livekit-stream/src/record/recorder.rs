//! One participant to one file.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use tokio::sync::watch;

use super::builder::OutputBuilder;
use super::container::Container;
use super::feed::{Feed, Item, Track, Wanted};
use super::job::{DRAIN, Job, Limit, PROGRESS_INTERVAL, Stop};
use super::monitored::Monitored;
use super::punctuality::Punctuality;
use super::report::{RecordError, RecordingReport, TrackReport};
use super::selection::VideoMode;
use super::takes::Takes;
use super::writer::{FileWriter, Written};
use crate::codec::Codec;
use crate::fanout::Begin;
use crate::output::OutputError;
use crate::room::{Presence, RemoteParticipant, Room};

/// Pictures transcoded at a time: with thirty a second they wait for a quarter of a fragment.
const BATCH: usize = 8;

/// How a [`Recorder`] is made.
pub type RecorderBuilder = OutputBuilder<ToFile>;

/// A recorder's part of its builder: there is nothing more to tell.
#[derive(Debug, Clone, Default)]
pub struct ToFile;

impl OutputBuilder<ToFile> {
    /// Creates the file and starts to record. Has to be called within a tokio runtime.
    ///
    /// Pictures of a track that something else reads already begin with its last keyframe if that
    /// came less than 0.9 seconds ago, with the sound from there on, else with the next one.
    ///
    /// `.webm` is WebM, which takes VP8, VP9, AV1 and Opus; `.mkv` is Matroska, which takes every
    /// codec; any other ending is fragmented MP4.
    ///
    /// # Errors
    /// [`RecordError::Output`] when the file cannot be created, or is WebM and H.264 or AAC was
    /// asked for.
    pub async fn to_file(mut self, path: impl AsRef<Path>) -> Result<Recorder, RecordError> {
        let path = path.as_ref().to_owned();
        let container = Container::of(&path);
        let checked = container.video_mode(self.selection.video);
        self.selection.video = checked.map_err(OutputError::from)?;
        let checked = container.check_audio(self.selection.audio);
        checked.map_err(OutputError::from)?;
        let punctuality = Punctuality::new(&self.presence);
        let (video, audio) = (self.selection.video, self.selection.audio);
        let writer = FileWriter::create(&path, punctuality.asked_us(), video, audio).await?;
        let wanted = Wanted {
            selection: self.selection,
            takes: Takes::These(container.takes()),
            output: container.describe(&path),
            hint: container.hint(),
            batch: BATCH,
            sound: match video {
                // There is no picture to begin with.
                VideoMode::None => Begin::Now,
                _ => Begin::Recent,
            },
        };
        let feed = Feed::start(&self.presence, &wanted);
        let progress = RecordingReport::empty(self.presence.identity(), &path);
        let task = Task {
            presence: self.presence,
            path,
            limit: Limit::new(wanted.selection.duration, feed.kinds()),
            feed,
            writer,
            punctuality,
        };
        Ok(Recorder {
            job: Job::start(progress, |stop, progress| task.run(stop, progress)),
        })
    }
}

/// A participant's camera and microphone, or screen, on their way to one file.
///
/// Fragmented MP4 takes H.264, H.265, VP9, AV1 and Opus as they come; VP8 is transcoded to H.264.
/// Matroska takes all of them, WebM all but H.264 and H.265, which are an error there. The file
/// is playable at any moment, whatever becomes of this process. Dropping the recorder lets the recording go on
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
        OutputBuilder::new(Presence::from(participant))
    }

    /// Records whoever bears this identity, present or not, until the room ends: somebody who
    /// leaves and comes back goes on in the same file.
    pub fn follow(room: &Room, identity: &str) -> RecorderBuilder {
        OutputBuilder::new(room.presence(identity))
    }

    /// What a [`StreamMonitor`](crate::StreamMonitor) watches.
    pub fn monitored(&self) -> Monitored {
        Monitored::recorder(self.job.watch())
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
    presence: Presence,
    path: PathBuf,
    limit: Limit,
    feed: Feed,
    writer: FileWriter,
    punctuality: Punctuality,
}

impl Task {
    async fn run(
        mut self,
        mut stop: Stop,
        progress: watch::Sender<RecordingReport>,
    ) -> Result<RecordingReport, RecordError> {
        let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
        let ended = loop {
            let item = tokio::select! {
                item = self.feed.next() => item,
                _ = tick.tick() => {
                    progress.send_replace(self.report("still recording"));
                    if self.limit.is_reached() {
                        break Ok("the duration was reached".to_owned());
                    }
                    continue;
                }
                () = stop.requested() => break Ok("stopped".to_owned()),
            };
            let Some(item) = item else {
                break Ok(self.presence.end_reason());
            };
            if let Err(error) = self.take(item).await {
                break Err(error);
            }
            if self.limit.is_reached() {
                break Ok("the duration was reached".to_owned());
            }
        };
        let drained = match &ended {
            Ok(_) => self.drain().await,
            Err(_) => Ok(()),
        };
        let finished = self.writer.finish().await;
        let report = self.report(ended.as_deref().unwrap_or("an error"));
        progress.send_replace(report.clone());
        ended?;
        drained?;
        finished?;
        Ok(report)
    }

    async fn take(&mut self, item: Item) -> Result<(), RecordError> {
        let frame = match item {
            Item::Frame(frame) => frame,
            Item::Failed(error) => return Err(error),
        };
        if !self.limit.takes(&frame, self.writer.start_us()) {
            return Ok(());
        }
        let feed = &self.feed;
        let (kind, timestamp_us) = (frame.codec.kind(), frame.timestamp_us);
        self.writer.write(frame, || feed.expects_video()).await?;
        if self.writer.is_open() {
            self.punctuality.pass(kind, timestamp_us);
        }
        if self.writer.has_sound {
            feed.settle_sound();
        }
        if std::mem::take(&mut self.writer.wants_keyframe)
            && let Some(video) = &self.feed.video
        {
            video.request_keyframe();
        }
        Ok(())
    }

    /// Takes what is on its way through queues, decoders and encoders.
    async fn drain(&mut self) -> Result<(), RecordError> {
        self.feed.finish();
        let deadline = tokio::time::Instant::now() + DRAIN;
        while let Ok(Some(item)) = tokio::time::timeout_at(deadline, self.feed.next()).await {
            self.take(item).await?;
        }
        Ok(())
    }

    fn report(&self, ended_by: &str) -> RecordingReport {
        let start = self.writer.start_us();
        let mut tracks = Vec::new();
        if let Some(track) = &self.feed.video {
            let video = &self.writer.video;
            tracks.push(track_report(track, video, &self.punctuality, start, 0));
        }
        if let Some(track) = &self.feed.audio {
            tracks.push(track_report(
                track,
                &self.writer.audio,
                &self.punctuality,
                start,
                self.writer.silence_us,
            ));
        }
        RecordingReport {
            duration_us: start.map_or(0, |start| self.writer.end_us() - start),
            further_outputs: self.writer.further_paths().to_vec(),
            bytes: self.writer.bytes(),
            ended_by: ended_by.to_owned(),
            tracks,
            ..RecordingReport::empty(self.presence.identity(), &self.path)
        }
    }
}

/// The report's line of one track.
pub(super) fn track_report(
    track: &Arc<Track>,
    written: &Written,
    punctuality: &Punctuality,
    start_us: Option<i64>,
    silence_us: i64,
) -> TrackReport {
    let stats = track.stats();
    let name = |codec: Option<Codec>| codec.map_or(String::new(), |codec| codec.name().to_owned());
    TrackReport {
        participant: track.presence.identity().to_owned(),
        source: track.source(),
        codec: track.unreadable().unwrap_or_else(|| name(track.codec())),
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
        timing: punctuality.of(track.kind()),
    }
}
