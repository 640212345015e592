//! Where the server does not know the session any more, the room is joined anew: streams and
//! recordings of a participant go on, on the same clock, whatever sids things have now.

use std::path::Path;
use std::time::Duration;

use livekit_protocol::{SimulateScenario, signal_request, simulate_scenario};
use livekit_stream::{
    ConnectError, DisconnectReason, Recorder, RecordingReport, Restreamer, Room, RoomEvent,
    RoomOptions, TrackSource, VideoStream,
};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually, take};
use livekit_stream_tests::livekit::{LiveKitServer, SignalProxy};
use livekit_stream_tests::media;
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::require;

async fn publish(server: &LiveKitServer) -> (Publisher, Vec<PublishedTrack>) {
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(VideoClip::make(VideoOptions::default().seconds(20))),
            PublishOptions::microphone(AudioClip::make(20)),
        ])
        .await;
    (publisher, tracks)
}

/// The server forgets the participant behind the proxy, without a word to it.
fn forget(proxy: &SignalProxy) {
    let failure = simulate_scenario::Scenario::NodeFailure(true);
    proxy.tell_server(signal_request::Message::Simulate(SimulateScenario {
        scenario: Some(failure),
    }));
}

fn assert_whole(report: &RecordingReport, path: &Path, pictures: usize) {
    println!("{report:#?}");
    let probe = media::assert_plays(path);
    let packets = probe.packets_of(probe.video());
    assert!(packets.len() >= pictures, "{} pictures", packets.len());
    media::assert_in_sync(path, 3);
}

fn assert_growing(times: &[i64]) {
    for pair in times.windows(2) {
        assert!(pair[0] < pair[1], "{} us after {} us", pair[1], pair[0]);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_refused_resume_joins_the_room_again() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let proxy = SignalProxy::start(&server).await;
    let (publisher, _tracks) = publish(&server).await;
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    let first = guest.video_track().await;
    let alice = guest.room.remote_participant("alice");
    let alice = alice.expect("the publisher is in the room");
    let mut video = VideoStream::from_participant(&alice, TrackSource::Camera);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice).to_file(&path).await;
    let recorder = recorder.expect("recording");
    let mut frames = take(&mut video, 60).await;

    forget(&proxy);
    guest.reconnecting().await;
    let meanwhile = guest.reconnected().await;
    // The publisher was there all the time, only its tracks came again.
    for event in &meanwhile {
        match event {
            RoomEvent::TrackUnsubscribed { .. } | RoomEvent::TrackSubscribed { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    assert!(first.is_ended() && !alice.has_left());
    frames.extend(take(&mut video, 60).await);
    let times: Vec<i64> = frames.iter().map(|frame| frame.timestamp_us).collect();
    assert_growing(&times);
    let elapsed = times[119] - times[0];
    assert!(elapsed > 3_000_000, "{elapsed} us");
    let mut age = i64::MAX;
    for _ in 0..30 {
        let frame = take(&mut video, 1).await.remove(0);
        age = age.min(guest.room.now_us() - frame.timestamp_us);
    }
    assert!((-40_000..500_000).contains(&age), "{age} us old");
    eventually("the recording goes on", || {
        let progress = recorder.progress();
        progress
            .tracks
            .first()
            .is_some_and(|video| video.frames >= 110)
    })
    .await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;
    assert_whole(&report, &path, 100);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restream_goes_on_over_the_same_connection() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    let (publisher, _tracks) = publish(&server).await;
    let alice = guest.participant().await;
    let restreamer = Restreamer::builder(&alice).target(nginx.url(LIVE, "key"));
    let restreamer = restreamer.start().expect("started");
    nginx.published("key", DEADLINE).await;
    let mut pull = nginx.pull(LIVE, "key", 14).await;
    forget(&proxy);
    guest.reconnecting().await;
    guest.reconnected().await;
    let file = pull.finish(DEADLINE).await.to_owned();
    let report = restreamer.stop().await.expect("a restream");
    publisher.leave().await;
    guest.room.close().await;
    assert_eq!(report.targets[0].reconnects, 0);
    let probe = media::probe(&file);
    probe.assert_monotonic();
    media::decode_without_errors(&file);
    let pictures = probe.packets_of(probe.video()).len();
    assert!(pictures > 300, "{pictures} pictures in 14 s");
    println!("{report:#?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_was_killed_finds_everybody_again() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let mut server = LiveKitServer::start().await;
    let (publisher, tracks) = publish(&server).await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    guest.video_track().await;
    let alice = guest.room.remote_participant("alice");
    let alice = alice.expect("the publisher is in the room");
    let mut video = VideoStream::from_participant(&alice, TrackSource::Camera);
    let folder = tempfile::tempdir().expect("a folder");
    let paths = ["joining.mp4", "identity.mp4"].map(|name| folder.path().join(name));
    let joining = Recorder::builder(&alice).to_file(&paths[0]).await;
    let identity = Recorder::follow(&guest.room, "alice")
        .to_file(&paths[1])
        .await;
    let recorders = [joining, identity].map(|recorder| recorder.expect("recording"));
    let mut frames = take(&mut video, 60).await;

    server.kill();
    guest.reconnecting().await;
    drop(tracks);
    publisher.abort().await;
    server.start_again().await;
    guest.reconnected().await;
    assert!(!alice.has_left(), "those who were there are waited for");
    let (publisher, _tracks) = publish(&server).await;
    let back = guest.participant().await;
    assert_eq!(back.identity(), "alice");
    assert_ne!(back.sid(), alice.sid());
    assert!(alice.has_left());
    frames.extend(take(&mut video, 60).await);
    let times: Vec<i64> = frames.iter().map(|frame| frame.timestamp_us).collect();
    assert_growing(&times);
    for (recorder, path) in recorders.into_iter().zip(&paths) {
        let report = recorder.stop().await.expect("a recording");
        assert_whole(&report, path, 100);
    }
    publisher.leave().await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_token_that_the_server_refreshed_lets_in_again() {
    require!(Peer::LiveKit);
    let mut server = LiveKitServer::start().await;
    let proxy = SignalProxy::start(&server).await;
    // Servers go on with a token for a minute after its time.
    let ago = Duration::from_secs(55);
    let token = |identity| server.expired_token("room", identity, ago);
    let (token, other) = (token("guest"), token("other"));
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    server.active("room", "guest", DEADLINE).await;
    proxy.set_open(false);
    proxy.cut();
    guest.reconnecting().await;
    let refused = async {
        loop {
            match Room::connect(&server.url(), &other, RoomOptions::default()).await {
                Ok((room, _)) => room.close().await,
                Err(ConnectError::TokenExpired { .. }) => return,
                Err(error) => panic!("{error}"),
            }
        }
    };
    let refused = tokio::time::timeout(DEADLINE, refused).await;
    assert!(refused.is_ok(), "the token does not expire");
    server.kill();
    server.start_again().await;
    proxy.set_open(true);
    guest.reconnected().await;
    server.active("room", "guest", DEADLINE).await;
    guest.room.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_refuses_the_token_ends_the_room() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let stranger = LiveKitServer::start().await;
    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "guest");
    let mut guest = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    server.active("room", "guest", DEADLINE).await;
    proxy.lead_to(&stranger);
    proxy.cut();
    guest.reconnecting().await;
    assert_eq!(guest.disconnected().await, DisconnectReason::Refused);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_takes_the_identity_meanwhile_keeps_it() {
    require!(Peer::LiveKit);
    let server = LiveKitServer::start().await;
    let proxy = SignalProxy::start(&server).await;
    let token = server.participant_token("room", "twin");
    let mut first = Guest::join_at(&proxy.url(), &token, RoomOptions::default()).await;
    server.active("room", "twin", DEADLINE).await;
    proxy.set_open(false);
    proxy.cut();
    first.reconnecting().await;
    let second = Guest::join(&server, "room", "twin").await;
    proxy.set_open(true);
    assert_eq!(
        first.disconnected().await,
        DisconnectReason::DuplicateIdentity
    );
    assert!(second.room.is_connected());
    second.room.close().await;
}
