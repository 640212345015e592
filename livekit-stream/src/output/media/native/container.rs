//! Encoded frames to a container that is written to a sink, or to RTMP.

use std::time::Duration;

use super::plan::{ContainerKind, Plan, StreamPlan};
use super::rtmp;
use super::sink::Sink;
use crate::codec::MediaKind;
use crate::frame::EncodedFrame;
use crate::mux::{MuxError, Track, flv, fmp4, webm};
use crate::output::media::MediaEncoderError;
use crate::output::media::backend::Spec;

/// A container that is being written. Frames come in the order of their times.
pub(super) trait Container {
    fn write(&mut self, index: usize, frame: EncodedFrame) -> Result<(), MediaEncoderError>;
    /// Passes on what can be read already.
    fn flush(&mut self) -> Result<(), MediaEncoderError>;
    fn close(&mut self) -> Result<(), MediaEncoderError>;
}

pub(super) fn open(
    spec: Spec,
    plan: &Plan,
    tracks: Vec<Track>,
) -> Result<Box<dyn Container>, MediaEncoderError> {
    let video = plan.streams.iter().find_map(|stream| match stream {
        StreamPlan::Video(video) => Some(video.encoder_frame_rate),
        StreamPlan::Audio(_) => None,
    });
    let metadata: Vec<(String, String)> = spec.metadata.clone().into_iter().collect();
    if plan.container == ContainerKind::Rtmp {
        return rtmp::open(spec, plan, &tracks, video);
    }
    // The muxer's checks come before an existing file is emptied.
    match plan.container {
        ContainerKind::Mp4 => {
            let options = fmp4::Options {
                fragment: plan.fragment,
                parameter_sets: fmp4::ParameterSetPlacement::OutOfBand,
                origin_us: Some(0),
                default_video_duration: Duration::from_secs_f64(1.0 / video.unwrap_or(30.0)),
                metadata,
                ..fmp4::Options::default()
            };
            let muxer = fmp4::Muxer::new(tracks, options)?;
            let mut sink = sink(spec)?;
            sink.write(&muxer.init_segment())?;
            Ok(Box::new(Mp4 { muxer, sink }))
        }
        ContainerKind::WebM | ContainerKind::Matroska => {
            let options = webm::Options {
                origin_us: Some(0),
                metadata,
                matroska: plan.container == ContainerKind::Matroska,
                ..webm::Options::default()
            };
            let muxer = webm::Muxer::new(tracks, options)?;
            let mut sink = sink(spec)?;
            sink.write(&muxer.header())?;
            Ok(Box::new(WebM { muxer, sink }))
        }
        ContainerKind::Flv | ContainerKind::Rtmp => {
            let has = |kind| tracks.iter().any(|track| track.codec().kind() == kind);
            let mut start = flv::file_header(has(MediaKind::Video), has(MediaKind::Audio)).to_vec();
            for (kind, body) in flv_start(&tracks, video, &metadata)? {
                start.extend(flv::tag(kind, 0, &body)?);
            }
            let mut sink = sink(spec)?;
            sink.write(&start)?;
            Ok(Box::new(Flv {
                sink,
                last_ms: 0,
                has_video: has(MediaKind::Video),
            }))
        }
    }
}

fn sink(spec: Spec) -> Result<Sink, MediaEncoderError> {
    Sink::open(spec.destination, spec.buffer_size, spec.runtime)
}

/// What FLV says before the first frame.
pub(super) fn flv_start(
    tracks: &[Track],
    frame_rate: Option<f64>,
    metadata: &[(String, String)],
) -> Result<Vec<(flv::TagKind, bytes::Bytes)>, MuxError> {
    let about = flv::metadata_with(tracks, frame_rate, metadata);
    let mut bodies = vec![(flv::TagKind::Script, about)];
    for track in tracks {
        bodies.push(match track {
            Track::Video(track) => (flv::TagKind::Video, flv::video_sequence_header(track)?),
            Track::Audio(track) => (flv::TagKind::Audio, flv::audio_sequence_header(track)?),
        });
    }
    Ok(bodies)
}

/// A frame's tag body, and its time in milliseconds.
pub(super) fn flv_frame(
    frame: &EncodedFrame,
) -> Result<(flv::TagKind, u64, bytes::Bytes), MuxError> {
    // The native encoders' times are not negative.
    let time_ms = u64::try_from((frame.timestamp_us + 500) / 1_000).unwrap_or_default();
    Ok(match frame.codec.kind() {
        MediaKind::Video => (flv::TagKind::Video, time_ms, flv::video_body(frame)?),
        MediaKind::Audio => (flv::TagKind::Audio, time_ms, flv::audio_body(frame)?),
    })
}

struct Mp4 {
    muxer: fmp4::Muxer,
    sink: Sink,
}

impl Container for Mp4 {
    fn write(&mut self, index: usize, frame: EncodedFrame) -> Result<(), MediaEncoderError> {
        match self.muxer.write(index, frame)? {
            Some(fragment) => self.sink.write(&fragment),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), MediaEncoderError> {
        if let Some(fragment) = self.muxer.flush()? {
            self.sink.write(&fragment)?;
        }
        self.sink.flush()
    }

    fn close(&mut self) -> Result<(), MediaEncoderError> {
        if let Some(fragment) = self.muxer.finish()? {
            self.sink.write(&fragment)?;
        }
        self.sink.close()
    }
}

struct WebM {
    muxer: webm::Muxer,
    sink: Sink,
}

impl Container for WebM {
    fn write(&mut self, index: usize, frame: EncodedFrame) -> Result<(), MediaEncoderError> {
        match self.muxer.write(index, frame)? {
            Some(piece) => self.sink.write(&piece),
            None => Ok(()),
        }
    }

    fn flush(&mut self) -> Result<(), MediaEncoderError> {
        if let Some(piece) = self.muxer.flush() {
            self.sink.write(&piece)?;
        }
        self.sink.flush()
    }

    fn close(&mut self) -> Result<(), MediaEncoderError> {
        if let Some(piece) = self.muxer.finish() {
            self.sink.write(&piece)?;
        }
        self.sink.close()
    }
}

struct Flv {
    sink: Sink,
    last_ms: u64,
    has_video: bool,
}

impl Container for Flv {
    fn write(&mut self, _: usize, frame: EncodedFrame) -> Result<(), MediaEncoderError> {
        let (kind, time_ms, body) = flv_frame(&frame)?;
        self.last_ms = self.last_ms.max(time_ms);
        // The format's times wrap after 49 days.
        self.sink.write(&flv::tag(kind, time_ms as u32, &body)?)
    }

    fn flush(&mut self) -> Result<(), MediaEncoderError> {
        self.sink.flush()
    }

    fn close(&mut self) -> Result<(), MediaEncoderError> {
        if self.has_video {
            let end = flv::video_end_of_sequence();
            let tag = flv::tag(flv::TagKind::Video, self.last_ms as u32, &end)?;
            self.sink.write(&tag)?;
        }
        self.sink.close()
    }
}
