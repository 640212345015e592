//! Samples in MP4's own form: composition times, edit lists, a known duration.

use super::*;

fn sample(decode_us: i64, composition_us: i64, end_us: Option<i64>) -> Sample {
    Sample {
        data: Bytes::from_static(b"sample"),
        sync: decode_us == 0,
        decode_us,
        composition_us,
        end_us,
    }
}

fn muxer(options: Options) -> Option<Muxer> {
    let clip = Clip::h264("160x120", 1)?;
    let video = VideoTrack::from_keyframe(&clip.frames[0]).unwrap();
    let tracks = vec![video.into(), AudioTrack::opus(2).into()];
    Some(Muxer::new(tracks, options).unwrap())
}

fn moov(muxer: &Muxer) -> Moov {
    let init = muxer.init_segment();
    let mut rest = &init[..];
    Ftyp::decode(&mut rest).unwrap();
    Moov::decode(&mut rest).unwrap()
}

#[test]
fn composition_offsets_are_written_in_ticks_and_may_be_negative() {
    let options = Options {
        origin_us: Some(0),
        ..Options::default()
    };
    let Some(mut muxer) = muxer(options) else {
        return;
    };
    for (decode, composition) in [(0, 40), (40, 160), (80, 70)] {
        let sample = sample(
            decode * 1_000,
            composition * 1_000,
            Some(decode * 1_000 + 55_000),
        );
        assert_eq!(muxer.write_sample(0, sample), Ok(None));
    }
    let fragment = muxer.finish().unwrap().unwrap();
    let offsets: Vec<_> = moof(&fragment).traf[0].trun[0]
        .samples
        .iter()
        .map(|entry| entry.cts)
        .collect();
    assert_eq!(offsets, [Some(3_600), Some(10_800), Some(-900)]);
    // The last sample ends where it was said to.
    assert_eq!(
        track_times(&fragment, 1),
        [(0, 3_600), (3_600, 3_600), (7_200, 4_950)]
    );
}

#[test]
fn samples_that_are_shown_when_they_are_decoded_have_no_offsets() {
    let Some(mut muxer) = muxer(Options::default()) else {
        return;
    };
    muxer.write_sample(0, sample(0, 0, Some(10))).unwrap();
    let fragment = muxer.finish().unwrap().unwrap();
    let moof = moof(&fragment);
    assert!(
        moof.traf[0].trun[0]
            .samples
            .iter()
            .all(|entry| entry.cts.is_none())
    );
}

#[test]
fn where_a_track_s_presentation_starts_is_an_edit_list() {
    let options = Options {
        media_starts: vec![Duration::from_millis(80), Duration::ZERO],
        duration: Some(Duration::from_secs(5)),
        ..Options::default()
    };
    let Some(muxer) = muxer(options) else {
        return;
    };
    let moov = moov(&muxer);
    let edits = moov.trak[0].edts.clone().unwrap().elst.unwrap().entries;
    assert_eq!(
        (edits.len(), edits[0].media_time, edits[0].segment_duration),
        (1, Some(7_200), 0)
    );
    assert_eq!(moov.trak[1].edts, None);
    assert_eq!(moov.mvex.unwrap().mehd.unwrap().fragment_duration, 5_000);
}

#[test]
fn a_fragment_ends_when_too_many_bytes_wait() {
    let options = Options {
        max_fragment_bytes: 10,
        ..Options::default()
    };
    let Some(mut muxer) = muxer(options) else {
        return;
    };
    assert_eq!(muxer.write_sample(0, sample(0, 0, None)), Ok(None));
    let fragment = muxer.write_sample(0, sample(40_000, 40_000, None)).unwrap();
    assert_eq!(track_times(&fragment.unwrap(), 1), [(0, 3_600)]);
    let error = muxer.write_sample(2, Sample::default());
    assert_eq!(error, Err(MuxError::NoSuchTrack { index: 2, count: 2 }));
}
