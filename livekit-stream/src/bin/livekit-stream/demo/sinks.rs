//! What is made of the received tracks: a file, an RTMP stream and the server it goes to, and
//! pictures and sound that are looked at.

use std::path::Path;
use std::time::Duration;

use futures::StreamExt;
use indicatif::ProgressBar;
use livekit_stream::codec::{Codec, MediaKind};
use livekit_stream::encode::{AudioOptions, audio_encoder};
use livekit_stream::input::RtmpListener;
use livekit_stream::mux::fmp4::{Muxer, Options};
use livekit_stream::mux::{AudioTrack, Track, VideoTrack};
use livekit_stream::output::SegmentFile;
use livekit_stream::output::rtmp::{PublisherOptions, RtmpPublisher};
use livekit_stream::{
    AudioStream, EncodedFrame, EncodedStream, RemoteTrack, VideoFrameEvent, VideoStream,
};
use tokio::fs::File;

use super::sync::Signals;
use crate::failure::{Failure, causes};

/// Frames a decoder's reader may be behind: the whole second of a busy machine.
const CAPACITY: usize = 30;

/// What a sink has got.
#[derive(Debug, Default)]
pub(crate) struct Figures {
    pub(crate) frames: u64,
    pub(crate) duration_us: i64,
    pub(crate) dropped: u64,
}

/// The stretch of media a sink takes: from the first picture on, as long as was asked for.
struct Span {
    duration_us: i64,
    start_us: Option<i64>,
    figures: Figures,
}

/// What becomes of a frame.
#[derive(Debug, PartialEq, Eq)]
enum Place {
    Before,
    Inside,
    Behind,
}

impl Span {
    fn new(duration: Duration) -> Self {
        let duration_us = i64::try_from(duration.as_micros()).unwrap_or(i64::MAX);
        Self {
            duration_us,
            start_us: None,
            figures: Figures::default(),
        }
    }

    /// Places a picture or a packet of sound; a picture that can be decoded by itself is the
    /// start.
    fn place(&mut self, kind: MediaKind, keyframe: bool, timestamp_us: i64) -> Place {
        if kind == MediaKind::Video && keyframe {
            self.start_us.get_or_insert(timestamp_us);
        }
        let Some(start) = self.start_us.filter(|start| timestamp_us >= *start) else {
            return Place::Before;
        };
        if timestamp_us - start >= self.duration_us {
            return Place::Behind;
        }
        if kind == MediaKind::Video {
            self.figures.frames += 1;
        }
        self.figures.duration_us = self.figures.duration_us.max(timestamp_us - start);
        Place::Inside
    }
}

/// Copies H.264 and Opus into a fragmented MP4 file.
pub(crate) async fn record(
    (video, audio): (&RemoteTrack, &RemoteTrack),
    path: &Path,
    duration: Duration,
    progress: &ProgressBar,
) -> Result<Figures, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::failed(causes(error));
    let mut file = SegmentFile::create(path)
        .await
        .map_err(|error| failed(&error))?;
    let (mut video, mut audio) = (EncodedStream::new(video), EncodedStream::audio(audio));
    let mut frames = futures::stream::select(&mut video, &mut audio);
    let mut span = Span::new(duration);
    let mut muxer = None;
    while let Some(frame) = frames.next().await {
        let kind = frame.codec.kind();
        match span.place(kind, frame.keyframe, frame.timestamp_us) {
            Place::Inside => {}
            Place::Behind if kind == MediaKind::Video => break,
            Place::Before | Place::Behind => continue,
        }
        let muxer = match &mut muxer {
            Some(muxer) => muxer,
            none => {
                let started = start_muxer(&frame).map_err(|error| failed(&error))?;
                let init = started.init_segment();
                file.append(&init).await.map_err(|error| failed(&error))?;
                none.insert(started)
            }
        };
        let index = usize::from(kind == MediaKind::Audio);
        let fragment = muxer.write(index, frame).map_err(|error| failed(&error))?;
        if let Some(fragment) = fragment {
            file.append(&fragment)
                .await
                .map_err(|error| failed(&error))?;
        }
        progress.set_position((span.figures.duration_us / 1000).max(0) as u64);
    }
    if let Some(mut muxer) = muxer
        && let Some(last) = muxer.finish().map_err(|error| failed(&error))?
    {
        file.append(&last).await.map_err(|error| failed(&error))?;
    }
    span.figures.dropped = video.dropped_frames() + audio.dropped_frames();
    Ok(span.figures)
}

fn start_muxer(keyframe: &EncodedFrame) -> Result<Muxer, livekit_stream::mux::MuxError> {
    let tracks = vec![
        Track::from(VideoTrack::from_keyframe(keyframe)?),
        Track::from(AudioTrack::opus(2)),
    ];
    let mut options = Options::default();
    options.origin_us = Some(keyframe.timestamp_us);
    Muxer::new(tracks, options)
}

/// Copies H.264 to an RTMP server, with AAC made of the sound.
pub(crate) async fn restream(
    (video, audio): (&RemoteTrack, &RemoteTrack),
    url: &str,
    duration: Duration,
) -> Result<Figures, Failure> {
    let failed = |error: &dyn std::error::Error| Failure::failed(causes(error));
    let url = url.parse().map_err(|error| failed(&error))?;
    let publisher =
        RtmpPublisher::new(url, PublisherOptions::default()).map_err(|error| failed(&error))?;
    let options = AudioOptions::default();
    let track = AudioTrack::aac(options.sample_rate, options.num_channels);
    publisher.set_audio_track(track.map_err(|error| failed(&error))?);
    let channels = options.num_channels;
    let mut encoder = audio_encoder(Codec::Aac, options).map_err(|error| failed(&error))?;
    let mut video = EncodedStream::new(video);
    let mut audio = AudioStream::builder(audio).num_channels(channels).build();
    publisher
        .published()
        .await
        .map_err(|error| failed(&error))?;
    let mut span = Span::new(duration);
    let mut packets = Vec::new();
    loop {
        tokio::select! {
            Some(frame) = video.next() => {
                match span.place(MediaKind::Video, frame.keyframe, frame.timestamp_us) {
                    Place::Before => {}
                    Place::Inside => publisher.send(frame).map_err(|error| failed(&error))?,
                    Place::Behind => break,
                }
            }
            Some(sound) = audio.next() => {
                if span.place(MediaKind::Audio, true, sound.timestamp_us) == Place::Inside {
                    encoder.encode(&sound, &mut packets).map_err(|error| failed(&error))?;
                }
                for packet in packets.drain(..) {
                    publisher.send(packet).map_err(|error| failed(&error))?;
                }
            }
            else => break,
        }
    }
    let stats = publisher.close().await;
    span.figures.dropped = video.dropped_frames()
        + audio.dropped_frames()
        + stats.video_frames_dropped
        + stats.audio_frames_dropped;
    Ok(span.figures)
}

/// The RTMP server: writes the first stream that comes to an FLV file.
pub(crate) async fn serve(listener: RtmpListener, path: &Path) -> Result<(), Failure> {
    let failed = |error: &dyn std::error::Error| Failure::of("the RTMP server", error);
    let file = File::create(path).await;
    let file =
        file.map_err(|error| Failure::of(&format!("cannot write {}", path.display()), &error))?;
    let mut connection = listener.accept().await.map_err(|error| failed(&error))?;
    if connection
        .request()
        .await
        .map_err(|error| failed(&error))?
        .is_some()
    {
        connection.accept().await.map_err(|error| failed(&error))?;
        connection
            .record_flv(file)
            .await
            .map_err(|error| failed(&error))?;
    }
    Ok(())
}

/// Decodes the pictures; gives the one from the middle, and the flashes.
pub(crate) async fn watch(
    video: &RemoteTrack,
    duration: Duration,
) -> (Figures, Option<VideoFrameEvent>, Signals) {
    let mut stream = VideoStream::builder(video).capacity(CAPACITY).build();
    let mut span = Span::new(duration);
    let (mut kept, mut signals) = (None, Signals::default());
    while let Some(event) = stream.next().await {
        // Decoding starts at a keyframe, so every picture can be the first.
        if span.place(MediaKind::Video, true, event.timestamp_us) == Place::Behind {
            break;
        }
        signals.see(&event.frame, event.timestamp_us);
        if span.figures.duration_us <= span.duration_us / 2 || kept.is_none() {
            kept = Some(event);
        }
    }
    span.figures.dropped = stream.dropped_frames() + stream.errors();
    (span.figures, kept, signals)
}

/// Decodes the sound; gives the beeps.
pub(crate) async fn listen(audio: &RemoteTrack, duration: Duration) -> Signals {
    let mut stream = AudioStream::new(audio);
    let mut signals = Signals::default();
    let mut start_us = None;
    while let Some(sound) = stream.next().await {
        let start = *start_us.get_or_insert(sound.timestamp_us);
        signals.hear(&sound);
        if sound.timestamp_us - start >= duration.as_micros() as i64 {
            break;
        }
    }
    signals
}
