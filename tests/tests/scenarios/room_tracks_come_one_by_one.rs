//! Tracks that are published one after the other each cost the server an offer; all come.

use std::collections::BTreeSet;

use livekit_stream::EncodedVideoStream;
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::guest::{Guest, take};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

const TRACKS: usize = 24;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn twenty_four_tracks_one_by_one() {
    require!(Peer::LiveKit, Peer::Ffmpeg);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default().size(160, 90).kbps(100, 0));
    let (mut published, mut received) = (BTreeSet::new(), BTreeSet::new());
    let (mut playing, mut streams) = (Vec::new(), Vec::new());
    for number in 0..TRACKS {
        let options = PublishOptions::camera(clip.clone()).named(&format!("camera {number}"));
        let track = publisher.publish(options).await;
        published.insert(track.sid().to_owned());
        playing.push(track);
        let (track, _) = guest.track().await;
        received.insert(track.sid().to_owned());
        streams.push(EncodedVideoStream::new(&track));
    }
    assert_eq!(published, received);
    for stream in &mut streams {
        let frames = take(stream, 30).await;
        assert!(frames[0].keyframe);
        let steps = frames
            .windows(2)
            .map(|pair| pair[1].timestamp_us - pair[0].timestamp_us);
        assert!(steps.into_iter().all(|step| step > 0));
    }
    publisher.leave().await;
    guest.room.close().await;
}
