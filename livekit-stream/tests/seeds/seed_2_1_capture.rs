//! fmus-vid's `RTMPCapture`: from a server, and from a publisher that comes to us.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use livekit_stream::codec::Codec;
use livekit_stream::frame::VideoFormat;
use livekit_stream::input::{
    CaptureError, CaptureState, ConnectFailure, RtmpCapture, RtmpCaptureBuilder,
};
use livekit_stream::mux::fmp4::{Muxer, Options};
use livekit_stream::mux::{AudioTrack, VideoTrack};

use crate::rtmp_kit::*;

/// A moving picture and a tone for FFmpeg to publish in real time.
pub(crate) const SOURCE: &str = "-re -f lavfi -i testsrc2=size=320x180:rate=25 \
    -re -f lavfi -i sine=sample_rate=44100 -ac 2";

pub(crate) fn publish(url: &str, seconds: u32, encode: &str, log: &Path) -> Process {
    let seconds = seconds.to_string();
    let mut args: Vec<_> = SOURCE.split_whitespace().collect();
    args.extend(encode.split_whitespace());
    args.extend(["-t", &seconds, "-f", "flv", url]);
    ffmpeg(&args, log)
}

pub(crate) const H264: &str = "-c:v libx264 -preset ultrafast -tune zerolatency -g 25 -pix_fmt yuv420p \
    -c:a aac";
pub(crate) const B_FRAMES: &str = "-c:v libx264 -preset veryfast -bf 2 -b_strategy 0 -g 25 -threads 2 \
    -pix_fmt yuv420p -c:a aac";

#[tokio::test]
async fn a_server_is_played_scaled_and_at_another_rate() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_nginx, port)) = nginx(dir.path()).await else {
        return;
    };
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let capture = RtmpCapture::builder(&url)
        .width(160)
        .fps(10.0)
        .audio_sample_rate(8_000)
        .buffer_size(100)
        .build()
        .unwrap();
    let error = capture.get_frame().await.unwrap_err();
    assert!(matches!(error, CaptureError::NotRunning), "{error}");
    soon("the start", capture.start()).await.unwrap();
    let error = capture.start().await.unwrap_err();
    assert!(matches!(error, CaptureError::AlreadyRunning), "{error}");
    let _publisher = publish(&url, 20, B_FRAMES, &dir.path().join("ffmpeg.log"));
    let mut pictures = Vec::new();
    while pictures.len() < 20 {
        pictures.push(soon("a picture", capture.get_frame()).await.unwrap());
    }
    for picture in &pictures {
        assert_eq!(picture.frame.format(), VideoFormat::Rgb24);
        assert_eq!((picture.frame.width(), picture.frame.height()), (160, 90));
    }
    for pair in pictures.windows(2) {
        assert_eq!(pair[1].timestamp_us - pair[0].timestamp_us, 100_000);
        assert!(pair[0].frame.data() != pair[1].frame.data());
    }
    let sound = soon("sound", capture.get_audio(Duration::from_millis(500)))
        .await
        .unwrap();
    assert_eq!((sound.sample_rate, sound.num_channels), (8_000, 1));
    assert_eq!(sound.samples.len(), 4_000);
    assert!(sound.samples.iter().any(|sample| sample.abs() > 1_000));
    let metadata = capture.metadata().unwrap();
    assert_eq!(
        (metadata.width, metadata.frame_rate),
        (Some(320.0), Some(25.0))
    );
    let stats = soon("the end", capture.stop()).await;
    assert_eq!((stats.decode_errors, stats.unreadable), (0, 0), "{stats:?}");
    assert!(stats.pictures >= 20 && stats.audio_frames > 0, "{stats:?}");
    assert!(capture.get_frame().await.is_err());
    // It can be started again.
    soon("the second start", capture.start()).await.unwrap();
    soon("a picture", capture.get_frame()).await.unwrap();
}

#[tokio::test]
async fn a_publisher_is_listened_for_and_every_picture_comes_in_order() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let capture = listening()
        .format(VideoFormat::I420)
        .buffer_size(0)
        .reconnect(once())
        .start()
        .await
        .unwrap();
    let address = capture.local_addr().unwrap();
    // With a wrong key nobody gets in.
    let log = dir.path().join("wrong.log");
    let wrong = format!("rtmp://{address}/live/wrong");
    let mut rejected = publish(&wrong, 1, H264, &log);
    assert!(!rejected.ended().await.success());
    assert!(matches!(capture.state(), CaptureState::Connecting));
    let url = format!("rtmp://{address}/live/{KEY}");
    let log = dir.path().join("ffmpeg.log");
    let mut publisher = publish(&url, 3, B_FRAMES, &log);
    let mut times = Vec::new();
    let end = loop {
        match soon("a picture", capture.get_frame()).await {
            Ok(picture) => {
                assert_eq!((picture.frame.width(), picture.frame.height()), (320, 180));
                times.push(picture.timestamp_us);
            }
            Err(error) => break error,
        }
    };
    assert!(matches!(end, CaptureError::Ended), "{end}");
    let log = std::fs::read_to_string(log).unwrap();
    assert!(publisher.ended().await.success(), "{log}");
    assert_eq!(times.len(), 75, "{:?}", capture.stats());
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| *step == 40_000), "{steps:?}");
    let mut heard = 0;
    while let Ok(sound) = capture.get_audio(Duration::from_millis(100)).await {
        heard += sound.samples_per_channel();
    }
    // Three seconds, and the encoder's priming.
    assert!((46_000..=50_000).contains(&heard), "{heard}");
    let stats = capture.stats();
    assert_eq!(
        (stats.decode_errors, stats.pictures_dropped),
        (0, 0),
        "{stats:?}"
    );
}

/// A capture that a publisher with the right key may come to, on a free port.
pub(crate) fn listening() -> RtmpCaptureBuilder {
    let address = "127.0.0.1:0".parse().unwrap();
    RtmpCapture::listen(format!("rtmp://127.0.0.1/live/{KEY}")).listen_on(address)
}

/// No second connection.
pub(crate) fn once() -> livekit_stream::output::rtmp::ReconnectOptions {
    let mut reconnect = options().reconnect;
    reconnect.max_attempts = 0;
    reconnect
}

#[tokio::test]
async fn what_comes_is_recorded_untouched() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let capture = listening()
        .decode(false)
        .reconnect(once())
        .start()
        .await
        .unwrap();
    let (mut video, mut audio) = (
        capture.encoded_video().unwrap(),
        capture.encoded_audio().unwrap(),
    );
    let url = format!("rtmp://{}/live/{KEY}", capture.local_addr().unwrap());
    // FFmpeg publishes and writes the same packets to a file.
    let copy = dir.path().join("sent.flv");
    let outputs = format!("[f=flv]{url}|[f=flv]{}", copy.display());
    let mut args: Vec<_> = SOURCE.split_whitespace().collect();
    args.extend(H264.split_whitespace());
    args.extend([
        "-t",
        "2",
        "-map",
        "0:v",
        "-map",
        "1:a",
        "-flags",
        "+global_header",
    ]);
    args.extend(["-f", "tee", &outputs]);
    let mut publisher = ffmpeg(&args, &dir.path().join("ffmpeg.log"));
    let audio_track: AudioTrack = soon("the sound's track", capture.audio_track())
        .await
        .unwrap();
    assert_eq!(
        (audio_track.codec, audio_track.sample_rate),
        (Codec::Aac, 44_100)
    );
    let first = soon("a keyframe", video.next()).await.unwrap();
    let video_track = VideoTrack::from_keyframe(&first).unwrap();
    assert_eq!(
        (video_track.size.width, video_track.size.height),
        (320, 180)
    );
    let tracks = vec![video_track.into(), audio_track.into()];
    let mut muxer = Muxer::new(tracks, Options::default()).unwrap();
    let mut file = muxer.init_segment().to_vec();
    let mut frames = vec![(0, first)];
    while let Some(frame) = soon("a picture", video.next()).await {
        frames.push((0, frame));
    }
    while let Some(frame) = soon("sound", audio.next()).await {
        frames.push((1, frame));
    }
    frames.sort_by_key(|(_, frame)| frame.timestamp_us);
    for (track, frame) in frames {
        file.extend(muxer.write(track, frame).unwrap().into_iter().flatten());
    }
    file.extend(muxer.finish().unwrap().into_iter().flatten());
    let recorded = dir.path().join("recorded.mp4");
    std::fs::write(&recorded, file).unwrap();
    let log = std::fs::read_to_string(dir.path().join("ffmpeg.log")).unwrap();
    assert!(publisher.ended().await.success(), "{log}");
    decodes(&recorded);
    assert_eq!(packets(&recorded, "v:0"), ("h264".to_owned(), 50));
    assert_eq!(packets(&recorded, "a:0").1, packets(&copy, "a:0").1);
    assert!(picture_hashes(&recorded) == picture_hashes(&copy));
}

/// Two publishers, one after the other: the times go on.
async fn two_publishers(capture: &RtmpCapture, url: &str, dir: &Path) {
    let mut times: Vec<Vec<i64>> = vec![Vec::new(); 2];
    for (n, times) in times.iter_mut().enumerate() {
        let log = dir.join(format!("ffmpeg{n}.log"));
        // It is killed after some pictures.
        let _publisher = publish(url, 30, H264, &log);
        while times.len() < 40 {
            let picture = soon("a picture", capture.get_frame()).await;
            times.push(picture.unwrap().timestamp_us);
        }
    }
    for times in &times {
        // What was on its way when the first one was killed comes with the second.
        let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let usual = steps.iter().filter(|step| **step == 40_000).count();
        assert!(usual >= 38, "{steps:?}");
        assert!(times.is_sorted_by(|a, b| a < b), "{times:?}");
    }
    assert!(times[1][0] > times[0][39], "{times:?}");
    let stats = capture.stats();
    assert_eq!(stats.pictures_dropped, 0, "{stats:?}");
}

#[tokio::test]
async fn a_server_goes_on_with_the_next_publisher() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_nginx, port)) = nginx(dir.path()).await else {
        return;
    };
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let builder = RtmpCapture::builder(&url).buffer_size(0);
    let capture = builder.start().await.unwrap();
    two_publishers(&capture, &url, dir.path()).await;
}

#[tokio::test]
async fn a_publisher_that_comes_back_is_taken_in_again() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let capture = listening().buffer_size(0).start().await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", capture.local_addr().unwrap());
    two_publishers(&capture, &url, dir.path()).await;
    let stats = capture.stop().await;
    assert_eq!(stats.reconnects, 1, "{stats:?}");
    assert!(stats.last_error.is_some(), "{stats:?}");
}

#[tokio::test]
async fn a_server_that_restarts_is_played_again() {
    let dir = tempfile::tempdir().unwrap();
    let Some((first, port)) = nginx(dir.path()).await else {
        return;
    };
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let mut reconnect = options().reconnect;
    reconnect.max_attempts = 500;
    let builder = RtmpCapture::builder(&url).buffer_size(0);
    let capture = builder.reconnect(reconnect).start().await.unwrap();
    let log = dir.path().join("ffmpeg.log");
    let publisher = publish(&url, 30, H264, &log);
    let before = soon("a picture", capture.get_frame()).await.unwrap();
    drop((publisher, first));
    let Some(_second) = nginx_again(dir.path(), port).await else {
        return;
    };
    let _publisher = publish(&url, 30, H264, &log);
    soon("the second connection", async {
        while capture.stats().reconnects == 0 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    loop {
        let picture = soon("a picture", capture.get_frame()).await.unwrap();
        assert!(picture.timestamp_us >= before.timestamp_us);
        if picture.timestamp_us - before.timestamp_us > 1_000_000 {
            break;
        }
    }
}

#[tokio::test]
async fn what_cannot_be_played_is_told_without_the_key() {
    let port = free_port().await;
    let url = format!("rtmp://127.0.0.1:{port}/live/{KEY}");
    let error = RtmpCapture::builder(&url).start().await.unwrap_err();
    assert!(
        matches!(error, CaptureError::Connect(ConnectFailure::Refused { .. })),
        "{error}"
    );
    let (listener, url) = listen().await;
    let silent = RtmpCapture::builder(&url)
        .connect_timeout(Duration::from_millis(200))
        .start();
    let error = soon("the timeout", silent).await.unwrap_err();
    assert!(matches!(error, CaptureError::Timeout { .. }), "{error}");
    assert!(!format!("{error} {error:?}").contains(KEY));
    drop(listener);
}
