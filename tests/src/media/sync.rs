//! Finds the clips' flashes and beeps in a file, and how far apart they are.

use std::path::Path;

use super::{DEADLINE, ffmpeg};
use crate::process;

/// Mean luma of the top left quarter from which it is the flash: white is 235, the test pattern
/// stays below 160.
const FLASH_LUMA: f64 = 200.0;
/// Level of one millisecond of sound from which it is the beep, which has -9 dB.
const BEEP_DB: f64 = -25.0;
/// Silence before a beep, so that its own dips do not count as beginnings.
const SILENCE_US: i64 = 200_000;
/// Viewers notice sound that is further from its picture.
const IN_SYNC_US: i64 = 40_000;
/// Flash and beep of one second are never farther apart than from those of the next.
const PAIRING_US: i64 = 500_000;

/// When the flashes and beeps of a file begin, in microseconds of its timeline. One that is under
/// way when the file begins is left out.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FlashesAndBeeps {
    /// First white picture of each flash.
    pub flashes: Vec<i64>,
    /// First loud millisecond of each beep.
    pub beeps: Vec<i64>,
}

impl FlashesAndBeeps {
    /// For each flash that has a beep within half a second: beep less flash, in microseconds.
    pub fn offsets(&self) -> Vec<i64> {
        let beeps = &self.beeps;
        let nearest = |flash: &i64| {
            let offsets = beeps.iter().map(|beep| beep - flash);
            offsets.min_by_key(|offset| offset.abs())
        };
        self.flashes
            .iter()
            .filter_map(nearest)
            .filter(|offset| offset.abs() < PAIRING_US)
            .collect()
    }
}

/// Asserts that a file has at least so many flashes with their beeps, and none of the beeps more
/// than 40 ms before or after its flash.
///
/// # Panics
///
/// When it has not, with the offsets.
pub fn assert_in_sync(path: &Path, at_least: usize) {
    let offsets = flashes_and_beeps(path).offsets();
    let near = |offset: &i64| offset.abs() <= IN_SYNC_US;
    assert!(
        offsets.len() >= at_least && offsets.iter().all(near),
        "of {} beep less flash: {offsets:?} us, {at_least} wanted",
        path.display()
    );
}

/// Decodes the file's first video and first audio stream and looks for flashes and beeps.
pub fn flashes_and_beeps(path: &Path) -> FlashesAndBeeps {
    let luma = measure(
        path,
        &["-map", "0:v:0", "-fps_mode", "passthrough", "-vf"],
        "crop=iw/2:ih/2:0:0,format=yuv420p,signalstats,metadata=print:key=lavfi.signalstats.YAVG:file=-",
    );
    let level = measure(
        path,
        &["-map", "0:a:0", "-af"],
        "aresample=48000,asetnsamples=n=48:p=0,astats=metadata=1:reset=1,\
         ametadata=print:key=lavfi.astats.Overall.RMS_level:file=-",
    );
    FlashesAndBeeps {
        flashes: beginnings(&luma, FLASH_LUMA, 0),
        beeps: beginnings(&level, BEEP_DB, SILENCE_US),
    }
}

/// Runs a filter that prints one value for each frame, with the frame's time in microseconds.
fn measure(path: &Path, arguments: &[&str], filter: &str) -> Vec<(i64, f64)> {
    let mut command = ffmpeg("error");
    // Times as they are in the file, the same for both streams.
    command.args(["-copyts", "-i"]).arg(path);
    command.args(arguments).arg(filter);
    command.args(["-f", "null", "-"]);
    let printed = process::run_ok(&mut command, DEADLINE);
    let mut time = 0;
    let mut values = Vec::new();
    for line in String::from_utf8_lossy(&printed).lines() {
        if let Some((_, seconds)) = line.split_once("pts_time:") {
            let seconds: f64 = seconds.trim().parse().expect("a time in seconds");
            time = (seconds * 1e6).round() as i64;
        } else if let Some((_, value)) = line.split_once('=') {
            // Digital silence is "-inf", which parses too.
            values.push((time, value.trim().parse().expect("a number")));
        }
    }
    values
}

/// Times at which the value reaches the threshold after `quiet_us` below it.
fn beginnings(values: &[(i64, f64)], threshold: f64, quiet_us: i64) -> Vec<i64> {
    let mut beginnings = Vec::new();
    let Some((first, _)) = values.first() else {
        return beginnings;
    };
    let mut below_since = Some(*first).filter(|_| values[0].1 < threshold);
    for (time, value) in values {
        if *value < threshold {
            below_since.get_or_insert(*time);
        } else if let Some(since) = below_since.take()
            && time - since >= quiet_us
        {
            beginnings.push(*time);
        }
    }
    beginnings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_beginning_needs_quiet_before_it() {
        let values = [
            (0, 9.0),
            (10, 0.0),
            (20, 9.0),
            (30, 0.0),
            (40, 0.0),
            (50, 9.0),
        ];
        assert_eq!(beginnings(&values, 5.0, 20), [50]);
        assert_eq!(beginnings(&values, 5.0, 0), [20, 50]);
    }

    #[test]
    fn each_flash_goes_with_its_nearest_beep() {
        let found = FlashesAndBeeps {
            flashes: vec![1_000_000, 2_000_000, 3_000_000],
            beeps: vec![1_020_000, 2_980_000],
        };
        assert_eq!(found.offsets(), [20_000, -20_000]);
    }
}
