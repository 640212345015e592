//! What a native encoder is going to do, or why it cannot.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::codec::{Codec, MediaKind};
use crate::encode::{AudioOptions, H264Encoder, Preset, VideoOptions};
use crate::mux::fmp4::FragmentPolicy;
use crate::output::media::backend::Spec;
use crate::output::media::options::StreamName;
use crate::output::media::{
    AudioStreamOptions, CodecConfig, MediaEncoderError, StreamOptions, VideoStreamOptions,
};

/// Seconds from keyframe to keyframe unless told otherwise: what streaming platforms ask for.
const GOP_SECONDS: f64 = 2.0;

#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) container: ContainerKind,
    pub(super) streams: Vec<StreamPlan>,
    pub(super) fragment: FragmentPolicy,
    pub(super) listen: Option<Listen>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ContainerKind {
    Mp4,
    Flv,
    WebM,
    Matroska,
    Rtmp,
}

/// Waits for a player instead of connecting to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listen {
    pub(super) timeout: Option<Duration>,
}

#[derive(Debug, Clone)]
pub(super) enum StreamPlan {
    Audio(AudioPlan),
    Video(VideoPlan),
}

#[derive(Debug, Clone)]
pub(super) struct AudioPlan {
    /// Of the chunks.
    pub(super) sample_rate: u32,
    pub(super) num_channels: u32,
    pub(super) codec: Codec,
    pub(super) options: AudioOptions,
}

#[derive(Debug, Clone)]
pub(super) struct VideoPlan {
    /// Of the chunks.
    pub(super) frame_rate: f64,
    pub(super) encoder_frame_rate: f64,
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) options: VideoOptions,
}

/// The time of count `at` of units of 1 / `rate`, in microseconds.
pub(super) fn micros(at: i64, rate: f64) -> i64 {
    (at as f64 * 1_000_000.0 / rate).round() as i64
}

impl Plan {
    pub(super) fn new(spec: &Spec) -> Result<Self, MediaEncoderError> {
        let container = container(spec)?;
        let streams: Vec<StreamPlan> = spec
            .streams
            .iter()
            .enumerate()
            .map(|(index, stream)| {
                let name = stream.name(index);
                match stream {
                    StreamOptions::Audio(audio) => audio_plan(name, audio, container),
                    StreamOptions::Video(video) => video_plan(name, video, container),
                }
            })
            .collect::<Result<_, _>>()?;
        let video_streams = streams
            .iter()
            .filter(|s| matches!(s, StreamPlan::Video(_)))
            .count();
        if matches!(container, ContainerKind::Flv | ContainerKind::Rtmp)
            && (video_streams > 1 || streams.len() - video_streams > 1)
        {
            return Err(MediaEncoderError::Container {
                container: "FLV",
                what: "more than one stream of a kind".to_owned(),
            });
        }
        let mut option = spec.option.clone();
        let fragment = fragment_policy(container, video_streams > 0, &mut option)?;
        let listen = listen(container, &mut option)?;
        if let Some((name, _)) = option.first_key_value() {
            return Err(MediaEncoderError::needs_ffmpeg(format!(
                "the option {name}"
            )));
        }
        Ok(Self {
            container,
            streams,
            fragment,
            listen,
        })
    }
}

fn container(spec: &Spec) -> Result<ContainerKind, MediaEncoderError> {
    let destination = &spec.destination;
    let format = spec.format.as_deref();
    if let Some(scheme) = destination.scheme() {
        return match (scheme.as_str(), format) {
            ("rtmp" | "rtmps", None | Some("flv")) => Ok(ContainerKind::Rtmp),
            ("rtmp" | "rtmps", Some(other)) => Err(MediaEncoderError::needs_ffmpeg(format!(
                "{other} to an RTMP server"
            ))),
            _ => Err(MediaEncoderError::needs_ffmpeg(format!(
                "a {scheme}:// address"
            ))),
        };
    }
    let name = match format {
        Some(format) => format.to_owned(),
        None => destination
            .extension()
            .ok_or_else(|| MediaEncoderError::UnknownContainer {
                destination: destination.to_string(),
            })?,
    };
    match name.as_str() {
        "mp4" | "m4a" if format.is_none() => Ok(ContainerKind::Mp4),
        "mp4" => Ok(ContainerKind::Mp4),
        "flv" => Ok(ContainerKind::Flv),
        "webm" => Ok(ContainerKind::WebM),
        "matroska" => Ok(ContainerKind::Matroska),
        "mkv" | "mka" if format.is_none() => Ok(ContainerKind::Matroska),
        other => Err(MediaEncoderError::needs_ffmpeg(format!(
            "the container {other}"
        ))),
    }
}

fn audio_plan(
    name: StreamName,
    stream: &AudioStreamOptions,
    container: ContainerKind,
) -> Result<StreamPlan, MediaEncoderError> {
    let codec = match stream.encoder.as_deref() {
        None if container == ContainerKind::WebM => Codec::Opus,
        None | Some("aac" | "libfdk_aac") => Codec::Aac,
        Some("opus" | "libopus") => Codec::Opus,
        Some(other) => return Err(ffmpeg(name, &format!("the encoder {other}"))),
    };
    let holds = match container {
        ContainerKind::Mp4 | ContainerKind::Matroska => true,
        ContainerKind::WebM => codec == Codec::Opus,
        ContainerKind::Flv | ContainerKind::Rtmp => codec == Codec::Aac,
    };
    if !holds {
        return Err(does_not_hold(container, codec));
    }
    filters(name, stream.filter_desc.as_deref())?;
    encoder_options(name, &stream.encoder_option, &[])?;
    if let Some(format) = &stream.encoder_format
        && format != "s16"
    {
        return Err(ffmpeg(name, &format!("the sample format {format}")));
    }
    let config = &stream.codec_config;
    unused_config(name, config)?;
    let takes = |rate| match codec {
        Codec::Opus => rate == 48_000,
        _ => matches!(
            rate,
            8_000
                | 11_025
                | 12_000
                | 16_000
                | 22_050
                | 24_000
                | 32_000
                | 44_100
                | 48_000
                | 64_000
                | 88_200
                | 96_000
        ),
    };
    let sample_rate = match stream.encoder_sample_rate {
        // A wrong rate is the encoder's error, which says what it takes.
        Some(rate) => rate,
        None if takes(stream.sample_rate) => stream.sample_rate,
        None => 48_000,
    };
    let num_channels = stream
        .encoder_num_channels
        .unwrap_or(stream.num_channels.min(2));
    // What AAC may have at most at low rates is less than the default.
    let most = if codec == Codec::Aac {
        sample_rate.saturating_mul(num_channels).saturating_mul(6)
    } else {
        510_000
    };
    let usual = AudioOptions::default().bit_rate;
    let options = AudioOptions {
        bit_rate: config.bit_rate.unwrap_or(usual.min(most)),
        sample_rate,
        num_channels,
    };
    Ok(StreamPlan::Audio(AudioPlan {
        sample_rate: stream.sample_rate,
        num_channels: stream.num_channels,
        codec,
        options,
    }))
}

fn video_plan(
    name: StreamName,
    stream: &VideoStreamOptions,
    container: ContainerKind,
) -> Result<StreamPlan, MediaEncoderError> {
    match stream.encoder.as_deref() {
        None | Some("h264" | "libopenh264" | "openh264") => {}
        Some(other) => return Err(ffmpeg(name, &format!("the encoder {other}"))),
    }
    if container == ContainerKind::WebM {
        return Err(ffmpeg(
            name,
            "an encoder of VP8, VP9 or AV1, which WebM holds",
        ));
    }
    if let Some(device) = &stream.hw_accel {
        return Err(ffmpeg(name, &format!("hw_accel = {device}")));
    }
    filters(name, stream.filter_desc.as_deref())?;
    if let Some(format) = &stream.encoder_format
        && format != "yuv420p"
    {
        return Err(ffmpeg(name, &format!("the pixel format {format}")));
    }
    let config = &stream.codec_config;
    unused_config(name, config)?;
    let given = encoder_options(name, &stream.encoder_option, &["preset"])?;
    let preset = match given.get("preset") {
        None => Preset::default(),
        Some(preset) => preset
            .parse()
            .map_err(|_| ffmpeg(name, &format!("the preset {preset}")))?,
    };
    let even = |option, side: u32| {
        if side >= 16 {
            Ok(side & !1)
        } else {
            Err(MediaEncoderError::option(
                Some(name),
                option,
                &side.to_string(),
                "H.264 is encoded from 16 pixels a side",
            ))
        }
    };
    let encoder_frame_rate = stream.encoder_frame_rate.unwrap_or(stream.frame_rate);
    let gop = (encoder_frame_rate * GOP_SECONDS).round().max(1.0) as u32;
    let options = VideoOptions {
        bit_rate: config.bit_rate,
        frame_rate: (encoder_frame_rate as f32).clamp(1.0, 120.0),
        gop_size: config.gop_size.unwrap_or(gop),
        preset,
        encoder: H264Encoder::OpenH264,
    };
    Ok(StreamPlan::Video(VideoPlan {
        frame_rate: stream.frame_rate,
        encoder_frame_rate,
        // 4:2:0 has no half chroma samples.
        width: even("width", stream.encoder_width.unwrap_or(stream.width))?,
        height: even("height", stream.encoder_height.unwrap_or(stream.height))?,
        options,
    }))
}

fn filters(name: StreamName, description: Option<&str>) -> Result<(), MediaEncoderError> {
    match description {
        None | Some("null" | "anull") => Ok(()),
        Some(_) => Err(ffmpeg(name, "filter_desc")),
    }
}

/// The options given, if all are among those known. Options of threads are for encoders that
/// have some.
fn encoder_options<'a>(
    name: StreamName,
    given: &'a BTreeMap<String, String>,
    known: &[&str],
) -> Result<BTreeMap<&'a str, &'a str>, MediaEncoderError> {
    let mut options = BTreeMap::new();
    for (option, value) in given {
        match option.as_str() {
            "threads" | "thread_type" => {}
            option if known.contains(&option) => {
                options.insert(option, value.as_str());
            }
            other => return Err(ffmpeg(name, &format!("the encoder's option {other}"))),
        }
    }
    Ok(options)
}

fn unused_config(name: StreamName, config: &CodecConfig) -> Result<(), MediaEncoderError> {
    if config.compression_level.is_some() {
        return Err(ffmpeg(name, "compression_level"));
    }
    if config.qscale.is_some() {
        return Err(ffmpeg(name, "qscale"));
    }
    if config.max_b_frames.is_some_and(|frames| frames > 0) {
        return Err(ffmpeg(name, "max_b_frames above 0"));
    }
    if config.gop_size.is_some() && name.kind == MediaKind::Audio {
        return Err(MediaEncoderError::option(
            Some(name),
            "gop_size",
            &config.gop_size.unwrap_or_default().to_string(),
            "sound has no keyframes",
        ));
    }
    Ok(())
}

/// Fragments of one second that begin with keyframes where they can, unless told otherwise.
fn fragment_policy(
    container: ContainerKind,
    has_video: bool,
    option: &mut BTreeMap<String, String>,
) -> Result<FragmentPolicy, MediaEncoderError> {
    let mut max = Duration::from_secs(1);
    let mut every_frame = false;
    if container == ContainerKind::Mp4 {
        if let Some(flags) = option.remove("movflags") {
            for flag in flags.split('+').filter(|flag| !flag.is_empty()) {
                match flag {
                    "frag_every_frame" => every_frame = true,
                    "frag_keyframe" => max = Duration::from_secs(10),
                    "empty_moov" | "default_base_moof" => {}
                    other => {
                        return Err(MediaEncoderError::needs_ffmpeg(format!(
                            "the movflag {other}"
                        )));
                    }
                }
            }
        }
        if let Some(micros) = option.remove("frag_duration") {
            let allowed = "microseconds, 1 or more";
            let parsed = micros.parse().ok().filter(|micros| *micros > 0);
            let wrong = || MediaEncoderError::option(None, "frag_duration", &micros, allowed);
            max = Duration::from_micros(parsed.ok_or_else(wrong)?);
        }
    }
    Ok(if every_frame {
        FragmentPolicy::EveryFrame
    } else if has_video {
        FragmentPolicy::Keyframe { max }
    } else {
        FragmentPolicy::Duration(max)
    })
}

fn listen(
    container: ContainerKind,
    option: &mut BTreeMap<String, String>,
) -> Result<Option<Listen>, MediaEncoderError> {
    if container != ContainerKind::Rtmp {
        return Ok(None);
    }
    let given = option.remove("listen");
    let seconds = option.remove("timeout");
    let timeout = match seconds.as_deref() {
        // FFmpeg's -1 waits for ever.
        None | Some("-1") => None,
        Some(seconds) => {
            let wrong = || MediaEncoderError::option(None, "timeout", seconds, "whole seconds");
            Some(Duration::from_secs(seconds.parse().map_err(|_| wrong())?))
        }
    };
    match given.as_deref() {
        Some("1" | "true") => Ok(Some(Listen { timeout })),
        // A time limit means listening.
        None if timeout.is_some() => Ok(Some(Listen { timeout })),
        None | Some("0" | "false") => Ok(None),
        Some(other) => Err(MediaEncoderError::option(None, "listen", other, "0 or 1")),
    }
}

fn ffmpeg(name: StreamName, what: &str) -> MediaEncoderError {
    MediaEncoderError::needs_ffmpeg(format!("{name}: {what}"))
}

fn does_not_hold(container: ContainerKind, codec: Codec) -> MediaEncoderError {
    let container = match container {
        ContainerKind::Mp4 => "MP4",
        ContainerKind::Flv | ContainerKind::Rtmp => "FLV",
        ContainerKind::WebM => "WebM",
        ContainerKind::Matroska => "Matroska",
    };
    MediaEncoderError::Container {
        container,
        what: codec.name().to_owned(),
    }
}
