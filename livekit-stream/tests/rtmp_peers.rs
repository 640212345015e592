//! Publishing to servers that others wrote.
#![allow(clippy::unwrap_used)]

mod rtmp_kit;

use std::path::Path;

use livekit_stream::codec::MediaKind;
use livekit_stream::frame::EncodedFrame;
use livekit_stream::mux::AudioTrack;
use livekit_stream::output::rtmp::{PublisherOptions, PublisherStats, RtmpPublisher};
use rtmp_kit::*;

async fn publish(url: &str, frames: &[EncodedFrame], options: PublisherOptions) -> PublisherStats {
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    publisher.set_audio_track(AudioTrack::aac(48_000, 2).unwrap());
    soon("publishing", publisher.published()).await.unwrap();
    pace(frames, 2, |frame| publisher.send(frame).unwrap()).await;
    publisher.close().await
}

fn count(frames: &[EncodedFrame], kind: MediaKind) -> usize {
    frames
        .iter()
        .filter(|frame| frame.codec.kind() == kind)
        .count()
}

/// Every frame arrived, at its time, and decodes.
fn check(file: &Path, frames: &[EncodedFrame]) {
    let video = count(frames, MediaKind::Video);
    let audio = count(frames, MediaKind::Audio);
    assert_eq!(packets(file, "v:0"), ("h264".to_owned(), video));
    assert_eq!(packets(file, "a:0"), ("aac".to_owned(), audio));
    let expected: Vec<_> = (0..video as i64).map(|n| n * 40).collect();
    assert_eq!(times(file, "v:0"), expected);
    assert!(times(file, "a:0").is_sorted());
    decodes(file);
}

#[tokio::test]
async fn nginx_takes_a_stream_and_ffmpeg_plays_every_frame_of_it() {
    let dir = tempfile::tempdir().unwrap();
    let Some((nginx, port)) = nginx(dir.path()).await else {
        return;
    };
    let frames = clip();
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let file = dir.path().join("pulled.flv");
    let mut player = ffmpeg(
        &["-i", &url, "-c", "copy", "-copyts", file.to_str().unwrap()],
        &dir.path().join("ffmpeg.log"),
    );
    logged(dir.path(), "play: name=", 1).await;
    let stats = publish(&url, &frames, options()).await;
    assert_eq!(
        stats.video_frames_sent,
        count(&frames, MediaKind::Video) as u64
    );
    assert_eq!(stats.gops_dropped, 0);
    // nginx keeps its players for the next publisher: it has to go for FFmpeg to end.
    logged(dir.path(), "deleteStream", 1).await;
    drop(nginx);
    let status = player.ended().await;
    let log = std::fs::read_to_string(dir.path().join("ffmpeg.log")).unwrap();
    assert!(status.success(), "{log}");
    check(&file, &frames);
}

#[tokio::test]
async fn nginx_refuses_a_second_publisher_of_the_same_key_and_takes_it_when_the_first_is_gone() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_nginx, port)) = nginx(dir.path()).await else {
        return;
    };
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let first = RtmpPublisher::new(url.parse().unwrap(), options()).unwrap();
    soon("publishing", first.published()).await.unwrap();
    let second = RtmpPublisher::new(url.parse().unwrap(), options()).unwrap();
    let error = soon("the answer", second.published()).await.unwrap_err();
    assert!(error.is_rejection(), "{error}");
    assert!(!error.to_string().contains(KEY), "{error}");
    first.close().await;
    logged(dir.path(), "deleteStream", 1).await;
    let third = RtmpPublisher::new(url.parse().unwrap(), options()).unwrap();
    soon("publishing", third.published()).await.unwrap();
    third.close().await;
}

#[tokio::test]
async fn nginx_that_restarts_gets_the_stream_again_from_a_keyframe() {
    let dir = tempfile::tempdir().unwrap();
    let Some((first, port)) = nginx(dir.path()).await else {
        return;
    };
    let frames = clip();
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let mut options = options();
    options.reconnect.max_attempts = 500;
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options).unwrap();
    publisher.set_audio_track(AudioTrack::aac(48_000, 2).unwrap());
    soon("publishing", publisher.published()).await.unwrap();
    let (before, after) = frames.split_at(frames.len() / 3);
    pace(before, 4, |frame| publisher.send(frame).unwrap()).await;
    drop(first);

    let again = dir.path().join("again");
    std::fs::create_dir(&again).unwrap();
    let config = std::fs::read_to_string(dir.path().join("nginx.conf")).unwrap();
    let config = config.replace(dir.path().to_str().unwrap(), again.to_str().unwrap());
    std::fs::write(again.join("nginx.conf"), config).unwrap();
    let second = nginx_again(&again, port).await.unwrap();
    logged(&again, "publish: name=", 1).await;
    soon("publishing", publisher.published()).await.unwrap();
    let file = again.join("pulled.flv");
    let mut player = ffmpeg(
        &["-i", &url, "-c", "copy", file.to_str().unwrap()],
        &again.join("ffmpeg.log"),
    );
    logged(&again, "play: name=", 1).await;
    pace(after, 2, |frame| publisher.send(frame).unwrap()).await;
    let stats = publisher.close().await;
    assert_eq!(stats.reconnects, 1, "{stats:?}");
    logged(&again, "deleteStream", 1).await;
    drop(second);
    assert!(player.ended().await.success());
    let keyframe = after
        .iter()
        .position(|frame| frame.codec.kind() == MediaKind::Video && frame.keyframe)
        .unwrap();
    let expected = count(&after[keyframe..], MediaKind::Video);
    assert_eq!(packets(&file, "v:0"), ("h264".to_owned(), expected));
    decodes(&file);
}

#[tokio::test]
async fn ffmpeg_as_a_server_records_every_frame() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let frames = clip();
    let port = free_port().await;
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let file = dir.path().join("received.flv");
    let mut server = ffmpeg(
        &[
            "-listen",
            "1",
            "-i",
            &url,
            "-c",
            "copy",
            file.to_str().unwrap(),
        ],
        &dir.path().join("ffmpeg.log"),
    );
    // It is not known when it listens: the first connection is attempted until it does.
    let mut options = options();
    options.reconnect.first_connection = true;
    options.reconnect.max_attempts = 500;
    publish(&url, &frames, options).await;
    let status = server.ended().await;
    let log = std::fs::read_to_string(dir.path().join("ffmpeg.log")).unwrap();
    assert!(status.success(), "{log}");
    check(&file, &frames);
}
