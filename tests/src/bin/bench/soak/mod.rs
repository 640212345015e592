//! Hours of people who come and go: whether the library gives everything back, and loses no frame
//! without counting it.
//!
//! Twenty participants of a process of their own do what they like, see [`mod@crowd`]; here, round after
//! round, a room is joined, every participant is recorded, restreamed or read, layers are switched, and
//! a second guest comes and goes. Then all leave: the room must have no more tasks, threads and handles
//! than when it was new. Then it is left, and what this process holds at such a [rest](Figures) must
//! not grow from one to the next.

mod crowd;
mod figures;
mod visit;

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use futures::StreamExt;
use livekit_stream::{
    EncodedVideoStream, RemoteTrack, Room, RoomEvent, RoomEvents, RoomOptions, TrackSource,
    VideoQuality,
};
use livekit_stream_tests::clip::VideoCodec;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::process::Process;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tempfile::TempDir;
use tokio::task::JoinHandle;

use crate::arguments::SoakArguments;
use crate::table::{self, median};
use crowd::Crowd;
pub(crate) use crowd::run as crowd;
use figures::Figures;
use visit::{Ended, Received, Use, Visit};

const ROOM: &str = "soak";
const PARTICIPANTS: usize = 20;
/// How many rests there are in a run that is long enough for the longest rounds.
const ROUNDS: u32 = 12;
const SHORTEST_ROUND: Duration = Duration::from_secs(25);
const LONGEST_ROUND: Duration = Duration::from_secs(300);
/// What follows a round until the next, about.
const BREAK: Duration = Duration::from_secs(25);
/// How long those who vanished, and the end of their files, may take.
const ENDING: Duration = Duration::from_secs(60);
/// How often something is done to a track.
const RESTLESSNESS: Duration = Duration::from_millis(300);

/// The first third of the rests is for what is made once and kept; then this much more is growth, in
/// MiB.
const HEAP_GROWTH: f64 = 1.0;
/// The same of resident memory, in which there are also holes that the allocator keeps.
const RESIDENT_GROWTH: f64 = 24.0;
/// What a room may keep until it is left, in KiB: its media sections, and the queue, empty, and the
/// statistics of each track that was subscribed to, which the WebRTC crate keeps.
const KEPT_OF_A_ROOM: f64 = 2048.0;
const KEPT_OF_A_TRACK: f64 = 48.0;

/// How glibc's allocator gives back what is freed, so that resident memory tells what is held: one
/// arena, whose end is returned at once, and large blocks, such as pictures, apart.
const ALLOCATION: [(&str, &str); 3] = [
    ("MALLOC_ARENA_MAX", "1"),
    ("MALLOC_MMAP_THRESHOLD_", "65536"),
    ("MALLOC_TRIM_THRESHOLD_", "65536"),
];

/// See the module. Begins as another program, as the allocator reads its settings at the start.
pub(crate) fn run(arguments: &SoakArguments) -> ExitCode {
    if std::env::var_os(ALLOCATION[0].0).is_none() {
        let mut command = Command::new(std::env::current_exe().expect("this program's path"));
        let seed = arguments.seed.to_string();
        let minutes = (arguments.length.as_secs() / 60).to_string();
        command.args(["soak", "--seed", &seed, "--minutes", &minutes]);
        let error = command.envs(ALLOCATION).exec();
        eprintln!("error: this program cannot be started again: {error}");
        return ExitCode::FAILURE;
    }
    // To find out why: RUST_LOG=livekit_stream=debug.
    if std::env::var_os("RUST_LOG").is_some() {
        tracing_subscriber::fmt()
            .with_env_filter(tracing_subscriber::EnvFilter::from_default_env())
            .with_writer(std::io::stderr)
            .init();
    }
    table::print_machine();
    println!(
        "{PARTICIPANTS} participants, {} minutes, --seed {}",
        arguments.length.as_secs() / 60,
        arguments.seed
    );
    crowd::prepare();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        // Threads that nobody needs are soon gone, so that those that stay can be counted.
        .thread_keep_alive(Duration::from_secs(1))
        .build()
        .expect("a tokio runtime");
    let faults = runtime.block_on(soak(arguments));
    if faults.is_empty() {
        println!("nothing is left behind, and all frames are accounted for");
        return ExitCode::SUCCESS;
    }
    for fault in &faults {
        println!("FAULT: {fault}");
    }
    ExitCode::FAILURE
}

/// What is wrong, after a run.
async fn soak(arguments: &SoakArguments) -> Vec<String> {
    let began = Instant::now();
    let server = LiveKitServer::start().await;
    let nginx = NginxRtmp::start().await;
    let before = Figures::at_rest(None).await;
    println!("before: {before}");
    let mut house = House::new(&server, &nginx, arguments.seed);
    let mut rests: Vec<Figures> = Vec::new();
    let round = (arguments.length / ROUNDS).clamp(SHORTEST_ROUND, LONGEST_ROUND);
    while rests.is_empty() || began.elapsed() + round + BREAK <= arguments.length {
        house.round(round, rests.len() as u64).await;
        let limit = rests.first().map_or(&before.counts, |first| &first.counts);
        let rest = Figures::at_rest(Some(limit)).await;
        println!("rest {}: {rest}", rests.len() + 1);
        rests.push(rest);
    }
    house.totals.print(began.elapsed());
    let mut faults = house.totals.faults;
    faults.extend(growth(&before, &rests));
    faults
}

/// One of the figures.
type Of = fn(&Figures) -> f64;

/// What has grown from rest to rest.
fn growth(before: &Figures, rests: &[Figures]) -> Vec<String> {
    let mut faults = Vec::new();
    for (number, rest) in (1..).zip(rests) {
        for more in rest.counts.more_than(&before.counts) {
            faults.push(format!("at rest {number}: {more}"));
        }
    }
    if rests.len() < 3 {
        return faults;
    }
    let third = rests.len().div_ceil(3);
    let (early, late) = (&rests[third - 1..][..third], &rests[rests.len() - third..]);
    let kinds: [(&str, Of, f64); 2] = [
        ("heap", |rest| rest.heap, HEAP_GROWTH),
        ("resident memory", |rest| rest.resident, RESIDENT_GROWTH),
    ];
    for (name, of, limit) in kinds {
        let middle = |rests: &[Figures]| median(rests.iter().map(of));
        let (early, late) = (middle(early), middle(late));
        println!("{name}: {early:.2} MiB after a third of the run, {late:.2} MiB at the end");
        if late - early > limit {
            faults.push(format!("{name} grew from {early:.2} to {late:.2} MiB"));
        }
    }
    faults
}

async fn join(server: &LiveKitServer, identity: &str) -> (Room, RoomEvents) {
    let token = server.participant_token(ROOM, identity);
    let joined = Room::connect(&server.url(), &token, RoomOptions::default()).await;
    joined.expect("a guest with a good token joins")
}

/// Sums over all visits.
#[derive(Debug, Default)]
struct Totals {
    visits: u64,
    guests: u64,
    switches: u64,
    reconnects: u64,
    video: Received,
    audio: Received,
    out: u64,
    out_dropped: u64,
    faults: Vec<String>,
}

impl Totals {
    fn add(&mut self, ended: Ended) {
        self.visits += 1;
        self.video.add(ended.video);
        self.audio.add(ended.audio);
        self.out += ended.out;
        self.out_dropped += ended.out_dropped;
        self.faults.extend(ended.faults);
    }

    fn tracks(&self) -> u64 {
        self.video.tracks + self.audio.tracks
    }

    fn print(&self, length: Duration) {
        println!(
            "{} s: {} visits, {} further guests, {} changes of layers and subscriptions, \
             {} reconnections",
            length.as_secs(),
            self.visits,
            self.guests,
            self.switches,
            self.reconnects
        );
        for (name, received) in [("video", self.video), ("audio", self.audio)] {
            println!(
                "{name}: {} tracks, {} packets ({} lost), {} frames and {} dropped",
                received.tracks,
                received.packets,
                received.packets_lost,
                received.frames,
                received.dropped
            );
        }
        println!(
            "read, recorded and restreamed: {} frames and {} dropped on the way",
            self.out, self.out_dropped
        );
    }
}

/// Everything that is done in the room.
struct House<'a> {
    server: &'a LiveKitServer,
    nginx: &'a NginxRtmp,
    seed: u64,
    random: StdRng,
    folder: TempDir,
    visits: HashMap<String, Visit>,
    left: Vec<Visit>,
    totals: Totals,
}

impl<'a> House<'a> {
    fn new(server: &'a LiveKitServer, nginx: &'a NginxRtmp, seed: u64) -> Self {
        Self {
            server,
            nginx,
            seed,
            random: StdRng::seed_from_u64(seed),
            folder: TempDir::with_prefix("soak-").expect("a temporary folder"),
            visits: HashMap::new(),
            left: Vec::new(),
            totals: Totals::default(),
        }
    }

    /// Joins, lets the crowd in, and leaves when all have left and what was done with them has ended.
    async fn round(&mut self, length: Duration, number: u64) {
        let (room, mut events) = join(self.server, "recorder").await;
        let new = Figures::at_rest(None).await;
        let before = self.totals.tracks();
        self.open(&room, &mut events, length, number).await;
        let emptied = Figures::at_rest(Some(&new.counts)).await;
        let tracks = self.totals.tracks() - before;
        let kept = 1024.0 * (emptied.heap - new.heap);
        println!("the room, new: {new}");
        println!("the same, emptied: {emptied}; {kept:.0} KiB kept of {tracks} tracks");
        for more in emptied.counts.more_than(&new.counts) {
            let fault = format!("in the room of round {}: {more}", number + 1);
            self.totals.faults.push(fault);
        }
        if kept > KEPT_OF_A_ROOM + KEPT_OF_A_TRACK * tracks as f64 {
            let fault = format!(
                "{kept:.0} KiB kept of {tracks} tracks in round {}",
                number + 1
            );
            self.totals.faults.push(fault);
        }
        room.close().await;
    }

    /// A round but for the joining and leaving.
    async fn open(&mut self, room: &Room, events: &mut RoomEvents, length: Duration, number: u64) {
        let identity = |number: usize| format!("member-{number}");
        let tokens = (0..PARTICIPANTS)
            .map(|number| self.server.publisher_token(ROOM, &identity(number)))
            .collect();
        let crowd = Crowd {
            url: self.server.url(),
            seed: self.seed.wrapping_add(number << 32),
            seconds: length.as_secs(),
            tokens,
        };
        let log = self.folder.path().join("crowd.log");
        let output = File::create(&log).expect("the crowd's log can be written");
        let errors = output.try_clone().expect("the log's handle can be shared");
        let mut crowd = Process::spawn(crowd.command().stdout(output).stderr(errors));
        let mut guest: Option<JoinHandle<()>> = None;
        let mut tick = tokio::time::interval(RESTLESSNESS);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let end = Instant::now() + length;
        let status = loop {
            tokio::select! {
                event = events.next() => self.take(event).await,
                _ = tick.tick() => {
                    if let Some(status) = crowd.exited() {
                        break status;
                    }
                    if Instant::now() < end {
                        self.change_something(room).await;
                        if guest.as_ref().is_none_or(JoinHandle::is_finished) {
                            guest = Some(self.invite());
                        }
                    }
                }
            }
        };
        if !status.success() {
            let log = std::fs::read_to_string(&log).unwrap_or_default();
            self.totals
                .faults
                .push(format!("the crowd: {status} {log}"));
        }
        let end = Instant::now() + ENDING;
        while !self.visits.is_empty() && Instant::now() < end {
            let event = tokio::time::timeout(RESTLESSNESS, events.next()).await;
            if let Ok(event) = event {
                self.take(event).await;
            }
        }
        for (identity, _) in self.visits.drain() {
            self.totals.faults.push(format!("{identity} has not left"));
        }
        if let Some(Err(error)) = async { Some(guest?.await) }.await {
            self.totals
                .faults
                .push(format!("the further guest: {error}"));
        }
        if events.dropped() > 0 {
            self.totals.faults.push("events were dropped".to_owned());
        }
        for visit in self.left.drain(..) {
            self.totals.add(visit.end().await);
        }
    }

    async fn take(&mut self, event: Option<RoomEvent>) {
        match event {
            Some(RoomEvent::ParticipantConnected(participant)) => {
                let Some(number) = participant.identity().strip_prefix("member-") else {
                    return;
                };
                let codec = number.parse().map_or(VideoCodec::H264, crowd::codec);
                let wanted = self.choose(codec);
                let target = self.nginx.url(LIVE, participant.sid());
                let folder = self.folder.path();
                let sid = participant.sid().to_owned();
                let visit = Visit::begin(participant, wanted, folder, &target).await;
                self.visits.insert(sid, visit);
            }
            Some(RoomEvent::TrackSubscribed {
                track, participant, ..
            }) => {
                if let Some(visit) = self.visits.get_mut(participant.sid()) {
                    visit.tracks.push(track);
                }
            }
            Some(RoomEvent::ParticipantDisconnected(participant)) => {
                self.left.extend(self.visits.remove(participant.sid()));
            }
            Some(RoomEvent::Reconnecting) => self.totals.reconnects += 1,
            Some(RoomEvent::TrackSubscriptionFailed { track_sid, reason }) => {
                println!("{track_sid} cannot be subscribed to: {reason}");
            }
            Some(RoomEvent::Disconnected { reason }) => {
                self.totals
                    .faults
                    .push(format!("the room was left: {reason}"));
            }
            None => panic!("the room has ended: {:?}", self.totals.faults),
            Some(_) => {}
        }
    }

    /// What is done with somebody who sends this codec.
    fn choose(&mut self, codec: VideoCodec) -> Use {
        // H.265 is copied, and nothing else.
        let choices = if codec == VideoCodec::H265 { 3 } else { 5 };
        match self.random.random_range(0..choices) {
            0 => Use::Record,
            1 => Use::RecordInPart(Duration::from_millis(self.random.random_range(500..6000))),
            2 => Use::Encoded,
            3 => Use::Decoded,
            _ => Use::Restream,
        }
    }

    /// Another layer of somebody's camera, or a pause, or the subscription given up or taken again.
    async fn change_something(&mut self, room: &Room) {
        let publications = room.remote_participants().into_iter();
        let publications = publications.flat_map(|participant| participant.track_publications());
        let mut cameras: Vec<_> = publications
            .filter(|publication| publication.source() == TrackSource::Camera)
            .collect();
        if cameras.is_empty() {
            return;
        }
        let camera = cameras.swap_remove(self.random.random_range(0..cameras.len()));
        self.totals.switches += 1;
        let quality = match self.random.random_range(0..16) {
            0..4 => VideoQuality::Low,
            4..8 => VideoQuality::Medium,
            8..12 => VideoQuality::High,
            what => {
                // Somebody who has left meanwhile is no fault.
                let _ = match what {
                    12 => camera.set_subscribed(!camera.is_desired()).await,
                    13 => camera.set_subscribed(true).await,
                    14 => camera.set_enabled(!camera.is_enabled()).await,
                    _ => camera.set_enabled(true).await,
                };
                return;
            }
        };
        let _ = camera.set_video_quality(quality).await;
    }

    /// A further guest of this process, who looks at one or two cameras and goes.
    fn invite(&mut self) -> JoinHandle<()> {
        self.totals.guests += 1;
        let (url, token) = (
            self.server.url(),
            self.server.participant_token(ROOM, "guest"),
        );
        let stay = Duration::from_millis(self.random.random_range(500..4000));
        tokio::spawn(async move {
            let options = RoomOptions::default().with_auto_subscribe(false);
            let joined = Room::connect(&url, &token, options).await;
            let (room, mut events) = joined.expect("a guest with a good token joins");
            let mut seen = 0;
            let mut streams = Vec::new();
            let looking = async {
                while let Some(event) = events.next().await {
                    match event {
                        RoomEvent::TrackPublished { publication, .. }
                            if seen < 2 && publication.source() == TrackSource::Camera =>
                        {
                            seen += 1;
                            let _ = publication.set_subscribed(true).await;
                        }
                        RoomEvent::TrackSubscribed {
                            track: RemoteTrack::Video(track),
                            ..
                        } => streams.push(EncodedVideoStream::new(&track)),
                        _ => {}
                    }
                }
            };
            let _ = tokio::time::timeout(stay, looking).await;
            room.close().await;
        })
    }
}
