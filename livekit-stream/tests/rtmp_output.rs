//! `RtmpOutput`: pictures and sound in, streams out.
#![allow(clippy::unwrap_used)]

mod rtmp_kit;

use std::path::Path;

use futures::{SinkExt, StreamExt};
use livekit_stream::frame::{AudioFrame, VideoFormat, VideoFrame, VideoFrameEvent, VideoRotation};
use livekit_stream::input::RtmpListener;
use livekit_stream::output::OutputError;
use livekit_stream::output::rtmp::{ConnectFailure, PublishError, PublisherState, RtmpOutput};
use rtmp_kit::*;
use tokio::task::JoinHandle;

const FPS: i64 = 25;

/// A picture that differs from the one before.
fn picture(width: u32, height: u32, n: usize) -> VideoFrame {
    let rgb = (0..width as usize * height as usize)
        .flat_map(|at| {
            let at = at + n * 3;
            [(at % 256) as u8, (at / 7 % 256) as u8, (n * 10 % 256) as u8]
        })
        .collect::<Vec<_>>();
    VideoFrame::new(VideoFormat::Rgb24, width, height, rgb).unwrap()
}

fn event(n: usize) -> VideoFrameEvent {
    VideoFrameEvent {
        frame: picture(160, 120, n),
        timestamp_us: 77_000_000 + n as i64 * 1_000_000 / FPS,
        rotation: VideoRotation::Deg0,
    }
}

/// A 440 Hz tone, one picture long.
fn tone(n: usize, sample_rate: u32) -> AudioFrame {
    let count = sample_rate as usize / FPS as usize;
    let samples = (0..count)
        .map(|at| {
            let time = (n * count + at) as f64 / f64::from(sample_rate);
            ((time * 440.0 * std::f64::consts::TAU).sin() * 8000.0) as i16
        })
        .collect();
    AudioFrame {
        samples,
        sample_rate,
        num_channels: 1,
        timestamp_us: 0,
    }
}

/// A server that records one stream; and its address.
async fn recorder(file: &Path) -> (String, JoinHandle<u64>) {
    let listener = RtmpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", listener.local_addr().unwrap());
    let file = tokio::fs::File::create(file).await.unwrap();
    let recording = tokio::spawn(async move {
        let mut connection = listener.accept().await.unwrap();
        connection.request().await.unwrap().unwrap();
        connection.accept().await.unwrap();
        connection.record_flv(file).await.unwrap()
    });
    (url, recording)
}

async fn refused() -> String {
    format!("rtmp://127.0.0.1:{}/live/{KEY}", free_port().await)
}

#[tokio::test]
async fn forwarding_a_stream_of_pictures_is_the_whole_bridge() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.flv");
    let (url, recording) = recorder(&file).await;
    let rtmp = RtmpOutput::builder(&url).fps(25.0).build().unwrap();
    let video = futures::stream::iter((0..50).map(event));
    soon("the bridge", video.map(Ok).forward(rtmp))
        .await
        .unwrap();
    soon("the recording", recording).await.unwrap();
    if installed("ffmpeg", "-version") {
        assert_eq!(packets(&file, "v:0"), ("h264".to_owned(), 50));
        let expected: Vec<_> = (0..50).map(|n| n * 40).collect();
        assert_eq!(times(&file, "v:0"), expected);
        decodes(&file);
    }
}

#[tokio::test]
async fn sound_of_another_rate_is_in_step_with_the_pictures() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.flv");
    let (url, recording) = recorder(&file).await;
    let mut rtmp = RtmpOutput::builder(&url)
        .fps(25.0)
        .audio_sample_rate(44_100)
        .connect()
        .await
        .unwrap();
    for n in 0..50 {
        rtmp.write_frame_with_audio(&picture(160, 120, n), &tone(n, 16_000))
            .await
            .unwrap();
    }
    rtmp.close().await.unwrap();
    let stats = rtmp.stats();
    assert_eq!(stats.len(), 1);
    assert_eq!(stats[0].video_frames_sent, 50);
    assert_eq!(
        stats[0].video_frames_dropped + stats[0].audio_frames_dropped,
        0
    );
    soon("the recording", recording).await.unwrap();
    if installed("ffmpeg", "-version") {
        let sound = times(&file, "a:0");
        // Two seconds of AAC frames of 1024 samples, and the encoder's delay at its end.
        assert!((86..=91).contains(&sound.len()), "{}", sound.len());
        assert!(sound[0] <= 50, "{sound:?}");
        assert!((sound[sound.len() - 1] - 2000).abs() < 100, "{sound:?}");
        assert_eq!(packets(&file, "a:0").0, "aac");
        assert_eq!(times(&file, "v:0").last(), Some(&1960));
        decodes(&file);
    }
}

#[tokio::test]
async fn pictures_are_scaled_to_the_size_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("out.flv");
    let (url, recording) = recorder(&file).await;
    let mut rtmp = RtmpOutput::builder(&url)
        .width(128)
        .height(96)
        .build()
        .unwrap();
    for n in 0..10 {
        rtmp.write_frame(&picture(160 + 16 * n, 120, n as usize))
            .await
            .unwrap();
    }
    rtmp.close().await.unwrap();
    soon("the recording", recording).await.unwrap();
    if installed("ffmpeg", "-version") {
        assert_eq!(size(&file), (128, 96));
        assert_eq!(packets(&file, "v:0").1, 10);
        decodes(&file);
    }
}

#[tokio::test]
async fn a_bad_target_does_not_disturb_the_others() {
    let dir = tempfile::tempdir().unwrap();
    let files = [dir.path().join("a.flv"), dir.path().join("b.flv")];
    let (first, first_recording) = recorder(&files[0]).await;
    let (second, second_recording) = recorder(&files[1]).await;
    let mut rtmp = RtmpOutput::builder(&refused().await)
        .target(&first)
        .target(&second)
        .connect()
        .await
        .unwrap();
    for n in 0..30 {
        rtmp.send(event(n)).await.unwrap();
    }
    rtmp.close().await.unwrap();
    let stats = rtmp.stats();
    assert!(matches!(
        stats[0].state,
        PublisherState::Failed(PublishError::Connect(ConnectFailure::Refused { .. }))
    ));
    assert!(!format!("{rtmp:?}").contains(KEY));
    for recording in [first_recording, second_recording] {
        soon("the recording", recording).await.unwrap();
    }
    for stats in &stats[1..] {
        assert_eq!(stats.video_frames_sent, 30);
    }
    assert_eq!(
        std::fs::read(&files[0]).unwrap(),
        std::fs::read(&files[1]).unwrap()
    );
}

#[tokio::test]
async fn when_all_targets_have_failed_writing_is_an_error_that_names_them() {
    let (first, second) = (refused().await, refused().await);
    let error = RtmpOutput::builder(&first)
        .target(&second)
        .connect()
        .await
        .unwrap_err();
    assert!(matches!(&error, OutputError::AllTargetsFailed { targets } if targets.len() == 2));
    let text = error.to_string();
    assert!(
        text.contains("refused the connection") && !text.contains(KEY),
        "{text}"
    );

    let rtmp = RtmpOutput::builder(&first).build().unwrap();
    let video = futures::stream::iter((0..).map(event));
    let error = soon("the error", video.map(Ok).forward(rtmp))
        .await
        .unwrap_err();
    assert!(
        matches!(error, OutputError::AllTargetsFailed { .. }),
        "{error}"
    );
}

#[tokio::test]
async fn a_reconnected_target_gets_a_keyframe_before_the_group_ends() {
    let (listener, url) = listen().await;
    let mut rtmp = RtmpOutput::builder(&url)
        .gop(10_000)
        .publisher(options())
        .build()
        .unwrap();
    let mut peer = Peer::publishing(&listener).await;
    rtmp.send(event(0)).await.unwrap();
    rtmp.send(event(1)).await.unwrap();
    assert_eq!(peer.names(4).await[2..], [('k', 0), ('v', 40)]);
    drop(peer);
    let mut peer = Peer::publishing(&listener).await;
    let mut keyframes = rtmp.keyframe_requests();
    soon("a request", keyframes.wait_for(|count| *count > 0))
        .await
        .unwrap();
    rtmp.send(event(2)).await.unwrap();
    rtmp.send(event(3)).await.unwrap();
    assert_eq!(
        peer.names(4).await,
        [('m', 0), ('V', 0), ('k', 0), ('v', 40)]
    );
}

#[tokio::test]
async fn encoded_frames_pass_untouched() {
    let (listener, url) = listen().await;
    let mut rtmp = RtmpOutput::builder(&url).build().unwrap();
    let mut peer = Peer::publishing(&listener).await;
    rtmp.write_encoded(keyframe(64, 48, 0)).await.unwrap();
    rtmp.write_encoded(delta(1000, 40)).await.unwrap();
    peer.names(3).await;
    let media = peer.media().await.unwrap();
    // The five bytes of the FLV video tag, then the length, then the NAL unit.
    assert_eq!(media.body[9..], delta(1000, 40).data[4..]);
    let mut vp8 = delta(10, 0);
    vp8.codec = livekit_stream::codec::Codec::Vp8;
    assert!(matches!(
        rtmp.write_encoded(vp8).await,
        Err(OutputError::Publish(PublishError::UnsupportedCodec { .. }))
    ));
}
