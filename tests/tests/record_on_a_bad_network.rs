//! What the network loses comes back or is told; the file has no decoding errors either way.

use livekit_stream::{Recorder, RoomOptions};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoOptions, annexb};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_percent_of_loss_and_a_burst_leave_no_broken_picture() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let mut guest = Guest::join_with(&server, "room", "recorder", options).await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice)
        .to_file(&path)
        .await
        .expect("recording");
    let clip = VideoClip::make(VideoOptions::default().seconds(14));
    let tracks = publisher
        .publish_all(vec![
            PublishOptions::camera(clip.clone()),
            PublishOptions::microphone(AudioClip::make(14)),
        ])
        .await;
    tracks[0].sent_at_least(60, DEADLINE).await;
    network.set_receive_loss(0.05);
    network.set_reorder(0.02);
    tracks[0].sent_at_least(180, DEADLINE).await;
    network.lose_next_received(40);
    tracks[0].sent_at_least(300, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?} {:?}", network.counts());

    media::probe(&path).assert_monotonic();
    media::decode_without_errors(&path);
    assert!(
        report.tracks[0].packets_recovered > 0,
        "retransmission brings packets back"
    );
    // Whatever was written is what was sent: nothing torn, nothing invented.
    let sent: Vec<_> = tracks[0]
        .sent()
        .iter()
        .map(|sent| annexb::slices(&clip.units[sent.index].data))
        .collect();
    let units = media::extract_annexb(&path);
    assert!(units.len() >= 240, "{} of 300 pictures", units.len());
    let mut at = 0;
    for unit in &units {
        let slices = annexb::slices(unit);
        let found = sent[at..].iter().position(|one| *one == slices);
        at += found.expect("each picture is the next of those sent, in order") + 1;
    }
    let offsets = media::flash_and_beep_offsets(&path);
    assert!(
        offsets.iter().all(|offset| offset.abs() <= 40_000),
        "{offsets:?} us"
    );
}
