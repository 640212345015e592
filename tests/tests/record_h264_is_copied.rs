//! An H.264 camera and an Opus microphone are recorded as they were sent, in sync.

use livekit_stream::Treatment;
use livekit_stream_tests::clip::VideoOptions;
use livekit_stream_tests::guest::DEADLINE;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::PublishOptions;
use livekit_stream_tests::recording::Recording;
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_picture_and_packet_of_sound_is_in_the_file_bit_for_bit() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let recording = Recording::start().await;
    let options = VideoOptions::default().seconds(10);
    let tracks = recording
        .publisher
        .publish_all(PublishOptions::camera_and_microphone(options))
        .await;
    tracks[0].sent_at_least(240, DEADLINE).await;
    let recorded = recording.stop().await;

    let path = &recorded.path;
    media::assert_plays(path);
    for track in &recorded.report.tracks {
        assert_eq!(track.treatment, Treatment::Copied);
    }
    let pictures = media::h264_pictures(path);
    assert!(pictures.len() >= 230, "{} pictures", pictures.len());
    media::assert_run_of(&tracks[0].sent_frames(), &pictures);
    let sound = media::opus_without_silence(path);
    assert!(sound.len() >= 380, "{} packets of sound", sound.len());
    media::assert_run_of(&tracks[1].sent_frames(), &sound);
    media::assert_in_sync(path, 6);
}
