//! Sends the pictures of the first camera in a room to an RTMP server.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin restream -- --url URL --token TOKEN RTMP_URL [SECONDS]
//! ```
//!
//! This is the way for pictures that a program changes on their way: each is decoded and encoded
//! again, and sound is the program's own affair (`RtmpOutput::write_audio`). To send a participant
//! on as is, use `Restreamer`: it copies H.264, and takes the microphone along as AAC.

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use livekit_stream::{Room, RoomEvent, RoomOptions, RtmpOutput, TrackSource, VideoStream};
use livekit_stream_examples::Arguments;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse()?;
    let target = arguments.next("RTMP_URL")?;
    let seconds = arguments.next_or("SECONDS", 10)?;

    let options = RoomOptions::default();
    let (room, mut events) = Room::connect(&arguments.url, &arguments.token, options).await?;
    while let Some(event) = events.next().await {
        let RoomEvent::TrackPublished {
            publication,
            participant,
        } = event
        else {
            continue;
        };
        if publication.source() != TrackSource::Camera {
            continue;
        }
        let mut rtmp = RtmpOutput::builder(&target)
            .bit_rate(2_000_000)
            .connect()
            .await?;
        let end = tokio::time::sleep(Duration::from_secs(seconds));
        let video =
            VideoStream::from_participant(&participant, TrackSource::Camera).take_until(end);
        // `forward(rtmp)` is enough where nobody asks for figures afterwards.
        video.map(Ok).forward(&mut rtmp).await?;
        for target in rtmp.stats() {
            println!(
                "{}: {} pictures sent, {} dropped, {} bytes",
                target.target,
                target.video_frames_sent,
                target.video_frames_dropped,
                target.bytes_sent,
            );
        }
        break;
    }
    room.close().await;
    Ok(())
}
