//! FFmpeg as the source of real frames and as the judge of files, for tests only.

use bytes::Bytes;

use crate::codec::h264::{self, NalUnitType};
use crate::codec::{Codec, av1, h265, vp8, vp9};
use crate::frame::ffmpeg::{ffmpeg, ivf_frames, run};
use crate::frame::{EncodedFrame, VideoRotation, VideoSize};

/// Whether there is an FFmpeg; says so if not.
pub(crate) fn is_installed() -> bool {
    run("ffmpeg", "-version", &[]).is_some()
}

pub(crate) fn frame(codec: Codec, data: &[u8], keyframe: bool, timestamp_us: i64) -> EncodedFrame {
    EncodedFrame {
        codec,
        data: Bytes::copy_from_slice(data),
        keyframe,
        timestamp_us,
        rotation: VideoRotation::Deg0,
        size: VideoSize::default(),
        lost_packets: 0,
    }
}

/// Frames from an encoder, and for pictures the stream they were cut from: Annex B, or IVF.
pub(crate) struct Clip {
    pub(crate) frames: Vec<EncodedFrame>,
    pub(crate) annex_b: Vec<u8>,
}

/// Encoders that hold nothing back, 30 frames a second, a keyframe every 30.
const VIDEO_ENCODERS: [(Codec, &str); 4] = [
    (
        Codec::H265,
        "-c:v libx265 -preset ultrafast -x265-params \
         keyint=30:min-keyint=30:scenecut=0:bframes=0:repeat-headers=1:aud=1:log-level=none -f hevc -",
    ),
    (
        Codec::Vp8,
        "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 500k -g 30 -f ivf -",
    ),
    (
        Codec::Vp9,
        "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -b:v 500k -g 30 -f ivf -",
    ),
    (
        Codec::Av1,
        "-c:v libaom-av1 -usage realtime -cpu-used 8 -b:v 500k -g 30 -f ivf -",
    ),
];

impl Clip {
    /// 30 frames a second, a keyframe every 30.
    pub(crate) fn h264(size: &str, count: usize) -> Option<Self> {
        let args = format!(
            "-f lavfi -i testsrc2=size={size}:rate=30 -frames:v {count} -c:v libx264 -bf 0 -g 30 \
            -keyint_min 30 -sc_threshold 0 -preset veryfast -pix_fmt yuv420p -aud 1 -f h264 -"
        );
        let annex_b = ffmpeg(&args, &[])?;
        let mut units: Vec<Vec<u8>> = Vec::new();
        for nal_unit in h264::annexb_nal_units(&annex_b) {
            if NalUnitType::of(nal_unit) == Some(NalUnitType::AccessUnitDelimiter) {
                units.push(Vec::new());
            }
            let unit = units
                .last_mut()
                .expect("an access unit starts with its delimiter");
            unit.extend_from_slice(&h264::START_CODE);
            unit.extend_from_slice(nal_unit);
        }
        let frames: Vec<_> = units
            .iter()
            .enumerate()
            .map(|(index, unit)| {
                let time_us = index as i64 * 1_000_000 / 30;
                frame(Codec::H264, unit, h264::is_keyframe(unit), time_us)
            })
            .collect();
        assert_eq!(frames.len(), count);
        Some(Self { frames, annex_b })
    }

    /// H.265, VP8, VP9 or AV1; `format` is one of FFmpeg's pixel formats.
    pub(crate) fn video(codec: Codec, size: &str, format: &str, count: usize) -> Option<Self> {
        let (_, options) = VIDEO_ENCODERS.iter().find(|row| row.0 == codec)?;
        let args = format!(
            "-f lavfi -i testsrc2=size={size}:rate=30 -frames:v {count} -pix_fmt {format} {options}"
        );
        let stream = ffmpeg(&args, &[])?;
        let units = match codec {
            Codec::H265 => hevc_access_units(&stream),
            _ => ivf_frames(&stream),
        };
        let keyframe = |unit: &[u8]| match codec {
            Codec::H265 => h265::is_keyframe(unit),
            Codec::Vp8 => vp8::is_keyframe(unit),
            Codec::Vp9 => vp9::is_keyframe(unit),
            _ => av1::is_keyframe(unit),
        };
        let frames: Vec<_> = (0..)
            .zip(units)
            .map(|(index, unit)| frame(codec, &unit, keyframe(&unit), index * 1_000_000 / 30))
            .collect();
        assert_eq!(frames.len(), count);
        Some(Self {
            frames,
            annex_b: stream,
        })
    }

    /// Stereo at 48 kHz, frames of 20 ms.
    pub(crate) fn opus(seconds: u32) -> Option<Self> {
        let args = format!(
            "-f lavfi -i sine=440:sample_rate=48000:duration={seconds} -ac 2 -c:a libopus -f ogg -"
        );
        let ogg = ffmpeg(&args, &[])?;
        let frames = ogg_packets(&ogg)
            .into_iter()
            .skip(2)
            .enumerate()
            .map(|(index, packet)| frame(Codec::Opus, &packet, true, index as i64 * 20_000))
            .collect();
        Some(Self {
            frames,
            annex_b: Vec::new(),
        })
    }

    /// Stereo at 48 kHz.
    pub(crate) fn aac(seconds: u32) -> Option<Self> {
        let args = format!(
            "-f lavfi -i sine=440:sample_rate=48000:duration={seconds} -ac 2 -c:a aac -f adts -"
        );
        let adts = ffmpeg(&args, &[])?;
        let mut frames = Vec::new();
        let mut rest = &adts[..];
        while rest.len() > 7 {
            let length = (usize::from(rest[3] & 3) << 11)
                | (usize::from(rest[4]) << 3)
                | (usize::from(rest[5]) >> 5);
            let time_us = frames.len() as i64 * 1_024 * 1_000_000 / 48_000;
            frames.push(frame(Codec::Aac, &rest[7..length], true, time_us));
            rest = &rest[length..];
        }
        Some(Self {
            frames,
            annex_b: Vec::new(),
        })
    }
}

/// A stream with delimiters, cut at them.
fn hevc_access_units(annex_b: &[u8]) -> Vec<Vec<u8>> {
    let mut units: Vec<Vec<u8>> = Vec::new();
    for nal_unit in h265::annexb_nal_units(annex_b) {
        if h265::NalUnitType::of(nal_unit) == Some(h265::NalUnitType::AccessUnitDelimiter) {
            units.push(Vec::new());
        }
        let unit = units.last_mut().expect("it starts with a delimiter");
        unit.extend_from_slice(&h265::START_CODE);
        unit.extend_from_slice(nal_unit);
    }
    units
}

/// The MD5 of all decoded pictures of the first video stream.
pub(crate) fn pictures_md5(file: &[u8]) -> String {
    let args = "-xerror -i pipe:0 -map 0:v:0 -fps_mode passthrough -f md5 -";
    let md5 = ffmpeg(args, file).expect("ffmpeg was there before");
    String::from_utf8(md5).expect("text")
}

/// The packets of one logical stream (RFC 3533 section 6).
fn ogg_packets(mut rest: &[u8]) -> Vec<Vec<u8>> {
    let mut packets = vec![Vec::new()];
    while rest.len() > 27 {
        let segments = usize::from(rest[26]);
        let mut at = 27 + segments;
        for &length in &rest[27..27 + segments] {
            let end = at + usize::from(length);
            packets
                .last_mut()
                .expect("one")
                .extend_from_slice(&rest[at..end]);
            if length < 255 {
                packets.push(Vec::new());
            }
            at = end;
        }
        rest = &rest[at..];
    }
    packets.pop();
    packets
}

/// The frames of several clips in the order of their times, each with the index of its clip.
pub(crate) fn interleave(clips: &[&Clip]) -> Vec<(usize, EncodedFrame)> {
    let mut frames: Vec<_> = clips
        .iter()
        .enumerate()
        .flat_map(|(index, clip)| clip.frames.iter().map(move |f| (index, f.clone())))
        .collect();
    frames.sort_by_key(|(_, frame)| frame.timestamp_us);
    frames
}

/// A packet as ffprobe sees it; times in ticks of its stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Packet {
    pub(crate) stream: usize,
    pub(crate) pts: i64,
    pub(crate) duration: i64,
    pub(crate) keyframe: bool,
}

pub(crate) fn probe(entries: &str, file: &[u8]) -> String {
    let args = format!("-show_entries {entries} -of csv=p=0 -i pipe:0");
    let ended = run("ffprobe", &args, file).expect("ffmpeg was there before");
    String::from_utf8(ended.stdout).expect("text")
}

pub(crate) fn packets(file: &[u8]) -> Vec<Packet> {
    probe("packet=stream_index,pts,duration,flags", file)
        .lines()
        .filter(|line| !line.is_empty())
        .map(|line| {
            let fields: Vec<&str> = line.split(',').collect();
            Packet {
                stream: fields[0].parse().expect("stream index"),
                pts: fields[1].parse().expect("pts"),
                duration: fields[2].parse().unwrap_or(0),
                keyframe: fields[3].starts_with('K'),
            }
        })
        .collect()
}

/// Decodes everything; any complaint fails.
pub(crate) fn assert_decodes(file: &[u8]) {
    ffmpeg("-xerror -i pipe:0 -f null -", file).expect("ffmpeg was there before");
}

/// The first video track in Annex B form.
pub(crate) fn extract_h264(file: &[u8]) -> Vec<u8> {
    let args = "-i pipe:0 -map 0:v:0 -c copy -bsf:v h264_mp4toannexb -f h264 -";
    let ended = run("ffmpeg", args, file).expect("ffmpeg was there before");
    assert!(ended.success, "{}", ended.complaints);
    ended.stdout
}

pub(crate) fn nal_units(annex_b: &[u8]) -> Vec<&[u8]> {
    h264::annexb_nal_units(annex_b).collect()
}

/// All NAL units but parameter sets and delimiters, which containers keep elsewhere.
pub(crate) fn pictures_only(annex_b: &[u8]) -> Vec<&[u8]> {
    h264::annexb_nal_units(annex_b)
        .filter(|nal_unit| {
            !matches!(
                NalUnitType::of(nal_unit),
                Some(NalUnitType::Sps | NalUnitType::Pps | NalUnitType::AccessUnitDelimiter)
            )
        })
        .collect()
}

/// A stream in MP4 by FFmpeg itself.
pub(crate) fn remux(stream: &[u8], options: &str) -> Option<Vec<u8>> {
    let args = format!("-i pipe:0 -c copy {options} -movflags empty_moov -f mp4 -");
    let ended = run("ffmpeg", &args, stream)?;
    assert!(ended.success, "{}", ended.complaints);
    Some(ended.stdout)
}

/// The first track's sample entry.
pub(crate) fn sample_entry(mut file: &[u8]) -> mp4_atom::Codec {
    use mp4_atom::{Decode, Ftyp, Moov};
    Ftyp::decode(&mut file).expect("ftyp");
    let moov = Moov::decode(&mut file).expect("moov");
    moov.trak[0].mdia.minf.stbl.stsd.codecs[0].clone()
}
