//! Records a WHEP endpoint (draft-ietf-wish-whep) to a fragmented MP4 file, without LiveKit.
//!
//! ```text
//! cargo run -p livekit-stream-examples --bin whep_viewer -- URL FILE.mp4 [SECONDS]
//! ```
//!
//! If the endpoint wants a bearer token, put it into the environment's `WHEP_TOKEN`.

use std::env;
use std::error::Error;
use std::future::ready;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::{self, SelectAll};
use livekit_stream::codec::{Codec, MediaKind};
use livekit_stream::mux::fmp4::{Muxer, Options};
use livekit_stream::mux::{AudioTrack, VideoTrack};
use livekit_stream::{EncodedStream, RemoteTrack};
use livekit_stream_examples::peer;
use livekit_stream_examples::whep::{self, Session};
use tokio::fs::File;
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;
use webrtc::peer_connection::PeerConnection;

type Failure = Box<dyn Error + Send + Sync>;

/// How long a track may be silent.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let [url, path, rest @ ..] = arguments.as_slice() else {
        return Err("usage: whep_viewer URL FILE.mp4 [SECONDS]".into());
    };
    let seconds: u32 = rest.first().map_or(Ok(10), |seconds| seconds.parse())?;
    let endpoint = url.parse()?;
    let (connection, mut events) = peer::viewer(whep::is_loopback(&endpoint)).await?;
    let offer = peer::offer(&connection, &mut events).await?;
    let token = env::var("WHEP_TOKEN").ok();
    let (session, answer) = Session::open(endpoint, token, offer.sdp).await?;
    let recorded = match peer::accept(&connection, &mut events, answer).await {
        Ok(mut tracks) => record(&mut tracks, path, seconds).await,
        Err(error) => Err(error.into()),
    };
    // Whatever has happened: the endpoint would go on sending.
    let closed = session.close().await;
    recorded.and(closed)?;
    Ok(connection.close().await?)
}

async fn record(tracks: &mut [RemoteTrack], path: &str, seconds: u32) -> Result<(), Failure> {
    tracks.sort_by_key(|track| track.kind() == MediaKind::Audio);
    let read = |track: &RemoteTrack| match track.kind() {
        MediaKind::Video => EncodedStream::new(track),
        MediaKind::Audio => EncodedStream::audio(track),
    };
    let streams: Vec<EncodedStream> = tracks.iter().map(read).collect();
    let (mut described, mut options) = (Vec::new(), Options::default());
    let mut frames = SelectAll::new();
    for (index, (track, mut stream)) in tracks.iter().zip(streams).enumerate() {
        let first = timeout(PATIENCE, stream.next()).await.ok().flatten();
        let first = first.ok_or_else(|| format!("nothing to copy of {}", track.mime_type()))?;
        // The file begins with the first keyframe; sound from before it is left out.
        let origin_us = *options.origin_us.get_or_insert(first.timestamp_us);
        let end_us = origin_us + i64::from(seconds) * 1_000_000;
        described.push(match first.codec {
            Codec::Opus => AudioTrack::opus(2).into(),
            _ => VideoTrack::from_keyframe(&first)?.into(),
        });
        let stream = stream::once(ready(first)).chain(stream);
        let stream = stream.take_while(move |frame| ready(frame.timestamp_us < end_us));
        frames.push(stream.map(move |frame| (index, frame)).boxed());
    }
    let start_us = options.origin_us.unwrap_or_default();
    let mut muxer = Muxer::new(described, options).map_err(|error| error.to_string())?;
    let (mut last_us, mut file) = (start_us, File::create(path).await?);
    file.write_all(&muxer.init_segment()).await?;
    while let Ok(Some((index, frame))) = timeout(PATIENCE, frames.next()).await {
        last_us = last_us.max(frame.timestamp_us);
        if let Some(fragment) = muxer.write(index, frame)? {
            file.write_all(&fragment).await?;
        }
    }
    file.write_all(&muxer.finish()?.unwrap_or_default()).await?;
    file.flush().await?;
    let (count, length_us) = (muxer.stats().frames, last_us - start_us);
    println!(
        "{path}: {count} frames, {length_us} us of {}",
        muxer.codecs()
    );
    for track in tracks {
        let lost = track.stats().packets_lost;
        println!("{}: {lost} packets lost", track.mime_type());
    }
    Ok(())
}
