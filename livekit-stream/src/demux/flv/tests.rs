use proptest::prelude::*;

use super::*;
use crate::codec::Codec;
use crate::mux::flv::{audio_body, audio_sequence_header, file_header, metadata, tag};
use crate::mux::flv::{video_body, video_sequence_header};
use crate::mux::testing::{self, Clip};
use crate::mux::{AudioTrack, VideoTrack};

/// A keyframe of VP8 with 64x48 pixels.
const VP8: &[u8] = &[0x10, 2, 0, 0x9d, 1, 0x2a, 64, 0, 48, 0];

fn push(demuxer: &mut Demuxer, kind: TagKind, body: &[u8]) -> Result<Vec<Item>, FlvError> {
    let mut out = Vec::new();
    demuxer.push(kind, 1_000, &Bytes::copy_from_slice(body), &mut out)?;
    Ok(out)
}

fn frames(items: Vec<Item>) -> Vec<Frame> {
    let frames = items.into_iter().filter_map(|item| match item {
        Item::Frame(frame) => Some(frame),
        _ => None,
    });
    frames.collect()
}

#[test]
fn what_our_muxer_writes_reads_back() {
    let (Some(video), Some(audio)) = (Clip::h264("320x180", 60), Clip::aac(2)) else {
        return;
    };
    let video_track = VideoTrack::from_keyframe(&video.frames[0]).unwrap();
    let audio_track = AudioTrack::aac(48_000, 2).unwrap();
    let tracks = [video_track.clone().into(), audio_track.clone().into()];
    let mut file = file_header(true, true).to_vec();
    let mut put = |kind, time_us: i64, body: &[u8]| {
        file.extend(tag(kind, (time_us / 1_000) as u32, body).unwrap());
    };
    put(TagKind::Script, 0, &metadata(&tracks, Some(30.0)));
    put(
        TagKind::Video,
        0,
        &video_sequence_header(&video_track).unwrap(),
    );
    put(
        TagKind::Audio,
        0,
        &audio_sequence_header(&audio_track).unwrap(),
    );
    let sent = testing::interleave(&[&video, &audio]);
    for (index, frame) in &sent {
        match index {
            0 => put(
                TagKind::Video,
                frame.timestamp_us,
                &video_body(frame).unwrap(),
            ),
            _ => put(
                TagKind::Audio,
                frame.timestamp_us,
                &audio_body(frame).unwrap(),
            ),
        }
    }

    let (mut reader, mut demuxer) = (TagReader::default(), Demuxer::default());
    let mut items = Vec::new();
    // In pieces, as a socket gives them.
    for piece in file.chunks(1_000) {
        reader.push(piece);
        while let Some(tag) = reader.next_tag().unwrap() {
            demuxer
                .push(tag.kind, tag.timestamp_ms, &tag.body, &mut items)
                .unwrap();
        }
    }
    let Some(Item::Metadata(metadata)) = items.first() else {
        panic!("{:?}", items.first());
    };
    assert_eq!(
        (metadata.width, metadata.frame_rate),
        (Some(320.0), Some(30.0))
    );
    assert_eq!(items.get(1), Some(&Item::AudioTrack(audio_track)));
    let read = frames(items);
    assert_eq!(read.len(), sent.len());
    assert_eq!(demuxer.stats().frames, sent.len() as u64);
    for (frame, (index, sent)) in read.iter().zip(&sent) {
        assert_eq!(frame.frame.codec, sent.codec);
        assert_eq!(frame.frame.keyframe, sent.keyframe);
        assert_eq!(frame.frame.timestamp_us, sent.timestamp_us / 1_000 * 1_000);
        assert_eq!(frame.decode_timestamp_us, frame.frame.timestamp_us);
        if *index == 0 {
            assert_eq!(frame.frame.size, video_track.size);
            assert_eq!(
                testing::pictures_only(&frame.frame.data),
                testing::pictures_only(&sent.data)
            );
            if sent.keyframe {
                assert_eq!(
                    VideoTrack::from_keyframe(&frame.frame).unwrap(),
                    video_track
                );
            }
        } else {
            assert_eq!(frame.frame.data, sent.data);
        }
    }
}

#[test]
fn times_go_on_beyond_32_bits_and_composition_may_be_negative() {
    let mut demuxer = Demuxer::default();
    let mut out = Vec::new();
    let body = Bytes::from([b"\x91vp08", VP8].concat());
    for time in [u32::MAX - 9, 30, 20, 40] {
        demuxer.push(TagKind::Video, time, &body, &mut out).unwrap();
    }
    let start = i64::from(u32::MAX - 9) * 1_000;
    let times: Vec<_> = frames(out)
        .iter()
        .map(|frame| frame.decode_timestamp_us - start)
        .collect();
    // The third goes back, which decoding does not.
    assert_eq!(times, [0, 40_000, 40_000, 50_000]);

    let mut demuxer = Demuxer::default();
    let record = [1, 66, 0, 10, 0xff, 0xe0, 0];
    let header = [&[0x17, 0, 0, 0, 0][..], &record].concat();
    push(&mut demuxer, TagKind::Video, &header).unwrap();
    let body = [0x27, 1, 0xff, 0xff, 0xfe, 0, 0, 0, 1, 0x41];
    let read = frames(push(&mut demuxer, TagKind::Video, &body).unwrap());
    assert_eq!(read[0].frame.timestamp_us, 998_000);
    assert_eq!(read[0].decode_timestamp_us, 1_000_000);
}

#[test]
fn the_first_track_is_read_and_others_are_counted() {
    let mut demuxer = Demuxer::default();
    let length = [0, 0, VP8.len() as u8];
    // ManyTracksManyCodecs, tracks 1 and 0.
    let mut many = vec![0x96, 0x21];
    for (four_cc, track) in [(b"hvc1", 1), (b"vp08", 0)] {
        many.extend([&four_cc[..], &[track], &length, VP8].concat());
    }
    let read = frames(push(&mut demuxer, TagKind::Video, &many).unwrap());
    assert_eq!(read.len(), 1);
    assert_eq!(
        (read[0].frame.size.width, read[0].frame.size.height),
        (64, 48)
    );
    assert_eq!(demuxer.stats().other_tracks, 1);
    // OneTrack, and ManyTracks of one codec.
    let one = [&[0x96, 0x01][..], b"vp08", &[0], VP8].concat();
    assert_eq!(push(&mut demuxer, TagKind::Video, &one).unwrap().len(), 1);
    let mut many = [&[0x96, 0x11][..], b"vp08"].concat();
    for track in [0, 3] {
        many.extend([&[track], &length[..], VP8].concat());
    }
    assert_eq!(push(&mut demuxer, TagKind::Video, &many).unwrap().len(), 1);
    assert_eq!(demuxer.stats().other_tracks, 2);
    // A layout of a later version.
    assert_eq!(
        push(&mut demuxer, TagKind::Video, &[0x96, 0x31, 1, 2]),
        Ok(vec![])
    );
    // Sound alike.
    let opus = [&[0x95, 0x01][..], b"Opus", &[0], &[0xfc, 1]].concat();
    let items = push(&mut demuxer, TagKind::Audio, &opus).unwrap();
    assert_eq!(items[0], Item::AudioTrack(AudioTrack::opus(2)));
    assert_eq!(frames(items)[0].frame.codec, Codec::Opus);
}

#[test]
fn modifiers_are_skipped_and_nanoseconds_count() {
    let mut demuxer = Demuxer::default();
    // TimestampOffsetNano of 500,000 ns, then one unknown of 300 bytes.
    let mut body = vec![0x97, 2, 0x07, 0xa1, 0x20, 0x07, 255, 0x01, 0x2b];
    body.extend([0; 300]);
    body.push(0x31);
    body.extend([b"vp08", VP8].concat());
    let read = frames(push(&mut demuxer, TagKind::Video, &body).unwrap());
    assert_eq!(read[0].frame.timestamp_us, 1_000_500);
    // Without end.
    let endless = [&[0x97][..], &[0, 0, 0x07].repeat(50)].concat();
    assert!(matches!(
        push(&mut demuxer, TagKind::Video, &endless),
        Err(FlvError::Truncated { kind: "video", .. })
    ));
}

#[test]
fn what_is_not_read_is_named_and_the_demuxer_goes_on() {
    let mut demuxer = Demuxer::default();
    let mut error = |kind, body: &[u8]| push(&mut demuxer, kind, body).unwrap_err().to_string();
    // Sorenson H.263 and MP3.
    assert!(error(TagKind::Video, &[0x12, 0]).contains("video codec 2"));
    assert!(error(TagKind::Audio, &[0x2f, 0]).contains("sound format 2"));
    assert!(error(TagKind::Video, b"\x90vvc1").contains("vvc1"));
    assert!(error(TagKind::Audio, b"\x90fLaC").contains("fLaC"));
    assert!(error(TagKind::Video, &[0x17]).contains("cut short after 1 bytes"));
    assert!(error(TagKind::Video, b"\x90hvc1\x01").contains("Record of 1 bytes"));
    // HE-AAC says so in its configuration.
    assert!(error(TagKind::Audio, &[0xaf, 0, 0x2b, 0x11]).contains("object type 5"));
    for silent in [&[][..], &[0x57, 0], b"\x92hvc1", &[0x17, 2, 0, 0, 0]] {
        assert_eq!(push(&mut demuxer, TagKind::Video, silent), Ok(vec![]));
    }
    // Before their configuration.
    for (kind, body) in [
        (TagKind::Video, &[0x17, 1, 0, 0, 0, 0, 0, 0, 1, 0x65][..]),
        (TagKind::Audio, &[0xaf, 1, 0x21]),
    ] {
        assert_eq!(push(&mut demuxer, kind, body), Ok(vec![]));
    }
    assert_eq!(demuxer.stats().without_configuration, 2);
    let body = [b"\x91vp08", VP8].concat();
    assert_eq!(push(&mut demuxer, TagKind::Video, &body).unwrap().len(), 1);
}

#[test]
fn files_that_are_none_are_told() {
    let read = |bytes: &[u8]| {
        let mut reader = TagReader::default();
        reader.push(bytes);
        reader.next_tag()
    };
    assert_eq!(
        read(b"FLV\x02\x05\0\0\0\x09"),
        Err(FlvError::Signature(*b"FLV\x02"))
    );
    assert_eq!(
        read(b"FLV\x01\x05\0\0\0\x03"),
        Err(FlvError::HeaderLength(3))
    );
    let strange = [&file_header(true, true)[..], &[7; 11]].concat();
    assert_eq!(read(&strange), Err(FlvError::TagType(7)));
    assert_eq!(read(b"FLV"), Ok(None));
}

/// Bodies that get past the first checks.
fn body() -> impl Strategy<Value = (TagKind, Vec<u8>)> {
    let kind = prop::sample::select(vec![TagKind::Audio, TagKind::Video, TagKind::Script]);
    let head = prop::sample::select(vec![
        &b""[..],
        b"\x17\0\0\0\0",
        b"\x17\x01\0\0\0",
        b"\x27\x01\0\0\x20",
        b"\x90hvc1",
        b"\x91hvc1",
        b"\x93hvc1",
        b"\x90av01",
        b"\x91av01",
        b"\xa1av01",
        b"\x91vp09",
        b"\x91vp08",
        b"\x96\x21",
        b"\x96\x11vp09",
        b"\x97\x02",
        b"\xaf\0",
        b"\xaf\x01",
        b"\x90Opus",
        b"\x91Opus",
        b"\x95\x21",
        b"\x90avc1",
        b"\x91avc1",
        b"\x02\0\x0aonMetaData\x08",
    ]);
    let tail = prop::collection::vec(any::<u8>(), 0..80);
    (kind, head, tail).prop_map(|(kind, head, tail)| (kind, [head, &tail].concat()))
}

proptest! {
    #[test]
    fn arbitrary_bodies_never_panic_and_grow_by_little(
        bodies in prop::collection::vec((any::<u32>(), body()), 0..20),
    ) {
        let mut demuxer = Demuxer::default();
        let mut out = Vec::new();
        let given: usize = bodies.iter().map(|(_, (_, body))| body.len()).sum();
        let mut last = i64::MIN;
        for (time, (kind, body)) in bodies {
            out.clear();
            let _ = demuxer.push(kind, time, &body.into(), &mut out);
            for frame in frames(std::mem::take(&mut out)) {
                prop_assert!(frame.frame.data.len() <= 64 * (given + 1));
                if frame.frame.codec.kind() == crate::codec::MediaKind::Video {
                    let step = frame.decode_timestamp_us.saturating_sub(last);
                    prop_assert!(!(-1_000_000..0).contains(&step));
                    last = frame.decode_timestamp_us;
                }
            }
        }
    }

    #[test]
    fn files_cut_anywhere_give_the_same_tags(
        bytes in prop::collection::vec(any::<u8>(), 0..300),
        bodies in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
        step in 1_usize..50,
    ) {
        let mut file = file_header(true, true).to_vec();
        for body in &bodies {
            file.extend(tag(TagKind::Video, 7, body).unwrap());
        }
        file.extend(bytes);
        let tags = |step: usize| {
            let mut reader = TagReader::default();
            let mut tags = Vec::new();
            for piece in file.chunks(step) {
                reader.push(piece);
                loop {
                    match reader.next_tag() {
                        Ok(Some(tag)) => tags.push(tag),
                        Ok(None) => break,
                        Err(_) => return tags,
                    }
                }
            }
            tags
        };
        let whole = tags(file.len());
        prop_assert!(whole.len() >= bodies.len());
        prop_assert_eq!(tags(step), whole);
    }
}
