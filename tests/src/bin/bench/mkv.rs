//! Matroska to fragmented MP4 with everything copied: this library and `ffmpeg -c copy`, each as a
//! process on the same file.

use std::fs::{self, File};
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use bytes::{Bytes, BytesMut};
use futures::executor::block_on;
use futures::{StreamExt, stream};
use livekit_stream::pipeline::mkv::TranscodeOptions;
use livekit_stream::transcode_mkv;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::process;

use crate::table::{self, Target, median};

const SECONDS: u32 = 20;
/// How often the clip is repeated.
const REPEATS: u32 = 30;
const DEADLINE: Duration = Duration::from_secs(600);
/// What is read at a time.
const PIECE: usize = 64 << 10;

/// The command of our process that is measured.
const ONCE: &str = "mkv-once";
/// What ours may take of ffmpeg's.
const AIM: Target = Target("1/1", 1.0);
/// Where both write: the disk is not what is measured.
const OUTPUT: &str = "/dev/null";

/// Runs what these words ask for, if it is a command of this file.
pub(crate) fn command(mut words: impl Iterator<Item = String>) -> Option<ExitCode> {
    match words.next()?.as_str() {
        "mkv" => {
            let rounds = words.next().and_then(|rounds| rounds.parse().ok());
            table::print_machine();
            compare(rounds.unwrap_or(5));
        }
        ONCE => once(Path::new(&words.next()?), Path::new(&words.next()?)),
        _ => return None,
    }
    Some(ExitCode::SUCCESS)
}

/// Prints medians of all rounds and their ratio.
fn compare(rounds: usize) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = folder.path().join("clip.mkv");
    let film = folder.path().join("film.mkv");
    make_film(&clip, &film);
    let length = film.metadata().expect("the film").len();
    println!(
        "Matroska to fragmented MP4, H.264 with B-frames and AAC copied, {} MB, {} s of media, \
         median of {rounds}",
        length / 1_000_000,
        SECONDS * REPEATS
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=rounds {
        ours.push(measure(&mut our_command(&film)));
        theirs.push(measure(&mut their_command(&film)));
        let (ours, theirs) = (ours[number - 1], theirs[number - 1]);
        eprintln!(
            "round {number}: ours {:.2} s, {:.2} s of CPU; theirs {:.2} s, {:.2} s of CPU",
            ours.time, ours.cpu, theirs.time, theirs.cpu
        );
    }
    let of = |costs: &[Cost]| Cost {
        time: median(costs.iter().map(|cost| cost.time)),
        cpu: median(costs.iter().map(|cost| cost.cpu)),
    };
    let (ours, theirs) = (of(&ours), of(&theirs));
    let row = |name: &str, cost: Cost| {
        let speed = length as f64 / 1e6 / cost.time;
        vec![
            name.to_owned(),
            format!("{:.2} s", cost.time),
            format!("{speed:.0} MB/s"),
            format!("{:.2} s", cost.cpu),
        ]
    };
    table::print(&[
        ["", "time", "speed", "CPU"].map(str::to_owned).to_vec(),
        row("livekit-stream", ours),
        row("ffmpeg -c copy", theirs),
    ]);
    AIM.print("time", ours.time, theirs.time);
    AIM.print("CPU", ours.cpu, theirs.cpu);
}

/// What a process took, in seconds.
#[derive(Debug, Clone, Copy)]
struct Cost {
    /// From its start to its end.
    time: f64,
    /// User and system time.
    cpu: f64,
}

/// The process that [`compare`] measures: one file to another.
fn once(input: &Path, output: &Path) {
    let file = File::open(input).expect("the film");
    let source = stream::iter(std::iter::repeat_n((), usize::MAX).scan(file, |file, ()| {
        let mut piece = BytesMut::zeroed(PIECE);
        let length = file.read(&mut piece).expect("the film can be read");
        piece.truncate(length);
        (length > 0).then(|| Ok::<Bytes, std::io::Error>(piece.freeze()))
    }));
    let mut mp4 = transcode_mkv(source, TranscodeOptions::default()).expect("good options");
    let mut file = File::create(output).expect("the MP4");
    while let Some(piece) = block_on(mp4.next()) {
        file.write_all(&piece.expect("the film is good"))
            .expect("the MP4 can be written");
    }
}

fn our_command(film: &Path) -> Command {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    command.arg(ONCE).arg(film).arg(OUTPUT);
    command
}

fn their_command(film: &Path) -> Command {
    let mut command = ffmpeg();
    command.arg("-i").arg(film);
    command.args(["-map", "0", "-c", "copy", "-movflags"]);
    // Fragments of two seconds, as ours.
    command.args(["empty_moov+default_base_moof", "-frag_duration", "2000000"]);
    command.args(["-f", "mp4", OUTPUT]);
    command
}

fn ffmpeg() -> Command {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
    command
}

fn make_film(clip: &Path, film: &Path) {
    let mut command = ffmpeg();
    command.args([
        "-f",
        "lavfi",
        "-i",
        "testsrc2=s=1920x1080:r=25,noise=alls=12:allf=t",
    ]);
    command.args([
        "-f",
        "lavfi",
        "-i",
        "sine=r=48000",
        "-t",
        &SECONDS.to_string(),
    ]);
    command.args([
        "-c:v", "libx264", "-preset", "veryfast", "-b:v", "8M", "-bf", "2",
    ]);
    command.args(["-c:a", "aac", "-ac", "2"]);
    process::run_ok(command.arg(clip), DEADLINE);
    let mut command = ffmpeg();
    command
        .args(["-stream_loop", &(REPEATS - 1).to_string(), "-i"])
        .arg(clip);
    process::run_ok(
        command.args(["-map", "0", "-c", "copy"]).arg(film),
        DEADLINE,
    );
}

fn measure(command: &mut Command) -> Cost {
    let (start, cpu) = (Instant::now(), children_cpu());
    process::run_ok(command, DEADLINE);
    Cost {
        time: start.elapsed().as_secs_f64(),
        cpu: children_cpu() - cpu,
    }
}

/// User and system time of all children that have ended, in seconds (proc(5)).
fn children_cpu() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").expect("Linux");
    // Behind the name in parentheses come the fields from the third on.
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect();
    let ticks = |field: usize| fields[field - 3].parse::<u64>().expect("a number");
    (ticks(16) + ticks(17)) as f64 / rustix::param::clock_ticks_per_second() as f64
}
