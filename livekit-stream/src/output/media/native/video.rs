//! Pictures of a stream: to the encoder's rate, size and format, encoded.

use super::plan::{VideoPlan, micros};
use crate::codec::Codec;
use crate::encode::{VideoEncoder, video_encoder};
use crate::frame::{EncodedFrame, VideoFormat, VideoFrame};
use crate::mux::VideoTrack;
use crate::output::media::MediaEncoderError;
use crate::output::media::chunk::Picture;

pub(super) struct VideoPipe {
    encoder: Box<dyn VideoEncoder>,
    plan: VideoPlan,
    track: VideoTrack,
    /// Where another rate is encoded than is given.
    rate: Option<Rate<VideoFrame>>,
}

impl VideoPipe {
    pub(super) fn new(plan: &VideoPlan) -> Result<Self, MediaEncoderError> {
        // The header is written before the first picture: the parameter sets, which depend on
        // size and options alone, are those of a picture that is thrown away.
        let blank = VideoFrame::blank(VideoFormat::I420, plan.width, plan.height)?;
        let mut trial = video_encoder(Codec::H264, plan.options.clone())?;
        let first = trial.encode(&blank, 0, true)?;
        let first = first.ok_or_else(|| MediaEncoderError::Library {
            library: "openh264",
            reason: "no picture came out".to_owned(),
        })?;
        Ok(Self {
            encoder: video_encoder(Codec::H264, plan.options.clone())?,
            track: VideoTrack::from_keyframe(&first)?,
            rate: (plan.frame_rate.to_bits() != plan.encoder_frame_rate.to_bits())
                .then(|| Rate::new(plan.frame_rate, plan.encoder_frame_rate)),
            plan: plan.clone(),
        })
    }

    pub(super) fn track(&self) -> &VideoTrack {
        &self.track
    }

    pub(super) fn write(
        &mut self,
        picture: &Picture,
        at: i64,
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), MediaEncoderError> {
        let frame = self.prepared(picture)?;
        let Some(rate) = &mut self.rate else {
            return self.encode(&frame, at, out);
        };
        for (frame, at) in rate.push(frame, at) {
            self.encode(&frame, at, out)?;
        }
        Ok(())
    }

    pub(super) fn finish(&mut self, out: &mut Vec<EncodedFrame>) -> Result<(), MediaEncoderError> {
        let last = self.rate.as_mut().map(Rate::finish);
        for (frame, at) in last.into_iter().flatten() {
            self.encode(&frame, at, out)?;
        }
        Ok(())
    }

    fn prepared(&self, picture: &Picture) -> Result<VideoFrame, MediaEncoderError> {
        let frame = picture.to_frame()?;
        if (picture.width, picture.height) == (self.plan.width, self.plan.height) {
            return Ok(frame);
        }
        Ok(frame.scale(self.plan.width, self.plan.height)?)
    }

    fn encode(
        &mut self,
        frame: &VideoFrame,
        at: i64,
        out: &mut Vec<EncodedFrame>,
    ) -> Result<(), MediaEncoderError> {
        let time_us = micros(at, self.plan.encoder_frame_rate);
        out.extend(self.encoder.encode(frame, time_us, false)?);
        Ok(())
    }
}

/// How long a picture is repeated into a gap.
const MAX_REPEATED_SECONDS: f64 = 10.0;

/// Repeats and leaves out pictures, so that each instant of the output's rate shows the picture
/// of the nearest instant of the input's.
struct Rate<T> {
    from: f64,
    to: f64,
    /// The last picture and the instant it begins at.
    held: Option<(T, i64)>,
    /// The instant of the output that the held picture ends at.
    end: i64,
}

impl<T: Clone> Rate<T> {
    fn new(from: f64, to: f64) -> Self {
        Self {
            from,
            to,
            held: None,
            end: 0,
        }
    }

    fn slot(&self, at: i64) -> i64 {
        (at as f64 * self.to / self.from).round() as i64
    }

    /// Takes the picture of instant `at`; gives the one before for all the instants it lasted.
    fn push(&mut self, picture: T, at: i64) -> Vec<(T, i64)> {
        let slot = self.slot(at);
        let done = self.until(slot);
        self.end = self.slot(at.saturating_add(1));
        self.held = Some((picture, slot));
        done
    }

    fn finish(&mut self) -> Vec<(T, i64)> {
        self.until(self.end)
    }

    fn until(&mut self, end: i64) -> Vec<(T, i64)> {
        let Some((picture, start)) = self.held.take() else {
            return Vec::new();
        };
        let longest = (self.to * MAX_REPEATED_SECONDS).ceil() as i64;
        let end = end.min(start.saturating_add(longest));
        (start..end).map(|slot| (picture.clone(), slot)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(from: f64, to: f64, instants: &[i64]) -> Vec<(i64, i64)> {
        let mut rate = Rate::new(from, to);
        let mut shown: Vec<_> = instants.iter().flat_map(|at| rate.push(*at, *at)).collect();
        shown.extend(rate.finish());
        shown
    }

    #[test]
    fn pictures_are_repeated_and_left_out() {
        assert_eq!(shown(10.0, 20.0, &[0, 1]), [(0, 0), (0, 1), (1, 2), (1, 3)]);
        assert_eq!(shown(20.0, 10.0, &[0, 1, 2, 3]), [(0, 0), (2, 1)]);
        assert_eq!(shown(30.0, 25.0, &[0, 1, 2, 3, 4, 5]).len(), 5);
        // A picture that comes late leaves the one before on show.
        assert_eq!(shown(10.0, 10.0, &[0, 3]), [(0, 0), (0, 1), (0, 2), (3, 3)]);
    }
}
