//! Decoded pictures.

use std::path::Path;
use std::time::Duration;

use super::{DEADLINE, ffmpeg, probe};
use crate::process;

/// A decoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Pixels.
    pub width: usize,
    /// Pixels.
    pub height: usize,
    /// Rows of R, G, B, tightly packed.
    pub rgb: Vec<u8>,
}

impl Picture {
    /// Peak signal-to-noise ratio against another picture of the same size, in dB; infinite when
    /// they are equal.
    ///
    /// # Panics
    ///
    /// When the sizes differ.
    pub fn psnr(&self, other: &Self) -> f64 {
        assert_eq!(
            (self.width, self.height),
            (other.width, other.height),
            "pictures of one size"
        );
        psnr(&self.rgb, &other.rgb)
    }

    /// The mean of all samples, 0 to 255, over a rectangle.
    pub fn mean(&self, left: usize, top: usize, width: usize, height: usize) -> f64 {
        let rows = self.rgb.chunks_exact(self.width * 3).skip(top).take(height);
        let samples = rows.flat_map(|row| row.iter().skip(left * 3).take(width * 3));
        let (sum, count) = samples.fold((0u64, 0u64), |(sum, count), sample| {
            (sum + u64::from(*sample), count + 1)
        });
        sum as f64 / count as f64
    }
}

/// Peak signal-to-noise ratio in decibels of samples of 8 bits; infinite when they are equal.
///
/// # Panics
///
/// When there are not equally many.
pub fn psnr(a: &[u8], b: &[u8]) -> f64 {
    assert_eq!(a.len(), b.len(), "samples of pictures of one size");
    let squares = a.iter().zip(b).map(|(a, b)| {
        let difference = i64::from(*a) - i64::from(*b);
        difference * difference
    });
    let mean = squares.sum::<i64>() as f64 / a.len() as f64;
    10.0 * (255.0 * 255.0 / mean).log10()
}

/// The picture that is shown at a time of a video, or the picture of an image file at time 0.
///
/// # Panics
///
/// When the file has no such picture.
pub fn picture(path: &Path, at: Duration) -> Picture {
    let mut pictures = decode(
        path,
        &["-ss", &at.as_secs_f64().to_string()],
        &["-frames:v", "1"],
    );
    pictures
        .pop()
        .unwrap_or_else(|| panic!("{} has no picture at {at:?}", path.display()))
}

/// All pictures of a video whose size does not change. Mind the memory: 2.7 MB each at 720 lines.
pub fn pictures(path: &Path) -> Vec<Picture> {
    decode(path, &[], &[])
}

fn decode(path: &Path, before: &[&str], after: &[&str]) -> Vec<Picture> {
    let probe = probe(path);
    let (width, height) = (probe.video().width as usize, probe.video().height as usize);
    let mut command = ffmpeg("error");
    command.args(before).arg("-i").arg(path);
    command.args(["-map", "0:v:0", "-fps_mode", "passthrough"]);
    command.args(after);
    command.args(["-f", "rawvideo", "-pix_fmt", "rgb24", "-"]);
    process::run_ok(&mut command, DEADLINE)
        .chunks_exact(width * height * 3)
        .map(|rgb| Picture {
            width,
            height,
            rgb: rgb.to_vec(),
        })
        .collect()
}
