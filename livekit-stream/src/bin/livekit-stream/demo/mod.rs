//! `livekit-stream demo`: the whole way in one process, without a server.
//!
//! A synthetic publisher sends H.264 and Opus over a real WebRTC connection on loopback; what is
//! received goes to a file, to an RTMP server, and to decoders.

mod loopback;
mod publisher;
mod scene;
mod sinks;
mod sync;
mod table;

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use livekit_stream::codec::MediaKind;
use livekit_stream::input::RtmpListener;
use livekit_stream::{RemoteTrack, VideoFormat, VideoFrameEvent, WebRtcPeer};
use tokio::time::timeout;
use webrtc::peer_connection::PeerConnection;

use crate::display::{bar, say};
use crate::failure::Failure;
use crate::selection::seconds;
use loopback::{End, Event};
use publisher::Publisher;
use table::Row;

/// Each of the set-up's steps takes milliseconds; the machine may be busy.
const STEP: Duration = Duration::from_secs(10);
/// How long the media may take more than their own length.
const SLACK: Duration = Duration::from_secs(10);

/// Show it all at work: publish, record, restream and decode in one process, no server needed
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Directory for recording.mp4, restream.flv and frame.png
    #[arg(long, value_name = "DIR", default_value = "demo")]
    output: PathBuf,
    /// Seconds of media
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = seconds)]
    duration: Duration,
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let failed = |error| Failure::of(&format!("cannot create {}", args.output.display()), &error);
    fs::create_dir_all(&args.output).map_err(failed)?;
    let path = |name| args.output.join(name);
    let (recording, restream, picture) = (
        path("recording.mp4"),
        path("restream.flv"),
        path("frame.png"),
    );

    let listener = RtmpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let listener = listener.map_err(|error| Failure::of("cannot listen for RTMP", &error))?;
    let address = listener.local_addr();
    let address = address.map_err(|error| Failure::of("cannot listen for RTMP", &error))?;
    let flv = restream.clone();
    let server = tokio::spawn(async move { sinks::serve(listener, &flv).await });

    let connected = timeout(STEP, connect()).await;
    let connected = connected
        .map_err(|_| Failure::failed(format!("no WebRTC connection within {STEP:?}")))?
        .map_err(|error| Failure::of("cannot connect over WebRTC", &error))?;
    let Connected {
        sending,
        mut receiving,
        publisher,
    } = connected;
    say(&format!(
        "WebRTC is connected; RTMP goes to {address}; {:.0} s of media follow",
        args.duration.as_secs_f64()
    ));
    let publishing = tokio::spawn(publisher.run());
    let tracks = timeout(STEP, tracks(&mut receiving)).await.ok().flatten();
    let (video, audio) =
        tracks.ok_or_else(|| Failure::failed(format!("no tracks came within {STEP:?}")))?;

    let both = (&video, &audio);
    let progress = bar(
        args.duration.as_millis() as u64,
        "{wide_bar} {percent:>3} %",
    );
    let url = format!("rtmp://{address}/live/demo");
    let sinks = async {
        tokio::join!(
            sinks::record(both, &recording, args.duration, &progress),
            sinks::restream(both, &url, args.duration),
            sinks::watch(&video, args.duration),
            sinks::listen(&audio, args.duration),
        )
    };
    let done = timeout(args.duration + SLACK, sinks).await;
    progress.finish_and_clear();
    publishing.abort();
    close(&[&*receiving.connection, &*sending.connection]).await;
    let Ok((recorded, restreamed, (watched, event, seen), heard)) = done else {
        return Err(Failure::failed(publishing_error(publishing).await));
    };
    let (recorded, restreamed) = (recorded?, restreamed?);
    let served = timeout(STEP, server).await;
    served
        .map_err(|_| Failure::failed("the RTMP stream did not end"))?
        .map_err(|error| Failure::of("the RTMP server", &error))??;
    let event = event.ok_or_else(|| Failure::failed("no picture was decoded"))?;
    write_png(&event, &picture)?;

    table::print(
        &[
            Row::file("H.264 + Opus, copied", &recording, recorded)?,
            Row::file("H.264 copied + AAC, over RTMP", &restream, restreamed)?,
            Row::file("one of the decoded pictures", &picture, watched)?,
        ],
        &seen.merge(heard).offsets_us(),
    );
    Ok(())
}

/// A connection and who will send over it.
struct Connected {
    sending: End,
    receiving: End,
    publisher: Publisher,
}

async fn connect() -> Result<Connected, loopback::Error> {
    let (mut sending, mut receiving) = (End::new().await?, End::new().await?);
    let publisher = Publisher::add_to(&*sending.connection).await?;
    loopback::negotiate(&mut sending, &mut receiving).await?;
    for end in [&mut sending, &mut receiving] {
        while !matches!(end.events.recv().await, Some(Event::Connected) | None) {}
    }
    Ok(Connected {
        sending,
        receiving,
        publisher,
    })
}

/// Waits for both tracks, which come with their first packets.
async fn tracks(receiving: &mut End) -> Option<(RemoteTrack, RemoteTrack)> {
    let peer = WebRtcPeer::new();
    let (mut video, mut audio) = (None, None);
    while video.is_none() || audio.is_none() {
        if let Event::Track(track) = receiving.events.recv().await? {
            let track = peer.track(track).await;
            match track.kind() {
                MediaKind::Video => video = Some(track),
                MediaKind::Audio => audio = Some(track),
            }
        }
    }
    video.zip(audio)
}

async fn close(connections: &[&dyn PeerConnection]) {
    for connection in connections {
        // Nothing is lost any more if it does not end in order.
        let _ = connection.close().await;
    }
}

/// Why nothing came: what the publisher says, if it failed.
async fn publishing_error(publishing: tokio::task::JoinHandle<Result<(), Failure>>) -> String {
    match publishing.await {
        Ok(Err(failure)) => failure.to_string(),
        _ => "the media did not come in time: the machine may be too slow".to_owned(),
    }
}

fn write_png(event: &VideoFrameEvent, path: &Path) -> Result<(), Failure> {
    let attempt = format!("cannot write {}", path.display());
    let picture = event
        .frame
        .convert(VideoFormat::Rgb24, false)
        .map_err(|error| Failure::of(&attempt, &error))?
        .tight();
    let file = fs::File::create(path).map_err(|error| Failure::of(&attempt, &error))?;
    let mut encoder = png::Encoder::new(
        std::io::BufWriter::new(file),
        picture.width(),
        picture.height(),
    );
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_depth(png::BitDepth::Eight);
    encoder
        .write_header()
        .and_then(|mut writer| {
            writer.write_image_data(picture.data())?;
            writer.finish()
        })
        .map_err(|error| Failure::of(&attempt, &error))
}
