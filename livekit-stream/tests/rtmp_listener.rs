//! `RtmpListener` with publishers that others wrote, and with ours.
#![allow(clippy::unwrap_used)]

mod rtmp_kit;

use livekit_stream::input::RtmpListener;
use livekit_stream::mux::AudioTrack;
use livekit_stream::output::rtmp::{PublishError, RtmpPublisher};
use rtmp_kit::*;

#[tokio::test]
async fn what_ffmpeg_publishes_is_recorded_frame_by_frame() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let listener = RtmpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", listener.local_addr().unwrap());
    let args = "-f lavfi -i testsrc2=size=160x120:rate=25:duration=2 -f lavfi \
                -i sine=sample_rate=44100:duration=2 -c:v libx264 -preset ultrafast \
                -pix_fmt yuv420p -c:a aac -f flv";
    let mut args: Vec<_> = args.split_whitespace().collect();
    args.push(&url);
    let mut ffmpeg = ffmpeg(&args, &dir.path().join("ffmpeg.log"));
    let mut connection = soon("a connection", listener.accept()).await.unwrap();
    let request = soon("a request", connection.request())
        .await
        .unwrap()
        .unwrap();
    assert_eq!((request.app(), request.key()), ("live", KEY));
    assert!(!format!("{request:?} {connection:?}").contains(KEY));
    connection.accept().await.unwrap();
    let file = dir.path().join("recorded.flv");
    let writer = tokio::fs::File::create(&file).await.unwrap();
    let tags = soon("the end", connection.record_flv(writer))
        .await
        .unwrap();
    let log = std::fs::read_to_string(dir.path().join("ffmpeg.log")).unwrap();
    assert!(ffmpeg.ended().await.success(), "{log}");
    let (video, audio) = (packets(&file, "v:0"), packets(&file, "a:0"));
    assert_eq!(video, ("h264".to_owned(), 50));
    assert_eq!(audio.0, "aac");
    // Two sequence headers and the metadata, and FFmpeg's end of sequence.
    assert!((tags as usize) >= 50 + audio.1 + 3, "{tags} {audio:?}");
    decodes(&file);
}

#[tokio::test]
async fn a_publisher_is_rejected_with_the_reason_given() {
    let listener = RtmpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", listener.local_addr().unwrap());
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options()).unwrap();
    let mut connection = listener.accept().await.unwrap();
    connection.request().await.unwrap().unwrap();
    connection
        .reject("NetStream.Publish.Denied", "not today")
        .await
        .unwrap();
    let error = soon("the answer", publisher.published()).await.unwrap_err();
    assert!(
        matches!(&error, PublishError::Rejected { code, description, .. }
            if code == "NetStream.Publish.Denied" && description == "not today"),
        "{error}"
    );
}

#[tokio::test]
async fn our_publisher_and_our_listener_agree() {
    let dir = tempfile::tempdir().unwrap();
    let listener = RtmpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", listener.local_addr().unwrap());
    let publisher = RtmpPublisher::new(url.parse().unwrap(), options()).unwrap();
    publisher.set_audio_track(AudioTrack::aac(48_000, 2).unwrap());
    let file = dir.path().join("recorded.flv");
    let writer = tokio::fs::File::create(&file).await.unwrap();
    let recording = tokio::spawn(async move {
        let mut connection = listener.accept().await.unwrap();
        connection.request().await.unwrap().unwrap();
        connection.accept().await.unwrap();
        connection.record_flv(writer).await.unwrap()
    });
    publisher.send(keyframe(64, 48, 0)).unwrap();
    for n in 1..10 {
        publisher.send(sound(n * 30)).unwrap();
        publisher.send(delta(3000, n * 33)).unwrap();
    }
    soon("publishing", publisher.published()).await.unwrap();
    let stats = publisher.close().await;
    assert_eq!((stats.video_frames_sent, stats.audio_frames_sent), (10, 9));
    // Metadata twice, two sequence headers.
    assert_eq!(soon("the end", recording).await.unwrap(), 19 + 4);
    assert_eq!(std::fs::read(&file).unwrap()[..3], *b"FLV");
}
