//! Pictures and sound of tracks that the `livekit` crate subscribed to. Its libwebrtc has decoded
//! them already; what is left is to bring them into this crate's types and rings.

use std::sync::Arc;
use std::time::Instant;

use ::livekit::track::{RemoteAudioTrack, RemoteVideoTrack};
use ::livekit::webrtc::audio_stream::native::NativeAudioStream;
use ::livekit::webrtc::prelude as rtc;
use ::livekit::webrtc::video_stream::native::NativeVideoStream;
use futures::StreamExt;

use super::StreamError;
use super::decoded::Output;
use crate::frame::{
    AudioFrame, ConvertError, Plane, VideoFormat, VideoFrame, VideoFrameEvent, VideoRotation,
};

/// What becomes of each picture.
pub(super) struct Pictures {
    pub(super) format: Option<VideoFormat>,
    pub(super) normalize_stride: bool,
}

impl Pictures {
    /// Leads the pictures of `track` to `output` until the track ends.
    pub(super) async fn run(self, track: RemoteVideoTrack, output: Arc<Output<VideoFrameEvent>>) {
        let mut frames = NativeVideoStream::new(track.rtc_track());
        while let Some(frame) = frames.next().await {
            output.push(self.event(&frame).map_err(StreamError::from));
        }
        output.close();
    }

    fn event(&self, frame: &rtc::BoxVideoFrame) -> Result<VideoFrameEvent, ConvertError> {
        let mut picture = i420(&frame.buffer.to_i420())?;
        if let Some(format) = self.format.filter(|format| *format != picture.format()) {
            picture = picture.convert(format, false)?;
        } else if self.normalize_stride && !picture.is_tight() {
            picture = picture.tight();
        }
        Ok(VideoFrameEvent {
            frame: picture,
            timestamp_us: frame.timestamp_us,
            rotation: match frame.rotation {
                rtc::VideoRotation::VideoRotation0 => VideoRotation::Deg0,
                rtc::VideoRotation::VideoRotation90 => VideoRotation::Deg90,
                rtc::VideoRotation::VideoRotation180 => VideoRotation::Deg180,
                rtc::VideoRotation::VideoRotation270 => VideoRotation::Deg270,
            },
        })
    }
}

/// The planes with the rows as far apart as they are.
fn i420(buffer: &rtc::I420Buffer) -> Result<VideoFrame, ConvertError> {
    use ::livekit::webrtc::video_frame::VideoBuffer;

    let (width, height) = (buffer.width(), buffer.height());
    let (chroma_width, chroma_height) = (buffer.chroma_width(), buffer.chroma_height());
    let (y, u, v) = buffer.data();
    let strides = buffer.strides();
    let mut data = Vec::with_capacity(y.len() + u.len() + v.len());
    let mut planes = Vec::with_capacity(3);
    for (bytes, stride, row_bytes, rows) in [
        (y, strides.0, width, height),
        (u, strides.1, chroma_width, chroma_height),
        (v, strides.2, chroma_width, chroma_height),
    ] {
        planes.push(Plane {
            offset: data.len(),
            stride: stride as usize,
            row_bytes: row_bytes as usize,
            rows: rows as usize,
        });
        data.extend_from_slice(bytes);
    }
    VideoFrame::with_planes(VideoFormat::I420, width, height, data, planes)
}

/// Leads the sound of `track` to `output` until the track ends. Times count from now: libwebrtc
/// gives frames of 10 ms without any.
pub(super) async fn sound(
    track: RemoteAudioTrack,
    sample_rate: u32,
    num_channels: u32,
    output: Arc<Output<AudioFrame>>,
) {
    let start = Instant::now();
    let mut frames =
        NativeAudioStream::new(track.rtc_track(), sample_rate as i32, num_channels as i32);
    while let Some(frame) = frames.next().await {
        let mut sound = AudioFrame {
            samples: frame.data.into_owned(),
            sample_rate: frame.sample_rate,
            num_channels: frame.num_channels,
            timestamp_us: 0,
        };
        let end_us = i64::try_from(start.elapsed().as_micros()).unwrap_or(i64::MAX);
        sound.timestamp_us = (end_us - sound.duration_us()).max(0);
        output.push(Ok(sound));
    }
    output.close();
}
