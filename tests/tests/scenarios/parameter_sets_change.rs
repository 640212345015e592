//! A publisher's parameter sets change in mid-stream, and the size with them: pictures, recordings
//! and copies to RTMP follow.

use livekit_stream::{Recorder, Restreamer, TrackSource, Treatment, VideoStream};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::media::{self, Checksum};
use livekit_stream_tests::nginx::{LIVE, NginxRtmp};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, PublishedTrack, Publisher};
use livekit_stream_tests::require;

const LARGE: (u32, u32) = (640, 360);
const SMALL: (u32, u32) = (320, 180);

/// Each size for two seconds, then the other.
async fn publish(server: &LiveKitServer, codec: VideoCodec) -> (Publisher, Vec<PublishedTrack>) {
    let clip = |(width, height)| {
        let options = VideoOptions::of(codec).size(width, height);
        VideoClip::make(options.seconds(2))
    };
    let clip = clip(LARGE).then(&clip(SMALL));
    let token = server.publisher_token("room", "alice");
    let publisher = Publisher::join(&server.url(), &token).await;
    let tracks = publisher.publish_all(vec![
        PublishOptions::camera(clip).ignoring_keyframe_requests(),
        PublishOptions::microphone(AudioClip::make(4)),
    ]);
    let tracks = tracks.await;
    (publisher, tracks)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_h264_in_pictures_a_recording_and_rtmp() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Nginx);
    let (server, nginx) = (LiveKitServer::start().await, NginxRtmp::start().await);
    let mut guest = Guest::join(&server, "room", "guest").await;
    let (publisher, _tracks) = publish(&server, VideoCodec::H264).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice).to_file(&path).await;
    let recorder = recorder.expect("recording");
    let mut video = VideoStream::from_participant(&alice, TrackSource::Camera);
    let restreamer = Restreamer::builder(&alice)
        .target(nginx.url(LIVE, "key"))
        .start()
        .expect("started");
    nginx.published("key", DEADLINE).await;
    let mut pull = nginx.pull(LIVE, "key", 8).await;
    let frames = take(&mut video, 200).await;
    assert_eq!(video.errors(), 0, "{:?}", video.last_error());
    let flv = pull.finish(DEADLINE).await.to_owned();
    let report = recorder.stop().await.expect("a recording");
    let restreamed = restreamer.stop().await.expect("a restream");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}{restreamed:#?}");

    let mut sizes: Vec<_> = frames
        .iter()
        .map(|event| (event.frame.width(), event.frame.height()))
        .collect();
    sizes.dedup();
    assert!(sizes.contains(&LARGE) && sizes.contains(&SMALL) && sizes.len() >= 3);

    media::assert_plays(&path);
    assert_eq!(report.tracks[0].treatment, Treatment::Copied);
    assert_both_sizes(&path);
    let shown = media::frame_checksums(&path);
    assert_eq!(shown.len() as u64, report.tracks[0].frames);
    let picture = |at: usize| Checksum::of(frames[at].frame.tight().data());
    assert!(shown.contains(&picture(60)) && shown.contains(&picture(180)));

    assert_eq!(restreamed.tracks[0].treatment, Treatment::Copied);
    media::decode_without_errors(&flv);
    assert_both_sizes(&flv);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_h265_in_a_recording() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let (publisher, tracks) = publish(&server, VideoCodec::H265).await;
    let alice = guest.participant().await;
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alice.mp4");
    let recorder = Recorder::builder(&alice).to_file(&path).await;
    let recorder = recorder.expect("recording");
    tracks[0].sent_at_least(200, DEADLINE).await;
    let report = recorder.stop().await.expect("a recording");
    publisher.leave().await;
    guest.room.close().await;
    println!("{report:#?}");

    media::assert_plays(&path);
    assert_both_sizes(&path);
    assert_eq!(media::decoded_frames(&path) as u64, report.tracks[0].frames);
    let pictures = media::copied_pictures(&path, VideoCodec::H265);
    media::assert_run_of(&tracks[0].sent_frames(), &pictures);
}

fn assert_both_sizes(path: &std::path::Path) {
    let sizes = media::frame_sizes(path);
    assert!(
        sizes.contains(&LARGE) && sizes.contains(&SMALL) && sizes.len() >= 3,
        "{sizes:?}"
    );
}
