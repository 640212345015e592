//! Known media: short encoded clips, made by ffmpeg once and cached, that the publisher sends
//! frame by frame and the checks recognise again.
//!
//! The picture is a moving test pattern with a running clock; its top left quarter is white for
//! the first three frames of each full second. The sound is a 440 Hz beep over the first 100 ms
//! of each full second, silence otherwise.

pub mod annexb;
mod hevc;
mod ivf;
mod ogg;

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use bytes::Bytes;

use crate::cache::cached;
use crate::peers::Peer;
use crate::process;

/// Encoding takes about a second a clip; the machine may be busy.
const ENCODING_DEADLINE: Duration = Duration::from_secs(180);

/// Frames of each second whose top left quarter is white.
pub const FLASH_FRAMES: u32 = 3;
/// The sound's sampling rate, that of every Opus stream.
pub const SAMPLE_RATE: u32 = 48_000;

/// Of the beep, Hz.
const PITCH: u32 = 440;

/// What a video clip is encoded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum VideoCodec {
    /// Constrained baseline, no B-frames, parameter sets before each IDR picture.
    H264,
    /// Main profile, no B-frames, parameter sets before each IDR picture.
    H265,
    /// One frame a packet, no alternate reference frames.
    Vp8,
    /// Profile 0, one frame a superframe.
    Vp9,
    /// Main profile, one frame a temporal unit, a sequence header before each keyframe.
    Av1,
}

impl VideoCodec {
    /// The name in SDP and in LiveKit's messages, `video/H264`.
    pub fn mime_type(self) -> &'static str {
        match self {
            Self::H264 => "video/H264",
            Self::H265 => "video/H265",
            Self::Vp8 => "video/VP8",
            Self::Vp9 => "video/VP9",
            Self::Av1 => "video/AV1",
        }
    }

    /// The name in LiveKit's client and requests, `h264`.
    pub fn name(self) -> &'static str {
        match self {
            Self::H264 => "h264",
            Self::H265 => "h265",
            Self::Vp8 => "vp8",
            Self::Vp9 => "vp9",
            Self::Av1 => "av1",
        }
    }

    /// The picture alone, which is the same in RTP, in a clip and in any container: slices without
    /// parameter sets and SEI, OBUs without temporal delimiter.
    pub fn picture(self, unit: &Bytes) -> Bytes {
        match self {
            Self::H264 => annexb::slices(unit),
            Self::H265 => hevc::slices(unit),
            Self::Vp8 | Self::Vp9 => unit.clone(),
            Self::Av1 => match &unit[..] {
                [0x12, 0, ..] => unit.slice(2..),
                _ => unit.clone(),
            },
        }
    }

    /// The access units, or frames, of an elementary stream: Annex B or IVF. With each, whether it
    /// is a keyframe.
    pub(crate) fn units(self, stream: &[u8]) -> Vec<(Bytes, bool)> {
        let with = |units: Vec<Bytes>, keyframe: fn(&[u8]) -> bool| {
            let units = units.into_iter();
            units
                .map(|unit| {
                    let keyframe = keyframe(&unit);
                    (unit, keyframe)
                })
                .collect()
        };
        match self {
            Self::H264 => with(annexb::access_units(stream), annexb::is_idr),
            Self::H265 => with(hevc::access_units(stream), hevc::is_irap),
            // RFC 6386 section 9.1: the first bit is 0.
            Self::Vp8 => with(ivf::frames(stream), |frame| frame[0] & 1 == 0),
            // frame_marker, profile, show_existing_frame, frame_type.
            Self::Vp9 => with(ivf::frames(stream), |frame| frame[0] & 0b1100 == 0),
            // A sequence header behind the temporal delimiter.
            Self::Av1 => with(ivf::frames(stream), |unit| unit[2] >> 3 == 1),
        }
    }
}

/// How a video clip is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct VideoOptions {
    /// H.264 unless changed.
    pub codec: VideoCodec,
    /// Pixels, even; 640 unless changed.
    pub width: u32,
    /// Pixels, even; 360 unless changed.
    pub height: u32,
    /// Frames a second; 30 unless changed.
    pub fps: u32,
    /// Length; 4 unless changed. A looped clip begins again after it.
    pub seconds: u32,
    /// Frames from keyframe to keyframe; 30 unless changed.
    pub gop: u32,
    /// Bits a second, thousands; 800 unless changed.
    pub kbps: u32,
    /// Strength of the noise over the picture, 0 to 100; 0 unless changed. It takes noise to make
    /// an encoder use a high bit rate.
    pub noise: u32,
    /// H.264 slices in each picture; 1 unless changed.
    pub slices: u32,
}

impl Default for VideoOptions {
    fn default() -> Self {
        Self {
            codec: VideoCodec::H264,
            width: 640,
            height: 360,
            fps: 30,
            seconds: 4,
            gop: 30,
            kbps: 800,
            noise: 0,
            slices: 1,
        }
    }
}

impl VideoOptions {
    /// The default picture in another codec.
    pub fn of(codec: VideoCodec) -> Self {
        Self {
            codec,
            ..Self::default()
        }
    }

    /// The same clip in another size.
    #[must_use]
    pub fn size(mut self, width: u32, height: u32) -> Self {
        (self.width, self.height) = (width, height);
        self
    }

    /// The same clip at another frame rate, still with one keyframe a second.
    #[must_use]
    pub fn fps(mut self, fps: u32) -> Self {
        (self.fps, self.gop) = (fps, fps);
        self
    }

    /// The same clip with another length in seconds.
    #[must_use]
    pub fn seconds(mut self, seconds: u32) -> Self {
        self.seconds = seconds;
        self
    }

    /// The same clip with a keyframe every so many frames.
    #[must_use]
    pub fn gop(mut self, frames: u32) -> Self {
        self.gop = frames;
        self
    }

    /// The same clip at a bit rate in kb/s, with as much noise as it takes to need it.
    #[must_use]
    pub fn kbps(mut self, kbps: u32, noise: u32) -> Self {
        (self.kbps, self.noise) = (kbps, noise);
        self
    }

    /// The same clip with so many slices in each H.264 picture.
    #[must_use]
    pub fn slices(mut self, slices: u32) -> Self {
        self.slices = slices;
        self
    }
}

/// One encoded picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccessUnit {
    /// H.264 or H.265 in Annex B form, every start code four bytes long; a whole frame of VP8 or
    /// VP9; a temporal unit of AV1.
    pub data: Bytes,
    /// Decoding can start here.
    pub keyframe: bool,
    /// Its time in the clip.
    pub pts_us: i64,
}

/// One Opus packet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpusPacket {
    /// The packet, TOC byte first (RFC 6716 section 3.1).
    pub data: Bytes,
    /// How much sound it holds.
    pub duration: Duration,
}

/// An encoded picture sequence.
#[derive(Debug, Clone)]
pub struct VideoClip {
    /// How it was made.
    pub options: VideoOptions,
    /// Its pictures; the first is a keyframe.
    pub units: Vec<AccessUnit>,
    /// The file it was read from: Annex B, or IVF.
    pub path: PathBuf,
}

/// An encoded sound.
#[derive(Debug, Clone)]
pub struct AudioClip {
    /// Its packets, 20 ms each. Their decoded sound lags by the encoder's 6.5 ms (312 samples).
    pub packets: Vec<OpusPacket>,
    /// The Ogg file it was read from.
    pub path: PathBuf,
}

impl VideoClip {
    /// The clip, from the cache or made now by ffmpeg.
    pub fn make(options: VideoOptions) -> Self {
        let VideoOptions {
            codec,
            width,
            height,
            fps,
            seconds,
            gop,
            kbps,
            noise,
            slices,
        } = options;
        let ending = match codec {
            VideoCodec::H264 => "h264",
            VideoCodec::H265 => "h265",
            VideoCodec::Vp8 => "ivf",
            VideoCodec::Vp9 => "vp9.ivf",
            VideoCodec::Av1 => "av1.ivf",
        };
        let name = format!(
            "video-{width}x{height}-{fps}fps-{seconds}s-gop{gop}-{kbps}k-noise{noise}-slices{slices}.{ending}"
        );
        let path = cached(&name, |path| encode_video(options, path));
        let file = fs::read(&path).expect("the cached clip can be read");
        let pictures = codec.units(&file);
        assert_eq!(
            pictures.len(),
            (fps * seconds) as usize,
            "pictures in {name}"
        );
        let units: Vec<AccessUnit> = (0..)
            .zip(pictures)
            .map(|(index, (data, keyframe))| AccessUnit {
                data,
                keyframe,
                pts_us: index * 1_000_000 / i64::from(fps),
            })
            .collect();
        assert!(units[0].keyframe, "{name} begins with a keyframe");
        Self {
            options,
            units,
            path,
        }
    }

    /// This clip and then another of the same codec and frame rate, which may be of another size:
    /// parameter sets change in mid-stream.
    ///
    /// # Panics
    ///
    /// When codec or rate are others.
    #[must_use]
    pub fn then(mut self, next: &Self) -> Self {
        let kind = |clip: &Self| (clip.options.codec, clip.options.fps);
        assert_eq!(kind(&self), kind(next));
        self.units.extend(next.units.iter().cloned());
        for (index, unit) in (0..).zip(&mut self.units) {
            unit.pts_us = index * 1_000_000 / i64::from(self.options.fps);
        }
        self
    }

    /// From one picture to the next.
    pub fn frame_duration(&self) -> Duration {
        Duration::from_secs(1) / self.options.fps
    }
}

impl AudioClip {
    /// The sound that goes with a video clip of so many seconds, from the cache or made now.
    pub fn make(seconds: u32) -> Self {
        Self::pitched(seconds, PITCH)
    }

    /// The same with beeps of another pitch in Hz, to tell two sounds apart.
    pub fn pitched(seconds: u32, pitch: u32) -> Self {
        let name = format!("audio-{seconds}s-{pitch}hz.ogg");
        let path = cached(&name, |path| encode_audio(seconds, pitch, path));
        let file = fs::read(&path).expect("the cached clip can be read");
        let mut packets = ogg::opus_packets(&file);
        // The encoder's delay makes one packet more, and the loop must be as long as the picture's.
        let count = seconds as usize * 50;
        assert!(
            packets.len() >= count,
            "{} packets in {name}",
            packets.len()
        );
        packets.truncate(count);
        Self { packets, path }
    }

    /// Whether nothing is heard in a packet, nor in the 100 ms before it: where an encoder with
    /// discontinuous transmission falls silent.
    pub fn is_silent(&self, index: usize) -> bool {
        // The beep of each second lasts 100 ms.
        index % 50 >= 10
    }
}

/// The packets of an Ogg file with one Opus stream.
///
/// # Panics
///
/// When it is no such file.
pub fn opus_packets(ogg: &[u8]) -> Vec<Bytes> {
    let packets = ogg::opus_packets(ogg).into_iter();
    packets.map(|packet| packet.data).collect()
}

fn encode_video(options: VideoOptions, path: &Path) {
    let VideoOptions {
        codec,
        width,
        height,
        fps,
        seconds,
        gop,
        kbps,
        noise,
        slices,
    } = options;
    let mut filter = format!("testsrc2=size={width}x{height}:rate={fps}:duration={seconds}");
    if noise > 0 {
        let _ = write!(filter, ",noise=alls={noise}:allf=t");
    }
    let _ = write!(
        filter,
        ",drawbox=x=0:y=0:w=iw/2:h=ih/2:color=white:t=fill:enable='lt(mod(n,{fps}),{FLASH_FRAMES})',format=yuv420p"
    );
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", &filter]);
    command.args(["-b:v", &format!("{kbps}k"), "-maxrate", &format!("{kbps}k")]);
    command.args(["-bufsize", &format!("{}k", kbps / 2)]);
    match codec {
        VideoCodec::H264 => {
            command.args(["-c:v", "libx264", "-profile:v", "baseline"]);
            command.args(["-preset", "veryfast", "-threads", "1", "-bf", "0"]);
            command.args([
                "-x264-params",
                &format!(
                    "keyint={gop}:min-keyint={gop}:scenecut=0:repeat-headers=1:slices={slices}"
                ),
            ]);
            command.args(["-f", "h264"]);
        }
        VideoCodec::H265 => {
            command.args(["-c:v", "libx265", "-preset", "ultrafast"]);
            let params = format!(
                "keyint={gop}:min-keyint={gop}:scenecut=0:bframes=0:open-gop=0:repeat-headers=1:\
                 pools=1:log-level=error"
            );
            command.args(["-x265-params", &params, "-f", "hevc"]);
        }
        VideoCodec::Vp8 | VideoCodec::Vp9 | VideoCodec::Av1 => {
            let gop = gop.to_string();
            match codec {
                VideoCodec::Av1 => command.args(["-c:v", "libaom-av1", "-usage", "realtime"]),
                VideoCodec::Vp9 => command.args(["-c:v", "libvpx-vp9", "-deadline", "realtime"]),
                _ => command.args(["-c:v", "libvpx", "-deadline", "realtime"]),
            };
            if codec != VideoCodec::Av1 {
                command.args(["-auto-alt-ref", "0"]);
            }
            command.args(["-cpu-used", "8", "-g", &gop, "-keyint_min", &gop]);
            command.args(["-lag-in-frames", "0", "-f", "ivf"]);
        }
    }
    process::run_ok(command.arg(path), ENCODING_DEADLINE);
}

fn encode_audio(seconds: u32, pitch: u32, path: &Path) {
    let source = format!(
        "aevalsrc='0.5*sin(2*PI*{pitch}*t)*lt(mod(t,1),0.1)':sample_rate={SAMPLE_RATE}:duration={seconds}"
    );
    let mut command = ffmpeg();
    command.args(["-f", "lavfi", "-i", &source, "-ac", "2"]);
    command.args(["-c:a", "libopus", "-b:a", "64k", "-frame_duration", "20"]);
    command.args(["-f", "ogg"]);
    process::run_ok(command.arg(path), ENCODING_DEADLINE);
}

fn ffmpeg() -> Command {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-hide_banner", "-loglevel", "error", "-y"]);
    command
}
