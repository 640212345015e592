//! Reads a video track of any WebRTC peer, without LiveKit: two peer connections of the `webrtc`
//! crate in this process, one sending pictures that brighten, the other read by a `VideoStream`.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin webrtc_track -- [FRAMES]
//! ```

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use livekit_stream::codec::Codec;
use livekit_stream::encode::{VideoOptions, video_encoder};
use livekit_stream::{VideoFormat, VideoFrame, VideoStream};
use livekit_stream_examples::peer::{self, Event};
use rtc::media::Sample;
use webrtc::media_stream::track_local::static_sample::TrackLocalStaticSample;
use webrtc::peer_connection::PeerConnection;

type Failure = Box<dyn Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let wanted = std::env::args().nth(1).map_or(Ok(50), |n| n.parse())?;
    let (sender, mut sending) = peer::connection().await?;
    let (receiver, mut receiving) = peer::connection().await?;
    let track = peer::h264_track()?;
    let rtp_sender = sender.add_track(track.clone()).await?;
    peer::connect((&sender, &mut sending), (&receiver, &mut receiving)).await?;

    let codecs = rtp_sender.get_parameters().await?.rtp_parameters.codecs;
    let payload_type = codecs.first().ok_or("no codec in common")?.payload_type;
    tokio::spawn(send(track, payload_type));
    let track = loop {
        if let Event::Track(track) = receiving.recv().await.ok_or("no track came")? {
            break track;
        }
    };

    // From here on there is no difference to a track of a LiveKit room.
    let mut pictures = VideoStream::from_webrtc(track).take(wanted);
    while let Some(event) = pictures.next().await {
        let (width, height) = (event.frame.width(), event.frame.height());
        let luma = event.frame.plane(0).first().copied().unwrap_or_default();
        println!("{} us {width}x{height} luma {luma}", event.timestamp_us);
    }
    sender.close().await?;
    receiver.close().await?;
    Ok(())
}

/// Encodes and sends a picture every 20 ms until the connection is closed.
async fn send(track: Arc<TrackLocalStaticSample>, payload_type: u8) -> Result<(), Failure> {
    let mut encoder = video_encoder(Codec::H264, VideoOptions::default())?;
    let mut ticks = tokio::time::interval(Duration::from_millis(20));
    for brightness in (16..=235_u8).cycle() {
        ticks.tick().await;
        let yuv = [vec![brightness; 320 * 240], vec![128; 320 * 120]].concat();
        let picture = VideoFrame::new(VideoFormat::I420, 320, 240, yuv)?;
        if let Some(frame) = encoder.encode(&picture, 0, false)? {
            let mut sample = Sample::new(Instant::now());
            (sample.data, sample.duration) = (frame.data, ticks.period());
            let ssrc = peer::SSRC;
            track.write_sample(ssrc, payload_type, &sample, &[]).await?;
        }
    }
    Ok(())
}
