//! H.265, VP9 and AV1, from real encoders.

use mp4_atom::Codec as SampleEntry;

use super::*;

fn muxer(clip: &Clip, placement: ParameterSetPlacement) -> Muxer {
    let track = VideoTrack::from_keyframe(&clip.frames[0]).unwrap();
    let options = Options {
        parameter_sets: placement,
        ..Options::default()
    };
    Muxer::new(vec![track.into()], options).unwrap()
}

fn entry(muxer: &Muxer) -> SampleEntry {
    let init = muxer.init_segment();
    let mut rest = &init[..];
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    moov.trak[0].mdia.minf.stbl.stsd.codecs[0].clone()
}

#[test]
fn ffmpeg_decodes_what_the_encoder_made() {
    for (codec, placement, tag) in [
        (Codec::H265, ParameterSetPlacement::InBand, "hev1"),
        (Codec::H265, ParameterSetPlacement::OutOfBand, "hvc1"),
        (Codec::Vp9, ParameterSetPlacement::InBand, "vp09"),
        (Codec::Av1, ParameterSetPlacement::InBand, "av01"),
    ] {
        let Some(clip) = Clip::video(codec, "320x180", "yuv420p", 60) else {
            return;
        };
        let mut muxer = muxer(&clip, placement);
        assert!(muxer.codecs().starts_with(tag), "{}", muxer.codecs());
        let file = mux(&mut muxer, testing::interleave(&[&clip])).concat();
        let stream = testing::probe("stream=codec_tag_string,width,height", &file);
        assert_eq!(stream.trim(), format!("{tag},320,180"));
        assert_eq!(
            testing::pictures_md5(&file),
            testing::pictures_md5(&clip.annex_b),
            "{tag}"
        );
        let packets = testing::packets(&file);
        assert_eq!(packets.len(), 60);
        for (index, packet) in packets.iter().enumerate() {
            assert_eq!(packet.pts, index as i64 * 3_000, "{tag}");
            assert_eq!(packet.keyframe, index % 30 == 0, "{tag}");
        }
    }
}

#[test]
fn the_record_of_h265_is_that_of_ffmpeg() {
    for format in ["yuv420p", "yuv420p10le", "yuv444p"] {
        let Some(clip) = Clip::video(Codec::H265, "322x182", format, 1) else {
            return;
        };
        let SampleEntry::Hvc1(ours) = entry(&muxer(&clip, ParameterSetPlacement::OutOfBand)) else {
            panic!("hvc1");
        };
        let file = testing::remux(&clip.annex_b, "-tag:v hvc1").unwrap();
        let SampleEntry::Hvc1(theirs) = testing::sample_entry(&file) else {
            panic!("hvc1");
        };
        let (mut ours, mut theirs) = (ours.hvcc, theirs.hvcc);
        // FFmpeg reads these in parts that are not read here: unknown is allowed.
        theirs.min_spatial_segmentation_idc = 0;
        theirs.parallelism_type = 0;
        theirs
            .arrays
            .retain(|array| (32..=34).contains(&array.nal_unit_type));
        for array in ours.arrays.iter_mut().chain(&mut theirs.arrays) {
            array.completeness = true;
        }
        assert_eq!(ours, theirs, "{format}");
    }
}

#[test]
fn the_record_of_av1_is_that_of_ffmpeg() {
    for format in ["yuv420p", "yuv420p10le", "gray", "yuv444p"] {
        let Some(clip) = Clip::video(Codec::Av1, "322x182", format, 1) else {
            return;
        };
        let muxer = muxer(&clip, ParameterSetPlacement::InBand);
        let SampleEntry::Av01(ours) = entry(&muxer) else {
            panic!("av01");
        };
        let file = testing::remux(&clip.annex_b, "").unwrap();
        let SampleEntry::Av01(theirs) = testing::sample_entry(&file) else {
            panic!("av01");
        };
        assert_eq!(ours.av1c, theirs.av1c, "{format}");
    }
}

#[test]
fn the_record_of_vp9_is_that_of_ffmpeg() {
    for (format, string) in [
        ("yuv420p", "vp09.00.11.08"),
        ("yuv420p10le", "vp09.02.11.10"),
        ("yuv444p", "vp09.01.11.08.03.02.02.02.00"),
        ("gbrp", "vp09.01.11.08.03.01.13.00.01"),
    ] {
        let Some(clip) = Clip::video(Codec::Vp9, "322x182", format, 1) else {
            return;
        };
        let muxer = muxer(&clip, ParameterSetPlacement::InBand);
        assert_eq!(muxer.codecs(), string);
        let SampleEntry::Vp09(ours) = entry(&muxer) else {
            panic!("vp09");
        };
        let file = testing::remux(&clip.annex_b, "").unwrap();
        let SampleEntry::Vp09(theirs) = testing::sample_entry(&file) else {
            panic!("vp09");
        };
        let fields = |record: &mp4_atom::VpcC| {
            (
                record.profile,
                record.bit_depth,
                record.chroma_subsampling,
                record.video_full_range_flag,
                record.level,
            )
        };
        assert_eq!(fields(&ours.vpcc), fields(&theirs.vpcc), "{format}");
    }
}

#[test]
fn samples_of_vp9_and_av1_are_the_frames() {
    for codec in [Codec::Vp9, Codec::Av1] {
        let Some(clip) = Clip::video(codec, "320x180", "yuv420p", 5) else {
            return;
        };
        let mut muxer = muxer(&clip, ParameterSetPlacement::InBand);
        let segments = mux(&mut muxer, testing::interleave(&[&clip]));
        let mut rest = &segments[1][..];
        Moof::decode(&mut rest).unwrap();
        let Any::Mdat(mdat) = Any::decode(&mut rest).unwrap() else {
            panic!("mdat");
        };
        let frames = clip.frames.iter().flat_map(|frame| match codec {
            Codec::Av1 => crate::codec::av1::without_delimiters(&frame.data),
            _ => frame.data.clone(),
        });
        assert!(mdat.data == frames.collect::<Vec<u8>>(), "{codec}");
    }
}

#[test]
fn a_change_of_size_in_mid_stream_decodes_to_both_sizes() {
    for codec in [Codec::H265, Codec::Vp9, Codec::Av1] {
        let (Some(large), Some(small)) = (
            Clip::video(codec, "320x180", "yuv420p", 30),
            Clip::video(codec, "160x120", "yuv420p", 30),
        ) else {
            return;
        };
        let mut muxer = muxer(&large, ParameterSetPlacement::InBand);
        let mut frames = testing::interleave(&[&large]);
        frames.extend(small.frames.iter().map(|frame| {
            let mut frame = frame.clone();
            frame.timestamp_us += 1_000_000;
            (0, frame)
        }));
        let file = mux(&mut muxer, frames).concat();
        testing::assert_decodes(&file);
        let sizes = testing::probe("frame=width,height", &file);
        let count = |size: &str| sizes.lines().filter(|line| line.starts_with(size)).count();
        assert_eq!((count("320,180"), count("160,120")), (30, 30), "{codec}");
    }
}

#[test]
fn frames_that_tell_too_little_are_named() {
    for (codec, data, wanted) in [
        (
            Codec::H265,
            &[0, 0, 0, 1, 0x26, 1, 0xaf][..],
            "H.265 track: a keyframe without readable parameter sets",
        ),
        (Codec::Vp9, &[0x86, 0, 0], "VP9 track: no keyframe"),
        (
            Codec::Av1,
            &[0x32, 1, 0x10],
            "AV1 track: no keyframe with a sequence header",
        ),
    ] {
        let error = VideoTrack::from_keyframe(&frame(codec, data, true, 0)).err();
        assert_eq!(error.unwrap().to_string(), wanted);
    }
}
