//! Shows pictures of an RTMP stream with the sound of their moment.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin rtmp_capture -- RTMP_URL [PICTURES]
//! ```
//!
//! With `RtmpCapture::listen` instead of `builder`, a publisher such as OBS comes to this program
//! and no server is needed.

use std::env;
use std::error::Error;

use futures::StreamExt;
use livekit_stream::input::RtmpCapture;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = env::args().skip(1);
    let url = arguments.next().ok_or("the argument RTMP_URL is missing")?;
    let pictures = arguments.next().map_or(Ok(100), |count| count.parse())?;

    let capture = RtmpCapture::builder(&url)
        .width(320)
        .fps(10.0)
        .audio_sample_rate(16_000)
        .start()
        .await?;
    let mut frames = capture.frames_with_audio().take(pictures);
    while let Some((picture, sound)) = frames.next().await {
        // Rows of red, green and blue, one byte each.
        let pixels = picture.frame.data();
        let brightness = pixels.iter().map(|&value| u64::from(value)).sum::<u64>();
        let loudest = sound
            .samples
            .iter()
            .map(|sample| sample.unsigned_abs())
            .max();
        println!(
            "{} us {}x{} brightness {} with {} samples, loudest {}",
            picture.timestamp_us,
            picture.frame.width(),
            picture.frame.height(),
            brightness / pixels.len().max(1) as u64,
            sound.samples.len(),
            loudest.unwrap_or(0),
        );
    }
    let stats = capture.stop().await;
    println!(
        "{} pictures, {} of them dropped, {} bytes",
        stats.pictures, stats.pictures_dropped, stats.bytes_received
    );
    Ok(())
}
