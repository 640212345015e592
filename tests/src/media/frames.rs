//! Every decoded picture of a file, by its size and by a checksum of its pixels.

use std::path::Path;

use super::{DEADLINE, ffmpeg};
use crate::process;

/// A picture's bytes and their checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Checksum {
    bytes: usize,
    sum: u32,
}

impl Checksum {
    /// Of a picture in I420 with its rows packed tightly.
    pub fn of(picture: &[u8]) -> Self {
        Self {
            bytes: picture.len(),
            sum: adler32(picture),
        }
    }
}

/// The checksums of all pictures of the first video stream, in I420, each in its own size.
///
/// # Panics
///
/// When ffmpeg complains about anything.
pub fn frame_checksums(path: &Path) -> Vec<Checksum> {
    let mut command = ffmpeg("error");
    command.args(["-xerror", "-i"]).arg(path);
    command.args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
    command.args(["-autoscale", "0", "-pix_fmt", "yuv420p"]);
    command.args(["-c:v", "rawvideo", "-f", "framecrc", "-"]);
    let output = process::run(&mut command, DEADLINE);
    assert!(
        output.success() && output.stderr.is_empty(),
        "{} does not decode: {:?} {}",
        path.display(),
        output.status,
        output.stderr
    );
    let lines = String::from_utf8(output.stdout).expect("ffmpeg writes text");
    // stream, dts, pts, duration, bytes, checksum
    let lines = lines.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let fields: Vec<_> = line.split(',').map(str::trim).collect();
            let sum = fields[5].strip_prefix("0x").expect("a checksum in hex");
            Checksum {
                bytes: fields[4].parse().expect("a number of bytes"),
                sum: u32::from_str_radix(sum, 16).expect("a checksum in hex"),
            }
        })
        .collect()
}

/// The sizes that the pictures of the first video stream have one after the other: each change
/// begins a new one.
///
/// # Panics
///
/// When ffprobe cannot read the file.
pub fn frame_sizes(path: &Path) -> Vec<(u32, u32)> {
    let json = super::probe::ffprobe(path, &["-select_streams", "v:0", "-show_frames"]);
    let frames = json["frames"].as_array().cloned().unwrap_or_default();
    let mut sizes: Vec<(u32, u32)> = frames
        .iter()
        .map(|frame| {
            let number = |key: &str| frame[key].as_u64().unwrap_or_default() as u32;
            (number("width"), number("height"))
        })
        .collect();
    sizes.dedup();
    sizes
}

/// FFmpeg's Adler-32: as RFC 1950 section 8.2, but from 0.
fn adler32(bytes: &[u8]) -> u32 {
    const MODULUS: u32 = 65_521;
    let (mut low, mut high) = (0_u32, 0_u32);
    // So many that the sums do not overflow.
    for chunk in bytes.chunks(5552) {
        for byte in chunk {
            low += u32::from(*byte);
            high += low;
        }
        (low, high) = (low % MODULUS, high % MODULUS);
    }
    high << 16 | low
}
