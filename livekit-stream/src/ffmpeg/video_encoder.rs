//! H.264 by the encoders that FFmpeg's libraries know: x264 and graphics processors.

use std::collections::VecDeque;
use std::sync::OnceLock;

use bytes::Bytes;
use ffmpeg_next::codec::encoder::{self, video::Video};
use ffmpeg_next::{Codec as Library, Dictionary, Error, Packet, Rational, color, picture};

use super::context::{self, Uploader};
use super::picture::fill;
use crate::codec::Codec;
use crate::codec::h264::{self, NalUnitType, START_CODE, annexb_nal_units};
use crate::encode::h264::{coded_size, failed};
use crate::encode::{EncodeError, H264Encoder, Preset, VideoEncoder, VideoOptions, encoder_names};
use crate::frame::{
    ColorMatrix, ColorRange, ColorSpace, EncodedFrame, VideoFormat, VideoFrame, VideoRotation,
    VideoSize,
};

/// Those that FFmpeg's libraries have, in the order they are listed in.
const KNOWN: [H264Encoder; 4] = [
    H264Encoder::X264,
    H264Encoder::Nvenc,
    H264Encoder::Vaapi,
    H264Encoder::VideoToolbox,
];

/// Frame rates have so many steps a frame a second.
const RATE_STEPS: f32 = 1_000.0;

/// The encoders that start on this machine: each is opened once for a small picture.
pub(crate) fn h264_encoders() -> &'static [H264Encoder] {
    static THERE: OnceLock<Vec<H264Encoder>> = OnceLock::new();
    THERE.get_or_init(|| {
        let size = VideoSize {
            width: 640,
            height: 360,
        };
        let starts = |one: &H264Encoder| {
            Running::new(*one, &VideoOptions::default(), size, ColorSpace::default()).is_ok()
        };
        KNOWN.into_iter().filter(starts).collect()
    })
}

/// Encodes one picture at a time on the calling thread, without B-frames. Keyframes are IDR
/// pictures that carry their parameter sets; matrix and range of the pictures are written to the
/// sequence parameter set. The right column and the bottom row are cut off where width or height
/// is odd.
pub(crate) struct FfmpegEncoder {
    encoder: H264Encoder,
    options: VideoOptions,
    running: Option<Running>,
    /// The picture in the encoder's format when it came in another.
    scratch: Vec<u8>,
}

impl FfmpegEncoder {
    pub(crate) fn new(encoder: H264Encoder, options: VideoOptions) -> Result<Self, EncodeError> {
        if !h264_encoders().contains(&encoder) {
            let size = VideoSize {
                width: 640,
                height: 360,
            };
            let reason = match Running::new(encoder, &options, size, ColorSpace::default()) {
                Err(Error::EncoderNotFound) => {
                    "is not in the FFmpeg libraries of this system".to_owned()
                }
                Err(error) => format!("does not start on this machine ({error})"),
                Ok(_) => "did not start before".to_owned(),
            };
            return Err(EncodeError::EncoderMissing {
                name: encoder.name(),
                reason,
                available: encoder_names(&crate::encode::h264_encoders()),
            });
        }
        Ok(Self {
            encoder,
            options,
            running: None,
            scratch: Vec::new(),
        })
    }
}

impl VideoEncoder for FfmpegEncoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp_us: i64,
        force_keyframe: bool,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let size = coded_size(frame)?;
        let running = match self.running.take() {
            Some(running) if running.size == size && running.color == frame.color() => running,
            _ => Running::new(self.encoder, &self.options, size, frame.color())
                .map_err(|error| failed(&error))?,
        };
        let running = self.running.insert(running);
        let encoded = running.encode(frame, timestamp_us, force_keyframe, &mut self.scratch);
        if encoded.is_err() {
            // What it was left in is not known.
            self.running = None;
        }
        encoded
    }
}

/// The encoder for pictures of one size and colour space.
struct Running {
    encoder: encoder::video::Encoder,
    uploader: Option<Uploader>,
    format: VideoFormat,
    size: VideoSize,
    color: ColorSpace,
    frames: i64,
    /// The times of the pictures that went in and did not come out: a graphics processor may be
    /// some behind.
    times: VecDeque<i64>,
}

impl Running {
    fn new(
        which: H264Encoder,
        options: &VideoOptions,
        size: VideoSize,
        color: ColorSpace,
    ) -> Result<Self, Error> {
        super::start();
        let library = encoder::find_by_name(which.name()).ok_or(Error::EncoderNotFound)?;
        let mut encoder = configured(library, options, size, color)?;
        let (uploader, format) = if which == H264Encoder::Vaapi {
            let uploader = Uploader::vaapi(size.width, size.height)?;
            uploader.attach(&mut encoder);
            (Some(uploader), VideoFormat::Nv12)
        } else {
            encoder.set_format(ffmpeg_next::format::Pixel::YUV420P);
            (None, VideoFormat::I420)
        };
        Ok(Self {
            encoder: encoder.open_as_with(library, private_options(which, options.preset))?,
            uploader,
            format,
            size,
            color,
            frames: 0,
            times: VecDeque::new(),
        })
    }

    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp_us: i64,
        force_keyframe: bool,
        scratch: &mut Vec<u8>,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let mut input = fill(frame, self.format, self.size, scratch).map_err(|e| failed(&e))?;
        if let Some(uploader) = &mut self.uploader {
            input = uploader.upload(&input).map_err(|error| failed(&error))?;
        }
        // Rate control counts frames: it gets the nominal time, so that a jump or a step back of
        // the source's clock cannot disturb it.
        input.set_pts(Some(self.frames));
        self.frames += 1;
        if force_keyframe {
            input.set_kind(picture::Type::I);
        }
        self.encoder
            .send_frame(&input)
            .map_err(|error| failed(&error))?;
        self.times.push_back(timestamp_us);
        let mut packet = Packet::empty();
        match self.encoder.receive_packet(&mut packet) {
            Ok(()) => {}
            Err(Error::Other { errno }) if errno == ffmpeg_next::error::EAGAIN => return Ok(None),
            Err(error) => return Err(failed(&error)),
        }
        let data = access_unit(packet.data().unwrap_or_default());
        let timestamp_us = self.times.pop_front().unwrap_or(timestamp_us);
        Ok(Some(EncodedFrame {
            codec: Codec::H264,
            keyframe: h264::is_keyframe(&data),
            data,
            timestamp_us,
            rotation: VideoRotation::Deg0,
            size: self.size,
            lost_packets: 0,
        }))
    }
}

fn configured(
    library: Library,
    options: &VideoOptions,
    size: VideoSize,
    color: ColorSpace,
) -> Result<Video, Error> {
    let context = context::with_extradata(library, &[])?;
    let mut encoder = context.encoder().video()?;
    let rate = Rational(
        (options.frame_rate * RATE_STEPS).round() as i32,
        RATE_STEPS as i32,
    );
    encoder.set_width(size.width);
    encoder.set_height(size.height);
    encoder.set_frame_rate(Some(rate));
    encoder.set_time_base(rate.invert());
    encoder.set_gop(options.gop_size);
    encoder.set_max_b_frames(0);
    // One second of the bit rate may come at once, in keyframes.
    let bit_rate = options.bit_rate_for(size);
    encoder.set_bit_rate(bit_rate as usize);
    encoder.set_max_bit_rate(bit_rate as usize);
    context::set_rate_buffer(&mut encoder, bit_rate);
    encoder.set_colorspace(match color.matrix {
        ColorMatrix::Bt601 => color::Space::SMPTE170M,
        ColorMatrix::Bt709 => color::Space::BT709,
    });
    encoder.set_color_range(match color.range {
        ColorRange::Limited => color::Range::MPEG,
        ColorRange::Full => color::Range::JPEG,
    });
    Ok(encoder)
}

/// Without delay, forced keyframes as IDR pictures, and the preset.
fn private_options(which: H264Encoder, preset: Preset) -> Dictionary<'static> {
    let nvenc = match preset {
        Preset::Ultrafast | Preset::Superfast => "p1",
        Preset::Veryfast => "p2",
        Preset::Faster | Preset::Fast => "p3",
        Preset::Medium => "p4",
        Preset::Slow => "p5",
        Preset::Slower => "p6",
        Preset::Veryslow => "p7",
    };
    let options: &[(&str, &str)] = match which {
        H264Encoder::X264 => &[
            ("preset", preset.name()),
            ("tune", "zerolatency"),
            ("forced-idr", "1"),
            ("sc_threshold", "0"),
            ("threads", "1"),
        ],
        H264Encoder::Nvenc => &[
            ("preset", nvenc),
            ("tune", "ull"),
            ("zerolatency", "1"),
            ("delay", "0"),
            ("forced-idr", "1"),
        ],
        H264Encoder::VideoToolbox => &[("realtime", "1")],
        // VA-API's: one frame at a time.
        _ => &[("async_depth", "1")],
    };
    options.iter().collect()
}

/// Start codes of four bytes, and no delimiters.
fn access_unit(annex_b: &[u8]) -> Bytes {
    let mut data = Vec::with_capacity(annex_b.len() + 16);
    for unit in annexb_nal_units(annex_b) {
        if NalUnitType::of(unit) == Some(NalUnitType::AccessUnitDelimiter) {
            continue;
        }
        data.extend_from_slice(&START_CODE);
        data.extend_from_slice(unit);
    }
    data.into()
}

#[cfg(test)]
mod tests;
