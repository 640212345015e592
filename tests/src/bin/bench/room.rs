//! One room with one publisher, recorded by us and by the seeds' chain at the same time.

use std::time::{Duration, Instant};

use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::process::{Usage, usage};
use livekit_stream_tests::publisher::{PublishOptions, Publisher};

use crate::arguments::Arguments;
use crate::recorders::{Recording, START_DEADLINE};
use crate::table::{self, Target, median};
use crate::tools::Tools;

const CLIP_SECONDS: u32 = 10;
const KBPS: u32 = 3000;
/// Strength of the noise that makes an encoder need the bit rate.
const NOISE: u32 = 12;
/// Nothing is counted before both have recorded for so long.
const WARM_UP: Duration = Duration::from_secs(3);
/// Between the end of the count and the end of the chain at the earliest.
const MARGIN: Duration = Duration::from_secs(2);

/// What ours may cost.
pub(crate) struct Targets {
    pub(crate) cpu: Target,
    pub(crate) memory: Option<Target>,
}

/// What one process tree cost in one round.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// Per cent of one core.
    cpu: f64,
    /// Bytes.
    memory: f64,
}

/// What one recorder did in one round.
#[derive(Debug, Clone, Copy)]
struct Recorded {
    cost: Cost,
    frames_per_second: f64,
}

struct Round {
    ours: Recorded,
    /// `None` when it writes nothing.
    theirs: Option<Recorded>,
    server: Cost,
    publisher: Cost,
}

/// Prints medians of all rounds and their ratios.
pub(crate) fn compare(arguments: &Arguments, tools: &Tools, codec: VideoCodec, targets: &Targets) {
    let (name, treatment) = match codec {
        VideoCodec::H264 => ("H.264", "copied"),
        VideoCodec::H265 => ("H.265", "copied"),
        VideoCodec::Vp8 => ("VP8", "transcoded to H.264"),
        VideoCodec::Vp9 => ("VP9", "copied"),
        VideoCodec::Av1 => ("AV1", "copied"),
    };
    println!(
        "720p30 {name} {} Mb/s + Opus; ours: video {treatment}, sound copied; both in one room, \
         {} s, median of {}",
        KBPS / 1000,
        arguments.window.as_secs(),
        arguments.rounds
    );
    let video = VideoOptions::of(codec)
        .size(1280, 720)
        .kbps(KBPS, NOISE)
        .seconds(CLIP_SECONDS);
    let (video, audio) = (VideoClip::make(video), AudioClip::make(CLIP_SECONDS));
    let runtime = tokio::runtime::Runtime::new().expect("a tokio runtime");
    let rounds: Vec<Round> = runtime.block_on(async {
        let server = LiveKitServer::start().await;
        let mut rounds = Vec::new();
        for number in 1..=arguments.rounds {
            let media = [
                PublishOptions::camera(video.clone()),
                PublishOptions::microphone(audio.clone()),
            ];
            let round = round(arguments.window, tools, &server, number, media).await;
            let theirs = round.theirs.map(|theirs| theirs.cost.cpu);
            let theirs = theirs.map_or("nothing".to_owned(), |cpu| format!("{cpu:.2} %"));
            let ours = round.ours.cost.cpu;
            eprintln!("round {number}: ours {ours:.2} %, theirs {theirs}");
            rounds.push(round);
        }
        rounds
    });

    let middle = |of: &dyn Fn(&Round) -> f64| median(rounds.iter().map(of));
    let (ours_cpu, ours_memory) = (
        middle(&|round| round.ours.cost.cpu),
        middle(&|round| round.ours.cost.memory),
    );
    let theirs: Vec<Recorded> = rounds.iter().filter_map(|round| round.theirs).collect();
    let their = |of: fn(&Recorded) -> f64| median(theirs.iter().map(of));
    let (their_cpu, their_memory) = (their(|it| it.cost.cpu), their(|it| it.cost.memory));
    let row = |name: &str, cpu: f64, memory: f64, frames: Option<f64>| {
        vec![
            name.to_owned(),
            format!("{cpu:.2} %"),
            format!("{:.1} MiB", memory / f64::from(1 << 20)),
            frames.map_or_else(String::new, |frames| format!("{frames:.1}")),
        ]
    };
    let heads = ["", "CPU of one core", "peak memory", "frames/s"];
    let mut rows = vec![
        heads.map(str::to_owned).to_vec(),
        row(
            "livekit-stream record",
            ours_cpu,
            ours_memory,
            Some(middle(&|round| round.ours.frames_per_second)),
        ),
    ];
    if !theirs.is_empty() {
        let frames = their(|it| it.frames_per_second);
        rows.push(row("seeds_chain.py", their_cpu, their_memory, Some(frames)));
    }
    rows.push(row(
        "(livekit-server)",
        middle(&|round| round.server.cpu),
        middle(&|round| round.server.memory),
        None,
    ));
    rows.push(row(
        "(publisher and this program)",
        middle(&|round| round.publisher.cpu),
        middle(&|round| round.publisher.memory),
        None,
    ));
    table::print(&rows);
    if theirs.is_empty() {
        println!("no ratio: the chain gets no pictures of this codec");
        return;
    }
    targets.cpu.print("CPU", ours_cpu, their_cpu);
    match targets.memory {
        Some(target) => target.print("memory", ours_memory, their_memory),
        None => println!(
            "memory ratio: 1/{:.1} (no target)",
            their_memory / ours_memory
        ),
    }
}

async fn round(
    window: Duration,
    tools: &Tools,
    server: &LiveKitServer,
    number: usize,
    media: [PublishOptions; 2],
) -> Round {
    let room = format!("{}-{number}", media[0].name);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let publisher =
        Publisher::join(&server.url(), &server.publisher_token(&room, "publisher")).await;
    let tracks = publisher.publish_all(media.to_vec()).await;

    let length = START_DEADLINE + WARM_UP + window + MARGIN;
    let mut theirs = Recording::theirs(tools, server, &room, length, folder.path());
    let mut ours = Recording::ours(tools, server, &room, folder.path());
    let their_file = theirs.begun().await;
    let theirs_began = Instant::now();
    assert!(
        ours.begun().await,
        "{} writes nothing: {}",
        ours.name,
        ours.log()
    );
    tokio::time::sleep(WARM_UP).await;

    let others = [server.process_id().unwrap_or(0), std::process::id()];
    let all = || [ours.process.id(), theirs.process.id(), others[0]].map(usage);
    // This program's own tree is everything: what is counted by itself is taken out.
    let whole = || usage(others[1]);
    let (start, before, whole_before) = (Instant::now(), all(), whole());
    tokio::time::sleep(window).await;
    let (after, whole_after) = (all(), whole());
    let wall = start.elapsed();
    ours.assert_running();
    theirs.assert_running();
    let cost = |before: Usage, after: Usage| Cost {
        cpu: 100.0 * after.cpu.saturating_sub(before.cpu).as_secs_f64() / wall.as_secs_f64(),
        memory: after.peak_rss as f64,
    };
    let [of_ours, of_theirs, of_server] = [0, 1, 2].map(|index| cost(before[index], after[index]));
    let of_all = cost(whole_before, whole_after);
    let parts = [of_ours, of_theirs, of_server];
    let of_publisher = Cost {
        cpu: of_all.cpu - parts.iter().map(|part| part.cpu).sum::<f64>(),
        memory: of_all.memory - parts.iter().map(|part| part.memory).sum::<f64>(),
    };

    ours.process.interrupt();
    ours.ended().await;
    theirs.ended().await;
    let theirs_length = theirs_began.elapsed();
    drop(tracks);
    publisher.leave().await;

    let probe = media::probe(&ours.path);
    let video = probe.first(media::StreamKind::Video);
    let count = probe
        .packets
        .iter()
        .filter(|packet| packet.stream == video.index)
        .count();
    let duration_us = video.duration_us.or(probe.duration_us).unwrap_or(0);
    let their_frames = theirs.result().and_then(|result| result["frames"].as_f64());
    Round {
        ours: Recorded {
            cost: of_ours,
            frames_per_second: count as f64 * 1e6 / duration_us.max(1) as f64,
        },
        theirs: their_file.then(|| Recorded {
            cost: of_theirs,
            frames_per_second: their_frames.unwrap_or(0.0) / theirs_length.as_secs_f64(),
        }),
        server: of_server,
        publisher: of_publisher,
    }
}
