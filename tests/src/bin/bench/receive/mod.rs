//! What it costs to copy a track to a file, against the least that receives it: both in one room at
//! the same time, each a process of its own.

mod bare;

use std::fs::{self, File};
use std::process::{Command, ExitCode};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use livekit_stream::{AudioMode, Recorder, Room, RoomEvent, RoomOptions, TrackSource};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::process::{Process, usage};
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::ALLOCATOR;
use crate::arguments::ReceiveArguments;
use crate::table::{self, median};

/// The environment variables that tell a receiver its part.
const PART: &str = "BENCH_RECEIVER";
const URL: &str = "BENCH_URL";
const TOKEN: &str = "BENCH_TOKEN";
const FILE: &str = "BENCH_FILE";

const KBPS: u32 = 3000;
const NOISE: u32 = 12;
/// How long a receiver may take until packets come.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Nothing is counted before packets have come for so long.
const WARM_UP: Duration = Duration::from_secs(2);
/// How often a receiver tells its figures.
const REPORT_INTERVAL: Duration = Duration::from_millis(500);
/// What ours may cost of the bare loop's.
const LIMIT: f64 = 1.5;

/// Which receiver.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Bare,
    Copy,
}

/// What a receiver cost in one round.
#[derive(Debug, Clone, Copy, Default)]
struct Cost {
    /// Per cent of one core.
    cpu: f64,
    packets: f64,
    allocations: f64,
    allocated: f64,
    /// Times that a thread of it went to sleep.
    waits: f64,
}

/// A receiver at work.
struct Receiver {
    process: Process,
    log: std::path::PathBuf,
}

/// Prints medians of all rounds and their ratios.
pub(crate) fn compare(arguments: &ReceiveArguments) -> ExitCode {
    table::print_machine();
    println!(
        "one track of 720p30 H.264, {} Mb/s, {} s, median of {}",
        KBPS / 1000,
        arguments.window.as_secs(),
        arguments.rounds
    );
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let rounds: Vec<[Cost; 2]> = runtime.block_on(async {
        let server = LiveKitServer::start().await;
        let clip = VideoOptions::default().size(1280, 720).kbps(KBPS, NOISE);
        let clip = VideoClip::make(clip.seconds(10));
        let mut rounds = Vec::new();
        for number in 1..=arguments.rounds {
            let [bare, copy] = round(&server, number, &clip, arguments.window).await;
            eprintln!(
                "round {number}: bare {:.2} %, copied {:.2} %, 1 to {:.2}",
                bare.cpu,
                copy.cpu,
                copy.cpu / bare.cpu
            );
            rounds.push([bare, copy]);
        }
        rounds
    });
    let row = |name: &str, index: usize| {
        let middle = |of: fn(&Cost) -> f64| median(rounds.iter().map(|round| of(&round[index])));
        vec![
            name.to_owned(),
            format!("{:.2} %", middle(|cost| cost.cpu)),
            format!("{:.0}", middle(|cost| cost.packets)),
            format!("{:.1}", middle(|cost| cost.allocations / cost.packets)),
            format!("{:.0}", middle(|cost| cost.allocated / cost.packets)),
            format!("{:.2}", middle(|cost| cost.waits / cost.packets)),
        ]
    };
    let heads = [
        "",
        "CPU of one core",
        "packets",
        "allocations a packet",
        "bytes of them",
        "sleeps a packet",
    ];
    table::print(&[
        heads.map(str::to_owned).to_vec(),
        row("webrtc, packets counted", 0),
        row("Recorder, copied to a file", 1),
    ]);
    let ratio = median(rounds.iter().map(|[bare, copy]| copy.cpu / bare.cpu));
    let missed = if ratio <= LIMIT { "" } else { ", MISSED" };
    println!("CPU ratio: {ratio:.2} (target {LIMIT}{missed})");
    ExitCode::SUCCESS
}

async fn round(
    server: &LiveKitServer,
    number: usize,
    clip: &VideoClip,
    window: Duration,
) -> [Cost; 2] {
    let room = format!("receive-{number}");
    let folder = tempfile::tempdir().expect("a temporary folder");
    let token = server.publisher_token(&room, "publisher");
    let publisher = Publisher::join(&server.url(), &token).await;
    let track = publisher
        .publish(PublishOptions::camera(clip.clone()))
        .await;
    // Whoever joins first does not always have the same advantage.
    let mut parts = [Part::Bare, Part::Copy];
    if number.is_multiple_of(2) {
        parts.reverse();
    }
    let mut receivers = parts.map(|part| Receiver::start(part, server, &room, &folder));
    for receiver in &mut receivers {
        receiver.begun().await;
    }
    tokio::time::sleep(WARM_UP).await;
    let figures = || receivers.each_ref().map(Receiver::figures);
    let (start, before) = (Instant::now(), figures());
    tokio::time::sleep(window).await;
    let (wall, after) = (start.elapsed().as_secs_f64(), figures());
    drop(receivers);
    drop(track);
    publisher.leave().await;
    let mut costs = [Cost::default(); 2];
    for ((part, before), after) in parts.into_iter().zip(before).zip(after) {
        costs[part as usize] = Cost {
            cpu: 100.0 * (after.cpu - before.cpu) / wall,
            packets: after.packets - before.packets,
            allocations: after.allocations - before.allocations,
            allocated: after.allocated - before.allocated,
            waits: after.waits - before.waits,
        };
    }
    costs
}

impl Receiver {
    fn start(part: Part, server: &LiveKitServer, room: &str, folder: &TempDir) -> Self {
        let name = format!("{part:?}");
        let log = folder.path().join(format!("{name}.log"));
        let output = File::create(&log).expect("the log can be written");
        let errors = output.try_clone().expect("the log's handle can be shared");
        let program = std::env::current_exe().expect("this program's path");
        let mut command = Command::new(program);
        command
            .arg("receiver")
            .env(PART, &name)
            .env(URL, server.url())
            .env(TOKEN, server.participant_token(room, &name))
            .env(FILE, folder.path().join("copy.mp4"))
            .stdout(output)
            .stderr(errors);
        Self {
            process: Process::spawn(&mut command),
            log,
        }
    }

    async fn begun(&mut self) {
        let deadline = Instant::now() + START_DEADLINE;
        while self.figures().packets < 1.0 {
            let log = || fs::read_to_string(&self.log).unwrap_or_default();
            assert!(Instant::now() < deadline, "nothing comes: {}", log());
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Totals so far; processor time in seconds.
    fn figures(&self) -> Cost {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let mut lines = log.lines().rev();
        let told = lines.find_map(|line| serde_json::from_str::<Value>(line).ok());
        let number = |name: &str| told.as_ref().and_then(|told| told[name].as_f64());
        Cost {
            cpu: usage(self.process.id()).cpu.as_secs_f64(),
            packets: number("packets").unwrap_or(0.0),
            allocations: number("allocations").unwrap_or(0.0),
            allocated: number("allocated").unwrap_or(0.0),
            waits: waits(self.process.id()),
        }
    }
}

/// How often the process's threads went to sleep of their own accord.
fn waits(process: u32) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task"));
    let tasks = tasks.into_iter().flatten().flatten();
    let waits = tasks.filter_map(|task| {
        let status = fs::read_to_string(task.path().join("status")).ok()?;
        let mut lines = status.lines();
        let line = lines.find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"))?;
        line.trim().parse::<f64>().ok()
    });
    waits.sum()
}

/// One of the receivers, as the environment says, until it is killed.
pub(crate) fn receiver() -> ExitCode {
    let variable = |name: &str| std::env::var(name).unwrap_or_default();
    let (part, url, token) = (variable(PART), variable(URL), variable(TOKEN));
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    runtime.block_on(async {
        if part == format!("{:?}", Part::Bare) {
            let packets = Arc::new(AtomicU64::new(0));
            let counted = Arc::clone(&packets);
            tokio::spawn(report(move || counted.load(Ordering::Relaxed)));
            bare::receive(&url, &token, packets).await;
        } else {
            copy(&url, &token, &variable(FILE)).await;
        }
    });
    ExitCode::SUCCESS
}

/// Tells what was received and allocated, again and again.
async fn report(packets: impl Fn() -> u64) {
    let mut tick = tokio::time::interval(REPORT_INTERVAL);
    loop {
        tick.tick().await;
        let stats = ALLOCATOR.stats();
        let figures = json!({
            "packets": packets(),
            "allocations": stats.allocations + stats.reallocations,
            "allocated": stats.bytes_allocated,
        });
        println!("{figures}");
    }
}

/// Records the camera of whoever is there.
async fn copy(url: &str, token: &str, path: &str) {
    let joined = Room::connect(url, token, RoomOptions::default()).await;
    let (_room, mut events) = joined.expect("the server lets us in");
    let mut recorder = None;
    while let Some(event) = events.next().await {
        match event {
            RoomEvent::ParticipantConnected(participant)
                if participant.identity() == "publisher" =>
            {
                let builder = Recorder::builder(&participant).audio(AudioMode::None);
                recorder = Some(builder.to_file(path).await.expect("a file"));
            }
            RoomEvent::TrackSubscribed { track, .. } if track.source() == TrackSource::Camera => {
                tokio::spawn(report(move || track.stats().packets));
            }
            _ => {}
        }
    }
    drop(recorder);
}
