//! Measures media files with ffmpeg and ffprobe, never with the code under test.

mod picture;
mod probe;
mod sync;

pub use picture::{Picture, picture, pictures};
pub use probe::{Packet, Probe, Stream, StreamKind, decoded_frames, probe};
pub use sync::{FlashesAndBeeps, flash_and_beep_offsets, flashes_and_beeps};

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;

use crate::clip::{VideoCodec, annexb};
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
    let mut command = ffmpeg("error");
    command.args(["-xerror", "-i"]).arg(path);
    // Times as they are: ffmpeg would else complain of pictures closer than its guess of a rate.
    command.args([
        "-map",
        "0",
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

/// The access units of a file's first H.264 stream, in file order and with the start codes of
/// [`annexb::access_units`]. ffmpeg may put parameter sets before IDR pictures: compare
/// [`annexb::slices`].
pub fn extract_annexb(path: &Path) -> Vec<Bytes> {
    let mut command = ffmpeg("error");
    command.arg("-i").arg(path);
    command.args(["-map", "0:v:0", "-c", "copy"]);
    command.args(["-bsf:v", "h264_mp4toannexb", "-f", "h264", "-"]);
    annexb::access_units(&process::run_ok(&mut command, DEADLINE))
}

/// The [pictures](VideoCodec::picture) of a file's first video stream, in file order.
///
/// # Panics
///
/// When ffmpeg cannot read the file, or its codec is another.
pub fn extract_pictures(path: &Path, codec: VideoCodec) -> Vec<Bytes> {
    let format: &[&str] = match codec {
        VideoCodec::H264 => &["-bsf:v", "h264_mp4toannexb", "-f", "h264"],
        VideoCodec::H265 => &["-bsf:v", "hevc_mp4toannexb", "-f", "hevc"],
        VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1 => &["-f", "ivf"],
    };
    let mut command = ffmpeg("error");
    command.arg("-i").arg(path);
    command.args(["-map", "0:v:0", "-c", "copy"]);
    command.args(format).arg("-");
    let stream = process::run_ok(&mut command, DEADLINE);
    let units = codec.units(&stream);
    units.iter().map(|(unit, _)| codec.picture(unit)).collect()
}

fn ffmpeg(loglevel: &str) -> Command {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-hide_banner", "-nostdin", "-loglevel", loglevel]);
    command
}
