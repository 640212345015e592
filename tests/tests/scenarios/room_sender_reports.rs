//! The server's sender reports come through and tie sound and pictures to one clock.

use livekit_stream::{AudioStream, RemoteTrack, TrackSource, VideoStream};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::guest::{Guest, eventually, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracks_are_synchronized_by_the_servers_reports() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let mut pictures = VideoStream::from_participant(&alice, TrackSource::Camera);
    let mut sound = AudioStream::from_participant(&alice, TrackSource::Microphone);
    let clip = VideoClip::make(VideoOptions::default());
    // The server reports of all four at once.
    let all = vec![
        PublishOptions::camera(clip.clone()),
        PublishOptions::microphone(AudioClip::make(4)),
        PublishOptions::screen_share(clip),
        PublishOptions::screen_share_audio(AudioClip::make(4)),
    ];
    let _tracks = publisher.publish_all(all).await;
    let mut tracks: Vec<RemoteTrack> = Vec::new();
    for _ in 0..4 {
        tracks.push(guest.track().await.0);
    }
    eventually("all tracks are synchronized", || {
        tracks.iter().all(|track| track.stats().synchronized)
    })
    .await;
    // Streams go on across the moment at which their times are known better.
    take(&mut pictures, 60).await;
    take(&mut sound, 60).await;
    publisher.leave().await;
    guest.room.close().await;
}
