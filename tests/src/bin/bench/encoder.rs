//! RGB24 pictures to fragmented MP4: our encoder in this process, and FastVideo's way.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, TryStreamExt};
use livekit_stream::FragmentedMp4Encoder;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::process;
use serde_json::Value;

use crate::arguments::Arguments;
use crate::table::{self, Target, median};
use crate::tools::Tools;

const WIDTH: u32 = 1280;
const HEIGHT: u32 = 720;
const FRAMES: u32 = 300;
const FPS: u32 = 30;
const BIT_RATE: u32 = 3_000_000;
/// The clip that fastvideo_way.py makes for itself.
const CLIP: &str = "testsrc2=s=1280x720:r=30,noise=alls=12:allf=t";
/// How the clip is written and read.
const RAW: [&str; 6] = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", "1280x720"];
const DEADLINE: Duration = Duration::from_secs(300);

/// What ours may cost of theirs.
const CPU: Target = Target("1/2.5", 1.0 / 2.5);
/// What the picture may lose against theirs.
const PSNR_LOSS_DB: f64 = 1.0;

/// One way's figures in one round.
struct Cost {
    /// Processor time a frame in milliseconds.
    cpu_ms: f64,
    /// Bit rate of what was written.
    kbps: f64,
}

/// Prints medians of all rounds, their ratio and what the pictures lost.
pub(crate) fn compare(arguments: &Arguments, tools: &Tools) {
    println!(
        "RGB24 720p30 to fragmented MP4 at {} Mb/s, {FRAMES} frames, median of {}",
        BIT_RATE / 1_000_000,
        arguments.rounds
    );
    let folder = tempfile::tempdir().expect("a temporary folder");
    let clip = folder.path().join("clip.rgb");
    make_clip(&clip);
    let pictures = read_clip(&clip);
    let (our_file, their_file) = (
        folder.path().join("ours.mp4"),
        folder.path().join("theirs.mp4"),
    );
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for number in 1..=arguments.rounds {
        ours.push(encode(&pictures, &our_file));
        theirs.push(fastvideo_way(tools));
        eprintln!(
            "round {number}: ours {:.2} ms, theirs {:.2} ms",
            ours[number - 1].cpu_ms,
            theirs[number - 1].cpu_ms
        );
    }
    drop(pictures);
    encode_their_way(&clip, &their_file);
    let our_psnr = psnr(&our_file, &clip);
    let their_psnr = psnr(&their_file, &clip);

    let middle = |costs: &[Cost], of: fn(&Cost) -> f64| median(costs.iter().map(of));
    let row = |name: &str, costs: &[Cost], [rgb, luma]: [f64; 2]| {
        vec![
            name.to_owned(),
            format!("{:.2} ms", middle(costs, |cost| cost.cpu_ms)),
            format!("{:.0}", middle(costs, |cost| cost.kbps)),
            format!("{rgb:.2} dB"),
            format!("{luma:.2} dB"),
        ]
    };
    let heads = ["", "CPU a frame", "kb/s", "PSNR (RGB)", "PSNR (luma)"];
    table::print(&[
        heads.map(str::to_owned).to_vec(),
        row("FragmentedMp4Encoder", &ours, our_psnr),
        row("fastvideo_way.py", &theirs, their_psnr),
    ]);
    CPU.print(
        "CPU",
        middle(&ours, |cost| cost.cpu_ms),
        middle(&theirs, |cost| cost.cpu_ms),
    );
    let loss = their_psnr[0] - our_psnr[0];
    let missed = if loss <= PSNR_LOSS_DB { "" } else { ", MISSED" };
    println!(
        "PSNR: {:+.2} dB (target {:+.1} dB{missed})",
        -loss, -PSNR_LOSS_DB
    );
}

fn ffmpeg(loglevel: &str) -> Command {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-hide_banner", "-nostdin", "-y", "-loglevel", loglevel]);
    command
}

fn make_clip(path: &Path) {
    let mut command = ffmpeg("error");
    command.args(["-f", "lavfi", "-i", CLIP]);
    command.args(["-frames:v", &FRAMES.to_string()]);
    process::run_ok(command.args(RAW).arg(path), DEADLINE);
}

fn read_clip(path: &Path) -> Vec<Bytes> {
    let clip = Bytes::from(fs::read(path).expect("the clip can be read"));
    let step = (WIDTH * HEIGHT * 3) as usize;
    assert_eq!(clip.len(), step * FRAMES as usize, "bytes of {CLIP}");
    (0..FRAMES as usize)
        .map(|index| clip.slice(index * step..(index + 1) * step))
        .collect()
}

/// Our encoder, in this process.
fn encode(pictures: &[Bytes], path: &Path) -> Cost {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .expect("a tokio runtime");
    let cpu = || process::usage(std::process::id()).cpu;
    let before = cpu();
    let chunks: Vec<Bytes> = runtime.block_on(async {
        let encoder = FragmentedMp4Encoder::builder(WIDTH, HEIGHT, FPS as f32)
            .bit_rate(BIT_RATE)
            .build()
            .expect("the options are within range");
        encoder
            .encode(futures::stream::iter(pictures.to_vec()))
            .map(|chunk| chunk.map(|chunk| chunk.data))
            .try_collect()
            .await
            .expect("the clip can be encoded")
    });
    let spent = cpu().saturating_sub(before);
    let file = chunks.concat();
    fs::write(path, &file).expect("the file can be written");
    Cost {
        cpu_ms: 1e3 * spent.as_secs_f64() / f64::from(FRAMES),
        kbps: file.len() as f64 * 8.0 * f64::from(FPS) / f64::from(FRAMES) / 1e3,
    }
}

fn fastvideo_way(tools: &Tools) -> Cost {
    let output = process::run_ok(&mut tools.script("fastvideo_way.py"), DEADLINE);
    let result: Value = serde_json::from_slice(&output).expect("fastvideo_way.py prints JSON");
    let figure = |name: &str| {
        let value = result[name].as_f64();
        value.unwrap_or_else(|| panic!("fastvideo_way.py prints no {name}: {result}"))
    };
    Cost {
        cpu_ms: figure("cpu_ms_per_frame"),
        kbps: figure("kbps"),
    }
}

/// fastvideo_way.py keeps no file: its command line, once more, makes one.
fn encode_their_way(clip: &Path, path: &Path) {
    let mut command = ffmpeg("error");
    command.args(RAW).args(["-r", "30", "-i"]).arg(clip);
    command.args(["-c:v", "libx264", "-preset", "ultrafast", "-b:v", "3M"]);
    command.args(["-pix_fmt", "yuv420p", "-f", "mp4"]);
    command.args(["-movflags", "frag_keyframe+empty_moov+default_base_moof"]);
    process::run_ok(command.arg(path), DEADLINE);
}

/// Peak signal to noise ratio of a file's pictures against the clip's: of red, green and blue
/// together, and of luma as ffmpeg makes it.
fn psnr(path: &Path, clip: &Path) -> [f64; 2] {
    ["gbrp", "yuv420p"].map(|format| {
        let mut command = ffmpeg("info");
        command.args(["-r", "30", "-i"]).arg(path);
        command.args(RAW).args(["-r", "30", "-i"]).arg(clip);
        command.args([
            "-lavfi",
            &format!("[0:v]format={format}[a];[1:v]format={format}[b];[a][b]psnr"),
        ]);
        let output = process::run(command.args(["-f", "null", "-"]), DEADLINE);
        let name = if format == "gbrp" { "average:" } else { " y:" };
        let value = output
            .stderr
            .rsplit_once("PSNR")
            .and_then(|(_, line)| line.split_once(name))
            .and_then(|(_, value)| value.split_whitespace().next()?.parse().ok());
        value.unwrap_or_else(|| panic!("ffmpeg measures no PSNR: {}", output.stderr))
    })
}
