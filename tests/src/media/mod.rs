//! Measures media files with ffmpeg and ffprobe, never with the code under test.

mod copied;
mod frames;
mod picture;
mod probe;
mod sync;

pub use copied::{
    assert_run_of, assert_some_of, copied_pictures, h264_pictures, opus_without_silence,
};
pub use frames::{Checksum, frame_checksums, frame_sizes};
pub use picture::{Picture, picture, pictures, psnr};
pub use probe::{Packet, Probe, Stream, StreamKind, decoded_frames, probe};
pub use sync::{FlashesAndBeeps, assert_in_sync, flashes_and_beeps};

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use crate::peers::Peer;
use crate::process;

/// The longest file of a scenario decodes in a few seconds; the machine may be busy.
const DEADLINE: Duration = Duration::from_secs(120);

/// Decodes every stream to its end.
///
/// # Panics
///
/// On the first thing that ffmpeg complains about.
pub fn decode_without_errors(path: &Path) {
    decode(path, "0");
}

/// [`decode_without_errors`] of the sound alone.
pub fn decode_sound_without_errors(path: &Path) {
    decode(path, "0:a");
}

fn decode(path: &Path, streams: &str) {
    let mut command = ffmpeg("error");
    command.args(["-xerror", "-i"]).arg(path);
    // Times as they are: ffmpeg would else complain of pictures closer than its guess of a rate.
    command.args([
        "-map",
        streams,
        "-fps_mode",
        "passthrough",
        "-enc_time_base",
        "-1",
    ]);
    command.args(["-f", "null", "-"]);
    let output = process::run(&mut command, DEADLINE);
    assert!(
        output.success() && output.stderr.is_empty(),
        "{} does not decode: {:?} {}",
        path.display(),
        output.status,
        output.stderr
    );
}

/// Asserts that a file decodes without a complaint and that the times of each of its streams only
/// grow; gives what ffprobe reads in it.
pub fn assert_plays(path: &Path) -> Probe {
    decode_without_errors(path);
    let probe = probe(path);
    probe.assert_monotonic();
    probe
}

/// Asserts that times in microseconds are so far apart, but where the clock is corrected: by an
/// eighth at most, as for a first picture that came late. Gives the time from the first to the last.
///
/// # Panics
///
/// At the first two that are not.
pub fn assert_steady(times_us: impl IntoIterator<Item = i64>, step_us: i64) -> i64 {
    let times_us: Vec<_> = times_us.into_iter().collect();
    let slack = step_us / 8 + 1_000;
    for (number, pair) in times_us.windows(2).enumerate() {
        let step = pair[1] - pair[0];
        assert!(
            (step - step_us).abs() <= slack,
            "{step} us behind the {number}th, not {step_us}"
        );
    }
    let ends = times_us.first().zip(times_us.last());
    ends.map_or(0, |(first, last)| last - first)
}

fn ffmpeg(loglevel: &str) -> Command {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-hide_banner", "-nostdin", "-loglevel", loglevel]);
    command
}
