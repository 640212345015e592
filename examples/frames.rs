//! Prints the pictures of the first video track in a room: their time, size, rotation and format.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin frames -- --url URL --token TOKEN [FRAMES]
//! ```

use std::error::Error;

use futures::StreamExt;
use livekit_stream::{RemoteTrack, Room, RoomEvent, RoomOptions, VideoStream};
use livekit_stream_examples::Arguments;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse()?;
    let wanted = arguments.next_or("FRAMES", 100)?;

    let options = RoomOptions::default();
    let (room, mut events) = Room::connect(&arguments.url, &arguments.token, options).await?;
    while let Some(event) = events.next().await {
        let RoomEvent::TrackSubscribed {
            track: RemoteTrack::Video(track),
            participant,
            ..
        } = event
        else {
            continue;
        };
        println!(
            "{} {} {}",
            participant.identity(),
            track.source(),
            track.mime_type()
        );
        let mut video = VideoStream::new(&track);
        let mut pictures = video.by_ref().take(wanted);
        while let Some(event) = pictures.next().await {
            println!(
                "{} us {}x{} {} degrees {:?}",
                event.timestamp_us,
                event.frame.width(),
                event.frame.height(),
                event.rotation,
                event.frame.format(),
            );
        }
        println!(
            "{} dropped, {} errors",
            video.dropped_frames(),
            video.errors()
        );
        break;
    }
    room.close().await;
    Ok(())
}
