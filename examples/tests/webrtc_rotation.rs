//! A sender that says how its pictures are to be turned, over a real WebRTC connection without
//! LiveKit (whose server does not pass the header extension on).

use std::time::{Duration, Instant};

use futures::StreamExt;
use livekit_stream::codec::Codec;
use livekit_stream::encode::{VideoOptions, video_encoder};
use livekit_stream::{FrameSource, VideoFormat, VideoFrame, VideoRotation, VideoStream};
use livekit_stream_examples::peer::{self, Event};
use rtc::media::Sample;
use rtc::rtp::extension::HeaderExtension;
use rtc::rtp::extension::video_orientation_extension::{
    CameraDirection, VideoOrientationExtension, VideoRotation as Orientation,
};
use webrtc::peer_connection::PeerConnection;

const DEADLINE: Duration = Duration::from_secs(30);

/// The id that an SDP gives the video-orientation header extension.
fn orientation_id(sdp: &str) -> u8 {
    let line = sdp
        .lines()
        .find(|line| line.contains("urn:3gpp:video-orientation"));
    let id = line.and_then(|line| line.strip_prefix("a=extmap:")?.split(' ').next());
    id.and_then(|id| id.split('/').next()?.parse().ok())
        .expect("the extension is negotiated")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_carry_the_rotation_of_their_pictures() {
    let (sender, mut sending) = peer::connection().await.expect("a connection");
    let (receiver, mut receiving) = peer::connection().await.expect("a connection");
    let track = peer::h264_track().expect("a track");
    let rtp_sender = sender.add_track(track.clone()).await.expect("added");
    let answer = peer::connect((&sender, &mut sending), (&receiver, &mut receiving))
        .await
        .expect("connected");
    let id = orientation_id(&answer);

    let parameters = rtp_sender.get_parameters().await.expect("parameters");
    let payload_type = parameters.rtp_parameters.codecs[0].payload_type;
    let turns = [
        (Orientation::Degree0, VideoRotation::Deg0),
        (Orientation::Degree90, VideoRotation::Deg90),
        (Orientation::Degree180, VideoRotation::Deg180),
        (Orientation::Degree270, VideoRotation::Deg270),
    ];
    let sent = tokio::spawn(async move {
        let mut encoder = video_encoder(Codec::H264, VideoOptions::default()).expect("an encoder");
        let mut ticks = tokio::time::interval(Duration::from_millis(20));
        for count in 0.. {
            ticks.tick().await;
            let (orientation, _) = turns[count / 10 % 4];
            // The brightness tells which rotation belongs to a picture.
            let brightness = 40 + 50 * (count / 10 % 4) as u8;
            let yuv = [vec![brightness; 320 * 240], vec![128; 320 * 120]].concat();
            let picture = VideoFrame::new(VideoFormat::I420, 320, 240, yuv).expect("a picture");
            let encoded = encoder.encode(&picture, 0, false).expect("encoded");
            let Some(encoded) = encoded else { continue };
            let mut sample = Sample::new(Instant::now());
            (sample.data, sample.duration) = (encoded.data, ticks.period());
            let extension = HeaderExtension::VideoOrientation(VideoOrientationExtension {
                direction: CameraDirection::Front,
                flip: false,
                rotation: orientation,
            });
            let written = track
                .write_sample(peer::SSRC, payload_type, &sample, &[extension])
                .await;
            if written.is_err() {
                return;
            }
        }
    });
    let track = loop {
        if let Event::Track(track) = receiving.recv().await.expect("a track comes") {
            break track;
        }
    };
    let source = FrameSource::from(track).video_orientation_id(id);
    let pictures = VideoStream::builder(source).capacity(0).build().take(80);
    let events = tokio::time::timeout(DEADLINE, pictures.collect::<Vec<_>>()).await;
    for event in events.expect("pictures come") {
        let brightness = event.frame.plane(0)[320 * 120 + 160];
        let turn = usize::from((brightness.saturating_sub(20)) / 50).min(3);
        assert_eq!(event.rotation, turns[turn].1, "brightness {brightness}");
    }
    sender.close().await.expect("closed");
    receiver.close().await.expect("closed");
    sent.abort();
}
