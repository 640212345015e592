//! An H.264 camera and an Opus microphone are recorded as they were sent, in sync.

use std::time::Duration;

use futures::StreamExt;
use livekit_stream::{
    Recorder, RemoteParticipant, Room, RoomEvent, RoomEvents, RoomOptions, Treatment,
};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions, annexb};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

const DEADLINE: Duration = Duration::from_secs(20);

/// The first participant who joins.
async fn participant(events: &mut RoomEvents) -> RemoteParticipant {
    let found = async {
        while let Some(event) = events.next().await {
            if let RoomEvent::ParticipantConnected(participant) = event {
                return participant;
            }
        }
        panic!("the room ended before anybody came");
    };
    tokio::time::timeout(DEADLINE, found)
        .await
        .expect("somebody joins in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_access_unit_is_in_the_file_bit_for_bit() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let clip = VideoClip::make(VideoOptions::default().seconds(10));
    let token = server.participant_token("room", "recorder");
    let (room, mut events) = Room::connect(&server.url(), &token, RoomOptions::default())
        .await
        .expect("joined");
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = participant(&mut events).await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice)
        .to_file(&path)
        .await
        .expect("recording");
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(clip.clone()),
            PublishOptions::microphone(AudioClip::make(10)),
        ])
        .await;
    tracks[0].sent_at_least(240, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    room.close().await;
    println!("{report:#?}");

    let probe = media::probe(&path);
    probe.assert_monotonic();
    media::decode_without_errors(&path);
    assert_eq!(report.tracks[0].treatment, Treatment::Copied);
    assert_eq!(report.tracks[1].treatment, Treatment::Copied);

    let units: Vec<_> = media::extract_annexb(&path)
        .iter()
        .map(|unit| annexb::slices(unit))
        .collect();
    let sent: Vec<_> = tracks[0]
        .sent()
        .iter()
        .map(|sent| annexb::slices(&clip.units[sent.index].data))
        .collect();
    assert!(units.len() >= 230, "{} access units", units.len());
    assert!(
        sent.windows(units.len()).any(|window| window == units),
        "the {} access units of the file are a run of the {} sent",
        units.len(),
        sent.len()
    );
    let offsets = media::flash_and_beep_offsets(&path);
    println!("{offsets:?}");
    assert!(!offsets.is_empty());
    assert!(
        offsets.iter().all(|offset| offset.abs() <= 40_000),
        "{offsets:?} us"
    );
}
