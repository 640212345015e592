//! H.264 by Cisco's openh264: baseline, main and high profile, 8 bits, 4:2:0, no interlace.

mod profile;

use ::openh264::OpenH264API;
use ::openh264::decoder::{Decoder, DecoderConfig, Flush};
use ::openh264::formats::YUVSource;
use h264_reader::nal::sps::SeqParameterSet;
use h264_reader::rbsp::{BitReader, decode_nal};

use super::{DecodeError, LastPicture, VideoDecoder, VideoOptions, copy_i420};
use crate::codec::Codec;
use crate::codec::h264::{NalUnitType, annexb_nal_units};
use crate::frame::{ColorMatrix, ColorRange, ColorSpace, EncodedFrame, VideoFrame, VideoSize};

/// Decodes access units in Annex B form, each to its own picture: those that refer to later ones
/// come in the order they are sent in. Matrix and range are those that the sequence parameter
/// set tells, else BT.601 in limited range.
pub(crate) struct OpenH264Decoder {
    decoder: Decoder,
    options: VideoOptions,
    color: ColorSpace,
    /// The sequence parameter set that `color` was read from.
    sps: Vec<u8>,
    /// Pictures are shown in another order than they are sent in.
    reorders: bool,
    /// No frame can be decoded before the next keyframe.
    waiting: bool,
    last: LastPicture,
}

impl OpenH264Decoder {
    pub(crate) fn new(options: &VideoOptions) -> Result<Self, DecodeError> {
        // Flushing after each access unit shows its picture at once. Without, profiles that
        // allow reordering hold pictures back, although real-time senders never reorder.
        let config = DecoderConfig::new().flush_after_decode(Flush::Flush);
        let decoder = Decoder::with_api_config(OpenH264API::from_source(), config)
            .map_err(|e| corrupt(&e))?;
        Ok(Self {
            decoder,
            options: options.clone(),
            color: ColorSpace::default(),
            sps: Vec::new(),
            reorders: false,
            waiting: true,
            last: LastPicture::default(),
        })
    }

    fn read_sps(&mut self, access_unit: &[u8]) {
        let sps = annexb_nal_units(access_unit)
            .take_while(|unit| NalUnitType::of(unit).is_none_or(|kind| !kind.is_vcl()))
            .find(|unit| NalUnitType::of(unit) == Some(NalUnitType::Sps));
        if let Some(sps) = sps
            && sps != self.sps
        {
            let parsed = parse(sps);
            self.color = parsed.as_ref().and_then(color_of).unwrap_or_default();
            self.reorders = parsed.as_ref().is_some_and(reorders);
            self.sps = sps.to_vec();
        }
    }
}

impl VideoDecoder for OpenH264Decoder {
    fn decode(&mut self, frame: &EncodedFrame) -> Result<Option<VideoFrame>, DecodeError> {
        if frame.keyframe {
            self.read_sps(&frame.data);
        } else if self.waiting {
            return Ok(None);
        }
        self.waiting = true;
        // Where the parameter set does not tell, from the keyframe on that follows the first such
        // picture.
        self.reorders = self.reorders || profile::has_b_slices(&frame.data);
        let changed =
            (frame.keyframe && self.reorders).then(|| profile::without_reordering(&frame.data));
        let data = changed.as_deref().unwrap_or(&frame.data);
        let picture = self.decoder.decode(data).map_err(|e| corrupt(&e))?;
        self.waiting = false;
        let Some(picture) = picture else {
            return Ok(None);
        };
        let (width, height) = picture.dimensions();
        let strides = picture.strides();
        copy_i420(
            Codec::H264,
            VideoSize {
                width: width as u32,
                height: height as u32,
            },
            self.color,
            [
                (picture.y(), strides.0),
                (picture.u(), strides.1),
                (picture.v(), strides.2),
            ],
            self.options.normalize_stride,
            &mut self.last,
        )
        .map(Some)
    }
}

fn corrupt(reason: &dyn std::fmt::Display) -> DecodeError {
    DecodeError::Corrupt {
        codec: Codec::H264,
        reason: reason.to_string(),
    }
}

fn parse(sps: &[u8]) -> Option<SeqParameterSet> {
    let rbsp = decode_nal(sps).ok()?;
    SeqParameterSet::from_bits(BitReader::new(&*rbsp)).ok()
}

/// Whether a sequence parameter set says that pictures are reordered (annex E.2.1,
/// `max_num_reorder_frames`).
fn reorders(sps: &SeqParameterSet) -> bool {
    let restrictions = sps
        .vui_parameters
        .as_ref()
        .and_then(|vui| vui.bitstream_restrictions.as_ref());
    restrictions.is_some_and(|restrictions| restrictions.max_num_reorder_frames > 0)
}

/// The colour space in the video usability information of a sequence parameter set (ITU-T H.264
/// annex E.2.1); `None` when it does not tell.
fn color_of(sps: &SeqParameterSet) -> Option<ColorSpace> {
    let signal = sps.vui_parameters.as_ref()?.video_signal_type.as_ref()?;
    // Table E-5: 1 is BT.709.
    let matrix = match &signal.colour_description {
        Some(description) if description.matrix_coefficients == 1 => ColorMatrix::Bt709,
        _ => ColorMatrix::Bt601,
    };
    let range = if signal.video_full_range_flag {
        ColorRange::Full
    } else {
        ColorRange::Limited
    };
    Some(ColorSpace { matrix, range })
}

#[cfg(test)]
mod tests;
