//! Records the first camera in a room, with its microphone, to a fragmented MP4 file.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin record -- --url URL --token TOKEN FILE.mp4 [SECONDS]
//! ```

use std::error::Error;
use std::time::Duration;

use futures::StreamExt;
use livekit_stream::{Recorder, Room, RoomEvent, RoomOptions, TrackSource};
use livekit_stream_examples::Arguments;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse()?;
    let path = arguments.next("FILE.mp4")?;
    let seconds = arguments.next_or("SECONDS", 10)?;

    // The recorder subscribes to what it records: nothing else crosses the network.
    let options = RoomOptions::default().with_auto_subscribe(false);
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
        // `Recorder::follow(&room, identity)` would go on when the participant comes back.
        let recorder = Recorder::builder(&participant)
            .duration(Duration::from_secs(seconds))
            .to_file(&path)
            .await?;
        let report = recorder.finished().await?;
        println!("{path}: {} us, {} bytes", report.duration_us, report.bytes);
        for track in &report.tracks {
            println!(
                "{} {} {:?} as {}: {} frames, {} packets lost, {} frames dropped",
                track.source,
                track.codec,
                track.treatment,
                track.written_codec,
                track.frames,
                track.packets_lost,
                track.frames_dropped,
            );
        }
        break;
    }
    room.close().await;
    Ok(())
}
