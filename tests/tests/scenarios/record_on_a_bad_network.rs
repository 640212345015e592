//! What the network loses comes back or is told; the file has no decoding errors either way.

use livekit_stream::RoomOptions;
use livekit_stream_tests::clip::VideoOptions;
use livekit_stream_tests::guest::{DEADLINE, eventually};
use livekit_stream_tests::impairment::Impairment;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::PublishOptions;
use livekit_stream_tests::recording::Recording;
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_percent_of_loss_and_a_burst_leave_no_broken_picture() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let network = Impairment::default();
    let options = RoomOptions::default().with_runtime(network.runtime());
    let recording = Recording::start_with(options).await;
    let options = VideoOptions::default().seconds(14);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    // However late the first picture came.
    let is_recorded = || {
        let progress = recording.progress();
        progress
            .tracks
            .first()
            .is_some_and(|video| video.frames >= 60)
    };
    eventually("two seconds are recorded", is_recorded).await;
    let begun = tracks[0].sent().len();
    network.set_receive_loss(0.05);
    network.set_reorder(0.02);
    tracks[0].sent_at_least(begun + 120, DEADLINE).await;
    network.lose_next_received(40);
    tracks[0].sent_at_least(begun + 240, DEADLINE).await;
    let recorded = recording.stop().await;
    println!("{:?}", network.counts());

    media::assert_plays(&recorded.path);
    assert!(
        recorded.report.tracks[0].packets_recovered > 0,
        "retransmission brings packets back"
    );
    // Whatever was written is what was sent: nothing torn, nothing invented.
    let pictures = media::h264_pictures(&recorded.path);
    assert!(pictures.len() >= 240, "{} of 300 pictures", pictures.len());
    media::assert_some_of(&tracks[0].sent_frames(), &pictures);
    media::assert_in_sync(&recorded.path, 1);
}
