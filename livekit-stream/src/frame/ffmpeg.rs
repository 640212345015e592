//! FFmpeg as the judge of our pixels and bitstreams, for tests only.

use std::io::Write;
use std::process::{Command, Stdio};

/// What a program of FFmpeg did.
pub(crate) struct Ended {
    pub(crate) success: bool,
    pub(crate) stdout: Vec<u8>,
    pub(crate) complaints: String,
}

/// Runs a program of FFmpeg with `args` (split at blanks), `input` on its standard input. `None`,
/// after saying so, when it is not installed, which is a failure when the environment says
/// `PEERS=required`.
pub(crate) fn run(program: &str, args: &str, input: &[u8]) -> Option<Ended> {
    let child = Command::new(program)
        .args(["-v", "error"])
        .args(args.split_whitespace())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = match child {
        Ok(child) => child,
        Err(e) if std::env::var("PEERS").is_ok_and(|v| v == "required") => {
            panic!("PEERS=required, but {program} does not start: {e}")
        }
        Err(_) => {
            println!("skipped: ffmpeg is not installed");
            return None;
        }
    };
    let mut stdin = child.stdin.take().expect("piped");
    let output = std::thread::scope(|scope| {
        scope.spawn(move || {
            // A program that has enough may close its input early.
            let _ = stdin.write_all(input);
        });
        child.wait_with_output().expect("it ends")
    });
    Some(Ended {
        success: output.status.success(),
        stdout: output.stdout,
        complaints: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
    })
}

/// What `ffmpeg` makes of `input`; `None` as [`run`]. Any complaint fails.
pub(crate) fn ffmpeg(args: &str, input: &[u8]) -> Option<Vec<u8>> {
    let ended = run("ffmpeg", &format!("-nostdin {args}"), input)?;
    let complaints = &ended.complaints;
    assert!(
        ended.success && complaints.is_empty(),
        "ffmpeg {args}: {complaints}"
    );
    Some(ended.stdout)
}

/// The frames of an IVF file: a header of 32 bytes, then frames with a header of 12.
pub(crate) fn ivf_frames(file: &[u8]) -> Vec<Vec<u8>> {
    let mut rest = &file[32..];
    let mut frames = Vec::new();
    while let Some((header, data)) = rest.split_first_chunk::<12>() {
        let length = u32::from_le_bytes([header[0], header[1], header[2], header[3]]) as usize;
        frames.push(data[..length].to_vec());
        rest = &data[length..];
    }
    frames
}

/// Peak signal-to-noise ratio in decibels of 8-bit samples; infinite when they are equal.
pub(crate) fn psnr(a: &[u8], b: &[u8]) -> f64 {
    let differences = a.iter().zip(b).map(|(&a, &b)| f64::from(a) - f64::from(b));
    decibels(a.len(), b.len(), differences, 255.0)
}

/// As [`psnr`], of 10-bit samples in little-endian words.
pub(crate) fn psnr_10_bit(a: &[u8], b: &[u8]) -> f64 {
    let word = |pair: &[u8]| f64::from(u16::from_le_bytes([pair[0], pair[1]]));
    let differences = a.chunks(2).zip(b.chunks(2)).map(|(a, b)| word(a) - word(b));
    decibels(a.len(), b.len(), differences, 1023.0)
}

fn decibels(a: usize, b: usize, differences: impl Iterator<Item = f64>, peak: f64) -> f64 {
    assert_eq!(a, b, "pictures of different length");
    let (mut sum, mut count) = (0.0, 0.0);
    for difference in differences {
        sum += difference * difference;
        count += 1.0;
    }
    10.0 * (peak * peak * count / sum).log10()
}
