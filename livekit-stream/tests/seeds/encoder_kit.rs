//! FFmpeg as the judge.

use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

/// Nothing here takes as long, however busy the machine is.
pub(crate) const DEADLINE: Duration = Duration::from_secs(60);

/// Whether FFmpeg is there; says so if not, and fails if it has to be.
pub(crate) fn has_ffmpeg() -> bool {
    let found = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !found {
        let required = std::env::var("PEERS").is_ok_and(|value| value == "required");
        assert!(!required, "PEERS=required, but ffmpeg is not installed");
        println!("skipped: ffmpeg is not installed");
    }
    found
}

/// What a program of FFmpeg writes when it is given `input`; any complaint fails.
pub(crate) fn run(program: &str, args: &str, input: &[u8]) -> Vec<u8> {
    let mut child = start(program, args);
    let mut stdin = child.stdin.take().unwrap();
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that has enough may close its input early.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().unwrap()
    });
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && complaints.is_empty(),
        "{program} {args}: {complaints}"
    );
    output.stdout
}

/// Starts a program of FFmpeg.
pub(crate) fn start(program: &str, args: &str) -> Child {
    let mut command = Command::new(program);
    command.args(["-v", "error"]).args(args.split_whitespace());
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap()
}

pub(crate) fn ffmpeg(args: &str, input: &[u8]) -> Vec<u8> {
    run("ffmpeg", args, input)
}

/// What ffprobe says of `entries`, a line for each section, values apart by commas.
pub(crate) fn probe(entries: &str, file: &[u8]) -> Vec<String> {
    let args = format!("-show_entries {entries} -of csv=p=0 -i pipe:0");
    let text = String::from_utf8(run("ffprobe", &args, file)).unwrap();
    let lines = text.lines().filter(|line| !line.is_empty());
    lines
        .map(|line| line.trim_end_matches(',').to_owned())
        .collect()
}

/// The times in seconds of the packets of stream `specifier`, such as `v:0`.
pub(crate) fn times(specifier: &str, file: &[u8]) -> Vec<f64> {
    let args = format!("packet=pts_time -select_streams {specifier}");
    let lines = probe(&args, file);
    lines.iter().map(|line| line.parse().unwrap()).collect()
}

/// Decodes everything; any complaint fails.
pub(crate) fn assert_decodes(file: &[u8]) {
    ffmpeg("-nostdin -xerror -i pipe:0 -f null -", file);
}

/// The pictures of a file as RGB.
pub(crate) fn pictures(file: &[u8], width: usize, height: usize) -> Vec<Vec<u8>> {
    let args = "-i pipe:0 -map 0:v:0 -fps_mode passthrough -pix_fmt rgb24 -f rawvideo -";
    let pixels = ffmpeg(args, file);
    pixels
        .chunks(3 * width * height)
        .map(<[u8]>::to_vec)
        .collect()
}

/// The first channel of a file at this rate.
pub(crate) fn sound(file: &[u8], rate: u32) -> Vec<f32> {
    let args = format!("-i pipe:0 -map 0:a:0 -af pan=mono|c0=c0 -ar {rate} -f f32le -");
    let bytes = ffmpeg(&args, file);
    bytes
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect()
}

/// Peak signal-to-noise ratio of 8-bit samples in decibels.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len());
    let squares = a
        .iter()
        .zip(b)
        .map(|(a, b)| (f64::from(*a) - f64::from(*b)).powi(2));
    10.0 * (255.0 * 255.0 * a.len() as f64 / squares.sum::<f64>()).log10()
}

/// A picture of smooth colours that depends on `n`: planes of red, green and blue.
pub(crate) fn colours(n: usize, width: usize, height: usize) -> Vec<u8> {
    let mut planes = Vec::with_capacity(3 * width * height);
    for channel in 0..3 {
        for y in 0..height {
            for x in 0..width {
                let value = match channel {
                    0 => 255 * x / width,
                    1 => 255 * y / height,
                    _ => (60 + 8 * n) % 200,
                };
                planes.push(value as u8);
            }
        }
    }
    planes
}

/// The pixels of three planes.
pub(crate) fn packed(planes: &[u8]) -> Vec<u8> {
    let plane = planes.len() / 3;
    (0..planes.len())
        .map(|at| planes[at % 3 * plane + at / 3])
        .collect()
}

/// A tone of 440 Hz at half of full scale, -1 to 1.
pub(crate) fn tone(rate: u32, frames: usize) -> Vec<f64> {
    let step = std::f64::consts::TAU * 440.0 / f64::from(rate);
    (0..frames)
        .map(|at| 0.5 * (at as f64 * step).sin())
        .collect()
}

/// How much of the sound's power is at `hertz` (Goertzel's filter), 0 to 1.
pub(crate) fn share_of_tone(sound: &[f32], rate: u32, hertz: f64) -> f64 {
    let step = std::f64::consts::TAU * hertz / f64::from(rate);
    let (mut re, mut im, mut power) = (0.0, 0.0, 0.0);
    for (at, sample) in sound.iter().enumerate() {
        let (sample, angle) = (f64::from(*sample), at as f64 * step);
        re += sample * angle.cos();
        im += sample * angle.sin();
        power += sample * sample;
    }
    2.0 * (re * re + im * im) / (power * sound.len() as f64)
}

/// The root of the mean square.
pub(crate) fn level(sound: &[f32]) -> f64 {
    let power: f64 = sound.iter().map(|s| f64::from(*s).powi(2)).sum();
    (power / sound.len() as f64).sqrt()
}

pub(crate) fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap()
}
