//! Rows 3.1 to 3.8 with FFmpeg's libraries: torio's documented examples, judged by FFmpeg's programs.

mod configuration;
mod destinations;
mod pictures;
mod sound;

use std::io::{self, Write};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, CodecConfig, Destination, MediaBackend, MediaEncoderError,
    PixelFormat, SampleFormat, StreamingMediaEncoder, VideoChunk, VideoStreamOptions,
    get_audio_encoders, get_muxers, get_output_devices, get_video_encoders,
};
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{process, require};

const DEADLINE: Duration = Duration::from_secs(60);

fn tone(rate: u32, channels: usize, seconds: f64) -> AudioChunk {
    let frames = (f64::from(rate) * seconds) as usize;
    let sample = |n: usize| {
        let at = (n / channels) as f64 / f64::from(rate);
        (0.5 * (at * 440.0 * std::f64::consts::TAU).sin()) as f32
    };
    let samples: Vec<f32> = (0..frames * channels).map(sample).collect();
    AudioChunk::new(samples, [frames, channels]).expect("a chunk")
}

/// Pictures of 64x48 whose left half is red and whose right half is blue.
fn red_and_blue(count: usize) -> VideoChunk {
    let plane =
        |inside: fn(usize) -> bool| (0..48 * 64).map(move |n| if inside(n % 64) { 250 } else { 5 });
    let picture: Vec<u8> = plane(|x| x < 32)
        .chain((0..48 * 64).map(|_| 5))
        .chain(plane(|x| x >= 32))
        .collect();
    VideoChunk::new(picture.repeat(count), [count, 3, 48, 64]).expect("a chunk")
}

async fn sound_file(path: &Path, options: AudioStreamOptions, option: &[(&str, &str)]) {
    let (rate, channels) = (options.sample_rate, options.num_channels as usize);
    let mut encoder = StreamingMediaEncoder::new(path);
    encoder.add_audio_stream(options).expect("a stream");
    encoder
        .set_metadata([("artist", "the encoder's test")])
        .expect("before open");
    encoder.open(option.iter().copied()).await.expect("opened");
    for _ in 0..4 {
        encoder
            .write_audio_chunk(0, tone(rate, channels, 0.25), None)
            .await
            .expect("written");
    }
    encoder.close().await.expect("closed");
}

fn ffprobe(path: &Path, entries: &str) -> String {
    let mut command = Command::new(Peer::Ffmpeg.path().with_file_name("ffprobe"));
    command.args(["-v", "error", "-of", "csv=p=0", "-show_entries", entries]);
    let text = process::run_ok(command.arg(path), DEADLINE);
    String::from_utf8_lossy(&text).trim().to_owned()
}

#[test]
fn seed_3_2_muxers_encoders_and_devices_are_listed() {
    let (muxers, devices) = (get_muxers(), get_output_devices());
    for name in ["wav", "flac", "gif", "mp4", "flv", "hls"] {
        assert!(muxers.contains_key(name), "{name}");
    }
    assert!(get_video_encoders()["libx264"].contains("H.264"));
    assert!(get_audio_encoders()["libmp3lame"].contains("MP3"));
    assert!(!get_audio_encoders().contains_key("libx264"));
    assert!(devices.contains_key("alsa"), "{devices:?}");
}

async fn pictures(path: &Path, options: VideoStreamOptions, count: usize) {
    let mut encoder = StreamingMediaEncoder::new(path).backend(MediaBackend::Ffmpeg);
    encoder.add_video_stream(options).expect("a stream");
    encoder.open_default().await.expect("opened");
    for _ in 0..count / 5 {
        encoder
            .write_video_chunk(0, red_and_blue(5), None)
            .await
            .expect("written");
    }
    encoder.close().await.expect("closed");
}
