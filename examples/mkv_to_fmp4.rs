//! Turns a Matroska or WebM file into fragmented MP4 while it is read, as a server would for a
//! browser: pictures copied, sound copied where MP4 takes it.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin mkv_to_fmp4 -- FILE.mkv OUT.mp4 [SECONDS]
//! ```

use std::env;
use std::error::Error;

use futures::{StreamExt, stream};
use livekit_stream::pipeline::mkv::TranscodeOptions;
use livekit_stream::transcode_mkv;
use tokio::fs::File;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// What is read at a time.
const PIECE: usize = 64 << 10;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let (Some(input), Some(output)) = (arguments.next(), arguments.next()) else {
        return Err("usage: mkv_to_fmp4 FILE.mkv OUT.mp4 [SECONDS]".into());
    };
    let mut options = TranscodeOptions::default();
    if let Some(seconds) = arguments.next() {
        options.max_duration_ms = Some(seconds.parse::<f64>()? * 1_000.0);
    }

    // Any stream of bytes will do: the body of an HTTP response, a chat's file, a pipe.
    let source = stream::unfold(File::open(input).await?, |mut file| async {
        let mut piece = bytes::BytesMut::with_capacity(PIECE);
        match file.read_buf(&mut piece).await {
            Ok(0) => None,
            result => Some((result.map(|_| piece.freeze()), file)),
        }
    });
    let mut mp4 = transcode_mkv(source, options)?;
    let mut file = File::create(output).await?;
    while let Some(piece) = mp4.next().await {
        file.write_all(&piece?).await?;
    }
    file.flush().await?;

    let stats = mp4.stats();
    println!("{}", mp4.mime_type().unwrap_or_default());
    println!(
        "{} pictures and {} packets of sound in {} fragments, {} bytes of {}",
        stats.video_frames, stats.audio_frames, stats.fragments, stats.bytes_out, stats.input.bytes
    );
    Ok(())
}
