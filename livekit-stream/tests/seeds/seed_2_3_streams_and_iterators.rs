//! `aiter_frames`, `iter_frames` and the same with sound.

use futures::StreamExt;

use crate::rtmp_kit::*;
use crate::seed_2_1_capture::{H264, listening, once, publish};

fn builder() -> livekit_stream::input::RtmpCaptureBuilder {
    listening().buffer_size(100).reconnect(once())
}

#[tokio::test]
async fn streams_end_with_the_publisher() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let capture = builder().start().await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", capture.local_addr().unwrap());
    let _publisher = publish(&url, 2, H264, &dir.path().join("ffmpeg.log"));
    let first: Vec<_> = soon("pictures", capture.frames().take(10).collect()).await;
    assert_eq!(first.len(), 10);
    let rest: Vec<_> = soon("the rest", capture.frames_with_audio().collect()).await;
    assert_eq!(rest.len(), 40);
    assert!(
        rest.iter()
            .all(|(_, sound)| (600..=680).contains(&sound.samples.len()))
    );
    assert_eq!(capture.frames().next().await, None);
    drop(capture.stop().await);
    assert_eq!(capture.frames().next().await, None);
}

#[test]
fn iterators_need_no_runtime_of_the_callers() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let capture = builder().start_blocking().unwrap();
    let url = format!(
        "rtmp://{}/live/{KEY}",
        capture.capture().local_addr().unwrap()
    );
    let _publisher = publish(&url, 2, H264, &dir.path().join("ffmpeg.log"));
    assert_eq!(capture.frames().take(10).count(), 10);
    let sound: usize = capture
        .frames_with_audio()
        .map(|(_, sound)| sound.samples.len())
        .sum();
    assert!((24_000..=27_200).contains(&sound), "{sound}");
    assert!(capture.get_frame().is_err());
    assert_eq!(capture.stop().video_frames, 50);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_capture_that_runs_can_be_handed_to_a_thread() {
    if !installed("ffmpeg", "-version") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let capture = builder().start().await.unwrap();
    let url = format!("rtmp://{}/live/{KEY}", capture.local_addr().unwrap());
    let _publisher = publish(&url, 1, H264, &dir.path().join("ffmpeg.log"));
    let capture = capture.blocking().unwrap();
    let counted = tokio::task::spawn_blocking(move || capture.frames().count());
    assert_eq!(soon("the end", counted).await.unwrap(), 25);
}
