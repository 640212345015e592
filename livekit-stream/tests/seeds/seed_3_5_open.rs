//! Options of protocol and muxer; RTMP to a server, and as a server.

use std::process::Child;
use std::time::{Duration, Instant};

use livekit_stream::output::media::{
    AudioChunk, AudioStreamOptions, MediaBackend, MediaEncoderError, StreamingMediaEncoder,
    VideoChunk, VideoStreamOptions,
};

use crate::encoder_kit::{
    DEADLINE, assert_decodes, colours, has_ffmpeg, packed, pictures, probe, psnr, read, start,
    times,
};

const WIDTH: usize = 160;
const HEIGHT: usize = 96;

/// Two seconds of pictures and sound.
async fn write(
    mut encoder: StreamingMediaEncoder,
    option: &[(&str, &str)],
) -> Result<(), MediaEncoderError> {
    let sound = encoder.add_audio_stream(AudioStreamOptions::new(44_100, 2))?;
    let options = VideoStreamOptions::new(25.0, WIDTH as u32, HEIGHT as u32);
    let video = encoder.add_video_stream(options)?;
    encoder.set_metadata([("title", "a stream")])?;
    encoder.open(option.iter().copied()).await?;
    for n in 0..50 {
        let chunk = VideoChunk::new(colours(n, WIDTH, HEIGHT), [1, 3, HEIGHT, WIDTH])?;
        encoder.write_video_chunk(video, chunk, None).await?;
        let chunk = AudioChunk::new(vec![0.1_f32; 2 * 1_764], [1_764, 2])?;
        encoder.write_audio_chunk(sound, chunk, None).await?;
    }
    encoder.close().await
}

fn native(destination: &str) -> StreamingMediaEncoder {
    StreamingMediaEncoder::new(destination).backend(MediaBackend::Native)
}

/// A port that nobody uses now.
fn free_port() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

fn wait(mut child: Child) {
    let began = Instant::now();
    while child.try_wait().unwrap().is_none() {
        if began.elapsed() > DEADLINE {
            child.kill().unwrap();
            panic!("ffmpeg does not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    let output = child.wait_with_output().unwrap();
    let complaints = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "ffmpeg: {complaints}");
}

fn assert_whole(file: &[u8]) {
    assert_decodes(file);
    let video = times("v:0", file);
    assert_eq!(video.len(), 50);
    for (index, time) in video.iter().enumerate() {
        assert!(
            (time - video[0] - index as f64 / 25.0).abs() < 0.002,
            "{index} at {time}"
        );
    }
    let sound = times("a:0", file);
    let lasts = sound.last().unwrap() - sound[0];
    assert!((1.9..2.0).contains(&lasts), "{lasts} s of sound");
    assert!(
        (sound[0] - video[0]).abs() < 0.005,
        "{} and {}",
        sound[0],
        video[0]
    );
    let shown = pictures(file, WIDTH, HEIGHT);
    for (index, picture) in shown.iter().enumerate() {
        let decibels = psnr(picture, &packed(&colours(index, WIDTH, HEIGHT)));
        assert!(decibels > 30.0, "picture {index}: {decibels} dB");
    }
    assert_eq!(probe("format_tags=title", file), ["a stream"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn listen_waits_for_a_player_and_serves_it() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("played.flv");
    let port = free_port();
    let url = format!("rtmp://127.0.0.1:{port}/live/app");
    let served = tokio::spawn(async move { write(native(&url), &[("listen", "1")]).await });
    let began = Instant::now();
    // Who asks for another stream is sent away; who comes before the server listens comes again.
    let mut key = "other";
    while !served.is_finished() {
        assert!(began.elapsed() < DEADLINE, "nobody is served");
        let url = format!("rtmp://127.0.0.1:{port}/live/{key}");
        let mut player = start(
            "ffmpeg",
            &format!("-y -nostdin -i {url} -c copy {}", path.display()),
        );
        while player.try_wait().unwrap().is_none() {
            assert!(began.elapsed() < DEADLINE, "the player does not end");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let output = player.wait_with_output().unwrap();
        if key == "app" && output.status.success() {
            break;
        }
        let said = String::from_utf8_lossy(&output.stderr);
        if !said.contains("refused") {
            assert_eq!(key, "other", "{said}");
            assert!(!output.status.success());
            key = "app";
        }
    }
    served.await.unwrap().unwrap();
    assert_whole(&read(&path));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_gets_every_picture_however_fast_they_are_made() {
    if !has_ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("received.flv");
    let port = free_port();
    let args = format!(
        "-y -nostdin -listen 1 -i rtmp://127.0.0.1:{port}/live/key -c copy {}",
        path.display()
    );
    let server = start("ffmpeg", &args);
    let url = format!("rtmp://127.0.0.1:{port}/live/key");
    let began = Instant::now();
    loop {
        match write(native(&url), &[]).await {
            Ok(()) => break,
            // It does not listen yet.
            Err(error) if error.to_string().contains("refused the connection") => {
                assert!(began.elapsed() < DEADLINE, "{error}");
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    wait(server);
    assert_whole(&read(&path));
}

#[tokio::test]
async fn fragments_are_cut_as_the_muxers_options_say() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("film.mp4");
    let fragments = async |option: &[(&str, &str)]| {
        let encoder = StreamingMediaEncoder::new(&path).backend(MediaBackend::Native);
        write(encoder, option).await.unwrap();
        read(&path)
            .windows(4)
            .filter(|kind| kind == b"moof")
            .count()
    };
    let flags = |flags| [("movflags", flags)];
    assert_eq!(fragments(&flags("empty_moov+default_base_moof")).await, 2);
    assert_eq!(fragments(&flags("frag_keyframe+empty_moov")).await, 1);
    assert_eq!(fragments(&[("frag_duration", "500000")]).await, 4);
    // About 50 pictures and 87 frames of sound.
    assert!(fragments(&flags("frag_every_frame")).await > 130);
}

#[tokio::test]
async fn wrong_options_are_named() {
    let port = free_port();
    let rtmp = format!("rtmp://127.0.0.1:{port}/live/secret");
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("film.mp4").display().to_string();
    for (destination, option, message) in [
        (
            &file,
            ("movflags", "faststart"),
            "the movflag faststart needs FFmpeg's libraries",
        ),
        (
            &file,
            ("write_tmcd", "0"),
            "the option write_tmcd needs FFmpeg's libraries",
        ),
        (
            &file,
            ("frag_duration", "soon"),
            "frag_duration = \"soon\" cannot be used",
        ),
        (
            &file,
            ("listen", "1"),
            "the option listen needs FFmpeg's libraries",
        ),
        (
            &rtmp,
            ("listen", "2"),
            "listen = \"2\" cannot be used: 0 or 1",
        ),
        (
            &rtmp,
            ("timeout", "x"),
            "timeout = \"x\" cannot be used: whole seconds",
        ),
        (&rtmp, ("timeout", "1"), "no player came to 127.0.0.1"),
        (&rtmp, ("listen", "0"), "refused the connection"),
    ] {
        let text = write(native(destination), &[option])
            .await
            .unwrap_err()
            .to_string();
        assert!(text.contains(message), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
