//! Row 1.1: incremental, never the whole file in memory.

use std::fs;
use std::process::Command;

use bytes::Bytes;
use futures::executor::block_on;
use futures::{StreamExt, stream};
use livekit_stream::pipeline::mkv::{TranscodeOptions, transcode_mkv};

use crate::kit::{Folder, has_ffmpeg};
use crate::matroska::{clusters, head, read};

/// Set in the process whose memory is measured.
const CHILD: &str = "SEEDS_MEMORY_OF";
const NAME: &str = "seed_1_1_memory::seed_1_1_two_gigabytes_pass_through_64_megabytes";
const INPUT_BYTES: u64 = 2 << 30;
const LIMIT_KIB: u64 = 64 << 10;

#[test]
fn seed_1_1_two_gigabytes_pass_through_64_megabytes() {
    if let Ok(file) = std::env::var(CHILD) {
        pass_two_gigabytes(&fs::read(file).unwrap());
    } else if has_ffmpeg() && cfg!(target_os = "linux") {
        let folder = Folder::new();
        // 40 Mb/s, as a disc has.
        let options = "-c:v libx264 -preset ultrafast -g 25 -x264-params nal-hrd=cbr:filler=1 \
                       -b:v 40M -minrate 40M -maxrate 40M -bufsize 10M -c:a aac";
        let file = folder.film("in.mkv", 1, options);
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args([NAME, "--exact", "--nocapture"])
            .env(CHILD, &file);
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert!(
            output.status.success(),
            "{text}{}",
            String::from_utf8_lossy(&output.stderr)
        );
        print!("{text}");
    }
}

/// The file's second of media again and again, each time a second later.
fn pass_two_gigabytes(file: &[u8]) {
    // FFmpeg's libraries, when this program is linked with them, are not what is measured.
    let libraries = if cfg!(feature = "ffmpeg") {
        resident("VmRSS:")
    } else {
        0
    };
    let (header, frames) = read(file);
    let mut second = Vec::new();
    let mut made = 0_u64;
    let source = stream::iter(0_u64..).map(move |n| {
        if n == 0 {
            return Bytes::from(head(&header, |_| None));
        }
        second.clear();
        for frame in &frames {
            let mut frame = frame.clone();
            frame.timestamp_ns += (n as i64 - 1) * 1_000_000_000;
            second.extend(clusters(&header, &[frame]));
        }
        Bytes::copy_from_slice(&second)
    });
    let source = source.take_while(move |piece| {
        made += piece.len() as u64;
        std::future::ready(made <= INPUT_BYTES)
    });
    let mut mp4 = transcode_mkv(source.map(Ok), TranscodeOptions::default()).unwrap();
    while let Some(piece) = block_on(mp4.next()) {
        piece.unwrap();
    }
    let stats = mp4.stats();
    assert!(stats.input.bytes > INPUT_BYTES - (16 << 20), "{stats:?}");
    assert!(stats.bytes_out > INPUT_BYTES - (64 << 20), "{stats:?}");
    let peak = resident("VmHWM:") - libraries;
    println!(
        "{} MiB in, {} MiB at most in memory",
        stats.input.bytes >> 20,
        peak >> 10
    );
    assert!(peak < LIMIT_KIB, "{peak} KiB");
}

/// This process's memory in KiB: now, or at most so far.
fn resident(name: &str) -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let size = status.lines().find_map(|line| line.strip_prefix(name));
    size.unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap()
}
