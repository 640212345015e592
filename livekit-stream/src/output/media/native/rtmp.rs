//! FLV's messages to an RTMP server, or to a player that came for them.

use super::container::{Container, flv_frame, flv_start};
use super::plan::Plan;
use crate::frame::EncodedFrame;
use crate::mux::Track;
use crate::mux::flv::{self, TagKind};
use crate::output::OutputError;
use crate::output::media::MediaEncoderError;
use crate::output::media::backend::Spec;
use crate::output::media::destination::Target;
use crate::output::rtmp::PublisherOptions;
use crate::output::rtmp::direct::DirectOutput;
use crate::rtmp::RtmpUrl;

pub(super) fn open(
    spec: Spec,
    plan: &Plan,
    tracks: &[Track],
    frame_rate: Option<f64>,
) -> Result<Box<dyn Container>, MediaEncoderError> {
    let Target::Url(url) = &spec.destination.0 else {
        return Err(MediaEncoderError::needs_ffmpeg("RTMP to a file"));
    };
    let url = RtmpUrl::parse(url).map_err(OutputError::from)?;
    let metadata: Vec<_> = spec.metadata.into_iter().collect();
    let start = flv_start(tracks, frame_rate, &metadata)?;
    let runtime = spec.runtime.ok_or(MediaEncoderError::NoRuntime)?;
    let options = PublisherOptions::default();
    let mut output = match plan.listen {
        Some(_) if url.tls() => {
            return Err(MediaEncoderError::needs_ffmpeg("listen with rtmps://"));
        }
        Some(listen) => DirectOutput::serve(&url, listen.timeout, &options, runtime)?,
        None => DirectOutput::publish(&url, &options, runtime)?,
    };
    for (kind, body) in start {
        output.send((kind, 0, body))?;
    }
    let has_video = tracks.iter().any(|track| matches!(track, Track::Video(_)));
    Ok(Box::new(Rtmp {
        output,
        last_ms: 0,
        has_video,
    }))
}

struct Rtmp {
    output: DirectOutput,
    last_ms: u64,
    has_video: bool,
}

impl Container for Rtmp {
    fn write(&mut self, _: usize, frame: EncodedFrame) -> Result<(), MediaEncoderError> {
        let (kind, time_ms, body) = flv_frame(&frame)?;
        self.last_ms = self.last_ms.max(time_ms);
        Ok(self.output.send((kind, time_ms, body))?)
    }

    /// Nothing is held back.
    fn flush(&mut self) -> Result<(), MediaEncoderError> {
        Ok(())
    }

    fn close(&mut self) -> Result<(), MediaEncoderError> {
        if self.has_video {
            let end = flv::video_end_of_sequence();
            self.output.send((TagKind::Video, self.last_ms, end))?;
        }
        Ok(self.output.close()?)
    }
}
