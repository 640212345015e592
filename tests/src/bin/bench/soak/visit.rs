//! What is done with one participant, from joining to leaving, and whether all frames that were
//! received came out.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures::{Stream, StreamExt};
use livekit_stream::codec::MediaKind;
use livekit_stream::{
    AudioStream, EncodedStream, RecordError, Recorder, RecordingReport, RemoteParticipant,
    RemoteTrack, RestreamReport, Restreamer, TrackReport, TrackSource, VideoStream,
};
use livekit_stream_tests::media;
use tokio::task::JoinHandle;

/// How long what a participant left behind may take to come to its end.
const DEADLINE: Duration = Duration::from_secs(30);

/// What may be done with a participant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Use {
    /// To a file.
    Record,
    /// To a file, which is closed before the participant leaves.
    RecordInPart(Duration),
    /// To an RTMP server.
    Restream,
    /// Encoded frames are read.
    Encoded,
    /// Pictures and sound are read.
    Decoded,
}

/// Frames that came out at the other end, by kind.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Out {
    frames: u64,
    dropped: u64,
}

enum Outcome {
    Recorded(Result<RecordingReport, RecordError>),
    Restreamed(Result<RestreamReport, RecordError>),
    Read { video: Out, audio: Option<Out> },
}

/// A participant's stay.
pub(super) struct Visit {
    pub(super) participant: RemoteParticipant,
    pub(super) wanted: Use,
    /// Every track that was subscribed to.
    pub(super) tracks: Vec<RemoteTrack>,
    job: JoinHandle<Outcome>,
}

/// What was received of some tracks.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Received {
    pub(super) tracks: u64,
    pub(super) packets: u64,
    pub(super) packets_lost: u64,
    pub(super) frames: u64,
    /// Incomplete, or of no use as an earlier one was.
    pub(super) dropped: u64,
    /// The part of `dropped` that is of tracks without a single good frame.
    dropped_in_vain: u64,
}

impl Received {
    pub(super) fn of<'a>(
        tracks: impl IntoIterator<Item = &'a RemoteTrack>,
        kind: MediaKind,
    ) -> Self {
        let mut sum = Self::default();
        for track in tracks.into_iter().filter(|track| track.kind() == kind) {
            let stats = track.stats();
            sum.tracks += 1;
            sum.packets += stats.packets;
            sum.packets_lost += stats.packets_lost;
            sum.frames += stats.frames;
            sum.dropped += stats.frames_dropped;
            if stats.frames == 0 {
                sum.dropped_in_vain += stats.frames_dropped;
            }
        }
        sum
    }

    pub(super) fn add(&mut self, other: Self) {
        self.tracks += other.tracks;
        self.packets += other.packets;
        self.packets_lost += other.packets_lost;
        self.frames += other.frames;
        self.dropped += other.dropped;
        self.dropped_in_vain += other.dropped_in_vain;
    }
}

/// What came of a visit.
#[derive(Debug, Default)]
pub(super) struct Ended {
    pub(super) video: Received,
    pub(super) audio: Received,
    /// Frames that came out.
    pub(super) out: u64,
    /// Frames that were counted as dropped on the way.
    pub(super) out_dropped: u64,
    /// What does not add up.
    pub(super) faults: Vec<String>,
}

impl Visit {
    /// Begins at once, so that nothing is received before somebody reads.
    pub(super) async fn begin(
        participant: RemoteParticipant,
        wanted: Use,
        folder: &Path,
        target: &str,
    ) -> Self {
        let job = match wanted {
            Use::Record | Use::RecordInPart(_) => {
                let path = folder.join(format!("{}.mp4", participant.sid()));
                let recorder = Recorder::builder(&participant).to_file(path).await;
                let recorder = recorder.expect("a file can be created");
                tokio::spawn(async move {
                    if let Use::RecordInPart(length) = wanted {
                        tokio::time::sleep(length).await;
                        return Outcome::Recorded(recorder.stop().await);
                    }
                    Outcome::Recorded(recorder.finished().await)
                })
            }
            Use::Restream => {
                let restreamer = Restreamer::builder(&participant).target(target).start();
                let restreamer = restreamer.expect("the target is a URL");
                tokio::spawn(async move { Outcome::Restreamed(restreamer.finished().await) })
            }
            Use::Encoded => {
                let video = EncodedStream::from_participant(&participant, TrackSource::Camera);
                let audio = EncodedStream::from_participant(&participant, TrackSource::Microphone);
                tokio::spawn(async move {
                    let read = |stream| read(stream, |it: &EncodedStream| it.dropped_frames());
                    let (video, audio) = tokio::join!(read(video), read(audio));
                    Outcome::Read {
                        video,
                        audio: Some(audio),
                    }
                })
            }
            Use::Decoded => {
                let video = VideoStream::from_participant(&participant, TrackSource::Camera);
                let audio = AudioStream::from_participant(&participant, TrackSource::Microphone);
                tokio::spawn(async move {
                    let lost = |it: &VideoStream| it.dropped_frames() + it.errors();
                    let video = read(video, lost);
                    // Its frames are not packets: what is lost is filled.
                    let audio = read(audio, |it: &AudioStream| it.dropped_frames());
                    let (video, _) = tokio::join!(video, audio);
                    Outcome::Read { video, audio: None }
                })
            }
        };
        Self {
            participant,
            wanted,
            tracks: Vec::new(),
            job,
        }
    }

    /// Waits for the end of what was done, and compares.
    pub(super) async fn end(self) -> Ended {
        let mut ended = Ended::default();
        let job = tokio::time::timeout(DEADLINE, self.job).await;
        ended.video = Received::of(&self.tracks, MediaKind::Video);
        ended.audio = Received::of(&self.tracks, MediaKind::Audio);
        let outcome = match job {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                ended.fault(format!("the reader's task: {error}"));
                return ended;
            }
            Err(_) => {
                ended.fault(format!("no end in {DEADLINE:?}"));
                return ended;
            }
        };
        match outcome {
            Outcome::Read { video, audio } => {
                ended.compare_read("pictures", video, ended.video);
                if let Some(audio) = audio {
                    ended.compare_read("packets of sound", audio, ended.audio);
                }
            }
            Outcome::Recorded(Ok(report)) => {
                let whole = self.wanted == Use::Record;
                ended.compare_video(&report.tracks, whole);
                let files = [&report.output].into_iter().chain(&report.further_outputs);
                let files: Vec<PathBuf> = files.cloned().collect();
                let playable = report.is_playable();
                let is_video = |track: &&TrackReport| track.source == TrackSource::Camera;
                let video = report.tracks.iter().filter(is_video);
                let video = video.map(|track| track.frames).sum();
                let checked =
                    tokio::task::spawn_blocking(move || check_files(&files, playable, video));
                match checked.await {
                    Ok(faults) => ended.faults.extend(faults),
                    Err(error) => ended.fault(format!("a file does not play: {error}")),
                }
                if !ended.faults.is_empty() {
                    ended.fault(format!("{report:?}"));
                }
            }
            Outcome::Restreamed(Ok(report)) => {
                ended.compare_video(&report.tracks, true);
                let given: u64 = report.tracks.iter().map(|track| track.frames).sum();
                for target in &report.targets {
                    let sent = target.video_frames + target.audio_frames + target.frames_dropped;
                    if sent != given || target.last_error.is_some() {
                        ended.fault(format!("{given} frames given, but {target:?}"));
                    }
                }
            }
            Outcome::Recorded(Err(error)) | Outcome::Restreamed(Err(error)) => {
                ended.fault(error.to_string());
            }
        }
        let who = format!(
            "{} {:?} {:?}",
            self.participant.identity(),
            self.wanted,
            self.tracks.first().and_then(RemoteTrack::codec)
        );
        for fault in &mut ended.faults {
            *fault = format!("{who}: {fault}");
        }
        ended
    }
}

impl Ended {
    fn fault(&mut self, fault: String) {
        self.faults.push(fault);
    }

    fn compare_read(&mut self, what: &str, out: Out, received: Received) {
        self.out += out.frames;
        self.out_dropped += out.dropped;
        if out.frames + out.dropped != received.frames {
            self.fault(format!(
                "{what}: {received:?} were received, {out:?} came out"
            ));
        }
    }

    /// The report's pictures and drops, against what the tracks counted.
    fn compare_video(&mut self, tracks: &[TrackReport], whole: bool) {
        let Some(track) = tracks
            .iter()
            .find(|track| track.source == TrackSource::Camera)
        else {
            return;
        };
        self.out += track.frames;
        let all = self.video.frames + self.video.dropped;
        let reported = track.frames + track.frames_dropped;
        self.out_dropped += reported.saturating_sub(track.frames + self.video.dropped);
        let least = all - self.video.dropped_in_vain;
        // What is dropped after a track's end may be counted when the report is written already.
        let all_out = track.frames == self.video.frames;
        let adds_up = all_out || reported <= all && (!whole || reported >= least);
        if !adds_up {
            self.fault(format!(
                "{:?} were received, {track:?} reported",
                self.video
            ));
        }
    }
}

async fn read<S: Stream + Unpin>(mut stream: S, dropped: impl Fn(&S) -> u64) -> Out {
    let mut frames = 0;
    while stream.next().await.is_some() {
        frames += 1;
    }
    Out {
        frames,
        dropped: dropped(&stream),
    }
}

/// What is wrong with a recording's files, which are removed. Panics when one does not decode.
fn check_files(files: &[PathBuf], playable: bool, pictures: u64) -> Vec<String> {
    let mut faults = Vec::new();
    let mut found = 0;
    for file in files {
        if playable {
            let probe = media::assert_plays(file);
            let video = |stream: &&media::Stream| stream.kind == media::StreamKind::Video;
            if let Some(video) = probe.streams.iter().find(video) {
                found += probe.packets_of(video).len() as u64;
            }
        }
        if let Err(error) = std::fs::remove_file(file) {
            faults.push(format!("{}: {error}", file.display()));
        }
    }
    if found != pictures {
        faults.push(format!(
            "{pictures} pictures reported, {found} in {files:?}"
        ));
    }
    faults
}
