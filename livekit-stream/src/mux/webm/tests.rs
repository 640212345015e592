#![allow(clippy::unwrap_used)]

use super::*;
use crate::codec::Codec;
use crate::frame::ffmpeg::{ffmpeg, ivf_frames};
use crate::mux::testing::{self, Clip};
use crate::mux::{AudioTrack, MuxError, Track, VideoTrack};

fn video_track(video: &Clip) -> Track {
    VideoTrack::from_keyframe(&video.frames[0]).unwrap().into()
}

/// Both clips in one file, in pieces.
fn pieces(video: &Clip, audio: &Clip, options: Options) -> (Muxer, Vec<Vec<u8>>) {
    let sound = match audio.frames[0].codec {
        Codec::Opus => AudioTrack::opus(2),
        _ => AudioTrack::aac(48_000, 2).unwrap(),
    };
    let mut muxer = Muxer::new(vec![video_track(video), sound.into()], options).unwrap();
    let mut pieces = vec![muxer.header().to_vec()];
    for (index, frame) in testing::interleave(&[video, audio]) {
        pieces.extend(
            muxer
                .write(index, frame)
                .unwrap()
                .map(|piece| piece.to_vec()),
        );
    }
    pieces.extend(muxer.finish().map(|piece| piece.to_vec()));
    (muxer, pieces)
}

fn copied(file: &[u8], stream: &str, format: &str) -> Vec<u8> {
    let args = format!("-i pipe:0 -map 0:{stream}:0 -c copy -f {format} -");
    ffmpeg(&args, file).unwrap()
}

#[test]
fn vp8_vp9_av1_and_opus_are_copied_bit_for_bit() {
    for (codec, name) in [
        (Codec::Vp8, "vp8"),
        (Codec::Vp9, "vp09"),
        (Codec::Av1, "av01"),
    ] {
        let (Some(video), Some(audio)) =
            (Clip::video(codec, "320x180", "yuv420p", 90), Clip::opus(3))
        else {
            return;
        };
        let (muxer, pieces) = pieces(&video, &audio, Options::default());
        let file = pieces.concat();
        assert_eq!(muxer.doc_type(), DocType::WebM);
        let mime = muxer.mime_type();
        assert!(
            mime.starts_with(&format!("video/webm; codecs=\"{name}")),
            "{mime}"
        );
        testing::assert_decodes(&file);
        let packets = testing::packets(&file);
        let pictures: Vec<_> = packets.iter().filter(|p| p.stream == 0).collect();
        assert_eq!(pictures.len(), 90);
        for (index, picture) in pictures.iter().enumerate() {
            let time_us = index as i64 * 1_000_000 / 30;
            assert_eq!(picture.pts, (time_us + 500) / 1_000);
            assert_eq!(picture.keyframe, index % 30 == 0);
        }
        let sounds = packets.iter().filter(|p| p.stream == 1).count();
        assert_eq!(sounds, audio.frames.len());
        if codec != Codec::Av1 {
            // FFmpeg writes temporal delimiters to IVF that a block does not hold.
            let frames = ivf_frames(&copied(&file, "v", "ivf"));
            let given: Vec<_> = video
                .frames
                .iter()
                .map(|frame| frame.data.to_vec())
                .collect();
            assert_eq!(frames, given);
        }
        assert_eq!(
            testing::pictures_md5(&file),
            testing::pictures_md5(&video.annex_b)
        );
        let sound = copied(&file, "a", "data");
        let given: Vec<u8> = audio.frames.iter().flat_map(|f| f.data.to_vec()).collect();
        assert_eq!(sound, given);
        assert_eq!(muxer.stats().clusters, 3);
        assert_eq!((muxer.stats().late, muxer.stats().nudged), (0, 0));
    }
}

#[test]
fn h264_h265_and_aac_make_matroska() {
    let (Some(h264), Some(h265), Some(aac)) = (
        Clip::h264("320x180", 60),
        Clip::video(Codec::H265, "320x180", "yuv420p", 60),
        Clip::aac(2),
    ) else {
        return;
    };
    for video in [&h264, &h265] {
        let (muxer, pieces) = pieces(video, &aac, Options::default());
        let file = pieces.concat();
        assert_eq!(muxer.doc_type(), DocType::Matroska);
        testing::assert_decodes(&file);
        assert_eq!(testing::packets(&file).len(), 60 + aac.frames.len());
        assert_eq!(
            testing::pictures_md5(&file),
            testing::pictures_md5(&video.annex_b)
        );
    }
}

#[test]
fn a_file_cut_anywhere_plays_up_to_there() {
    let (Some(video), Some(audio)) = (
        Clip::video(Codec::Vp8, "64x48", "yuv420p", 60),
        Clip::opus(2),
    ) else {
        return;
    };
    let (_, pieces) = pieces(&video, &audio, Options::default());
    let file = pieces.concat();
    let whole = testing::packets(&file);
    let step = (file.len() - pieces[0].len()) / 12;
    let mut last = 0;
    for end in (pieces[0].len() + step..file.len()).step_by(step) {
        let packets = testing::packets(&file[..end]);
        assert!(
            packets.len() >= last,
            "at {end}: {} after {last}",
            packets.len()
        );
        // The block that was cut may be there in part.
        let certain = packets.len().saturating_sub(1);
        assert_eq!(packets[..certain], whole[..certain], "at {end}");
        last = packets.len();
    }
    assert!(last > whole.len() * 3 / 4, "{last} of {}", whole.len());
}

#[test]
fn blocks_are_in_the_order_of_their_times_and_late_ones_begin_a_cluster() {
    let tracks = || vec![AudioTrack::opus(2).into(), AudioTrack::opus(1).into()];
    let options = Options {
        latency: Duration::ZERO,
        ..Options::default()
    };
    let mut muxer = Muxer::new(tracks(), options).unwrap();
    let mut write = |track, time_ms: i64| {
        let frame = testing::frame(Codec::Opus, &[0xfc, 0xff, 0xfe], true, time_ms * 1_000);
        let piece = muxer.write(track, frame).unwrap();
        (piece.is_some(), muxer.stats().clusters, muxer.stats().late)
    };
    // Nothing is known of the other track.
    assert_eq!(write(0, 0), (false, 0, 0));
    assert_eq!(write(0, 20), (false, 0, 0));
    assert_eq!(write(1, 10), (true, 1, 0));
    // It stays away for longer than a second.
    assert_eq!(write(0, 1_500), (true, 1, 0));
    assert_eq!(write(0, 3_000), (true, 1, 0));
    assert_eq!(write(1, 100), (true, 2, 1));
    assert_eq!(write(1, 3_100), (true, 2, 1));
    // Six seconds are more than a cluster takes.
    assert_eq!(write(0, 9_000), (true, 2, 1));
    assert_eq!(write(1, 9_100), (true, 3, 1));
}

#[test]
fn times_grow_within_a_track() {
    let Some(mut video) = Clip::video(Codec::Vp8, "64x48", "yuv420p", 5) else {
        return;
    };
    // What a clock gives that is corrected after the first picture.
    for (frame, time_us) in video.frames.iter_mut().zip([0, 1, 2, 40_000, 40_400]) {
        frame.timestamp_us = time_us;
    }
    let mut muxer = Muxer::new(vec![video_track(&video)], Options::default()).unwrap();
    let mut file = muxer.header().to_vec();
    for frame in video.frames {
        file.extend(muxer.write(0, frame).unwrap().into_iter().flatten());
    }
    file.extend(muxer.finish().into_iter().flatten());
    let times: Vec<_> = testing::packets(&file).iter().map(|p| p.pts).collect();
    assert_eq!(times, [0, 1, 2, 40, 41]);
    assert_eq!(muxer.stats().nudged, 3);
}

#[test]
fn metadata_is_read_back() {
    let Some(video) = Clip::video(Codec::Vp8, "64x48", "yuv420p", 5) else {
        return;
    };
    let options = Options {
        metadata: vec![
            ("title".to_owned(), "a title".to_owned()),
            ("artist".to_owned(), "somebody".to_owned()),
        ],
        ..Options::default()
    };
    let mut muxer = Muxer::new(vec![video_track(&video)], options).unwrap();
    let mut file = muxer.header().to_vec();
    for frame in video.frames {
        file.extend(muxer.write(0, frame).unwrap().into_iter().flatten());
    }
    file.extend(muxer.finish().into_iter().flatten());
    let tags = testing::probe("format_tags=title,ARTIST", &file);
    assert_eq!(tags.trim(), "a title,somebody");
}

#[test]
fn what_does_not_fit_is_an_error_or_counted() {
    assert!(matches!(
        Muxer::new(vec![], Options::default()),
        Err(MuxError::NoTracks)
    ));
    let mut muxer = Muxer::new(vec![AudioTrack::opus(2).into()], Options::default()).unwrap();
    let wrong = testing::frame(Codec::Aac, b"x", true, 0);
    let error = muxer.write(0, wrong.clone()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a frame of AAC cannot go into track 0 of Opus"
    );
    let error = muxer.write(3, wrong).unwrap_err();
    assert_eq!(
        error.to_string(),
        "track 3 does not exist: there are 1 tracks"
    );
    let empty = testing::frame(Codec::Opus, b"", true, 0);
    assert_eq!(muxer.write(0, empty), Ok(None));
    assert_eq!(muxer.stats().empty, 1);
    assert_eq!(muxer.finish(), None);
}
