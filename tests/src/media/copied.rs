//! Whether a file holds what was sent, bit for bit.

use std::path::Path;

use bytes::Bytes;

use super::{DEADLINE, ffmpeg};
use crate::clip::{VideoCodec, opus_packets};
use crate::process;

/// 20 ms of CELT with nothing in it.
const SILENCE: &[u8] = &[0xf8, 0xff, 0xfe];

/// The [pictures](VideoCodec::picture) of a file's first video stream, in file order.
///
/// # Panics
///
/// When ffmpeg cannot read the file, or its codec is another.
pub fn copied_pictures(path: &Path, codec: VideoCodec) -> Vec<Bytes> {
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

/// As [`copied_pictures`], of H.264.
pub fn h264_pictures(path: &Path) -> Vec<Bytes> {
    copied_pictures(path, VideoCodec::H264)
}

/// The packets of a file's first Opus stream, in file order, but for those of pure silence that a
/// recorder puts where no sound came: their three bytes are never a clip's.
pub fn opus_without_silence(path: &Path) -> Vec<Bytes> {
    let mut command = ffmpeg("error");
    command.arg("-i").arg(path);
    command.args(["-map", "0:a:0", "-c", "copy", "-f", "ogg", "-"]);
    let mut packets = opus_packets(&process::run_ok(&mut command, DEADLINE));
    packets.retain(|packet| packet != SILENCE);
    packets
}

/// Asserts that a file's frames are a run of those sent: none lost, changed or put in.
///
/// # Panics
///
/// When they are not.
pub fn assert_run_of(sent: &[Bytes], file: &[Bytes]) {
    assert!(
        !file.is_empty() && sent.windows(file.len()).any(|window| window == file),
        "the {} frames of the file are no run of the {} sent",
        file.len(),
        sent.len()
    );
}

/// Asserts that a file's frames are some of those sent, in order: none changed or put in.
///
/// # Panics
///
/// At the first that is not the next of those sent.
pub fn assert_some_of(sent: &[Bytes], file: &[Bytes]) {
    let mut at = 0;
    for (index, frame) in file.iter().enumerate() {
        let found = sent[at..].iter().position(|one| one == frame);
        at += 1 + found.unwrap_or_else(|| panic!("frame {index} of the file was not sent so"));
    }
}
