//! A participant's pictures and sound, in the codecs an output takes, through one bounded queue.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use super::RecordError;
use super::report::{self, Treatment};
use super::selection::{AudioMode, MediaSource, Plan, VideoMode, audio_plan, video_plan};
use super::transcode::{AudioTranscoder, VideoTranscoder};
use crate::codec::{Codec, MediaKind};
use crate::encode::{AudioOptions, VideoOptions};
use crate::fanout::TrackStats;
use crate::frame::EncodedFrame;
use crate::room::{Presence, RemoteParticipant, RemoteTrack, TrackSource};
use crate::stream::EncodedStream;

/// Items that wait for the output: some seconds of pictures and sound.
const CAPACITY: usize = 256;

/// Which tracks, and what the output takes besides H.264 and AAC.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) source: MediaSource,
    pub(super) video: VideoMode,
    pub(super) audio: AudioMode,
    pub(super) takes_opus: bool,
    /// How the output is named in errors.
    pub(super) output: String,
    pub(super) encoder: VideoOptions,
}

/// What a feed gives.
#[derive(Debug)]
pub(super) enum Item {
    Frame(EncodedFrame),
    /// A track cannot be brought into a codec the output takes.
    Failed(RecordError),
}

/// What is known of one of the two tracks.
#[derive(Debug)]
pub(super) struct Track {
    pub(super) presence: Presence,
    pub(super) source: TrackSource,
    codec: Mutex<Option<Codec>>,
    transcoded: AtomicBool,
    /// Frames lost as the encoder or the output was behind.
    dropped: AtomicU64,
    force_keyframe: AtomicBool,
    stats: Mutex<HashMap<String, TrackStats>>,
}

impl Track {
    fn new(presence: &Presence, source: TrackSource) -> Arc<Self> {
        Arc::new(Self {
            presence: presence.clone(),
            source,
            codec: Mutex::default(),
            transcoded: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            force_keyframe: AtomicBool::new(false),
            stats: Mutex::default(),
        })
    }

    /// The publisher's codec, once a frame came.
    pub(super) fn codec(&self) -> Option<Codec> {
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn treatment(&self) -> Treatment {
        if self.transcoded.load(Ordering::Relaxed) {
            Treatment::Transcoded
        } else {
            Treatment::Copied
        }
    }

    pub(super) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Asks for a keyframe where one can be had: of our encoder or of the publisher.
    pub(super) fn request_keyframe(&self) {
        if self.treatment() == Treatment::Transcoded {
            self.force_keyframe.store(true, Ordering::Relaxed);
        } else if let Some(track) = self.track() {
            track.hub().request_keyframe();
        }
    }

    /// What was received so far, over all subscriptions. Also remembers it, as a track's figures
    /// go with the track.
    pub(super) fn stats(&self) -> TrackStats {
        let mut stats = self.stats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(track) = self.track() {
            stats.insert(track.sid().to_owned(), track.stats());
        }
        let mut total = TrackStats::default();
        for one in stats.values() {
            report::add(&mut total, one);
        }
        total
    }

    fn track(&self) -> Option<RemoteTrack> {
        self.presence.current()?.track(self.source)
    }

    fn saw(&self, codec: Codec, transcoded: bool) {
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner) = Some(codec);
        self.transcoded.store(transcoded, Ordering::Relaxed);
        self.stats();
    }
}

/// See the module. Ends when the participant has left.
pub(super) struct Feed {
    items: mpsc::Receiver<Item>,
    tasks: Vec<JoinHandle<()>>,
    pub(super) video: Option<Arc<Track>>,
    pub(super) audio: Option<Arc<Track>>,
}

impl Feed {
    /// Starts to read, and subscribes to the tracks if nobody has.
    pub(super) fn start(presence: &Presence, wanted: &Wanted) -> Self {
        let (sender, items) = mpsc::channel(CAPACITY);
        let mut tasks = Vec::new();
        let (mut video, mut audio) = (None, None);
        let mut sources = Vec::new();
        if wanted.video != VideoMode::None {
            let source = wanted.source.video();
            let track = video.insert(Track::new(presence, source));
            let stream = EncodedStream::from_presence(presence.clone(), source);
            let worker = VideoWorker {
                track: Arc::clone(track),
                wanted: wanted.clone(),
                out: sender.clone(),
                transcoder: None,
            };
            tasks.push(tokio::spawn(worker.run(stream)));
            sources.push(source);
        }
        if wanted.audio != AudioMode::None {
            let source = wanted.source.audio(presence);
            let track = audio.insert(Track::new(presence, source));
            let stream = EncodedStream::from_presence(presence.clone(), source);
            let worker = AudioWorker {
                track: Arc::clone(track),
                wanted: wanted.clone(),
                out: sender,
                transcoder: None,
            };
            tasks.push(tokio::spawn(worker.run(stream)));
            sources.push(source);
        }
        tasks.push(tokio::spawn(subscribe(presence.clone(), sources)));
        Self {
            items,
            tasks,
            video,
            audio,
        }
    }

    /// The next item; `None` when the participant has left and all is given.
    pub(super) async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }

    /// Whether the participant publishes a picture of the wanted source that is not muted.
    pub(super) fn expects_video(&self) -> bool {
        let Some(track) = &self.video else {
            return false;
        };
        let Some(participant) = track.presence.current() else {
            return false;
        };
        participant
            .track_publications()
            .iter()
            .any(|publication| publication.source() == track.source && !publication.is_muted())
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Subscribes to every publication of these sources that nobody has subscribed to.
async fn subscribe(presence: Presence, sources: Vec<TrackSource>) {
    let mut last = None;
    while let Some(participant) = presence.next(last.as_ref()).await {
        subscribe_to(&participant, &sources).await;
        last = Some(participant);
    }
}

async fn subscribe_to(participant: &RemoteParticipant, sources: &[TrackSource]) {
    let mut changed = participant.watch();
    loop {
        changed.mark_unchanged();
        for publication in participant.track_publications() {
            if sources.contains(&publication.source())
                && !publication.is_desired()
                && publication.set_subscribed(true).await.is_err()
            {
                return;
            }
        }
        if participant.has_left() || changed.changed().await.is_err() {
            return;
        }
    }
}

fn cannot_copy(track: &Track, codec: Codec, wanted: &Wanted) -> Item {
    Item::Failed(RecordError::CannotCopy {
        codec: codec.name().to_owned(),
        participant: track.presence.identity().to_owned(),
        media_source: track.source,
        output: wanted.output.clone(),
    })
}

fn cannot_transcode(track: &Track, reason: &super::transcode::TranscodeError) -> Item {
    Item::Failed(RecordError::Transcode {
        participant: track.presence.identity().to_owned(),
        media_source: track.source,
        reason: reason.to_string(),
    })
}

struct VideoWorker {
    track: Arc<Track>,
    wanted: Wanted,
    out: mpsc::Sender<Item>,
    transcoder: Option<VideoTranscoder>,
}

impl VideoWorker {
    async fn run(mut self, mut frames: EncodedStream) {
        while let Some(frame) = frames.next().await {
            self.track
                .dropped
                .store(frames.dropped_frames(), Ordering::Relaxed);
            let plan = video_plan(self.wanted.video, frame.codec);
            self.track
                .saw(frame.codec, matches!(plan, Plan::Transcode(_)));
            let item = match plan {
                Plan::Copy => Some(Item::Frame(frame)),
                Plan::Refuse => Some(cannot_copy(&self.track, frame.codec, &self.wanted)),
                Plan::Transcode(to) => {
                    // Milliseconds of work, too long for a thread that others need.
                    let done = tokio::task::spawn_blocking(move || {
                        let item = self.transcode(&frame, to);
                        (self, item)
                    });
                    let Ok((worker, item)) = done.await else {
                        return;
                    };
                    self = worker;
                    item
                }
            };
            let Some(item) = item else { continue };
            let failed = matches!(item, Item::Failed(_));
            if self.out.send(item).await.is_err() || failed {
                return;
            }
        }
    }

    fn transcode(&mut self, frame: &EncodedFrame, to: Codec) -> Option<Item> {
        let transcoder = match &mut self.transcoder {
            Some(transcoder) if transcoder.from() == frame.codec => transcoder,
            other => match VideoTranscoder::new(frame.codec, to, self.wanted.encoder.clone()) {
                Ok(transcoder) => other.insert(transcoder),
                Err(error) => return Some(cannot_transcode(&self.track, &error)),
            },
        };
        let force = self.track.force_keyframe.swap(false, Ordering::Relaxed);
        match transcoder.transcode(frame, force) {
            Ok(encoded) => encoded.map(Item::Frame),
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "a frame cannot be transcoded");
                None
            }
            Err(error) => Some(cannot_transcode(&self.track, &error)),
        }
    }
}

struct AudioWorker {
    track: Arc<Track>,
    wanted: Wanted,
    out: mpsc::Sender<Item>,
    transcoder: Option<AudioTranscoder>,
}

impl AudioWorker {
    async fn run(mut self, mut packets: EncodedStream) {
        let mut encoded = Vec::new();
        while let Some(packet) = packets.next().await {
            self.track
                .dropped
                .store(packets.dropped_frames(), Ordering::Relaxed);
            let plan = audio_plan(self.wanted.audio, packet.codec, self.wanted.takes_opus);
            self.track
                .saw(packet.codec, matches!(plan, Plan::Transcode(_)));
            match plan {
                Plan::Copy => encoded.push(packet),
                Plan::Refuse => {
                    let item = cannot_copy(&self.track, packet.codec, &self.wanted);
                    // The reader may be gone; then nobody needs to know.
                    let _ = self.out.send(item).await;
                    return;
                }
                Plan::Transcode(to) => {
                    if let Some(failed) = self.transcode(&packet, to, &mut encoded) {
                        // As above.
                        let _ = self.out.send(failed).await;
                        return;
                    }
                }
            }
            if !give(&self.out, &mut encoded).await {
                return;
            }
        }
        if let Some(transcoder) = &mut self.transcoder {
            if let Err(error) = transcoder.flush(&mut encoded) {
                tracing::warn!(%error, "the end of the sound is lost");
            }
            give(&self.out, &mut encoded).await;
        }
    }

    fn transcode(
        &mut self,
        packet: &EncodedFrame,
        to: Codec,
        encoded: &mut Vec<EncodedFrame>,
    ) -> Option<Item> {
        let transcoder = match &mut self.transcoder {
            Some(transcoder) => transcoder,
            none => match AudioTranscoder::new(packet.codec, to, AudioOptions::default()) {
                Ok(transcoder) => none.insert(transcoder),
                Err(error) => return Some(cannot_transcode(&self.track, &error)),
            },
        };
        match transcoder.transcode(packet, encoded) {
            Ok(()) => None,
            Err(error) if error.is_passing() => {
                tracing::warn!(%error, "a packet cannot be transcoded");
                None
            }
            Err(error) => Some(cannot_transcode(&self.track, &error)),
        }
    }
}

/// Sends all frames on; tells whether there is still a reader.
async fn give(out: &mpsc::Sender<Item>, encoded: &mut Vec<EncodedFrame>) -> bool {
    for frame in encoded.drain(..) {
        if out.send(Item::Frame(frame)).await.is_err() {
            return false;
        }
    }
    true
}

/// Whether a frame is a picture.
pub(super) fn is_video(frame: &EncodedFrame) -> bool {
    frame.codec.kind() == MediaKind::Video
}
