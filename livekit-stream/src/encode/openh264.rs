//! H.264 by Cisco's openh264: constrained baseline, one picture in, one access unit out.

mod deblocking;
mod log;

use bytes::Bytes;
use openh264::OpenH264API;
use openh264::Timestamp;
use openh264::encoder::{
    BitRate, Complexity, Encoder, EncoderConfig, FrameRate, FrameType, IntraFramePeriod,
    MatrixCoefficients, QpRange, RateControlMode, SpsPpsStrategy, UsageType, VuiConfig,
};
use openh264::formats::YUVSource;

use super::h264::{coded_size, failed};
use super::{EncodeError, Preset, VideoEncoder, VideoOptions};
use crate::codec::Codec;
use crate::frame::{
    ColorMatrix, ColorRange, ColorSpace, EncodedFrame, Plane, VideoFormat, VideoFrame,
    VideoRotation, VideoSize,
};

/// The quantizers rate control may choose from. The lower bound is openh264's own; its upper bound
/// is 42, which leaves difficult pictures at several times their bit rate.
const QUANTIZERS: (u8, u8) = (12, 51);

/// Encodes to H.264. The picture's right column and bottom row are cut off when its width or
/// height is odd: 4:2:0 has no half chroma samples, and `openh264` takes even sizes only.
///
/// Keyframes are IDR pictures that carry their parameter sets; matrix and range of the pictures
/// are written to the sequence parameter set. Rate control never skips a picture.
pub(crate) struct OpenH264Encoder {
    options: VideoOptions,
    running: Option<Running>,
    /// The picture as I420 when it came in another format.
    scratch: Vec<u8>,
}

/// The encoder for pictures of one size and colour space.
struct Running {
    encoder: Encoder,
    size: VideoSize,
    color: ColorSpace,
    frames: u64,
}

impl OpenH264Encoder {
    /// The encoder itself starts with the first picture's size; the options are checked.
    pub(crate) fn new(options: VideoOptions) -> Self {
        Self {
            options,
            running: None,
            scratch: Vec::new(),
        }
    }

    fn start(&self, size: VideoSize, color: ColorSpace) -> Result<Running, EncodeError> {
        let bit_rate = self.options.bit_rate_for(size);
        let config = EncoderConfig::new()
            .bitrate(BitRate::from_bps(bit_rate))
            .max_frame_rate(FrameRate::from_hz(self.options.frame_rate))
            .intra_frame_period(IntraFramePeriod::from_num_frames(self.options.gop_size))
            .complexity(match self.options.preset {
                Preset::Ultrafast
                | Preset::Superfast
                | Preset::Veryfast
                | Preset::Faster
                | Preset::Fast => Complexity::Low,
                Preset::Medium => Complexity::Medium,
                Preset::Slow | Preset::Slower | Preset::Veryslow => Complexity::High,
            })
            .usage_type(UsageType::CameraVideoRealTime)
            .rate_control_mode(RateControlMode::Bitrate)
            .sps_pps_strategy(match self.options.preset {
                Preset::Ultrafast => deblocking::FIRST_STRATEGY,
                _ => SpsPpsStrategy::ConstantId,
            })
            .skip_frames(false)
            .qp(QpRange::new(QUANTIZERS.0, QUANTIZERS.1))
            .num_threads(1)
            .scene_change_detect(false)
            .background_detection(false)
            .adaptive_quantization(false)
            .vui(signal(color));
        let mut encoder =
            Encoder::with_api_config(OpenH264API::from_source(), config).map_err(|e| failed(&e))?;
        log::silence(&mut encoder);
        Ok(Running {
            encoder,
            size,
            color,
            frames: 0,
        })
    }
}

impl VideoEncoder for OpenH264Encoder {
    fn encode(
        &mut self,
        frame: &VideoFrame,
        timestamp_us: i64,
        force_keyframe: bool,
    ) -> Result<Option<EncodedFrame>, EncodeError> {
        let size = coded_size(frame)?;
        let mut running = match self.running.take() {
            Some(running) if running.size == size && running.color == frame.color() => running,
            _ => self.start(size, frame.color())?,
        };
        // openh264 reads both chroma planes with one stride.
        let direct = matches!(frame.format(), VideoFormat::I420 | VideoFormat::I420A)
            && stride(frame.planes(), 1) == stride(frame.planes(), 2);
        let picture = if direct {
            Picture {
                size,
                planes: [0, 1, 2].map(|i| (frame.plane(i), stride(frame.planes(), i))),
            }
        } else {
            let planes = frame
                .convert_to(VideoFormat::I420, &mut self.scratch)
                .map_err(|e| failed(&e))?;
            Picture {
                size,
                planes: [0, 1, 2].map(|i| {
                    let start = planes.get(i).map_or(0, |p| p.offset);
                    let data = self.scratch.get(start..).unwrap_or_default();
                    (data, stride(&planes, i))
                }),
            }
        };
        if running.frames == 0 && self.options.preset == Preset::Ultrafast {
            running
                .encoder
                .encode_at(&picture, Timestamp::ZERO)
                .map_err(|e| failed(&e))?;
            if !deblocking::turn_off(&mut running.encoder) {
                return Err(failed(&"it does not start without deblocking"));
            }
        }
        if force_keyframe && running.frames > 0 {
            running.encoder.force_intra_frame();
        }
        // Rate control counts frames: it gets the nominal time, so that a jump or a step back
        // of the source's clock cannot disturb it.
        let nominal = running.frames as f64 * 1000.0 / f64::from(self.options.frame_rate);
        running.frames += 1;
        let bits = running
            .encoder
            .encode_at(&picture, Timestamp::from_millis(nominal as u64))
            .map_err(|e| failed(&e))?;
        let keyframe = bits.frame_type() == FrameType::IDR;
        let skipped = matches!(bits.frame_type(), FrameType::Skip | FrameType::Invalid);
        let data = bits.to_vec();
        self.running = Some(running);
        if skipped || data.is_empty() {
            return Ok(None);
        }
        Ok(Some(EncodedFrame {
            codec: Codec::H264,
            data: Bytes::from(data),
            keyframe,
            timestamp_us,
            rotation: VideoRotation::Deg0,
            size,
            lost_packets: 0,
        }))
    }
}

fn stride(planes: &[Plane], index: usize) -> usize {
    planes.get(index).map_or(0, |p| p.stride)
}

/// Video usability information (ITU-T H.264 Annex E) for a colour space.
fn signal(color: ColorSpace) -> VuiConfig {
    let vui = match color.matrix {
        ColorMatrix::Bt601 => VuiConfig::bt601().matrix_coefficients(MatrixCoefficients::Smpte170M),
        ColorMatrix::Bt709 => VuiConfig::bt709(),
    };
    vui.full_range(color.range == ColorRange::Full)
}

/// The planes of an I420 picture and their strides, cut to an even size.
struct Picture<'a> {
    size: VideoSize,
    planes: [(&'a [u8], usize); 3],
}

impl YUVSource for Picture<'_> {
    fn dimensions(&self) -> (usize, usize) {
        (self.size.width as usize, self.size.height as usize)
    }

    fn strides(&self) -> (usize, usize, usize) {
        (self.planes[0].1, self.planes[1].1, self.planes[2].1)
    }

    fn y(&self) -> &[u8] {
        self.planes[0].0
    }

    fn u(&self) -> &[u8] {
        self.planes[1].0
    }

    fn v(&self) -> &[u8] {
        self.planes[2].0
    }
}

#[cfg(test)]
mod tests;
