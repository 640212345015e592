//! What pictures are in MP4, codec by codec: sample entry, codec string, samples.

use bytes::Bytes;
use mp4_atom::{
    Atom, Av01, Av1c, Avc1, Avc3, Avcc, AvccExt, Codec as SampleEntry, FourCC, Hev1, Hvc1,
    HvcCArray, Hvcc, Visual, Vp09, VpcC,
};

use super::ParameterSetPlacement;
use crate::codec::h264::{self, Keep, NalUnitType};
use crate::codec::{Codec, av1, h265, vp9};
use crate::mux::{MuxError, VideoConfiguration, VideoTrack};

/// The brand in `ftyp` that a codec asks for.
pub(super) fn brand(codec: Codec) -> Option<FourCC> {
    match codec {
        Codec::H264 => Some(FourCC::new(b"avc1")),
        // AV1 Codec ISO Media File Format Binding section 2.1.
        Codec::Av1 => Some(FourCC::new(b"av01")),
        _ => None,
    }
}

/// The sample entry of a track whose first pictures have this size.
pub(super) fn sample_entry(
    track: &VideoTrack,
    (width, height): (u16, u16),
    placement: ParameterSetPlacement,
) -> Result<SampleEntry, MuxError> {
    let in_band = placement == ParameterSetPlacement::InBand;
    let visual = Visual {
        data_reference_index: 1,
        width,
        height,
        ..Visual::default()
    };
    Ok(match &track.configuration {
        VideoConfiguration::H264(_) => {
            let avcc = avcc(track)?;
            if in_band {
                Avc3 {
                    visual,
                    avcc,
                    ..Avc3::default()
                }
                .into()
            } else {
                Avc1 {
                    visual,
                    avcc,
                    ..Avc1::default()
                }
                .into()
            }
        }
        VideoConfiguration::H265(sets) => {
            let hvcc = hvcc(sets, in_band)?;
            if in_band {
                Hev1 {
                    visual,
                    hvcc,
                    ..Hev1::default()
                }
                .into()
            } else {
                Hvc1 {
                    visual,
                    hvcc,
                    ..Hvc1::default()
                }
                .into()
            }
        }
        VideoConfiguration::Vp9(configuration) => Vp09 {
            visual,
            vpcc: vpcc(configuration),
            ..Vp09::default()
        }
        .into(),
        VideoConfiguration::Av1(configuration) => Av01 {
            visual,
            av1c: av1c(configuration),
            ..Av01::default()
        }
        .into(),
        VideoConfiguration::None => return Err(super::init::unsupported(track.codec)),
    })
}

fn avcc(track: &VideoTrack) -> Result<Avcc, MuxError> {
    let configuration = track.configuration()?;
    let copy = |sets: &[Bytes]| sets.iter().map(|set| set.to_vec()).collect();
    Ok(Avcc {
        configuration_version: 1,
        avc_profile_indication: configuration.profile,
        profile_compatibility: configuration.constraints,
        avc_level_indication: configuration.level,
        length_size: configuration.length_size,
        sequence_parameter_sets: copy(&configuration.parameter_sets.sps),
        picture_parameter_sets: copy(&configuration.parameter_sets.pps),
        ext: configuration
            .format
            .map(
                |(chroma_format, bit_depth_luma, bit_depth_chroma)| AvccExt {
                    chroma_format,
                    bit_depth_luma,
                    bit_depth_chroma,
                    sequence_parameter_sets_ext: Vec::new(),
                },
            ),
    })
}

/// The payload of the box that a sample entry has the codec's configuration in, which other
/// containers carry as it is.
pub(in crate::mux) fn configuration_record(track: &VideoTrack) -> Result<Vec<u8>, MuxError> {
    let mut record = Vec::new();
    match &track.configuration {
        VideoConfiguration::H264(_) => record = track.configuration()?.to_bytes(),
        VideoConfiguration::H265(sets) => hvcc(sets, false)?.encode_body(&mut record)?,
        // With version and flags: `vpcC` is a full box, and writers of FLV keep them.
        VideoConfiguration::Vp9(configuration) => vpcc(configuration).encode_body(&mut record)?,
        VideoConfiguration::Av1(configuration) => {
            av1c(configuration).encode_body(&mut record)?;
        }
        VideoConfiguration::None => return Err(super::init::unsupported(track.codec)),
    }
    Ok(record)
}

/// The HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 section 8.3.3.1). Zero leaves frame rate,
/// segmentation and parallelism open.
pub(in crate::mux) fn hvcc(sets: &h265::ParameterSets, in_band: bool) -> Result<Hvcc, MuxError> {
    let sps = sps(sets)?;
    let array = |kind, sets: &[Bytes]| HvcCArray {
        // Complete: all sets are here and none in the samples.
        completeness: !in_band,
        nal_unit_type: kind,
        nalus: sets.iter().map(|set| set.to_vec()).collect(),
    };
    let all = || sets.vps.iter().chain(&sets.sps).chain(&sets.pps);
    if all().count() > 255 || all().any(|set| set.len() > usize::from(u16::MAX)) {
        return Err(MuxError::Configuration {
            codec: Codec::H265,
            reason: "its parameter sets are too many or too long",
        });
    }
    Ok(Hvcc {
        general_profile_space: sps.profile_space,
        general_tier_flag: sps.high_tier,
        general_profile_idc: sps.profile,
        general_profile_compatibility_flags: sps.profile_compatibility.to_be_bytes(),
        general_constraint_indicator_flags: sps.constraints,
        general_level_idc: sps.level,
        chroma_format_idc: sps.chroma_format,
        bit_depth_luma_minus8: sps.bit_depth_luma - 8,
        bit_depth_chroma_minus8: sps.bit_depth_chroma - 8,
        num_temporal_layers: sps.temporal_layers,
        temporal_id_nested: sps.temporal_id_nested,
        length_size_minus_one: 3,
        arrays: vec![
            array(32, &sets.vps),
            array(33, &sets.sps),
            array(34, &sets.pps),
        ],
        ..Hvcc::new()
    })
}

/// The first sequence parameter set.
fn sps(sets: &h265::ParameterSets) -> Result<h265::Sps, MuxError> {
    sets.sps
        .first()
        .and_then(|sps| h265::Sps::parse(sps))
        .filter(|_| sets.is_complete())
        .ok_or(MuxError::Configuration {
            codec: Codec::H265,
            reason: "video, sequence and picture parameter sets are needed",
        })
}

/// VP Codec ISO Media File Format Binding, version 1.
fn vpcc(configuration: &vp9::Configuration) -> VpcC {
    let [
        color_primaries,
        transfer_characteristics,
        matrix_coefficients,
    ] = configuration.color_code_points();
    VpcC {
        profile: configuration.profile,
        level: configuration.level,
        bit_depth: configuration.color.bit_depth,
        chroma_subsampling: configuration.chroma_subsampling(),
        video_full_range_flag: configuration.color.full_range,
        color_primaries,
        transfer_characteristics,
        matrix_coefficients,
        codec_initialization_data: Vec::new(),
    }
}

/// AV1 Codec ISO Media File Format Binding section 2.3.
pub(in crate::mux) fn av1c(configuration: &av1::Configuration) -> Av1c {
    let sequence = &configuration.sequence;
    let color = &sequence.color;
    Av1c {
        seq_profile: sequence.profile,
        seq_level_idx_0: sequence.level,
        seq_tier_0: sequence.high_tier,
        high_bitdepth: color.bit_depth > 8,
        twelve_bit: color.bit_depth == 12,
        monochrome: color.monochrome,
        chroma_subsampling_x: color.subsampling_x,
        chroma_subsampling_y: color.subsampling_y,
        chroma_sample_position: color.chroma_sample_position,
        initial_presentation_delay: None,
        config_obus: configuration.sequence_obu.to_vec(),
    }
}

/// The codec as RFC 6381 writes it; empty when the track's configuration cannot be read.
pub(in crate::mux) fn codec_string(track: &VideoTrack, placement: ParameterSetPlacement) -> String {
    let in_band = placement == ParameterSetPlacement::InBand;
    match &track.configuration {
        VideoConfiguration::H264(_) => {
            let entry = if in_band { "avc3" } else { "avc1" };
            track
                .sps()
                .map(|sps| format!("{entry}.{}", sps.codec_string()))
                .unwrap_or_default()
        }
        VideoConfiguration::H265(sets) => {
            let entry = if in_band { "hev1" } else { "hvc1" };
            sps(sets)
                .map(|sps| format!("{entry}.{}", sps.codec_string()))
                .unwrap_or_default()
        }
        VideoConfiguration::Vp9(configuration) => configuration.codec_string(),
        VideoConfiguration::Av1(configuration) => configuration.sequence.codec_string(),
        VideoConfiguration::None => String::new(),
    }
}

/// Whether there is a coded picture in a frame.
pub(in crate::mux) fn has_picture(codec: Codec, data: &[u8]) -> bool {
    match codec {
        Codec::H264 => h264::has_vcl(data),
        Codec::H265 => h265::has_vcl(data),
        _ => !data.is_empty(),
    }
}

/// A frame as a sample: NAL units with length prefixes, OBUs without temporal delimiters, frames of
/// VP9 as they are.
pub(crate) fn sample(data: &Bytes, track: &VideoTrack, placement: ParameterSetPlacement) -> Bytes {
    let in_band = placement == ParameterSetPlacement::InBand;
    match &track.configuration {
        VideoConfiguration::H264(described) => avc_sample(data, described, in_band).into(),
        VideoConfiguration::H265(described) => {
            let own = || h265::ParameterSets::from_access_unit(data);
            h265::annexb_to_hvcc(data, in_band || !described.contains(&own())).into()
        }
        VideoConfiguration::Av1(configuration) if configuration.sequence.spatial_layers > 1 => {
            // dav1d shows a picture that lacks the highest layer when it sees the next temporal
            // unit begin. The binding advises against delimiters and does not forbid them.
            let unit = av1::without_delimiters(data);
            [&av1::TEMPORAL_DELIMITER[..], &unit].concat().into()
        }
        VideoConfiguration::Av1(_) => av1::without_delimiters(data),
        VideoConfiguration::Vp9(_) | VideoConfiguration::None => data.clone(),
    }
}

fn avc_sample(annex_b: &[u8], described: &h264::ParameterSets, in_band: bool) -> Vec<u8> {
    if in_band {
        return h264::annexb_to_avcc(annex_b, Keep::All);
    }
    let own = h264::ParameterSets::from_access_unit(annex_b);
    let is_described = |set: &Bytes, list: &[Bytes]| list.contains(set);
    let unchanged = own.sps.iter().all(|set| is_described(set, &described.sps))
        && own.pps.iter().all(|set| is_described(set, &described.pps));
    if !unchanged {
        return h264::annexb_to_avcc(annex_b, Keep::All);
    }
    let mut sample = Vec::with_capacity(annex_b.len() + 8);
    for nal_unit in h264::annexb_nal_units(annex_b) {
        let is_set = matches!(
            NalUnitType::of(nal_unit),
            Some(NalUnitType::Sps | NalUnitType::Pps)
        );
        if !is_set {
            // A frame is at most `MAX_FRAME_BYTES` long.
            sample.extend_from_slice(&(nal_unit.len() as u32).to_be_bytes());
            sample.extend_from_slice(nal_unit);
        }
    }
    sample
}
