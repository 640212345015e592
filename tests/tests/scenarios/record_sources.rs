//! Which of a participant's tracks are recorded: those whose source was not told, and the sound of
//! a shared screen that comes late.

use std::path::Path;

use futures::FutureExt;
use futures::StreamExt;
use livekit_stream::{
    EncodedVideoStream, MediaSource, Recorder, RecordingReport, TrackReport, TrackSource,
};
use livekit_stream_tests::cli;
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{self, PublishOptions, Publisher};
use livekit_stream_tests::require;

fn clip() -> VideoClip {
    VideoClip::make(VideoOptions::default().seconds(10))
}

/// Without a source, as publishers made by hand often are.
fn unknown(options: PublishOptions) -> PublishOptions {
    PublishOptions {
        source: publisher::TrackSource::Unknown,
        ..options
    }
}

fn screen_sound() -> PublishOptions {
    PublishOptions {
        source: publisher::TrackSource::ScreenShareAudio,
        ..PublishOptions::microphone(AudioClip::make(10))
    }
}

fn sound(report: &RecordingReport) -> &TrackReport {
    let sound = report.tracks.iter().find(|track| track.width == 0);
    sound.unwrap_or_else(|| panic!("no sound: {report:#?}"))
}

fn assert_plays(path: &Path) {
    let probe = media::assert_plays(path);
    assert_eq!(
        (probe.video().codec.as_str(), probe.audio().codec.as_str()),
        ("h264", "opus")
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracks_of_unknown_source_stand_in_for_camera_and_microphone() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let alice = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let seen = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let (path, by_program) = (
        folder.path().join("alice.mp4"),
        folder.path().join("program.mp4"),
    );
    let mut exact = EncodedVideoStream::from_participant(&seen, TrackSource::Camera);
    let mut unknown_video = EncodedVideoStream::from_participant(&seen, TrackSource::Unknown);
    let tracks = alice
        .publish_all(vec![
            unknown(PublishOptions::camera(clip())),
            unknown(PublishOptions::microphone(AudioClip::make(10))),
        ])
        .await;
    let recorder = Recorder::builder(&seen).to_file(&path).await;
    let recorder = recorder.expect("recording");
    let mut command = cli::command_for(&server);
    command.args(["record", "--room", "room", "--duration", "2", "--output"]);
    let ended = cli::run(command.arg(&by_program), DEADLINE).await;
    assert_eq!(ended.code, Some(0), "{}", ended.stderr);
    tracks[0].sent_at_least(90, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    assert!(report.duration_us > 1_500_000, "{report:#?}");
    for track in &report.tracks {
        assert_eq!(track.source, TrackSource::Unknown, "{report:#?}");
        assert!(track.frames > 40, "{report:#?}");
    }
    assert_plays(&path);
    assert_plays(&by_program);
    // Who names a source gets that one.
    assert!(exact.next().now_or_never().is_none());
    let frame = tokio::time::timeout(DEADLINE, unknown_video.next()).await;
    assert!(frame.is_ok_and(|frame| frame.is_some_and(|frame| frame.keyframe)));
    alice.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_camera_goes_before_a_track_of_unknown_source() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let alice = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let seen = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let tracks = alice
        .publish_all(vec![
            unknown(PublishOptions::camera(clip())),
            PublishOptions::camera(clip()),
        ])
        .await;
    guest.video_track().await;
    guest.video_track().await;
    let recorder = Recorder::builder(&seen)
        .to_file(folder.path().join("alice.mp4"))
        .await
        .expect("recording");
    tracks[1].sent_at_least(60, DEADLINE).await;
    let is_recorded = || {
        let progress = recorder.progress();
        progress
            .tracks
            .first()
            .is_some_and(|video| video.frames > 0)
    };
    eventually("it is recorded", is_recorded).await;
    let report = recorder.stop().await.expect("a recording");
    alice.leave().await;
    guest.room.close().await;
    assert_eq!(report.tracks[0].source, TrackSource::Camera, "{report:#?}");
    assert!(report.tracks[0].frames > 0, "{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screens_own_sound_is_found_when_it_comes_late() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let alice = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let seen = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&seen)
        .source(MediaSource::Screen)
        .to_file(&path)
        .await
        .expect("recording");
    // A microphone that says nothing before the screen has sound of its own.
    let microphone = alice
        .publish(PublishOptions::microphone(AudioClip::make(10)))
        .await;
    alice.set_muted(&microphone, true).await;
    let screen = alice.publish(PublishOptions::screen_share(clip())).await;
    screen.sent_at_least(60, DEADLINE).await;
    let own = alice.publish(screen_sound()).await;
    own.sent_at_least(100, DEADLINE).await;
    alice.set_muted(&microphone, false).await;
    screen.sent_at_least(180, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    alice.leave().await;
    guest.room.close().await;
    let sound = sound(&report);
    println!("{report:#?}");
    assert_eq!(sound.source, TrackSource::ScreenShareAudio);
    let heard_us = sound.duration_us - sound.silence_us;
    assert!(heard_us > 1_500_000, "{heard_us} us of sound");
    assert_plays(&path);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_screen_with_the_microphone_stays_with_it_once_it_was_heard() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "recorder").await;
    let alice = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let seen = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let tracks = alice
        .publish_all(vec![
            PublishOptions::screen_share(clip()),
            PublishOptions::microphone(AudioClip::make(10)),
        ])
        .await;
    let recorder = Recorder::builder(&seen)
        .source(MediaSource::Screen)
        .to_file(&path)
        .await
        .expect("recording");
    let heard = || {
        let report = recorder.progress();
        let sound = report.tracks.iter().find(|track| track.width == 0);
        sound.is_some_and(|sound| sound.frames > 0 && sound.duration_us > sound.silence_us)
    };
    livekit_stream_tests::guest::eventually("the microphone is heard", heard).await;
    let own = alice.publish(screen_sound()).await;
    own.sent_at_least(100, DEADLINE).await;
    tracks[0].sent_at_least(90, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    alice.leave().await;
    guest.room.close().await;
    assert_eq!(
        sound(&report).source,
        TrackSource::Microphone,
        "{report:#?}"
    );
    assert_plays(&path);
}
