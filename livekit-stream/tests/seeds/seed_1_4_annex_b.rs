//! Row 1.4: blocks in Annex B form, blocks that mix both forms, samples without a picture,
//! parameter sets in mid-stream.

use std::fs;
use std::path::Path;

use livekit_stream::codec::{h264, h265};
use livekit_stream::pipeline::mkv::TranscodeOptions;

use crate::kit::{Folder, decoded, has_ffmpeg, hashes, packets, transcode};
use crate::matroska::{read, rewritten};

const H264: &str = "-c:v libx264 -preset veryfast -bf 2 -g 25 -c:a aac";

fn private(file: &[u8]) -> Vec<u8> {
    read(file).0.tracks[0].codec_private.to_vec()
}

/// A length-prefixed sample with start codes of three bytes in front of all NAL units from this one
/// on.
fn annex_b(sample: &[u8], from: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for (index, unit) in h264::length_prefixed_nal_units(sample, 4).enumerate() {
        let unit = unit.unwrap();
        match index.cmp(&from) {
            std::cmp::Ordering::Less => out.extend((unit.len() as u32).to_be_bytes()),
            // The first is told from a length by its four bytes.
            std::cmp::Ordering::Equal => out.extend([0, 0, 0, 1]),
            std::cmp::Ordering::Greater => out.extend([0, 0, 1]),
        }
        out.extend(unit);
    }
    out
}

/// What the pipeline makes of the bytes decodes to the pictures of the file.
fn assert_pictures(folder: &Folder, file: &Path, bytes: &[u8]) {
    let (pieces, _) = transcode(bytes, TranscodeOptions::default()).unwrap();
    let mp4 = folder.write("out.mp4", &pieces.concat());
    assert_eq!(hashes(&packets(file, "v")), hashes(&packets(&mp4, "v")));
    assert_eq!(decoded(file), decoded(&mp4));
}

#[test]
fn seed_1_4_annex_b_in_matroska_becomes_lengths() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let path = folder.film("in.mkv", 3, H264);
        let file = fs::read(&path).unwrap();
        let all = rewritten(&file, &private(&file), |_, data| vec![annex_b(data, 0)]);
        assert_pictures(&folder, &path, &all);
        // Some blocks in one form and some in the other.
        let some = rewritten(&file, &private(&file), |index, data| {
            vec![if index % 3 == 0 {
                annex_b(data, 0)
            } else {
                data.to_vec()
            }]
        });
        assert_pictures(&folder, &path, &some);
        // Both forms in one block: lengths up to the second NAL unit.
        let mixed = rewritten(&file, &private(&file), |_, data| vec![annex_b(data, 1)]);
        assert_pictures(&folder, &path, &mixed);
    }
}

#[test]
fn seed_1_4_annex_b_of_h265() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac";
        let path = folder.film("in.mkv", 2, options);
        let file = fs::read(&path).unwrap();
        let all = rewritten(&file, &private(&file), |_, data| vec![annex_b(data, 0)]);
        assert_pictures(&folder, &path, &all);
    }
}

#[test]
fn seed_1_4_parameter_sets_may_be_in_annex_b_or_in_the_pictures_alone() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let path = folder.film("in.mkv", 2, H264);
        let file = fs::read(&path).unwrap();
        let record = h264::DecoderConfiguration::parse(&private(&file)).unwrap();
        let sets = record.parameter_sets;
        let mut described = Vec::new();
        for set in sets.sps.iter().chain(&sets.pps) {
            described.extend(h264::START_CODE);
            described.extend(&set[..]);
        }
        let bytes = rewritten(&file, &described, |_, data| vec![data.to_vec()]);
        assert_pictures(&folder, &path, &bytes);
        // Without private data a keyframe has to tell, here the first.
        let told_by = |keyframe| {
            rewritten(&file, &[], |index, data| {
                let in_band = if index == keyframe {
                    &described[..]
                } else {
                    &[]
                };
                vec![[in_band, &annex_b(data, 0)].concat()]
            })
        };
        let (pieces, stats) = transcode(&told_by(0), TranscodeOptions::default()).unwrap();
        assert_eq!(stats.video_frames, 50);
        let mp4 = folder.write("out.mp4", &pieces.concat());
        assert_eq!(decoded(&path), decoded(&mp4));
        // Pictures in front of one that does cannot be decoded.
        let (_, stats) = transcode(&told_by(25), TranscodeOptions::default()).unwrap();
        assert_eq!((stats.video_frames, stats.before_keyframe), (25, 25));
    }
}

#[test]
fn seed_1_4_samples_without_a_picture_are_dropped() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let path = folder.film("in.mkv", 2, H264);
        let file = fs::read(&path).unwrap();
        // SEI, filler data, an access unit delimiter, nothing at all.
        let useless: [&[u8]; 4] = [
            &[0, 0, 0, 3, 0x06, 5, 0x80],
            &[0, 0, 0, 2, 0x0c, 0x80],
            &[0, 0, 0, 1, 0x09, 0xf0],
            &[],
        ];
        let bytes = rewritten(&file, &private(&file), |index, data| {
            vec![data.to_vec(), useless[index % 4].to_vec()]
        });
        let (_, stats) = transcode(&bytes, TranscodeOptions::default()).unwrap();
        assert_eq!((stats.video_frames, stats.empty), (50, 50));
        assert_pictures(&folder, &path, &bytes);
    }
}

#[test]
fn seed_1_4_parameter_sets_in_mid_stream_stay_in_their_samples() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let h264 = folder.film(
            "h264.mkv",
            2,
            &format!("{H264} -bsf:v dump_extra=freq=keyframe"),
        );
        let file = fs::read(&h264).unwrap();
        let (_, frames) = read(&file);
        let has_sets = frames
            .iter()
            .filter(|frame| frame.track == 1)
            .filter(|frame| {
                let units = h264::avcc_to_annexb(&frame.data, 4).unwrap();
                h264::ParameterSets::from_access_unit(&units).is_complete()
            });
        assert!(has_sets.count() >= 2);
        assert_pictures(&folder, &h264, &file);
        let options = "-c:v libx265 -preset ultrafast -x265-params \
                       log-level=none:repeat-headers=1:keyint=25 -c:a aac";
        let path = folder.film("h265.mkv", 2, options);
        let file = fs::read(&path).unwrap();
        let configuration = h265::DecoderConfiguration::parse(&private(&file)).unwrap();
        assert!(configuration.parameter_sets.is_complete());
        assert_pictures(&folder, &path, &file);
    }
}
