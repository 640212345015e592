//! A participant's pictures and sound, in the codecs an output takes, through one bounded queue.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use futures::StreamExt;
use futures::stream::Peekable;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::RecordError;
use super::builder::Selection;
use super::report::{self, Treatment};
use super::selection::{AudioMode, Plan, VideoMode, audio_plan, video_plan};
use super::takes::Takes;
use super::transcode::{AudioTranscoder, VideoTranscoder};
use crate::codec::{Codec, MediaKind};
use crate::encode::AudioOptions;
use crate::fanout::{Begin, Ring, TrackHub, TrackStats};
use crate::frame::EncodedFrame;
use crate::room::{Presence, RemoteParticipant, RemoteTrack, TrackSource};
use crate::stream::{Choice, Current, EncodedStream};

/// Items that wait for the output: some seconds of pictures and sound.
const CAPACITY: usize = 256;

/// How long a picture waits for those that are to be transcoded with it.
const BATCH_WAIT: Duration = Duration::from_millis(300);

/// Which tracks, and what the output takes.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) selection: Selection,
    /// The codecs that the output takes as they come.
    pub(super) takes: Takes,
    /// How the output is named in errors.
    pub(super) output: String,
    /// What those errors advise.
    pub(super) hint: &'static str,
    /// Pictures that are transcoded one after the other, 1 for the least delay. A codec that has
    /// slept finds its data in no cache: at 30 pictures a second, four at a time cost a tenth less.
    pub(super) batch: usize,
    /// Where the sound begins. Pictures begin with a recent keyframe.
    pub(super) sound: Begin,
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
    kind: MediaKind,
    choice: Choice,
    codec: Mutex<Option<Codec>>,
    transcoded: AtomicBool,
    /// Frames lost as the encoder or the output was behind.
    dropped: AtomicU64,
    /// Frames that could not be transcoded.
    lost: AtomicU64,
    force_keyframe: AtomicBool,
    seen: Mutex<Seen>,
    /// The MIME type of a track that cannot be read.
    unreadable: Arc<Mutex<Option<String>>>,
    current: Arc<Current>,
}

/// The subscriptions of a track that frames came from.
#[derive(Debug, Default)]
struct Seen {
    live: Vec<RemoteTrack>,
    /// The sum of those that have ended.
    ended: TrackStats,
    /// The one that was read last.
    last: Weak<TrackHub>,
}

impl Track {
    fn new(
        presence: &Presence,
        kind: MediaKind,
        choice: Choice,
        stream: &EncodedStream,
    ) -> Arc<Self> {
        Arc::new(Self {
            presence: presence.clone(),
            kind,
            choice,
            codec: Mutex::default(),
            transcoded: AtomicBool::new(false),
            dropped: AtomicU64::new(0),
            lost: AtomicU64::new(0),
            force_keyframe: AtomicBool::new(false),
            seen: Mutex::default(),
            unreadable: stream.unreadable(),
            current: stream.current(),
        })
    }

    pub(super) fn kind(&self) -> MediaKind {
        self.kind
    }

    /// What is read, or what is wanted most while nothing is.
    pub(super) fn source(&self) -> TrackSource {
        self.current.source().unwrap_or(self.choice.first())
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
        self.dropped.load(Ordering::Relaxed) + self.lost.load(Ordering::Relaxed)
    }

    /// Asks for a keyframe where one can be had: of our encoder or of the publisher.
    pub(super) fn request_keyframe(&self) {
        if self.treatment() == Treatment::Transcoded {
            self.force_keyframe.store(true, Ordering::Relaxed);
        } else {
            self.current.request_keyframe();
        }
    }

    /// What was received so far, over all subscriptions.
    pub(super) fn stats(&self) -> TrackStats {
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let Seen { live, ended, .. } = &mut *seen;
        // Somebody who comes and goes for days must not be remembered track by track.
        live.retain(|track| {
            let over = track.hub().is_finished();
            if over {
                report::add(ended, &track.stats());
            }
            !over
        });
        if let Some(track) = self.track()
            && !track.hub().is_finished()
            && !live.iter().any(|one| Arc::ptr_eq(one.hub(), track.hub()))
        {
            live.push(track);
        }
        let mut total = *ended;
        for track in live.iter() {
            report::add(&mut total, &track.stats());
        }
        total
    }

    /// The MIME type of a track that was met and cannot be read.
    pub(super) fn unreadable(&self) -> Option<String> {
        self.unreadable
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Counts a frame that came and gave nothing to write.
    fn drop_one(&self) {
        self.lost.fetch_add(1, Ordering::Relaxed);
    }

    fn track(&self) -> Option<RemoteTrack> {
        self.choice.track(&self.presence.current()?, self.kind)
    }

    fn saw(&self, codec: Codec, transcoded: bool) {
        *self.codec.lock().unwrap_or_else(PoisonError::into_inner) = Some(codec);
        self.transcoded.store(transcoded, Ordering::Relaxed);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let changed = self.current.has_changed(&mut seen.last);
        drop(seen);
        if changed {
            self.stats();
        }
    }
}

/// See the module. Ends when the participant has left.
pub(super) struct Feed {
    items: mpsc::Receiver<Item>,
    tasks: Vec<JoinHandle<()>>,
    rings: Vec<Arc<Ring<EncodedFrame>>>,
    pub(super) video: Option<Arc<Track>>,
    pub(super) audio: Option<Arc<Track>>,
}

impl Feed {
    /// Starts to read, and subscribes to the tracks if nobody has.
    pub(super) fn start(presence: &Presence, wanted: &Wanted) -> Self {
        let (sender, items) = mpsc::channel(CAPACITY);
        let mut tasks = Vec::new();
        let (mut video, mut audio) = (None, None);
        let mut rings = Vec::new();
        if wanted.selection.video != VideoMode::None {
            let kind = MediaKind::Video;
            let choice = wanted.selection.source.video();
            let begin = Begin::Recent;
            let stream = EncodedStream::chosen(presence.clone(), choice.clone(), kind, begin);
            let track = video.insert(Track::new(presence, kind, choice, &stream));
            rings.push(stream.ring());
            let worker = VideoWorker {
                track: Arc::clone(track),
                wanted: wanted.clone(),
                out: sender.clone(),
                transcoder: None,
            };
            tasks.push(tokio::spawn(worker.run(stream)));
        }
        if wanted.selection.audio != AudioMode::None {
            let kind = MediaKind::Audio;
            let choice = wanted.selection.source.audio();
            let begin = wanted.sound;
            let stream = EncodedStream::chosen(presence.clone(), choice.clone(), kind, begin);
            let track = audio.insert(Track::new(presence, kind, choice, &stream));
            rings.push(stream.ring());
            let worker = AudioWorker {
                track: Arc::clone(track),
                wanted: wanted.clone(),
                out: sender,
                transcoder: None,
            };
            tasks.push(tokio::spawn(worker.run(stream)));
        }
        let tracks = [&video, &audio].into_iter().flatten().map(Arc::clone);
        tasks.push(tokio::spawn(subscribe(presence.clone(), tracks.collect())));
        Self {
            items,
            tasks,
            rings,
            video,
            audio,
        }
    }

    /// The next item; `None` when the participant has left and all is given.
    pub(super) async fn next(&mut self) -> Option<Item> {
        self.items.recv().await
    }

    /// Which of pictures and sound it gives.
    pub(super) fn kinds(&self) -> Vec<MediaKind> {
        let video = self.video.as_ref().map(|_| MediaKind::Video);
        let audio = self.audio.as_ref().map(|_| MediaKind::Audio);
        video.into_iter().chain(audio).collect()
    }

    /// Takes nothing more in. What is on its way still comes by [`next`](Self::next), then `None`.
    pub(super) fn finish(&self) {
        for ring in &self.rings {
            ring.close();
        }
    }

    /// Whether the participant publishes a picture of the wanted source that is not muted.
    pub(super) fn expects_video(&self) -> bool {
        let Some(track) = &self.video else {
            return false;
        };
        if track.unreadable().is_some() {
            return false;
        }
        let Some(participant) = track.presence.current() else {
            return false;
        };
        let publications = track.choice.publications(&participant, track.kind);
        publications.iter().any(|one| !one.is_muted())
    }

    /// Sound was written: it stays with its source.
    pub(super) fn settle_sound(&self) {
        if let Some(track) = &self.audio
            && let Some(source) = track.current.source()
        {
            track.choice.settle(source);
        }
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Subscribes to every publication of these tracks that nobody has subscribed to.
async fn subscribe(presence: Presence, tracks: Vec<Arc<Track>>) {
    let mut last = None;
    while let Some(participant) = presence.next(last.as_ref()).await {
        subscribe_to(&participant, &tracks).await;
        last = Some(participant);
    }
}

async fn subscribe_to(participant: &RemoteParticipant, tracks: &[Arc<Track>]) {
    let mut changed = participant.watch();
    loop {
        changed.mark_unchanged();
        let publications = tracks
            .iter()
            .flat_map(|track| track.choice.publications(participant, track.kind));
        for publication in publications {
            if !publication.is_desired() && publication.set_subscribed(true).await.is_err() {
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
        media_source: track.source(),
        output: wanted.output.clone(),
        hint: wanted.hint,
    })
}

fn cannot_transcode(track: &Track, reason: &super::transcode::TranscodeError) -> Item {
    Item::Failed(RecordError::Transcode {
        participant: track.presence.identity().to_owned(),
        media_source: track.source(),
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
    async fn run(mut self, frames: EncodedStream) {
        let mut frames = frames.peekable();
        while let Some(frame) = frames.next().await {
            self.track
                .dropped
                .store(frames.get_ref().dropped_frames(), Ordering::Relaxed);
            let taken = self.wanted.takes.includes(frame.codec).await;
            let plan = video_plan(self.wanted.selection.video, frame.codec, taken);
            self.track
                .saw(frame.codec, matches!(plan, Plan::Transcode(_)));
            let items = match plan {
                Plan::Copy => vec![Item::Frame(frame)],
                Plan::Refuse => vec![cannot_copy(&self.track, frame.codec, &self.wanted)],
                Plan::Transcode(to) => {
                    let batch = batch(frame, &mut frames, self.wanted.batch).await;
                    // Milliseconds of work, too long for a thread that others need.
                    let done = tokio::task::spawn_blocking(move || {
                        let items = batch.iter().filter_map(|frame| self.transcode(frame, to));
                        let items: Vec<Item> = items.collect();
                        (self, items)
                    });
                    let Ok((worker, items)) = done.await else {
                        return;
                    };
                    self = worker;
                    items
                }
            };
            for item in items {
                let failed = matches!(item, Item::Failed(_));
                if self.out.send(item).await.is_err() || failed {
                    return;
                }
            }
        }
        let rest = tokio::task::spawn_blocking(move || {
            let rest = self.flush();
            (self, rest)
        });
        if let Ok((worker, mut rest)) = rest.await {
            give(&worker.out, &mut rest).await;
        }
    }

    /// The pictures that waited for frames that do not come any more.
    fn flush(&mut self) -> Vec<EncodedFrame> {
        let mut rest = Vec::new();
        while let Some(transcoder) = &mut self.transcoder {
            match transcoder.flush() {
                Ok(Some(frame)) => rest.push(frame),
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(%error, "the last pictures are lost");
                    break;
                }
            }
        }
        rest
    }

    fn transcode(&mut self, frame: &EncodedFrame, to: Codec) -> Option<Item> {
        let transcoder = match &mut self.transcoder {
            Some(transcoder) if transcoder.from() == frame.codec => transcoder,
            other => {
                match VideoTranscoder::new(frame.codec, to, self.wanted.selection.encoder.clone()) {
                    Ok(transcoder) => other.insert(transcoder),
                    Err(error) => return Some(cannot_transcode(&self.track, &error)),
                }
            }
        };
        let force = self.track.force_keyframe.load(Ordering::Relaxed);
        match transcoder.transcode(frame, force) {
            Ok(Some(encoded)) => {
                if force {
                    self.track.force_keyframe.store(false, Ordering::Relaxed);
                }
                Some(Item::Frame(encoded))
            }
            Ok(None) => {
                self.track.drop_one();
                None
            }
            Err(error) => {
                tracing::warn!(%error, "a picture cannot be transcoded");
                self.track.drop_one();
                // The decoder starts anew with a keyframe, which the publisher may have no reason
                // of its own to send.
                self.track.current.request_keyframe();
                None
            }
        }
    }
}

/// A picture and those of the same codec that follow it in time.
async fn batch(
    first: EncodedFrame,
    frames: &mut Peekable<EncodedStream>,
    length: usize,
) -> Vec<EncodedFrame> {
    let deadline = Instant::now() + BATCH_WAIT;
    let codec = first.codec;
    let mut batch = vec![first];
    while batch.len() < length {
        let next = Pin::new(&mut *frames).next_if(|next| next.codec == codec);
        match timeout_at(deadline, next).await {
            Ok(Some(next)) => batch.push(next),
            Ok(None) | Err(_) => break,
        }
    }
    batch
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
            let taken = self.wanted.takes.includes(packet.codec).await;
            let plan = audio_plan(self.wanted.selection.audio, packet.codec, taken);
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
            Err(error) => {
                tracing::warn!(%error, "a packet cannot be transcoded");
                self.track.drop_one();
                None
            }
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
