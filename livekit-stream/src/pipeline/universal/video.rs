//! Pictures: copied, or decoded and encoded as H.264.

use bytes::Bytes;

use super::{UniversalError, UniversalOptions};
use crate::codec::{Codec, h264, h265};
use crate::encode::{VideoEncoder, VideoOptions, video_encoder};
use crate::ffmpeg::{BitstreamFilter, InputPacket, PictureDecoder, TrackInfo};
use crate::frame::{EncodedFrame, VideoFrame, VideoRotation, VideoSize};
use crate::mux::VideoTrack;
use crate::mux::fmp4::{self, Sample};

/// What is encoded gets a keyframe so often, in seconds.
const GOP_SECONDS: f32 = 2.0;
/// Frames a second where the container tells none.
const FRAME_RATE: f32 = 25.0;

/// A picture for the muxer: as a sample, with the time it is shown at, where it is copied.
pub(super) enum Picture {
    Sample(Sample, i64),
    Frame(EncodedFrame),
}

impl Picture {
    /// When it is shown.
    pub(super) fn time_us(&self) -> i64 {
        match self {
            Self::Sample(_, time_us) => *time_us,
            Self::Frame(frame) => frame.timestamp_us,
        }
    }
}

pub(super) enum Video {
    Copy(Box<Copy>),
    Encode(Box<Encode>),
}

impl Video {
    pub(super) fn new(
        info: &TrackInfo,
        options: &UniversalOptions,
    ) -> Result<Self, UniversalError> {
        let copied = match info.codec {
            Some(codec @ (Codec::H264 | Codec::H265 | Codec::Vp9 | Codec::Av1))
                if !options.force_video_reencode =>
            {
                Some(codec)
            }
            _ => None,
        };
        Ok(match copied {
            Some(codec) => Self::Copy(Box::new(Copy::new(codec, info, options)?)),
            None => Self::Encode(Box::new(Encode::new(info, options)?)),
        })
    }

    pub(super) fn reencodes(&self) -> bool {
        matches!(self, Self::Encode(_))
    }

    /// What the muxer has to know, once it is known.
    pub(super) fn track(&self) -> Option<&VideoTrack> {
        match self {
            Self::Copy(copy) => copy.track.as_ref(),
            Self::Encode(encode) => encode.track.as_ref(),
        }
    }

    /// Whether there was a keyframe to begin with.
    pub(super) fn has_started(&self) -> bool {
        match self {
            Self::Copy(copy) => copy.track.is_some(),
            Self::Encode(encode) => encode.started,
        }
    }

    /// What pictures are decoded in advance of being shown, in microseconds.
    pub(super) fn shift_us(&self) -> i64 {
        match self {
            Self::Copy(copy) => copy.shift_us,
            Self::Encode(_) => 0,
        }
    }

    /// Appends the pictures that are made of a packet. What cannot be used is counted.
    pub(super) fn packet(
        &mut self,
        packet: InputPacket,
        out: &mut Vec<Picture>,
        dropped: &mut u64,
    ) -> Result<(), UniversalError> {
        match self {
            Self::Copy(copy) => {
                copy.packet(packet, out, dropped);
                Ok(())
            }
            Self::Encode(encode) => encode.packet(&packet, out, dropped),
        }
    }

    /// Appends what is left.
    pub(super) fn flush(&mut self, out: &mut Vec<Picture>) -> Result<(), UniversalError> {
        match self {
            Self::Copy(_) => Ok(()),
            Self::Encode(encode) => encode.flush(out),
        }
    }
}

/// Copies access units, in Annex B form up to the muxer's own form.
pub(super) struct Copy {
    codec: Codec,
    name: String,
    filter: Option<BitstreamFilter>,
    options: UniversalOptions,
    track: Option<VideoTrack>,
    shift_us: i64,
    last_decode_us: Option<i64>,
    frame_us: i64,
}

impl Copy {
    fn new(
        codec: Codec,
        info: &TrackInfo,
        options: &UniversalOptions,
    ) -> Result<Self, UniversalError> {
        let filter = match codec {
            Codec::H264 => Some("h264_mp4toannexb"),
            Codec::H265 => Some("hevc_mp4toannexb"),
            // Every OBU with its size, and no delimiters.
            Codec::Av1 => Some("av1_metadata=td=remove"),
            _ => None,
        };
        let filter = filter.map(|name| BitstreamFilter::new(name, info));
        let filter = filter
            .transpose()
            .map_err(|error| UniversalError::Bitstream {
                codec: info.name.clone(),
                reason: error.to_string(),
            })?;
        let rate = info.frame_rate.unwrap_or(FRAME_RATE).clamp(1.0, 1000.0);
        Ok(Self {
            codec,
            name: info.name.clone(),
            filter,
            options: options.clone(),
            track: None,
            shift_us: 0,
            last_decode_us: None,
            frame_us: (1e6 / rate) as i64,
        })
    }

    fn packet(&mut self, packet: InputPacket, out: &mut Vec<Picture>, dropped: &mut u64) {
        let packets = match &mut self.filter {
            None => vec![packet],
            Some(filter) => match filter.filter(packet) {
                Ok(packets) => packets,
                Err(error) => {
                    tracing::debug!(%error, codec = self.name, "a frame is left out");
                    *dropped += 1;
                    return;
                }
            },
        };
        for packet in packets {
            match self.sample(&packet) {
                Some(sample) => {
                    let time_us = sample.composition_us.saturating_sub(self.shift_us);
                    out.push(Picture::Sample(sample, time_us));
                }
                None => *dropped += 1,
            }
        }
    }

    fn sample(&mut self, packet: &InputPacket) -> Option<Sample> {
        let data = Bytes::copy_from_slice(packet.data());
        let has_picture = match self.codec {
            Codec::H264 => h264::has_vcl(&data),
            Codec::H265 => h265::has_vcl(&data),
            _ => !data.is_empty(),
        };
        let time_us = packet.pts_us.or(packet.dts_us).filter(|_| has_picture)?;
        let decode_us = match (packet.dts_us, self.last_decode_us) {
            (Some(decode_us), Some(last)) => decode_us.max(last.saturating_add(1)),
            (Some(decode_us), None) => decode_us,
            (None, Some(last)) => last.saturating_add(self.frame_us),
            (None, None) => time_us,
        };
        if self.track.is_none() {
            if !packet.keyframe {
                return None;
            }
            self.track = Some(self.describe(&data)?);
            self.shift_us = time_us.saturating_sub(decode_us).max(0);
        }
        self.last_decode_us = Some(decode_us);
        let track = self.track.as_ref()?;
        let decode_us = decode_us.saturating_add(self.shift_us);
        Some(Sample {
            data: fmp4::video_sample(&data, track, self.options.parameter_sets),
            sync: packet.keyframe,
            decode_us,
            composition_us: time_us.saturating_add(self.shift_us),
            end_us: (packet.duration_us > 0)
                .then_some(decode_us.saturating_add(packet.duration_us)),
        })
    }

    /// What the muxer has to know, from the first keyframe or from beside the bitstream.
    fn describe(&self, data: &Bytes) -> Option<VideoTrack> {
        let keyframe = |data: Bytes| EncodedFrame {
            codec: self.codec,
            data,
            keyframe: true,
            timestamp_us: 0,
            rotation: VideoRotation::Deg0,
            size: VideoSize::default(),
            lost_packets: 0,
        };
        if let Ok(track) = VideoTrack::from_keyframe(&keyframe(data.clone())) {
            return Some(track);
        }
        // A keyframe that is no IDR picture (an open group of pictures) has no parameter sets of its
        // own.
        let beside = self.filter.as_ref().map(BitstreamFilter::extradata);
        let beside = beside.unwrap_or_default();
        let whole = [&beside[..], &data[..]].concat();
        match VideoTrack::from_keyframe(&keyframe(whole.into())) {
            Ok(track) => Some(track),
            Err(error) => {
                tracing::debug!(%error, codec = self.name, "a keyframe is left out");
                None
            }
        }
    }
}

/// Decodes by FFmpeg and encodes as H.264.
pub(super) struct Encode {
    decoder: PictureDecoder,
    encoder: Box<dyn VideoEncoder>,
    track: Option<VideoTrack>,
    /// Whether a keyframe has come, before which there is nothing to be seen.
    started: bool,
    last_us: Option<i64>,
    pictures: Vec<(VideoFrame, i64)>,
}

impl Encode {
    fn new(info: &TrackInfo, options: &UniversalOptions) -> Result<Self, UniversalError> {
        let rate = info.frame_rate.unwrap_or(FRAME_RATE).clamp(1.0, 120.0);
        let video = VideoOptions {
            bit_rate: options.video_bit_rate,
            frame_rate: rate,
            gop_size: ((rate * GOP_SECONDS).round() as u32).max(1),
            preset: options.preset,
            encoder: options.encoder,
        };
        Ok(Self {
            decoder: PictureDecoder::new(info)?,
            encoder: video_encoder(Codec::H264, video)?,
            track: None,
            started: false,
            last_us: None,
            pictures: Vec::new(),
        })
    }

    fn packet(
        &mut self,
        packet: &InputPacket,
        out: &mut Vec<Picture>,
        dropped: &mut u64,
    ) -> Result<(), UniversalError> {
        self.started |= packet.keyframe;
        if !self.started {
            *dropped += 1;
            return Ok(());
        }
        if let Err(error) = self.decoder.decode(packet, &mut self.pictures) {
            tracing::debug!(%error, "a picture is left out");
            *dropped += 1;
        }
        self.encode(out, dropped)
    }

    fn flush(&mut self, out: &mut Vec<Picture>) -> Result<(), UniversalError> {
        self.decoder.flush(&mut self.pictures)?;
        self.encode(out, &mut 0)
    }

    fn encode(&mut self, out: &mut Vec<Picture>, dropped: &mut u64) -> Result<(), UniversalError> {
        for (picture, time_us) in self.pictures.drain(..) {
            // Damaged streams show pictures twice.
            if self.last_us.is_some_and(|last| time_us <= last) {
                *dropped += 1;
                continue;
            }
            self.last_us = Some(time_us);
            let Some(frame) = self.encoder.encode(&picture, time_us, false)? else {
                continue;
            };
            // An encoder has its parameter sets with its first keyframe.
            if self.track.is_none() && frame.keyframe {
                self.track = Some(VideoTrack::from_keyframe(&frame)?);
            }
            out.push(Picture::Frame(frame));
        }
        Ok(())
    }
}
