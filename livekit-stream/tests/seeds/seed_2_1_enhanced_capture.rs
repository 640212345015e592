//! Enhanced RTMP: H.265, AV1, VP9 and Opus from a new FFmpeg.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use livekit_stream::codec::Codec;
use livekit_stream::frame::EncodedFrame;
use livekit_stream::input::{CaptureError, RtmpCapture};
use livekit_stream::mux::VideoTrack;
use livekit_stream::mux::fmp4::{Muxer, Options};

use crate::rtmp_kit::*;
use crate::seed_2_1_capture::{SOURCE, listening, once};

const HEVC: &str = "-c:v libx265 -preset ultrafast -x265-params log-level=error:bframes=2:pools=1";
const AV1: &str = "-c:v libaom-av1 -usage realtime -cpu-used 8 -row-mt 1";
const VP9: &str = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -row-mt 1";

/// Two seconds from the new FFmpeg, encoded, and in a file of what was sent.
async fn received(
    dir: &Path,
    encode: &str,
    decode: bool,
) -> Option<(RtmpCapture, Vec<EncodedFrame>, Vec<EncodedFrame>)> {
    let program = ffmpeg_enhanced()?;
    let capture = listening()
        .decode(decode)
        .buffer_size(0)
        .reconnect(once())
        .start()
        .await
        .unwrap();
    let (mut video, mut audio) = (
        capture.encoded_video().unwrap(),
        capture.encoded_audio().unwrap(),
    );
    let url = format!("rtmp://{}/live/{KEY}", capture.local_addr().unwrap());
    let sent = dir.join("sent.flv");
    let outputs = format!("[f=flv]{url}|[f=flv]{}", sent.display());
    let mut args: Vec<_> = SOURCE.split_whitespace().collect();
    args.extend(encode.split_whitespace());
    args.extend("-pix_fmt yuv420p -g 25 -b:v 300k -c:a libopus -ar 48000 -t 2".split_whitespace());
    args.extend(["-map", "0:v", "-map", "1:a", "-flags", "+global_header"]);
    args.extend(["-f", "tee", &outputs]);
    let log = dir.join("ffmpeg.log");
    let mut publisher = start(&program, &args, &log);
    let (mut pictures, mut sounds) = (Vec::new(), Vec::new());
    while let Some(frame) = soon("a picture", video.next()).await {
        pictures.push(frame);
    }
    while let Some(frame) = soon("sound", audio.next()).await {
        sounds.push(frame);
    }
    let log = std::fs::read_to_string(log).unwrap();
    assert!(publisher.ended().await.success(), "{log}");
    assert_eq!(pictures.len(), 50, "{:?} {log}", capture.stats());
    Some((capture, pictures, sounds))
}

/// Writes what was received to MP4, where FFmpeg finds the pictures that were sent.
fn record(dir: &Path, pictures: &[EncodedFrame]) {
    let track = VideoTrack::from_keyframe(&pictures[0]).unwrap();
    let mut muxer = Muxer::new(vec![track.into()], Options::default()).unwrap();
    let mut file = muxer.init_segment().to_vec();
    for frame in pictures {
        file.extend(muxer.write(0, frame.clone()).unwrap().into_iter().flatten());
    }
    file.extend(muxer.finish().unwrap().into_iter().flatten());
    let recorded = dir.join("recorded.mp4");
    std::fs::write(&recorded, file).unwrap();
    let program = ffmpeg_enhanced().unwrap();
    let sent = picture_hashes_by(&program, &dir.join("sent.flv"));
    assert!(picture_hashes_by(&program, &recorded) == sent);
}

#[tokio::test]
async fn h265_and_opus_are_received_and_sound_is_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let encode = HEVC.replace("bframes=2", "bframes=0");
    let Some((capture, pictures, sounds)) = received(dir.path(), &encode, true).await else {
        return;
    };
    assert!(pictures.iter().all(|frame| frame.codec == Codec::H265));
    assert_eq!(
        (pictures[0].size.width, pictures[0].size.height),
        (320, 180)
    );
    assert!(sounds.iter().all(|frame| frame.codec == Codec::Opus));
    assert!((98..=104).contains(&sounds.len()), "{}", sounds.len());
    record(dir.path(), &pictures);
    let sound = soon("sound", capture.get_audio(Duration::from_secs(1)))
        .await
        .unwrap();
    assert_eq!(sound.samples.len(), 16_000);
    assert!(sound.samples.iter().any(|sample| sample.abs() > 1_000));
}

#[tokio::test]
async fn h265_with_b_frames_is_shown_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let Some((_, pictures, _)) = received(dir.path(), HEVC, false).await else {
        return;
    };
    let mut times: Vec<_> = pictures.iter().map(|frame| frame.timestamp_us).collect();
    assert!(!times.is_sorted(), "no B-frames: {times:?}");
    times.sort_unstable();
    let steps: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    assert!(steps.iter().all(|step| *step == 40_000), "{steps:?}");
}

#[cfg(feature = "ffmpeg")]
#[tokio::test]
async fn ffmpeg_decodes_h265_with_b_frames_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let Some((capture, _, _)) = received(dir.path(), HEVC, true).await else {
        return;
    };
    let pictures: Vec<_> = soon("pictures", capture.frames().collect()).await;
    assert_eq!(pictures.len(), 50, "{:?}", capture.stats());
    let steps = pictures.windows(2);
    let steps = steps.map(|pair| pair[1].timestamp_us - pair[0].timestamp_us);
    assert!(steps.into_iter().all(|step| step == 40_000));
    let frame = &pictures[0].frame;
    assert_eq!((frame.width(), frame.height()), (320, 180));
}

#[tokio::test]
async fn vp9_is_received_and_decoded() {
    let dir = tempfile::tempdir().unwrap();
    let Some((capture, pictures, _)) = received(dir.path(), VP9, true).await else {
        return;
    };
    assert!(pictures.iter().all(|frame| frame.codec == Codec::Vp9));
    record(dir.path(), &pictures);
    match soon("a picture", capture.get_frame()).await {
        Ok(picture) => assert_eq!((picture.frame.width(), picture.frame.height()), (320, 180)),
        Err(CaptureError::Decode(error)) => missing(&error.to_string()),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn av1_is_received_and_decoded_where_the_build_has_a_decoder() {
    let dir = tempfile::tempdir().unwrap();
    let Some((capture, pictures, _)) = received(dir.path(), AV1, true).await else {
        return;
    };
    assert!(pictures.iter().all(|frame| frame.codec == Codec::Av1));
    record(dir.path(), &pictures);
    let picture = soon("a picture", capture.get_frame()).await;
    if cfg!(feature = "av1") {
        let frame = picture.unwrap().frame;
        assert_eq!((frame.width(), frame.height()), (320, 180));
    } else {
        let error = picture.unwrap_err().to_string();
        assert!(error.contains("feature `av1`"), "{error}");
    }
}
