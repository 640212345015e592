//! Bodies of video tags (E.4.3; Enhanced RTMP v2, "Enhanced Video").

use bytes::Bytes;

use super::enhanced::{
    CODED_FRAMES, CODED_FRAMES_X, FIRST_TRACK, Part, Reader, SEQUENCE_START, VIDEO_METADATA,
};
use super::{FlvError, Frame, Item, Stats};
use crate::codec::h264::START_CODE;
use crate::codec::{Codec, av1, h264, h265, vp8, vp9};
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};

/// Set in the first byte of a body with a FourCC.
const EX_HEADER: u8 = 0x80;
/// `FrameType`.
const KEYFRAME: u8 = 1;
const COMMAND: u8 = 5;
/// `CodecID`.
const AVC: u8 = 7;
/// `VideoPacketType`.
const MULTITRACK: u8 = 6;

/// Bytes before `configOBUs` of an `av1C`.
const AV1C_HEADER: usize = 4;

/// What decoding starts with.
#[derive(Debug)]
enum Configuration {
    H264 {
        length_size: u8,
        sets: h264::ParameterSets,
    },
    H265 {
        length_size: u8,
        sets: h265::ParameterSets,
    },
    /// The sequence header of an `av1C`; may be empty.
    Av1(Bytes),
}

/// The first video track.
#[derive(Debug, Default)]
pub(super) struct Video {
    configuration: Option<Configuration>,
    av1: av1::Stream,
    size: VideoSize,
    last_us: Option<i64>,
}

impl Video {
    /// The sender's clock was set back.
    pub(super) fn restart(&mut self) {
        self.last_us = None;
    }

    pub(super) fn push(
        &mut self,
        time_us: i64,
        body: &Bytes,
        stats: &mut Stats,
        out: &mut Vec<Item>,
    ) -> Result<(), FlvError> {
        let mut reader = Reader {
            kind: "video",
            body,
            offset: 0,
        };
        if body.is_empty() {
            return Ok(());
        }
        let [first] = reader.take()?;
        let frame_type = first >> 4 & 0b111;
        let keyframe = frame_type == KEYFRAME;
        if first & EX_HEADER == 0 {
            if frame_type == COMMAND {
                return Ok(());
            }
            if first & 0xf != AVC {
                return Err(FlvError::VideoCodec(first & 0xf));
            }
            let [packet_type] = reader.take()?;
            let composition = reader.take()?;
            let part = Part {
                // Sequence header, picture and end of sequence have the numbers of the
                // enhanced packet types; the composition time is there in each.
                packet_type: if packet_type == CODED_FRAMES {
                    CODED_FRAMES_X
                } else {
                    packet_type
                },
                four_cc: *b"avc1",
                track: FIRST_TRACK,
                data: reader.rest(),
            };
            return self.part(time_us, offset_us(composition), keyframe, part, stats, out);
        }
        let (packet_type, nanoseconds) = reader.modifiers(first & 0xf)?;
        if frame_type == COMMAND && packet_type != VIDEO_METADATA {
            return Ok(());
        }
        let offset = i64::from(nanoseconds / 1_000);
        for part in reader.parts(packet_type, MULTITRACK)? {
            self.part(time_us, offset, keyframe, part, stats, out)?;
        }
        Ok(())
    }

    fn part(
        &mut self,
        time_us: i64,
        offset_us: i64,
        keyframe: bool,
        part: Part,
        stats: &mut Stats,
        out: &mut Vec<Item>,
    ) -> Result<(), FlvError> {
        let is_frame = matches!(part.packet_type, CODED_FRAMES | CODED_FRAMES_X);
        if part.track != FIRST_TRACK {
            stats.other_tracks += u64::from(is_frame);
            return Ok(());
        }
        let codec = match &part.four_cc {
            b"avc1" => Codec::H264,
            b"hvc1" => Codec::H265,
            b"av01" => Codec::Av1,
            b"vp09" => Codec::Vp9,
            b"vp08" => Codec::Vp8,
            other => return Err(FlvError::FourCc(*other)),
        };
        if part.packet_type == SEQUENCE_START {
            return self.configure(codec, &part.data);
        }
        if !is_frame {
            return Ok(());
        }
        let (mut offset_us, mut data) = (offset_us, part.data);
        if part.packet_type == CODED_FRAMES && matches!(codec, Codec::H264 | Codec::H265) {
            let Some(composition) = data.first_chunk::<3>() else {
                return Err(FlvError::Truncated {
                    kind: "video",
                    actual: data.len(),
                });
            };
            offset_us = offset_us.saturating_add(self::offset_us(*composition));
            data = data.slice(3..);
        }
        let Some((data, keyframe)) = self.access_unit(codec, &data, keyframe)? else {
            stats.without_configuration += 1;
            return Ok(());
        };
        if data.is_empty() {
            return Ok(());
        }
        let decode_us = self.last_us.map_or(time_us, |last| time_us.max(last));
        self.last_us = Some(decode_us);
        stats.frames += 1;
        out.push(Item::Frame(Frame {
            frame: EncodedFrame {
                codec,
                data,
                keyframe,
                timestamp_us: decode_us.saturating_add(offset_us),
                rotation: VideoRotation::Deg0,
                size: self.size,
                lost_packets: 0,
            },
            decode_timestamp_us: decode_us,
        }));
        Ok(())
    }

    fn configure(&mut self, codec: Codec, record: &Bytes) -> Result<(), FlvError> {
        let configuration = match codec {
            Codec::H264 => {
                let parsed = h264::DecoderConfiguration::parse(record)?;
                let sets = parsed.parameter_sets;
                let size = sets.sps.first().and_then(|sps| h264::sps_size(sps));
                self.size = size.unwrap_or_default();
                Configuration::H264 {
                    length_size: parsed.length_size,
                    sets,
                }
            }
            Codec::H265 => {
                let parsed = h265::DecoderConfiguration::parse(record).ok_or(
                    FlvError::H265Configuration {
                        length: record.len(),
                    },
                )?;
                let sets = parsed.parameter_sets;
                let size = sets.sps.first().and_then(|sps| h265::sps_size(sps));
                self.size = size.unwrap_or_default();
                Configuration::H265 {
                    length_size: parsed.length_size,
                    sets,
                }
            }
            Codec::Av1 => {
                self.av1 = av1::Stream::default();
                Configuration::Av1(record.slice(AV1C_HEADER.min(record.len())..))
            }
            // VP9's and VP8's frames tell everything themselves.
            _ => return Ok(()),
        };
        self.configuration = Some(configuration);
        Ok(())
    }

    /// A frame in this crate's form, and whether decoding can start at it. `None`: what it needs
    /// has not come.
    fn access_unit(
        &mut self,
        codec: Codec,
        data: &Bytes,
        keyframe: bool,
    ) -> Result<Option<(Bytes, bool)>, FlvError> {
        Ok(Some(match (codec, &self.configuration) {
            (Codec::H264, Some(Configuration::H264 { length_size, sets })) => {
                let unit = h264::avcc_to_annexb(data, usize::from(*length_size))?;
                if keyframe || h264::is_keyframe(&unit) {
                    let own = h264::ParameterSets::from_access_unit(&unit);
                    if let Some(size) = own.sps.first().and_then(|sps| h264::sps_size(sps)) {
                        self.size = size;
                    }
                    let missing = sets.sps.iter().filter(|_| own.sps.is_empty());
                    let missing = missing.chain(sets.pps.iter().filter(|_| own.pps.is_empty()));
                    (annex_b(missing, &unit), true)
                } else {
                    (unit.into(), false)
                }
            }
            (Codec::H265, Some(Configuration::H265 { length_size, sets })) => {
                let unit = h264::avcc_to_annexb(data, usize::from(*length_size))?;
                if keyframe {
                    let own = h265::ParameterSets::from_access_unit(&unit);
                    if let Some(size) = own.sps.first().and_then(|sps| h265::sps_size(sps)) {
                        self.size = size;
                    }
                    let missing = sets.vps.iter().filter(|_| own.vps.is_empty());
                    let missing = missing.chain(sets.sps.iter().filter(|_| own.sps.is_empty()));
                    let missing = missing.chain(sets.pps.iter().filter(|_| own.pps.is_empty()));
                    (annex_b(missing, &unit), true)
                } else {
                    (unit.into(), false)
                }
            }
            (Codec::H264 | Codec::H265, _) => return Ok(None),
            (Codec::Av1, configuration) => {
                let mut unit = av1::without_delimiters(data);
                if keyframe
                    && !has_sequence_header(&unit)
                    && let Some(Configuration::Av1(header)) = configuration
                {
                    unit = [&header[..], &unit].concat().into();
                }
                let picture = self.av1.next(&unit);
                if picture.size != VideoSize::default() {
                    self.size = picture.size;
                }
                let starts = picture.keyframe && picture.sequence_header;
                (unit, starts)
            }
            (Codec::Vp9, _) => {
                if let Some(configuration) = vp9::Configuration::from_keyframe(data) {
                    self.size = configuration.size;
                }
                (data.clone(), vp9::is_keyframe(data))
            }
            _ => {
                let header = vp8::FrameHeader::parse(data);
                if let Some(size) = header.and_then(|header| header.size) {
                    self.size = size;
                }
                let keyframe = header.is_some_and(|header| header.keyframe);
                (data.clone(), keyframe)
            }
        }))
    }
}

/// Parameter sets before an access unit in Annex B form.
fn annex_b<'a>(sets: impl Iterator<Item = &'a Bytes>, unit: &[u8]) -> Bytes {
    let mut whole = Vec::with_capacity(unit.len() + 128);
    for set in sets {
        whole.extend_from_slice(&START_CODE);
        whole.extend_from_slice(set);
    }
    whole.extend_from_slice(unit);
    whole.into()
}

fn has_sequence_header(temporal_unit: &[u8]) -> bool {
    av1::obus(temporal_unit).any(|obu| obu.kind == av1::ObuType::SequenceHeader)
}

/// `SI24`, milliseconds, in microseconds.
fn offset_us([a, b, c]: [u8; 3]) -> i64 {
    // The sign of 24 bits is that of the upper ones of 32.
    i64::from(i32::from_be_bytes([a, b, c, 0]) >> 8) * 1_000
}
