//! FLV (Adobe Flash Video File Format 10.1, annex E): file header, tags, and the bodies of tags.
//!
//! The bodies are what RTMP's audio, video and data messages carry, so an RTMP client uses them
//! without [`tag`]. H.264 and AAC are written as the format of 2010 has them, which every server
//! takes; H.265, AV1, VP9 and Opus by FourCC, as Enhanced RTMP has them.
//!
//! ```
//! use livekit_stream::mux::flv::{TagKind, file_header, metadata, tag};
//! use livekit_stream::mux::AudioTrack;
//!
//! let tracks = [AudioTrack::aac(48_000, 2)?.into()];
//! let mut file = file_header(false, true).to_vec();
//! file.extend(tag(TagKind::Script, 0, &metadata(&tracks, None))?);
//! assert_eq!(&file[..4], b"FLV\x01");
//! # Ok::<(), livekit_stream::mux::MuxError>(())
//! ```

use bytes::{BufMut, Bytes, BytesMut};

use super::{AudioTrack, MuxError, Track, VideoTrack, fmp4};
use crate::codec::h264::{self, Keep};
use crate::codec::{Codec, MediaKind, av1, h265};
use crate::frame::EncodedFrame;
use crate::rtmp::amf0::{self, Value};

/// Frame type and codec of AVC in one byte (E.4.3.1).
const AVC_KEYFRAME: u8 = 0x17;
const AVC_INTER_FRAME: u8 = 0x27;
/// AAC; rate, size and channels are constants for it (E.4.2.1).
const AAC: u8 = 0xaf;
/// `AVCPacketType` and `AACPacketType`.
const SEQUENCE_HEADER: u8 = 0;
const FRAME: u8 = 1;
const END_OF_SEQUENCE: u8 = 2;

/// `ExVideoTagHeader` and `ExAudioTagHeader` of Enhanced RTMP: these bits and a packet type.
const EX_KEYFRAME: u8 = 0x90;
const EX_INTER_FRAME: u8 = 0xa0;
const EX_AUDIO: u8 = 0x90;
/// `VideoPacketType` of coded frames without a composition time, which is zero.
const CODED_FRAMES_X: u8 = 3;

/// The longest body of a tag, whose length field has 24 bits.
const MAX_TAG_BODY: usize = 0xff_ffff;

/// What a tag carries (E.4.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum TagKind {
    /// Sound.
    Audio = 8,
    /// Pictures.
    Video = 9,
    /// Metadata.
    Script = 18,
}

/// The file header and the first `PreviousTagSize`, 13 bytes.
#[must_use]
pub fn file_header(has_video: bool, has_audio: bool) -> Bytes {
    let flags = u8::from(has_video) | (u8::from(has_audio) << 2);
    Bytes::copy_from_slice(&[b'F', b'L', b'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0])
}

/// A tag with its header and the `PreviousTagSize` behind it. `timestamp_ms` counts from the start
/// of the file and wraps after 49 days.
///
/// # Errors
///
/// When the body is longer than the 24 bits of its length.
pub fn tag(kind: TagKind, timestamp_ms: u32, body: &[u8]) -> Result<Bytes, MuxError> {
    if body.len() > MAX_TAG_BODY {
        return Err(MuxError::TooLarge {
            bytes: body.len(),
            limit: MAX_TAG_BODY,
        });
    }
    let length = body.len() as u32;
    let mut tag = BytesMut::with_capacity(body.len() + 15);
    tag.put_u8(kind as u8);
    tag.put_uint(u64::from(length), 3);
    // The low 24 bits come first, then the high eight.
    tag.put_uint(u64::from(timestamp_ms & 0xff_ffff), 3);
    tag.put_u8((timestamp_ms >> 24) as u8);
    tag.put_uint(0, 3);
    tag.put_slice(body);
    tag.put_u32(length + 11);
    Ok(tag.freeze())
}

/// The FourCC that Enhanced RTMP names a codec by; `None` for one that this crate does not write
/// so (VP8).
#[must_use]
pub fn four_cc(codec: Codec) -> Option<[u8; 4]> {
    match codec {
        Codec::H264 => Some(*b"avc1"),
        Codec::H265 => Some(*b"hvc1"),
        Codec::Av1 => Some(*b"av01"),
        Codec::Vp9 => Some(*b"vp09"),
        Codec::Opus => Some(*b"Opus"),
        Codec::Aac => Some(*b"mp4a"),
        Codec::Vp8 => None,
    }
}

/// The body of the video tag that goes before the first frame, and again before the keyframe at
/// which the parameter sets change: the configuration record that MP4 has in `avcC`, `hvcC`,
/// `av1C` or `vpcC`.
///
/// # Errors
///
/// When FLV has no place for the codec (VP8), or its parameter sets cannot be written.
pub fn video_sequence_header(track: &VideoTrack) -> Result<Bytes, MuxError> {
    let mut body = match track.codec {
        Codec::H264 => vec![AVC_KEYFRAME, SEQUENCE_HEADER, 0, 0, 0],
        codec => {
            let mut body = vec![EX_KEYFRAME | SEQUENCE_HEADER];
            body.extend(video_four_cc(codec)?);
            body
        }
    };
    body.extend(fmp4::configuration_record(track)?);
    Ok(body.into())
}

/// The body of a video frame's tag. Parameter sets are left out: they are in the
/// [`video_sequence_header`], which is to be sent anew when
/// [`VideoTrack::from_keyframe`] gives other ones than before.
///
/// # Errors
///
/// When FLV has no place for the codec.
pub fn video_body(frame: &EncodedFrame) -> Result<Bytes, MuxError> {
    let header = |keyframe, inter_frame| {
        if frame.keyframe {
            keyframe
        } else {
            inter_frame
        }
    };
    let ex_header = |packet_type| {
        let four_cc = video_four_cc(frame.codec)?;
        let first = header(EX_KEYFRAME, EX_INTER_FRAME) | packet_type;
        Ok::<_, MuxError>([&[first][..], &four_cc].concat())
    };
    // Frames are shown in the order they are decoded: composition times are zero.
    let (head, sample) = match frame.codec {
        Codec::H264 => (
            vec![header(AVC_KEYFRAME, AVC_INTER_FRAME), FRAME, 0, 0, 0],
            h264::annexb_to_avcc(&frame.data, Keep::Pictures).into(),
        ),
        Codec::H265 => (
            ex_header(CODED_FRAMES_X)?,
            h265::annexb_to_hvcc(&frame.data, false).into(),
        ),
        Codec::Av1 => (ex_header(FRAME)?, av1::without_delimiters(&frame.data)),
        _ => (ex_header(FRAME)?, frame.data.clone()),
    };
    let mut body = BytesMut::with_capacity(head.len() + sample.len());
    body.put_slice(&head);
    body.put_slice(&sample);
    Ok(body.freeze())
}

/// The body of the video tag that ends a stream of H.264.
#[must_use]
pub fn video_end_of_sequence() -> Bytes {
    Bytes::from_static(&[AVC_KEYFRAME, END_OF_SEQUENCE, 0, 0, 0])
}

/// The body of the audio tag that goes before the first frame: the AudioSpecificConfig of AAC, the
/// `OpusHead` of Opus.
///
/// # Errors
///
/// When FLV has no place for the codec.
pub fn audio_sequence_header(track: &AudioTrack) -> Result<Bytes, MuxError> {
    let mut body = audio_header(track.codec, SEQUENCE_HEADER)?;
    body.extend_from_slice(&track.codec_config);
    Ok(body.into())
}

/// The body of an audio frame's tag.
///
/// # Errors
///
/// When FLV has no place for the codec.
pub fn audio_body(frame: &EncodedFrame) -> Result<Bytes, MuxError> {
    let mut body = audio_header(frame.codec, FRAME)?;
    body.extend_from_slice(&frame.data);
    Ok(body.into())
}

fn audio_header(codec: Codec, packet_type: u8) -> Result<Vec<u8>, MuxError> {
    match codec {
        Codec::Aac => Ok(vec![AAC, packet_type]),
        Codec::Opus => Ok([&[EX_AUDIO | packet_type][..], b"Opus"].concat()),
        _ => Err(unsupported(codec)),
    }
}

/// The body of the script tag that goes first: the string `onMetaData` and an ECMA array (E.5).
/// `frame_rate` in frames a second, if it is known.
#[must_use]
pub fn metadata(tracks: &[Track], frame_rate: Option<f64>) -> Bytes {
    metadata_with(tracks, frame_rate, &[])
}

/// As [`metadata`], with properties of the caller's, such as `title`.
pub(crate) fn metadata_with(
    tracks: &[Track],
    frame_rate: Option<f64>,
    more: &[(String, String)],
) -> Bytes {
    let mut properties = vec![("duration", Value::from(0.0))];
    for track in tracks {
        match track {
            Track::Video(video) => {
                properties.push(("width", f64::from(video.size.width).into()));
                properties.push(("height", f64::from(video.size.height).into()));
                properties.extend(frame_rate.map(|rate| ("framerate", rate.into())));
                // Codec ids of E.4.3.1 and E.4.2.1, or FourCCs.
                properties.push(("videocodecid", codec_id(video.codec).into()));
            }
            Track::Audio(audio) => {
                properties.push(("audiocodecid", codec_id(audio.codec).into()));
                properties.push(("audiosamplerate", f64::from(audio.sample_rate).into()));
                properties.push(("audiosamplesize", 16.0.into()));
                properties.push(("audiochannels", f64::from(audio.num_channels).into()));
                properties.push(("stereo", (audio.num_channels >= 2).into()));
            }
        }
    }
    properties.push(("encoder", "livekit-stream".into()));
    properties.extend(
        more.iter()
            .map(|(name, value)| (name.as_str(), value.as_str().into())),
    );
    let mut body = Vec::new();
    amf0::encode_all(
        &[Value::from("onMetaData"), Value::ecma_array(properties)],
        &mut body,
    );
    body.into()
}

fn codec_id(codec: Codec) -> f64 {
    match codec {
        Codec::H264 => 7.0,
        Codec::Aac => 10.0,
        _ => four_cc(codec).map_or(0.0, |name| f64::from(u32::from_be_bytes(name))),
    }
}

fn video_four_cc(codec: Codec) -> Result<[u8; 4], MuxError> {
    four_cc(codec)
        .filter(|_| codec.kind() == MediaKind::Video)
        .ok_or_else(|| unsupported(codec))
}

fn unsupported(codec: Codec) -> MuxError {
    MuxError::UnsupportedCodec {
        codec,
        container: "FLV",
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::mux::testing::{self, Clip};

    #[test]
    fn a_tag_carries_its_length_and_all_32_bits_of_its_time() {
        let tag = tag(TagKind::Video, 0x1234_5678, b"abc").unwrap();
        assert_eq!(tag[..], *b"\x09\0\0\x03\x34\x56\x78\x12\0\0\0abc\0\0\0\x0e");
        assert_eq!(
            super::tag(TagKind::Audio, 0, &vec![0; MAX_TAG_BODY + 1]),
            Err(MuxError::TooLarge {
                bytes: MAX_TAG_BODY + 1,
                limit: MAX_TAG_BODY
            })
        );
    }

    #[test]
    fn codecs_that_flv_lacks_are_named() {
        let frame = testing::frame(Codec::H264, b"x", true, 0);
        let error = audio_body(&frame).unwrap_err();
        assert_eq!(error.to_string(), "H.264 cannot go into FLV");
        let frame = testing::frame(Codec::Vp8, b"x", true, 0);
        let error = video_body(&frame).unwrap_err();
        assert_eq!(error.to_string(), "VP8 cannot go into FLV");
    }

    #[test]
    fn metadata_describes_both_tracks() {
        let Some(clip) = Clip::h264("64x48", 1) else {
            return;
        };
        let video = VideoTrack::from_keyframe(&clip.frames[0]).unwrap();
        let audio = AudioTrack::aac(44_100, 1).unwrap();
        let values =
            amf0::decode_all(&metadata(&[video.into(), audio.into()], Some(30.0))).unwrap();
        assert_eq!(values[0].as_str(), Some("onMetaData"));
        let number = |name: &str| values[1].get(name).and_then(Value::as_number);
        assert_eq!(number("width"), Some(64.0));
        assert_eq!(number("height"), Some(48.0));
        assert_eq!(number("framerate"), Some(30.0));
        assert_eq!(number("videocodecid"), Some(7.0));
        assert_eq!(number("audiocodecid"), Some(10.0));
        assert_eq!(number("audiosamplerate"), Some(44_100.0));
        assert_eq!(values[1].get("stereo"), Some(&Value::Boolean(false)));
    }

    #[test]
    fn ffmpeg_reads_back_every_picture_and_sound() {
        let (Some(video), Some(audio)) = (Clip::h264("320x180", 60), Clip::aac(2)) else {
            return;
        };
        let video_track = VideoTrack::from_keyframe(&video.frames[0]).unwrap();
        let audio_track = AudioTrack::aac(48_000, 2).unwrap();
        let tracks = [video_track.clone().into(), audio_track.clone().into()];
        let mut file = file_header(true, true).to_vec();
        let mut put = |kind, time_us: i64, body: &[u8]| {
            file.extend(tag(kind, (time_us / 1_000) as u32, body).unwrap());
        };
        put(TagKind::Script, 0, &metadata(&tracks, Some(30.0)));
        let header = video_sequence_header(&video_track).unwrap();
        put(TagKind::Video, 0, &header);
        let header = audio_sequence_header(&audio_track).unwrap();
        put(TagKind::Audio, 0, &header);
        for (index, frame) in testing::interleave(&[&video, &audio]) {
            if index == 0 {
                put(
                    TagKind::Video,
                    frame.timestamp_us,
                    &video_body(&frame).unwrap(),
                );
            } else {
                put(
                    TagKind::Audio,
                    frame.timestamp_us,
                    &audio_body(&frame).unwrap(),
                );
            }
        }
        put(TagKind::Video, 2_000_000, &video_end_of_sequence());

        testing::assert_decodes(&file);
        let packets = testing::packets(&file);
        let pictures: Vec<_> = packets.iter().filter(|p| p.stream == 0).collect();
        assert_eq!(pictures.len(), 60);
        assert!(pictures.iter().enumerate().all(|(index, packet)| {
            packet.pts == (index as i64 * 1_000_000 / 30) / 1_000
                && packet.keyframe == (index % 30 == 0)
        }));
        let sounds = packets.iter().filter(|p| p.stream == 1).count();
        assert_eq!(sounds, audio.frames.len());
        assert_eq!(
            testing::pictures_only(&testing::extract_h264(&file)),
            testing::pictures_only(&video.annex_b)
        );
    }
}
