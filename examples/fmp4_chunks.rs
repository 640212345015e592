//! Turns the first video track in a room into chunks of fragmented MP4, one file each, as they
//! would be appended to a browser's `SourceBuffer`. Appended to each other they are an MP4 file.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin fmp4_chunks -- --url URL --token TOKEN FOLDER [FRAMES]
//! ```

use std::error::Error;
use std::path::PathBuf;

use futures::StreamExt;
use livekit_stream::codec::Codec;
use livekit_stream::mux::fmp4::{FragmentPolicy, ParameterSetPlacement};
use livekit_stream::output::fmp4::InputFrame;
use livekit_stream::{
    ChunkKind, EncodedVideoStream, FragmentedMp4Encoder, RemoteTrack, Room, RoomEvent, RoomOptions,
    VideoStream,
};
use livekit_stream_examples::Arguments;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = Arguments::parse()?;
    let folder = PathBuf::from(arguments.next("FOLDER")?);
    let wanted = arguments.next_or("FRAMES", 100)?;
    tokio::fs::create_dir_all(&folder).await?;

    let options = RoomOptions::default();
    let (room, mut events) = Room::connect(&arguments.url, &arguments.token, options).await?;
    while let Some(event) = events.next().await {
        let RoomEvent::TrackSubscribed {
            track: RemoteTrack::Video(track),
            publication,
            ..
        } = event
        else {
            continue;
        };
        // H.264 is copied as it comes; what MP4 does not take is decoded, to be encoded as H.264.
        let (frames, size) = if track.codec() == Some(Codec::H264) {
            let frames = EncodedVideoStream::new(&track).map(InputFrame::from);
            (frames.take(wanted).boxed(), publication.size())
        } else {
            let mut pictures = VideoStream::new(&track).peekable();
            let first = std::pin::Pin::new(&mut pictures).peek().await;
            let size = first
                .ok_or("the track ended before its first picture")?
                .frame
                .size();
            (pictures.map(InputFrame::from).take(wanted).boxed(), size)
        };
        let encoder = FragmentedMp4Encoder::builder(size.width, size.height, 30.0)
            // In band, as the size of a track that is copied may change.
            .parameter_sets(ParameterSetPlacement::InBand)
            .fragment(FragmentPolicy::EveryFrame)
            .build()?;
        let mut chunks = encoder.encode(frames).enumerate();
        while let Some((number, chunk)) = chunks.next().await {
            let chunk = chunk?;
            let extension = match chunk.kind {
                ChunkKind::Init => "mp4",
                ChunkKind::Media => "m4s",
            };
            let path = folder.join(format!("{number:05}.{extension}"));
            tokio::fs::write(&path, &chunk.data).await?;
            println!(
                "{:?} {} bytes {}",
                chunk.kind,
                chunk.data.len(),
                path.display()
            );
        }
        break;
    }
    room.close().await;
    Ok(())
}
