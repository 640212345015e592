//! Every video codec over a WebRTC connection without LiveKit: `EncodedVideoStream::from_webrtc`
//! gives what was sent, bit for bit.

use std::time::Duration;

use futures::StreamExt;
use livekit_stream::{EncodedFrame, EncodedVideoStream};
use livekit_stream_examples::peer::{self, Event};
use livekit_stream_examples::whep::Session;
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, WhepServer};
use livekit_stream_tests::{media, require};
use webrtc::peer_connection::{PeerConnection, RTCSessionDescription};

const DEADLINE: Duration = Duration::from_secs(40);
const TOKEN: &str = "a-token";
const FRAMES: usize = 60;

const CODECS: [VideoCodec; 5] = [
    VideoCodec::H264,
    VideoCodec::H265,
    VideoCodec::Vp8,
    VideoCodec::Vp9,
    VideoCodec::Av1,
];

async fn frames_of(server: &WhepServer) -> Vec<EncodedFrame> {
    let (connection, mut events) = peer::viewer(true).await.expect("a connection");
    let offer = peer::offer(&connection, &mut events).await;
    let offer = offer.expect("an offer").sdp;
    let endpoint = server.url().parse().expect("a URL");
    let opened = Session::open(endpoint, Some(TOKEN.to_owned()), offer).await;
    let (session, answer) = opened.expect("a session");
    let answer = RTCSessionDescription::answer(answer).expect("an SDP");
    let taken = connection.set_remote_description(answer).await;
    taken.expect("the answer is taken");
    let track = loop {
        if let Event::Track(track) = events.recv().await.expect("the connection lives") {
            break track;
        }
    };
    let frames = EncodedVideoStream::from_webrtc(track);
    let frames = frames.take(FRAMES).collect().await;
    session.close().await.expect("deleted");
    connection.close().await.expect("it closes");
    frames
}

async fn is_received_as_sent(codec: VideoCodec) {
    let clip = VideoClip::make(VideoOptions::of(codec));
    let server = WhepServer::start(vec![PublishOptions::camera(clip)], TOKEN).await;
    let frames = tokio::time::timeout(DEADLINE, frames_of(&server)).await;
    let frames = frames.unwrap_or_else(|_| panic!("{codec:?} does not come"));
    assert_eq!(frames.len(), FRAMES);
    assert!(frames[0].keyframe, "{codec:?} begins with a keyframe");
    for frame in &frames {
        assert_eq!((frame.size.width, frame.size.height), (640, 360));
        assert_eq!(frame.lost_packets, 0, "{codec:?} on loopback");
    }
    media::assert_steady(frames.iter().map(|frame| frame.timestamp_us), 33_333);
    let pictures: Vec<_> = frames.iter().map(|it| codec.picture(&it.data)).collect();
    media::assert_run_of(&server.sent_frames(0), &pictures);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_codec_is_received_bit_for_bit() {
    require!(Peer::Ffmpeg);
    futures::future::join_all(CODECS.map(is_received_as_sent)).await;
}
