//! Pictures on their way from blocks to samples.

use bytes::Bytes;

use super::TranscodeError;
use super::nal::{self, Standard};
use super::reorder::{Reorder, Timed};
use crate::codec::{Codec, av1, h264, h265};
use crate::demux::mkv::{Frame, Track};
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};
use crate::mux::{VideoConfiguration, VideoTrack};

/// Pictures that may be out of order when nothing tells how many: the largest decoded picture
/// buffer (ITU-T H.264 annex A.3.1, H.265 annex A.4.1).
const MAX_DEPTH: usize = 16;
/// How many of them composition times make room for then.
const USUAL_DEPTH: usize = 2;
/// How long a picture lasts where the track does not say.
const USUAL_DURATION_NS: u64 = 1_000_000_000 / 24;
/// No stream shows pictures so much later than it decodes them.
const MAX_SHIFT_US: u64 = 10_000_000;

/// A sample.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) data: Bytes,
    pub(super) keyframe: bool,
}

pub(super) struct VideoLane {
    track: Track,
    codec: Codec,
    /// Bytes of NAL units' lengths.
    length_size: usize,
    reorder: Option<Reorder<Picture>>,
    scale_ns: u64,
    shift_us: i64,
    started: bool,
    /// Frames in which there was no picture.
    pub(super) empty: u64,
    /// Frames in front of the first keyframe.
    pub(super) before_keyframe: u64,
}

impl VideoLane {
    pub(super) fn new(track: Track, scale_ns: u64) -> Self {
        let codec = match track.codec_id.as_str() {
            "V_MPEG4/ISO/AVC" => Codec::H264,
            "V_MPEGH/ISO/HEVC" => Codec::H265,
            "V_VP9" => Codec::Vp9,
            _ => Codec::Av1,
        };
        Self {
            track,
            codec,
            length_size: 4,
            reorder: None,
            scale_ns,
            shift_us: 0,
            started: false,
            empty: 0,
            before_keyframe: 0,
        }
    }

    pub(super) fn number(&self) -> u64 {
        self.track.number
    }

    /// How much later than shown composition times are; settled with the description.
    pub(super) fn shift_us(&self) -> i64 {
        self.shift_us
    }

    /// What the muxer has to know, if the track's private data tells it.
    pub(super) fn describe(&mut self) -> Result<Option<VideoTrack>, TranscodeError> {
        let private = self.track.codec_private.clone();
        let is_annex_b = private.starts_with(&[0, 0, 1]) || private.starts_with(&h264::START_CODE);
        let (configuration, size) = match self.codec {
            Codec::H264 => {
                let sets = if is_annex_b || private.is_empty() {
                    h264::ParameterSets::from_access_unit(&private)
                } else {
                    let parsed = h264::DecoderConfiguration::parse(&private);
                    let record = parsed.map_err(|error| self.unusable(&error.to_string()))?;
                    self.length_size = usize::from(record.length_size);
                    record.parameter_sets
                };
                let size = sets.sps.first().and_then(|sps| h264::sps_size(sps));
                let size = size.filter(|_| sets.is_complete());
                (VideoConfiguration::H264(sets), size)
            }
            Codec::H265 => {
                let sets = if is_annex_b || private.is_empty() {
                    h265::ParameterSets::from_access_unit(&private)
                } else {
                    let record = h265::DecoderConfiguration::parse(&private)
                        .ok_or_else(|| self.unusable("its configuration record is damaged"))?;
                    self.length_size = usize::from(record.length_size);
                    record.parameter_sets
                };
                let size = sets.sps.first().and_then(|sps| h265::sps_size(sps));
                let size = size.filter(|_| sets.is_complete());
                (VideoConfiguration::H265(sets), size)
            }
            Codec::Av1 => {
                // `av1C`: four bytes, then OBUs (AV1 Codec ISO Media File Format Binding 2.3).
                let configuration = private
                    .get(4..)
                    .and_then(av1::Configuration::from_sequence_header);
                let Some(configuration) = configuration else {
                    return Ok(None);
                };
                let size = configuration.size;
                (VideoConfiguration::Av1(configuration), Some(size))
            }
            // VP9's private data is optional and tells less than a keyframe.
            _ => return Ok(None),
        };
        Ok(size.map(|size| self.described(size, configuration)))
    }

    /// What the muxer has to know, by a keyframe.
    pub(super) fn describe_by(&mut self, keyframe: &Frame) -> Result<VideoTrack, TranscodeError> {
        let data = match self.standard() {
            Some(standard) => nal::sample(&keyframe.data, self.length_size, standard)
                .and_then(|sample| h264::avcc_to_annexb(&sample, 4).ok())
                .unwrap_or_default()
                .into(),
            None => keyframe.data.clone(),
        };
        let frame = EncodedFrame {
            codec: self.codec,
            data,
            keyframe: true,
            timestamp_us: 0,
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        };
        let track = VideoTrack::from_keyframe(&frame)?;
        Ok(self.described(track.size, track.configuration))
    }

    fn described(&mut self, size: VideoSize, configuration: VideoConfiguration) -> VideoTrack {
        let told = match &configuration {
            VideoConfiguration::H264(sets) => {
                sets.sps.first().and_then(|sps| h264::max_num_reorder(sps))
            }
            VideoConfiguration::H265(sets) => sets
                .sps
                .first()
                .and_then(|sps| h265::Sps::parse(sps)?.max_num_reorder),
            // Blocks of AV1 and VP9 hold all that is decoded at once and shown at its end.
            _ => Some(0),
        };
        let (depth, room) = match told {
            Some(depth) => (
                usize::from(depth).min(MAX_DEPTH),
                usize::from(depth).min(MAX_DEPTH),
            ),
            None => (MAX_DEPTH, USUAL_DEPTH),
        };
        if room > 0 {
            let duration = self.track.default_duration_ns.unwrap_or(USUAL_DURATION_NS);
            // Rounded times may be a tick further from each other than true ones.
            let room_ns = duration
                .saturating_mul(room as u64)
                .saturating_add(self.scale_ns);
            self.shift_us = room_ns.div_ceil(1_000).min(MAX_SHIFT_US) as i64;
        }
        self.reorder = Some(Reorder::new(depth, self.shift_us));
        VideoTrack {
            codec: self.codec,
            size,
            rotation: VideoRotation::Deg0,
            configuration,
        }
    }

    fn standard(&self) -> Option<Standard> {
        match self.codec {
            Codec::H264 => Some(Standard::H264),
            Codec::H265 => Some(Standard::H265),
            _ => None,
        }
    }

    /// Takes the next frame of a track that has been described.
    pub(super) fn push(&mut self, frame: &Frame) {
        if !self.started && !frame.keyframe {
            self.before_keyframe += 1;
            return;
        }
        let data = match (self.standard(), self.codec) {
            (Some(standard), _) => nal::sample(&frame.data, self.length_size, standard),
            (None, Codec::Av1) => Some(av1::without_delimiters(&frame.data)),
            (None, _) => Some(frame.data.clone()),
        };
        let Some(data) = data.filter(|data| !data.is_empty()) else {
            self.empty += 1;
            return;
        };
        self.started = true;
        if let Some(reorder) = &mut self.reorder {
            let picture = Picture {
                data,
                keyframe: frame.keyframe,
            };
            reorder.push(picture, to_us(frame.timestamp_ns));
        }
    }

    pub(super) fn pop(&mut self, finished: bool) -> Option<Timed<Picture>> {
        self.reorder.as_mut()?.pop(finished)
    }

    fn unusable(&self, reason: &str) -> TranscodeError {
        TranscodeError::Configuration {
            number: self.track.number,
            codec: self.track.codec_id.clone(),
            reason: reason.to_owned(),
        }
    }
}

/// The nearest microsecond.
pub(super) fn to_us(ns: i64) -> i64 {
    ns.saturating_add(500).div_euclid(1_000)
}
