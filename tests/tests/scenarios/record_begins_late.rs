//! A recording of a track that others read already begins at its last keyframe if that is recent,
//! and at the next one otherwise.

use std::time::Duration;

use bytes::Bytes;
use livekit_stream::{EncodedVideoStream, Recorder, RecordingReport};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{Guest, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::{media, require};

/// Two seconds.
const GROUP: u32 = 60;

/// Starts to record so many pictures behind a keyframe of a publisher who sends none on request.
/// Gives the picture that the file begins with, those of the group of pictures at which recording
/// was asked for and of the next one, and the report.
async fn recorded(behind: usize) -> (Bytes, [Bytes; 2], RecordingReport) {
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let video = VideoOptions::default().seconds(16).gop(GROUP);
    let tracks = publisher.publish_all(vec![
        PublishOptions::camera(VideoClip::make(video)).ignoring_keyframe_requests(),
        PublishOptions::microphone(AudioClip::make(video.seconds)),
    ]);
    let tracks = tracks.await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("late.mp4");
    let mut frames = EncodedVideoStream::new(&guest.video_track().await);
    let mut keyframes = Vec::new();
    while keyframes.len() < 2 {
        let frame = take(&mut frames, 1).await.remove(0);
        keyframes.extend(frame.keyframe.then_some(frame));
    }
    take(&mut frames, behind).await;
    let recorder = Recorder::builder(&alice).to_file(&path).await;
    let recorder = recorder.expect("recording");
    let rest = take(&mut frames, 150).await;
    keyframes.extend(rest.into_iter().filter(|frame| frame.keyframe));
    let report = recorder.stop().await.expect("a recording");
    let sent = tracks[0].sent_frames();
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");
    media::assert_plays(&path);
    media::assert_in_sync(&path, 3);
    let file = media::h264_pictures(&path);
    media::assert_run_of(&sent, &file);
    let picture = |index: usize| VideoCodec::H264.picture(&keyframes[index].data);
    (file[0].clone(), [picture(1), picture(2)], report)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_recent_keyframe_is_begun_with() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let (first, [last, _], report) = recorded(2).await;
    assert!(first == last, "it begins elsewhere");
    // The sound is there from the first picture on, and none is told as dropped.
    let sound = &report.tracks[1];
    let silence = Duration::from_micros(sound.silence_us.unsigned_abs());
    assert!(silence < Duration::from_millis(100), "{silence:?}");
    assert!(sound.frames_dropped <= 1, "{}", sound.frames_dropped);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_next_keyframe_is_waited_for_when_the_last_one_is_old() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let (first, [_, next], _) = recorded(40).await;
    assert!(first == next, "it begins elsewhere");
}
