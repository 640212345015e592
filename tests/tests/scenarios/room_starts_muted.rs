//! A publisher whose camera and microphone are muted from the beginning: nothing comes, nothing
//! fails, and all begins when it unmutes.

use livekit_stream::{
    AudioStream, Recorder, RemoteParticipant, RoomEvent, TrackSource, VideoStream,
};
use livekit_stream_tests::chromium::{BrowserOptions, BrowserPublisher};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;
use tempfile::TempDir;

/// Everything that waits for a participant's camera and microphone.
struct Waiting {
    video: VideoStream,
    sound: AudioStream,
    recorder: Recorder,
    folder: TempDir,
}

impl Waiting {
    async fn on(participant: &RemoteParticipant) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let recorder = Recorder::builder(participant)
            .to_file(&folder.path().join("recording.mp4"))
            .await;
        Self {
            video: VideoStream::from_participant(participant, TrackSource::Camera),
            sound: AudioStream::from_participant(participant, TrackSource::Microphone),
            recorder: recorder.expect("recording"),
            folder,
        }
    }

    /// Both come, and are recorded together.
    async fn begins(mut self) {
        let (video, sound) = tokio::join!(take(&mut self.video, 90), take(&mut self.sound, 100));
        assert!(video.len() == 90 && sound.len() == 100);
        assert_eq!(self.video.errors(), 0, "{:?}", self.video.last_error());
        assert_eq!(self.sound.errors(), 0, "{:?}", self.sound.last_error());
        let report = self.recorder.stop().await.expect("a recording");
        println!("{report:#?}");
        let path = self.folder.path().join("recording.mp4");
        let probe = media::assert_plays(&path);
        assert!(probe.packets_of(probe.video()).len() >= 60);
        assert!(probe.packets_of(probe.audio()).len() >= 60);
        for track in &report.tracks {
            assert!(track.start_offset_us < 2_000_000, "{track:#?}");
        }
    }
}

/// Waits until both tracks have been unmuted or have come unmuted.
async fn unmuted(guest: &mut Guest) {
    let mut sources = Vec::new();
    guest
        .until(|event| {
            println!("{event:?}");
            let publication = match event {
                RoomEvent::TrackUnmuted { publication, .. } => publication,
                RoomEvent::TrackSubscribed { publication, .. } if !publication.is_muted() => {
                    publication
                }
                _ => return None,
            };
            let source = publication.source();
            if !sources.contains(&source) {
                sources.push(source);
            }
            let both = [TrackSource::Camera, TrackSource::Microphone];
            both.iter()
                .all(|source| sources.contains(source))
                .then_some(())
        })
        .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_begins_when_a_publisher_unmutes() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let waiting = Waiting::on(&alice).await;
    let clip = VideoClip::make(VideoOptions::default());
    let screen = publisher.publish(PublishOptions::screen_share(clip.clone()));
    let screen = screen.await;
    let options = vec![
        PublishOptions::camera(clip).muted(),
        PublishOptions::microphone(AudioClip::make(4)).muted(),
    ];
    let tracks = publisher.publish_all(options).await;
    let sent = screen.sent().len();
    screen.sent_at_least(sent + 60, DEADLINE).await;
    assert!(tracks.iter().all(|track| track.sent().is_empty()));
    let report = waiting.recorder.progress();
    assert!(!report.is_playable(), "{report:#?}");
    for track in &tracks {
        publisher.set_muted(track, false).await;
    }
    unmuted(&mut guest).await;
    waiting.begins().await;
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_begins_when_a_browser_unmutes() {
    require!(
        Peer::LiveKit,
        Peer::Ffmpeg,
        Peer::Chromium,
        Peer::LiveKitClient
    );
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let token = server.publisher_token("room", "browser");
    let options = BrowserOptions::default().codec(VideoCodec::H264).muted();
    let mut browser = BrowserPublisher::join(&server.url(), &token, options).await;
    let participant = guest.participant().await;
    let waiting = Waiting::on(&participant).await;
    browser.unmute_camera().await;
    browser.unmute_microphone().await;
    unmuted(&mut guest).await;
    waiting.begins().await;
    browser.leave().await;
    guest.room.close().await;
}
