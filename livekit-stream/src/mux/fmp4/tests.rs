//! What comes out of the muxer, as boxes and as FFmpeg sees it.

#![allow(clippy::unwrap_used)]

mod codecs;
mod samples;

use std::time::Duration;

use bytes::Bytes;
use mp4_atom::{Any, Decode, Ftyp, Moof, Moov};
use proptest::prelude::*;

use super::*;
use crate::codec::Codec;
use crate::frame::{EncodedFrame, VideoRotation};
use crate::mux::testing::{self, Clip, frame};
use crate::mux::{AudioTrack, MuxError, Track, VideoConfiguration, VideoTrack};

const OPUS_20_MS: &[u8] = &[0xfc, 0xff, 0xfe];

/// Kinds and sizes of the boxes at the top.
fn boxes(bytes: &[u8]) -> Vec<(String, usize)> {
    let mut rest = bytes;
    let mut found = Vec::new();
    while rest.len() >= 8 {
        let size = u32::from_be_bytes(rest[..4].try_into().unwrap()) as usize;
        found.push((String::from_utf8(rest[4..8].to_vec()).unwrap(), size));
        rest = &rest[size..];
    }
    assert!(rest.is_empty());
    found
}

fn moof(fragment: &[u8]) -> Moof {
    let kinds: Vec<String> = boxes(fragment).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["moof", "mdat"]);
    Moof::decode(&mut &fragment[..]).unwrap()
}

/// Start and durations of each sample of a track's part of a fragment.
fn track_times(fragment: &[u8], track_id: u32) -> Vec<(u64, u32)> {
    let moof = moof(fragment);
    let Some(traf) = moof.traf.iter().find(|t| t.tfhd.track_id == track_id) else {
        return Vec::new();
    };
    let mut start = traf.tfdt.as_ref().unwrap().base_media_decode_time;
    traf.trun[0]
        .samples
        .iter()
        .map(|entry| {
            let duration = entry
                .duration
                .or(traf.tfhd.default_sample_duration)
                .unwrap();
            let sample = (start, duration);
            start += u64::from(duration);
            sample
        })
        .collect()
}

fn opus_muxer(options: Options) -> Muxer {
    Muxer::new(vec![AudioTrack::opus(2).into()], options).unwrap()
}

fn opus(time_us: i64) -> EncodedFrame {
    frame(Codec::Opus, OPUS_20_MS, true, time_us)
}

/// A tiny baseline stream: parameter sets and slices that nobody decodes.
fn video(keyframe: bool, time_us: i64) -> EncodedFrame {
    // 320x240, profile 66, level 3.0.
    const SETS: &[u8] = b"\0\0\0\x01\x67\x42\xc0\x1e\xf4\x0a\x0f\xc8\0\0\0\x01\x68\xce\x3c\x80";
    let data = if keyframe {
        [SETS, b"\0\0\0\x01\x65\x88\x84"].concat()
    } else {
        b"\0\0\0\x01\x41\x9a\x02".to_vec()
    };
    frame(Codec::H264, &data, keyframe, time_us)
}

fn video_track() -> Track {
    VideoTrack::from_keyframe(&video(true, 0)).unwrap().into()
}

fn options(fragment: FragmentPolicy) -> Options {
    Options {
        fragment,
        ..Options::default()
    }
}

/// Everything a muxer makes of these frames: the initialization segment, then fragments.
fn mux(muxer: &mut Muxer, frames: Vec<(usize, EncodedFrame)>) -> Vec<Bytes> {
    let mut segments = vec![muxer.init_segment()];
    for (index, frame) in frames {
        segments.extend(muxer.write(index, frame).unwrap());
    }
    segments.extend(muxer.finish().unwrap());
    segments
}

#[test]
fn the_init_segment_is_ftyp_and_moov_and_describes_both_tracks() {
    let muxer = Muxer::new(
        vec![video_track(), AudioTrack::aac(44_100, 2).unwrap().into()],
        Options::default(),
    )
    .unwrap();
    let init = muxer.init_segment();
    let kinds: Vec<String> = boxes(&init).into_iter().map(|(kind, _)| kind).collect();
    assert_eq!(kinds, ["ftyp", "moov"]);
    let mut rest = &init[..];
    Ftyp::decode(&mut rest).unwrap();
    let moov = Moov::decode(&mut rest).unwrap();
    assert_eq!(moov.mvex.unwrap().trex.len(), 2);
    let [video, audio] = &moov.trak[..] else {
        panic!("two tracks");
    };
    assert_eq!(video.tkhd.width.integer(), 320);
    assert_eq!(video.mdia.mdhd.timescale, 90_000);
    assert_eq!(audio.mdia.mdhd.timescale, 44_100);
    assert_eq!(audio.mdia.mdhd.language, "und");
    let mp4_atom::Codec::Mp4a(mp4a) = &audio.mdia.minf.stbl.stsd.codecs[0] else {
        panic!("AAC");
    };
    let config = &mp4a.esds.es_desc.dec_config;
    assert!(config.avg_bitrate > 0 && config.max_bitrate > 0);
    assert_eq!(config.dec_specific.as_ref().unwrap().raw, [0x12, 0x10]);
    assert_eq!(muxer.codecs(), "avc3.42c01e,mp4a.40.2");
    assert_eq!(
        muxer.mime_type(),
        "video/mp4; codecs=\"avc3.42c01e,mp4a.40.2\""
    );
}

#[test]
fn what_mp4_cannot_hold_is_named() {
    let mut track = VideoTrack::from_keyframe(&video(true, 0)).unwrap();
    track.codec = Codec::Vp8;
    track.configuration = VideoConfiguration::None;
    let error = Muxer::new(vec![track.into()], Options::default())
        .err()
        .unwrap();
    assert_eq!(error.to_string(), "VP8 cannot go into MP4");
    assert_eq!(
        Muxer::new(Vec::new(), Options::default()).err(),
        Some(MuxError::NoTracks)
    );
    let mut muxer = opus_muxer(Options::default());
    assert_eq!(
        muxer.write(3, opus(0)),
        Err(MuxError::NoSuchTrack { index: 3, count: 1 })
    );
    assert_eq!(
        muxer.write(0, video(true, 0)),
        Err(MuxError::WrongCodec {
            index: 0,
            expected: Codec::Opus,
            actual: Codec::H264
        })
    );
    assert_eq!(
        VideoTrack::from_keyframe(&video(false, 0)),
        Err(MuxError::MissingParameterSets { sps: 0, pps: 0 })
    );
}

#[test]
fn fragments_end_at_keyframes_and_hold_all_tracks_of_their_span() {
    let policy = FragmentPolicy::Keyframe {
        max: Duration::from_secs(10),
    };
    let mut muxer = Muxer::new(
        vec![video_track(), AudioTrack::opus(2).into()],
        options(policy),
    )
    .unwrap();
    let mut frames: Vec<_> = (0..90_i64)
        .map(|n| (0, video(n % 30 == 0, n * 1_000_000 / 30)))
        .chain((0..150_i64).map(|n| (1, opus(n * 20_000))))
        .collect();
    frames.sort_by_key(|(_, frame)| frame.timestamp_us);
    let segments = mux(&mut muxer, frames);
    assert_eq!(segments.len(), 4);
    for (second, fragment) in segments[1..].iter().enumerate() {
        let pictures = track_times(fragment, 1);
        assert_eq!(pictures.len(), 30);
        assert_eq!(pictures[0], (second as u64 * 90_000, 3_000));
        let traf = &moof(fragment).traf[0];
        let flags: Vec<_> = traf.trun[0].samples.iter().map(|s| s.flags).collect();
        assert_eq!(flags[0], Some(0x0200_0000));
        assert!(flags[1..].iter().all(Option::is_none));
        assert_eq!(traf.tfhd.default_sample_flags, Some(0x0101_0000));
    }
    let sounds: Vec<(u64, u32)> = segments[1..]
        .iter()
        .flat_map(|fragment| track_times(fragment, 2))
        .collect();
    let expected: Vec<(u64, u32)> = (0..150).map(|n| (n * 960, 960)).collect();
    assert_eq!(sounds, expected);
}

#[test]
fn without_keyframes_a_fragment_ends_at_its_longest_duration() {
    let policy = FragmentPolicy::Keyframe {
        max: Duration::from_millis(500),
    };
    let mut muxer = Muxer::new(vec![video_track()], options(policy)).unwrap();
    let frames = (0..60_i64)
        .map(|n| (0, video(n == 0, n * 50_000)))
        .collect();
    let segments = mux(&mut muxer, frames);
    assert_eq!(segments.len(), 1 + 6);
    assert!(segments[1..].iter().all(|f| track_times(f, 1).len() == 10));
}

#[test]
fn a_fragment_for_every_frame_holds_one_sample() {
    let mut muxer = opus_muxer(options(FragmentPolicy::EveryFrame));
    let segments = mux(&mut muxer, (0..10).map(|n| (0, opus(n * 20_000))).collect());
    assert_eq!(segments.len(), 11);
    for (n, fragment) in segments[1..].iter().enumerate() {
        assert_eq!(track_times(fragment, 1), [(n as u64 * 960, 960)]);
        assert_eq!(moof(fragment).mfhd.sequence_number, n as u32 + 1);
    }
}

#[test]
fn a_gap_stays_a_gap_on_the_timeline() {
    let mut muxer = opus_muxer(Options::default());
    let times = [0, 20_000, 5_000_000, 5_020_000];
    let segments = mux(&mut muxer, times.iter().map(|&t| (0, opus(t))).collect());
    let samples: Vec<_> = segments[1..]
        .iter()
        .flat_map(|fragment| track_times(fragment, 1))
        .collect();
    assert_eq!(
        samples,
        [(0, 960), (960, 239_040), (240_000, 960), (240_960, 960)]
    );
}

#[test]
fn a_track_that_starts_later_keeps_its_offset_whatever_is_written_first() {
    let mut muxer = Muxer::new(
        vec![video_track(), AudioTrack::opus(1).into()],
        Options::default(),
    )
    .unwrap();
    // The picture is from 40 ms later, but comes first.
    let frames = vec![
        (0, video(true, 1_040_000)),
        (1, opus(1_000_000)),
        (1, opus(1_020_000)),
    ];
    let segments = mux(&mut muxer, frames);
    assert_eq!(track_times(&segments[1], 1)[0].0, 3_600);
    assert_eq!(track_times(&segments[1], 2)[0].0, 0);
}

#[test]
fn frames_from_before_the_origin_are_dropped_or_moved_and_counted() {
    let mut muxer = Muxer::new(
        vec![video_track(), AudioTrack::opus(1).into()],
        Options {
            origin_us: Some(1_000_000),
            ..Options::default()
        },
    )
    .unwrap();
    let frames = vec![
        (0, video(false, 800_000)),
        (0, video(true, 900_000)),
        (0, video(false, 950_000)),
        (1, opus(990_000)),
        (1, opus(1_010_000)),
        (0, video(false, 1_100_000)),
    ];
    let segments = mux(&mut muxer, frames);
    assert_eq!(
        track_times(&segments[1], 1),
        [(0, 1), (1, 8_999), (9_000, 8_999)]
    );
    assert_eq!(track_times(&segments[1], 2), [(480, 960)]);
    let stats = muxer.stats();
    assert_eq!(
        (stats.before_keyframe, stats.early_video, stats.early_audio),
        (1, 2, 1)
    );
}

#[test]
fn a_base_decode_time_moves_everything() {
    let mut muxer = opus_muxer(Options {
        base_decode_time_us: 7_000_000,
        ..Options::default()
    });
    let segments = mux(&mut muxer, vec![(0, opus(123_456)), (0, opus(143_456))]);
    assert_eq!(
        track_times(&segments[1], 1),
        [(336_000, 960), (336_960, 960)]
    );
}

#[test]
fn memory_is_bounded_where_no_policy_ever_cuts() {
    let mut muxer = opus_muxer(options(FragmentPolicy::Keyframe { max: Duration::MAX }));
    let big = vec![0xfc; 1 << 20];
    let mut fragments = 0;
    for n in 0..100 {
        let frame = frame(Codec::Opus, &big, true, n * 20_000);
        fragments += usize::from(muxer.write(0, frame).unwrap().is_some());
    }
    assert_eq!(fragments, 3);
    let too_large = frame(Codec::Opus, &vec![0; MAX_FRAME_BYTES + 1], true, 0);
    assert!(matches!(
        muxer.write(0, too_large),
        Err(MuxError::TooLarge { .. })
    ));
}

#[test]
fn parameter_sets_leave_the_samples_of_avc1_and_stay_in_those_of_avc3() {
    for (placement, name, expected) in [
        (ParameterSetPlacement::OutOfBand, "avc1", vec![0x65]),
        (
            ParameterSetPlacement::InBand,
            "avc3",
            vec![0x67, 0x68, 0x65],
        ),
    ] {
        let mut muxer = Muxer::new(
            vec![video_track()],
            Options {
                parameter_sets: placement,
                ..Options::default()
            },
        )
        .unwrap();
        assert!(muxer.codecs().starts_with(name));
        let segments = mux(&mut muxer, vec![(0, video(true, 0))]);
        let mut rest = &segments[1][..];
        Moof::decode(&mut rest).unwrap();
        let Any::Mdat(mdat) = Any::decode(&mut rest).unwrap() else {
            panic!("mdat");
        };
        let headers: Vec<u8> = crate::codec::h264::length_prefixed_nal_units(&mdat.data, 4)
            .map(|nal_unit| nal_unit.unwrap()[0])
            .collect();
        assert_eq!(headers, expected);
    }
}

#[test]
fn ffmpeg_sees_every_frame_at_its_exact_time_and_decodes_it() {
    let (Some(video), Some(opus), Some(aac)) =
        (Clip::h264("320x180", 90), Clip::opus(3), Clip::aac(3))
    else {
        return;
    };
    let policies = [
        FragmentPolicy::Keyframe {
            max: Duration::from_secs(5),
        },
        FragmentPolicy::Duration(Duration::from_millis(300)),
        FragmentPolicy::EveryFrame,
    ];
    let placements = [
        ParameterSetPlacement::InBand,
        ParameterSetPlacement::OutOfBand,
        ParameterSetPlacement::InBand,
    ];
    for (policy, placement) in policies.into_iter().zip(placements) {
        for audio in [&opus, &aac] {
            let is_opus = audio.frames[0].codec == Codec::Opus;
            let audio_track = if is_opus {
                AudioTrack::opus(2)
            } else {
                AudioTrack::aac(48_000, 2).unwrap()
            };
            let track = VideoTrack::from_keyframe(&video.frames[0]).unwrap();
            let mut muxer = Muxer::new(
                vec![track.into(), audio_track.into()],
                Options {
                    fragment: policy,
                    parameter_sets: placement,
                    ..Options::default()
                },
            )
            .unwrap();
            let file = mux(&mut muxer, testing::interleave(&[&video, audio])).concat();
            testing::assert_decodes(&file);
            let packets = testing::packets(&file);
            let of = |stream| packets.iter().filter(move |p| p.stream == stream);
            assert_eq!(of(0).count(), 90);
            for (index, packet) in of(0).enumerate() {
                assert_eq!(packet.pts, index as i64 * 3_000);
                assert_eq!(packet.duration, 3_000);
                assert_eq!(packet.keyframe, index % 30 == 0);
            }
            let samples = if is_opus { 960 } else { 1_024 };
            assert_eq!(of(1).count(), audio.frames.len());
            assert!(
                of(1)
                    .enumerate()
                    .all(|(index, p)| p.pts == index as i64 * samples)
            );
            let extracted = testing::extract_h264(&file);
            if placement == ParameterSetPlacement::InBand {
                assert_eq!(
                    testing::nal_units(&extracted),
                    testing::nal_units(&video.annex_b)
                );
            } else {
                assert_eq!(
                    testing::pictures_only(&extracted),
                    testing::pictures_only(&video.annex_b)
                );
            }
        }
    }
}

#[test]
fn one_track_alone_plays() {
    let (Some(video), Some(audio)) = (Clip::h264("320x180", 30), Clip::opus(1)) else {
        return;
    };
    let track = VideoTrack::from_keyframe(&video.frames[0]).unwrap();
    for (track, clip) in [
        (Track::from(track), &video),
        (AudioTrack::opus(2).into(), &audio),
    ] {
        let mut muxer = Muxer::new(vec![track], Options::default()).unwrap();
        let file = mux(&mut muxer, testing::interleave(&[clip])).concat();
        testing::assert_decodes(&file);
        assert_eq!(testing::packets(&file).len(), clip.frames.len());
    }
}

#[test]
fn a_change_of_size_in_mid_stream_decodes_to_both_sizes() {
    let (Some(large), Some(small)) = (Clip::h264("320x180", 30), Clip::h264("160x120", 30)) else {
        return;
    };
    let track = VideoTrack::from_keyframe(&large.frames[0]).unwrap();
    let mut muxer = Muxer::new(vec![track.into()], Options::default()).unwrap();
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
    assert_eq!((count("320,180"), count("160,120")), (30, 30));
}

#[test]
fn a_turned_track_is_shown_turned() {
    let Some(clip) = Clip::h264("320x180", 2) else {
        return;
    };
    for (rotation, angle) in [
        (VideoRotation::Deg90, "-90"),
        (VideoRotation::Deg180, "-180"),
        (VideoRotation::Deg270, "90"),
    ] {
        let mut track = VideoTrack::from_keyframe(&clip.frames[0]).unwrap();
        track.rotation = rotation;
        let mut muxer = Muxer::new(vec![track.into()], Options::default()).unwrap();
        let file = mux(&mut muxer, testing::interleave(&[&clip])).concat();
        let shown = testing::probe("stream_side_data=rotation", &file);
        assert_eq!(shown.trim(), angle, "{rotation}");
        assert_eq!(muxer.stats().other_rotation, 2);
    }
}

#[test]
fn a_file_cut_anywhere_plays_up_to_there() {
    let (Some(video), Some(audio)) = (Clip::h264("320x180", 60), Clip::opus(2)) else {
        return;
    };
    let track = VideoTrack::from_keyframe(&video.frames[0]).unwrap();
    let mut muxer = Muxer::new(
        vec![track.into(), AudioTrack::opus(2).into()],
        options(FragmentPolicy::Duration(Duration::from_millis(500))),
    )
    .unwrap();
    let segments = mux(&mut muxer, testing::interleave(&[&video, &audio]));
    let mut file = segments[0].to_vec();
    let mut whole = 0;
    for fragment in &segments[1..] {
        // Torn anywhere in the fragment (in its sizes, in the middle, at its last byte),
        // everything before it is there.
        for end in [1, 30, fragment.len() * 2 / 3, fragment.len() - 1] {
            let torn = [&file[..], &fragment[..end]].concat();
            if whole > 0 {
                assert!(testing::packets(&torn).len() >= whole, "{end}");
            }
        }
        file.extend_from_slice(fragment);
        whole += track_times(fragment, 1).len() + track_times(fragment, 2).len();
        testing::assert_decodes(&file);
        assert_eq!(testing::packets(&file).len(), whole);
    }
    assert_eq!(whole, 60 + audio.frames.len());
}

fn any_policy() -> impl Strategy<Value = FragmentPolicy> {
    prop_oneof![
        Just(FragmentPolicy::EveryFrame),
        (0_u64..2_000).prop_map(|ms| FragmentPolicy::Duration(Duration::from_millis(ms))),
        (0_u64..2_000).prop_map(|ms| FragmentPolicy::Keyframe {
            max: Duration::from_millis(ms)
        }),
    ]
}

proptest! {
    #[test]
    fn any_frames_at_any_times_give_whole_fragments_in_order(
        frames in prop::collection::vec(
            (
                0_usize..2,
                prop::collection::vec(any::<u8>(), 0..40),
                any::<bool>(),
                prop_oneof![0..3_000_000_i64, any::<i64>()],
            ),
            0..60,
        ),
        policy in any_policy(),
        in_band in any::<bool>(),
    ) {
        let placement = if in_band {
            ParameterSetPlacement::InBand
        } else {
            ParameterSetPlacement::OutOfBand
        };
        let mut muxer = Muxer::new(
            vec![video_track(), AudioTrack::opus(2).into()],
            Options { fragment: policy, parameter_sets: placement, ..Options::default() },
        ).unwrap();
        let mut segments = Vec::new();
        for (track, bytes, keyframe, time_us) in frames {
            let frame = if track == 0 {
                let data = [b"\0\0\x01\x41".as_slice(), &bytes].concat();
                frame(Codec::H264, &data, keyframe, time_us)
            } else {
                frame(Codec::Opus, &bytes, true, time_us)
            };
            segments.extend(muxer.write(track, frame).unwrap());
        }
        segments.extend(muxer.finish().unwrap());
        let mut samples = 0;
        let mut next = [0_u64; 2];
        for fragment in &segments {
            let sizes = boxes(fragment);
            let mut payload = 0;
            for (track, next) in next.iter_mut().enumerate() {
                for (start, duration) in track_times(fragment, track as u32 + 1) {
                    prop_assert!(start >= *next);
                    prop_assert!(duration > 0);
                    *next = start + 1;
                    samples += 1;
                }
            }
            for traf in moof(fragment).traf {
                let trun = &traf.trun[0];
                prop_assert_eq!(trun.data_offset, Some((sizes[0].1 + 8 + payload) as i32));
                payload += trun.samples.iter().map(|s| s.size.unwrap() as usize).sum::<usize>();
            }
            prop_assert_eq!(sizes[1].1, payload + 8);
        }
        // Only a gap that does not fit a duration leaves a sample for one more `finish`.
        prop_assert_eq!(samples, muxer.stats().frames);
        prop_assert_eq!(segments.len() as u64, muxer.stats().fragments);
    }
}
