//! Metadata, times on write, flushing and closing.

use std::io::Write;
use std::sync::{Arc, Mutex};

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, Destination, StreamingMediaEncoder, VideoChunk,
    VideoStreamOptions,
};

use crate::encoder_kit::{assert_decodes, colours, has_ffmpeg, probe, read, sound, times};

const WIDTH: usize = 64;
const HEIGHT: usize = 48;

fn video(rate: f64) -> VideoStreamOptions {
    VideoStreamOptions::new(rate, WIDTH as u32, HEIGHT as u32)
}

fn picture(n: usize) -> VideoChunk {
    VideoChunk::new(colours(n, WIDTH, HEIGHT), [1, 3, HEIGHT, WIDTH]).unwrap()
}

#[tokio::test]
async fn metadata_is_in_every_container() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["film.mp4", "film.flv", "film.mkv"] {
        let path = folder.path().join(name);
        let mut encoder = StreamingMediaEncoder::new(&path);
        let index = encoder.add_video_stream(video(30.0)).unwrap();
        encoder.set_metadata([("title", "forgotten")]).unwrap();
        let metadata = [("title", "a title"), ("artist", "sömebody")];
        encoder.set_metadata(metadata).unwrap();
        encoder.open_default().await.unwrap();
        encoder
            .write_video_chunk(index, picture(0), None)
            .await
            .unwrap();
        encoder.close().await.unwrap();
        let file = read(&path);
        assert_decodes(&file);
        // Matroska's names are in capitals.
        assert_eq!(probe("format_tags=title", &file), ["a title"], "{name}");
        let artist = probe("format_tags=artist,ARTIST", &file);
        assert_eq!(artist, ["sömebody"], "{name}");
    }
}

#[tokio::test]
async fn times_are_truncated_to_the_streams_unit_and_go_on_from_there() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut encoder = StreamingMediaEncoder::new(&path);
    let index = encoder.add_video_stream(video(10.0)).unwrap();
    encoder.open_default().await.unwrap();
    // 0.3 * 10 is a little more than 3 and 0.7 * 10 a little less than 7; 1.19 is truncated.
    for (n, pts) in [
        (0, None),
        (1, Some(0.3)),
        (2, Some(0.7)),
        (3, None),
        (4, Some(1.19)),
    ] {
        encoder
            .write_video_chunk(index, picture(n), pts)
            .await
            .unwrap();
    }
    let pair = [colours(5, WIDTH, HEIGHT), colours(6, WIDTH, HEIGHT)].concat();
    let pair = VideoChunk::new(pair, [2, 3, HEIGHT, WIDTH]).unwrap();
    encoder
        .write_video_chunk(index, pair, Some(2.0))
        .await
        .unwrap();

    let error = encoder
        .write_video_chunk(index, picture(7), Some(2.15))
        .await
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "video stream 0: pts 2.15 s cannot be used: it is not after 2.1 s, which was written already"
    );
    for wrong in [f64::NAN, f64::INFINITY, -0.5] {
        let error = encoder
            .write_video_chunk(index, picture(7), Some(wrong))
            .await;
        let text = error.unwrap_err().to_string();
        assert!(text.starts_with("video stream 0: pts"), "{text}");
    }
    encoder
        .write_video_chunk(index, picture(7), Some(2.2))
        .await
        .unwrap();
    encoder.close().await.unwrap();
    assert_eq!(
        times("v:0", &read(&path)),
        [0.0, 0.3, 0.7, 0.8, 1.1, 2.0, 2.1, 2.2]
    );
}

#[tokio::test]
async fn sound_begins_at_its_time_and_gaps_are_silent() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let mut encoder = StreamingMediaEncoder::new(&path);
    let voice = encoder
        .add_audio_stream(AudioStreamOptions::new(16_000, 1))
        .unwrap();
    let pictures = encoder.add_video_stream(video(25.0)).unwrap();
    encoder.open_default().await.unwrap();
    for n in 0..75 {
        encoder
            .write_video_chunk(pictures, picture(n), None)
            .await
            .unwrap();
    }
    let loud = || AudioChunk::new([0.5_f32, -0.5].repeat(4_000), [8_000, 1]).unwrap();
    encoder
        .write_audio_chunk(voice, loud(), Some(0.5))
        .await
        .unwrap();
    encoder
        .write_audio_chunk(voice, loud(), Some(2.0))
        .await
        .unwrap();
    encoder.close().await.unwrap();
    let file = read(&path);
    assert_decodes(&file);
    assert!((times("a:0", &file)[0] - 0.5).abs() < 0.001);
    // What is decoded begins where the sound does.
    let heard = sound(&file, 16_000);
    let is_loud = |from: f64, to: f64| {
        let part = &heard[((from - 0.5) * 16_000.0) as usize..((to - 0.5) * 16_000.0) as usize];
        let loud = part.iter().filter(|sample| sample.abs() > 0.1).count();
        loud as f64 / part.len() as f64
    };
    assert!(is_loud(0.55, 0.95) > 0.8, "{}", is_loud(0.55, 0.95));
    assert!(is_loud(1.1, 1.9) < 0.01, "{}", is_loud(1.1, 1.9));
    assert!(is_loud(2.05, 2.45) > 0.8, "{}", is_loud(2.05, 2.45));
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<Vec<u8>>>);

impl Write for Shared {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn what_is_flushed_can_be_played_and_dropping_keeps_it() {
    if !has_ffmpeg() {
        return;
    }
    for format in ["mp4", "matroska", "flv"] {
        let bytes = Shared::default();
        let destination = Destination::writer(bytes.clone());
        let mut encoder = StreamingMediaEncoder::new(destination).format(format);
        let index = encoder.add_video_stream(video(30.0)).unwrap();
        encoder.open_default().await.unwrap();
        for n in 0..10 {
            encoder
                .write_video_chunk(index, picture(n), None)
                .await
                .unwrap();
        }
        encoder.flush().await.unwrap();
        let flushed = bytes.0.lock().unwrap().clone();
        let count = times("v:0", &flushed).len();
        // How long the last picture lasts is not known yet to a fragment.
        assert!(count >= 9, "{format}: {count}");
        encoder
            .write_video_chunk(index, picture(10), None)
            .await
            .unwrap();
        drop(encoder);
        assert!(times("v:0", &bytes.0.lock().unwrap().clone()).len() >= count);
    }
}

#[tokio::test]
async fn streams_written_one_after_the_other_are_interleaved() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    for name in ["film.flv", "film.mkv"] {
        let path = folder.path().join(name);
        let mut encoder = StreamingMediaEncoder::new(&path);
        let voice = encoder
            .add_audio_stream(AudioStreamOptions::new(48_000, 1))
            .unwrap();
        let pictures = encoder.add_video_stream(video(25.0)).unwrap();
        encoder.open_default().await.unwrap();
        let silence = AudioChunk::new(vec![0.0_f32; 3 * 48_000], [3 * 48_000, 1]).unwrap();
        encoder
            .write_audio_chunk(voice, silence, None)
            .await
            .unwrap();
        for n in 0..75 {
            encoder
                .write_video_chunk(pictures, picture(n), None)
                .await
                .unwrap();
        }
        encoder.close().await.unwrap();
        let file = read(&path);
        let all = probe("packet=pts_time", &file);
        let all: Vec<f64> = all.iter().map(|time| time.parse().unwrap()).collect();
        let ordered = all.windows(2).all(|pair| pair[1] + 0.001 >= pair[0]);
        assert!(ordered, "{name}: {all:?}");
        assert_eq!(times("v:0", &file).len(), 75);
    }
}
