//! One participant to RTMP servers.

use std::str::FromStr;

use futures::stream::{FuturesUnordered, SelectAll, StreamExt};
use serde::Serialize;
use tokio::sync::watch;

use super::builder::OutputBuilder;
use super::feed::{Feed, Item, Wanted, is_video};
use super::job::{DRAIN, Job, Limit, PROGRESS_INTERVAL, Stop};
use super::monitored::Monitored;
use super::punctuality::Punctuality;
use super::recorder::track_report;
use super::report::{RecordError, TrackReport};
use super::selection::{AudioMode, VideoMode};
use super::takes::Takes;
use super::writer::Written;
use crate::codec::Codec;
use crate::encode::AudioOptions;
use crate::fanout::Begin;
use crate::mux::AudioTrack;
use crate::output::OutputError;
use crate::output::rtmp::{PublisherOptions, PublisherState, PublisherStats, RtmpPublisher};
use crate::room::{Presence, RemoteParticipant, Room};
use crate::rtmp::{RtmpUrl, UrlError};
use crate::timing::Timing;

/// How one target of a restream ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct TargetReport {
    /// The server without its stream key.
    pub target: String,
    /// `connecting`, `publishing`, `reconnecting`, `failed` or `closed`.
    pub state: &'static str,
    /// The codecs that the server takes as they are; empty before it was connected to.
    pub takes: Vec<&'static str>,
    /// Bytes sent.
    pub bytes: u64,
    /// Video frames sent.
    pub video_frames: u64,
    /// Audio frames sent.
    pub audio_frames: u64,
    /// Video and audio frames that were not sent.
    pub frames_dropped: u64,
    /// How steadily frames left for the socket, against when they were to be sent.
    #[serde(flatten)]
    pub timing: Timing,
    /// Connections made after the first.
    pub reconnects: u32,
    /// Why the last connection ended or could not be made.
    pub last_error: Option<String>,
}

impl From<PublisherStats> for TargetReport {
    fn from(stats: PublisherStats) -> Self {
        Self {
            target: stats.target,
            state: match stats.state {
                PublisherState::Connecting => "connecting",
                PublisherState::Publishing => "publishing",
                PublisherState::Reconnecting => "reconnecting",
                PublisherState::Failed(_) => "failed",
                PublisherState::Closed => "closed",
            },
            takes: stats.codecs.iter().map(|codec| codec.name()).collect(),
            bytes: stats.bytes_sent,
            video_frames: stats.video_frames_sent,
            audio_frames: stats.audio_frames_sent,
            frames_dropped: stats.video_frames_dropped + stats.audio_frames_dropped,
            timing: stats.timing,
            reconnects: stats.reconnects,
            last_error: stats.last_error.map(|error| error.to_string()),
        }
    }
}

/// A restream as it ended.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[non_exhaustive]
pub struct RestreamReport {
    /// The participant's identity.
    pub participant: String,
    /// From the first frame's time to the last one's, in microseconds.
    pub duration_us: i64,
    /// Why it ended.
    pub ended_by: String,
    /// The tracks.
    pub tracks: Vec<TrackReport>,
    /// The targets, in the order they were given.
    pub targets: Vec<TargetReport>,
}

impl RestreamReport {
    /// Whether at least one server got something to play.
    #[must_use]
    pub fn is_playable(&self) -> bool {
        self.targets
            .iter()
            .any(|target| target.video_frames + target.audio_frames > 0)
    }
}

/// How a [`Restreamer`] is made.
pub type RestreamerBuilder = OutputBuilder<ToRtmp>;

/// A restreamer's part of its builder.
#[derive(Debug, Clone, Default)]
pub struct ToRtmp {
    publisher: PublisherOptions,
    /// Parsed, as their text holds stream keys.
    targets: Vec<Result<RtmpUrl, UrlError>>,
}

impl OutputBuilder<ToRtmp> {
    /// Adds a target, `rtmp://` or `rtmps://` with application and stream key. All get the same
    /// frames; one that fails does not disturb the others.
    pub fn target(mut self, url: impl AsRef<str>) -> Self {
        self.output.targets.push(RtmpUrl::from_str(url.as_ref()));
        self
    }

    /// How the targets are connected to, and whether codecs other than H.264 and AAC go to them
    /// as they are ([`EnhancedRtmp`](crate::output::rtmp::EnhancedRtmp)): by default those that
    /// every target announces.
    pub fn publisher(mut self, options: PublisherOptions) -> Self {
        self.output.publisher = options;
        self
    }

    /// Starts to restream. Has to be called within a tokio runtime.
    ///
    /// Pictures of a track that something else reads already begin with its last keyframe if that
    /// came less than 0.9 seconds ago, else with the next one.
    ///
    /// # Errors
    /// A target that is no RTMP URL, or none at all.
    pub fn start(self) -> Result<Restreamer, RecordError> {
        let ToRtmp {
            publisher: mut options,
            targets,
        } = self.output;
        if targets.is_empty() {
            return Err(RecordError::NoTarget);
        }
        options.audio_only |= self.selection.video == VideoMode::None;
        let patience = options.connect_timeout;
        let mut publishers = Vec::new();
        for target in targets {
            let url = target.map_err(OutputError::from)?;
            let publisher = RtmpPublisher::new(url, options.clone())?;
            if self.selection.audio != AudioMode::None {
                let options = AudioOptions::default();
                let track = AudioTrack::aac(options.sample_rate, options.num_channels)
                    .map_err(OutputError::from)?;
                publisher.set_audio_track(track);
            }
            publishers.push(publisher);
        }
        let wanted = Wanted {
            selection: self.selection,
            takes: Takes::announced(&publishers, patience),
            output: "an RTMP server that does not announce it (Enhanced RTMP)".to_owned(),
            hint: ": allow transcoding",
            batch: 1,
            // A server has no use for sound from before the first picture.
            sound: Begin::Now,
        };
        let punctuality = Punctuality::new(&self.presence);
        let feed = Feed::start(&self.presence, &wanted);
        let task = Task {
            limit: Limit::new(wanted.selection.duration, feed.kinds()),
            feed,
            presence: self.presence,
            publishers,
            copies_opus: false,
            video: Written::default(),
            audio: Written::default(),
            punctuality,
        };
        let progress = task.report("still streaming");
        Ok(Restreamer {
            job: Job::start(progress, |stop, progress| task.run(stop, progress)),
        })
    }
}

/// A participant's camera and microphone, or screen, on their way to RTMP servers.
///
/// H.264 is copied as it comes, and so are H.265, AV1, VP9 and Opus if every target announces to
/// take them (Enhanced RTMP). Other pictures are transcoded to H.264, and Opus to AAC, once for all
/// targets. Dropping the restreamer lets it go on until the participant leaves;
/// [`stop`](Self::stop) ends it.
///
/// ```no_run
/// # async fn example(participant: livekit_stream::RemoteParticipant) -> Result<(), Box<dyn std::error::Error>> {
/// use livekit_stream::Restreamer;
///
/// let restreamer = Restreamer::builder(&participant)
///     .target("rtmp://live.example.org/app/key")
///     .target("rtmps://backup.example.org/app/key")
///     .start()?;
/// let report = restreamer.finished().await?;
/// println!("{} us", report.duration_us);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Restreamer {
    job: Job<RestreamReport>,
}

impl Restreamer {
    /// Restreams this participant; see the builder's methods.
    pub fn builder(participant: &RemoteParticipant) -> RestreamerBuilder {
        OutputBuilder::new(Presence::from(participant))
    }

    /// Restreams whoever bears this identity, present or not, until the room ends: for somebody
    /// who leaves and comes back the stream goes on.
    pub fn follow(room: &Room, identity: &str) -> RestreamerBuilder {
        OutputBuilder::new(room.presence(identity))
    }

    /// What a [`StreamMonitor`](crate::StreamMonitor) watches.
    pub fn monitored(&self) -> Monitored {
        Monitored::restreamer(self.job.watch())
    }

    /// The report as it stands.
    pub fn progress(&self) -> RestreamReport {
        self.job.progress()
    }

    /// Whether it is over.
    pub fn is_finished(&self) -> bool {
        self.job.is_finished()
    }

    /// Ends the streams properly: what is buffered is sent first.
    ///
    /// # Errors
    /// What ended it before.
    pub async fn stop(self) -> Result<RestreamReport, RecordError> {
        self.job.stop().await
    }

    /// Waits until it ends by itself: the duration is reached, the participant has left, or
    /// every target failed for good.
    ///
    /// # Errors
    /// What ended it.
    pub async fn finished(self) -> Result<RestreamReport, RecordError> {
        self.job.finished().await
    }
}

struct Task {
    presence: Presence,
    limit: Limit,
    feed: Feed,
    publishers: Vec<RtmpPublisher>,
    /// Sound goes out as it comes.
    copies_opus: bool,
    video: Written,
    audio: Written,
    punctuality: Punctuality,
}

impl Task {
    async fn run(
        mut self,
        mut stop: Stop,
        progress: watch::Sender<RestreamReport>,
    ) -> Result<RestreamReport, RecordError> {
        let mut tick = tokio::time::interval(PROGRESS_INTERVAL);
        let mut keyframes = self.keyframe_requests();
        let ended = loop {
            let item = tokio::select! {
                item = self.feed.next() => item,
                _ = tick.tick() => {
                    progress.send_replace(self.report("still streaming"));
                    if let Some(error) = self.all_failed() {
                        break Err(error);
                    }
                    if self.limit.is_reached() {
                        break Ok("the duration was reached".to_owned());
                    }
                    continue;
                }
                Some(()) = keyframes.next() => {
                    if let Some(video) = &self.feed.video {
                        video.request_keyframe();
                    }
                    continue;
                }
                () = stop.requested() => break Ok("stopped".to_owned()),
            };
            let Some(item) = item else {
                break Ok(self.presence.end_reason());
            };
            if let Err(error) = self.take(item) {
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
        self.publishers
            .iter()
            .map(RtmpPublisher::close)
            .collect::<FuturesUnordered<_>>()
            .count()
            .await;
        let report = self.report(ended.as_deref().unwrap_or("an error"));
        progress.send_replace(report.clone());
        ended?;
        drained?;
        Ok(report)
    }

    /// Takes what is on its way through queues, decoders and encoders.
    async fn drain(&mut self) -> Result<(), RecordError> {
        self.feed.finish();
        let deadline = tokio::time::Instant::now() + DRAIN;
        while let Ok(Some(item)) = tokio::time::timeout_at(deadline, self.feed.next()).await {
            self.take(item)?;
        }
        Ok(())
    }

    fn keyframe_requests(&self) -> SelectAll<impl futures::Stream<Item = ()> + use<>> {
        self.publishers
            .iter()
            .map(|publisher| {
                let requests = publisher.keyframe_requests();
                Box::pin(futures::stream::unfold(
                    requests,
                    |mut requests| async move {
                        requests.changed().await.ok()?;
                        Some(((), requests))
                    },
                ))
            })
            .collect()
    }

    fn take(&mut self, item: Item) -> Result<(), RecordError> {
        let frame = match item {
            Item::Frame(frame) => frame,
            Item::Failed(error) => return Err(error),
        };
        if !self.limit.takes(&frame, self.start_us()) {
            return Ok(());
        }
        let written = if is_video(&frame) {
            &mut self.video
        } else {
            self.feed.settle_sound();
            &mut self.audio
        };
        written.count(&frame);
        self.punctuality
            .pass(frame.codec.kind(), frame.timestamp_us);
        if frame.codec == Codec::Opus && !self.copies_opus {
            self.copies_opus = true;
            for publisher in &self.publishers {
                publisher.set_audio_track(AudioTrack::opus(2));
            }
        }
        for publisher in &self.publishers {
            // A target that failed for good says so in the report; the others go on.
            let _ = publisher.send(frame.clone());
        }
        Ok(())
    }

    fn all_failed(&self) -> Option<RecordError> {
        let mut targets = Vec::new();
        for publisher in &self.publishers {
            match publisher.state() {
                PublisherState::Failed(error) => targets.push((publisher.stats().target, error)),
                _ => return None,
            }
        }
        Some(OutputError::AllTargetsFailed { targets }.into())
    }

    fn start_us(&self) -> Option<i64> {
        match (self.video.first_us, self.audio.first_us) {
            (Some(video), Some(audio)) => Some(video.min(audio)),
            (video, audio) => video.or(audio),
        }
    }

    fn report(&self, ended_by: &str) -> RestreamReport {
        let start = self.start_us();
        let end = self.video.end_us.max(self.audio.end_us);
        let line = |track, written| track_report(track, written, &self.punctuality, start, 0);
        let video = self
            .feed
            .video
            .as_ref()
            .map(|track| line(track, &self.video));
        let audio = self
            .feed
            .audio
            .as_ref()
            .map(|track| line(track, &self.audio));
        RestreamReport {
            participant: self.presence.identity().to_owned(),
            duration_us: start.map_or(0, |start| end - start),
            ended_by: ended_by.to_owned(),
            tracks: video.into_iter().chain(audio).collect(),
            targets: self
                .publishers
                .iter()
                .map(|one| one.stats().into())
                .collect(),
        }
    }
}
