//! Somebody who is followed comes back with another codec: the pictures go on in a further file.

use livekit_stream::Recorder;
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_codec_has_a_file() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let guest = Guest::join(&server, "room", "recorder").await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::follow(&guest.room, "alice")
        .to_file(&path)
        .await
        .expect("recording");
    let codecs = [
        (VideoCodec::H264, "h264"),
        (VideoCodec::Vp9, "vp9"),
        (VideoCodec::H265, "hevc"),
    ];
    for (codec, _) in codecs {
        let clip = VideoClip::make(VideoOptions::of(codec).seconds(10));
        let token = server.publisher_token("room", "alice");
        let publisher = Publisher::join(&server.url(), &token).await;
        let before = recorder.progress().tracks[0].frames;
        let _tracks = publisher
            .publish_all(vec![
                PublishOptions::camera(clip),
                PublishOptions::microphone(AudioClip::make(10)),
            ])
            .await;
        eventually("the pictures are recorded", || {
            recorder.progress().tracks[0].frames > before + 60
        })
        .await;
        publisher.leave().await;
    }
    let report = tokio::time::timeout(DEADLINE, recorder.stop()).await;
    let report = report.expect("in time").expect("a recording");
    guest.room.close().await;
    println!("{report:#?}");

    assert_eq!(report.further_outputs.len(), 2);
    let files = [&path].into_iter().chain(&report.further_outputs);
    let mut frames = 0;
    for (file, (_, name)) in files.zip(codecs) {
        let probe = media::probe(file);
        probe.assert_monotonic();
        assert_eq!(probe.video().codec, name);
        media::decode_without_errors(file);
        frames += media::decoded_frames(file) as u64;
    }
    assert_eq!(frames, report.tracks[0].frames);
}
