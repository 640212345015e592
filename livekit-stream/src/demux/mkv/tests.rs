//! The reader on files written down here; files of real writers are in `tests/seeds`.
#![allow(clippy::unwrap_used)]

use bytes::Bytes;
use proptest::prelude::*;

use super::*;

/// An element whose size has eight bytes.
fn element(id: u32, data: &[u8]) -> Vec<u8> {
    let mut out = id_bytes(id);
    out.extend((data.len() as u64 | 1 << 56).to_be_bytes());
    out.extend(data);
    out
}

/// The header of an element of unknown size.
fn unknown(id: u32) -> Vec<u8> {
    let mut out = id_bytes(id);
    out.push(0xff);
    out
}

fn id_bytes(id: u32) -> Vec<u8> {
    let bytes = id.to_be_bytes();
    bytes[id.leading_zeros() as usize / 8..].to_vec()
}

fn number(id: u32, value: u64) -> Vec<u8> {
    element(id, &value.to_be_bytes())
}

fn track(number_: u64, kind: u64, more: &[Vec<u8>]) -> Vec<u8> {
    let mut entry = [
        number(id::TRACK_NUMBER, number_),
        number(id::TRACK_TYPE, kind),
    ]
    .concat();
    entry.extend(element(id::CODEC_ID, b"V_TEST"));
    entry.extend(more.concat());
    element(id::TRACK_ENTRY, &entry)
}

/// Video is track 1 with pictures of 40 ms, sound is track 2.
fn tracks() -> Vec<u8> {
    let video = track(1, 1, &[number(id::DEFAULT_DURATION, 40_000_000)]);
    element(id::TRACKS, &[video, track(2, 2, &[])].concat())
}

fn ebml() -> Vec<u8> {
    element(id::EBML, &element(id::DOC_TYPE, b"webm\0"))
}

fn block(track: u8, relative: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    let [high, low] = relative.to_be_bytes();
    [&[0x80 | track, high, low, flags], data].concat()
}

fn simple(track: u8, relative: i16, flags: u8, data: &[u8]) -> Vec<u8> {
    element(id::SIMPLE_BLOCK, &block(track, relative, flags, data))
}

fn group(track: u8, relative: i16, data: &[u8], more: &[Vec<u8>]) -> Vec<u8> {
    let block = element(id::BLOCK, &block(track, relative, 0, data));
    element(id::BLOCK_GROUP, &[block, more.concat()].concat())
}

/// Everything that stands before and between what is read, all sizes unknown that may be.
fn file() -> Vec<u8> {
    let void = element(id::VOID, &[0xAE; 100]);
    let crc = element(id::CRC_32, &[1, 2, 3, 4]);
    let info = [
        crc.clone(),
        number(id::TIMESTAMP_SCALE, 1_000_000),
        element(id::DURATION, &5_000_f64.to_be_bytes()),
    ];
    [
        ebml(),
        unknown(id::SEGMENT),
        element(id::SEEK_HEAD, &[0; 40]),
        void.clone(),
        element(id::INFO, &info.concat()),
        tracks(),
        element(id::TAGS, &[0x1F, 0x43, 0xB6, 0x75]),
        unknown(id::CLUSTER),
        crc,
        number(id::TIMESTAMP, 1_000),
        simple(1, 0, 0x80, b"key"),
        void,
        // Fixed-size lacing of two.
        simple(2, 5, 0x04, b"\x01abcd"),
        group(1, 80, b"bi", &[number(id::REFERENCE_BLOCK, 1)]),
        unknown(id::CLUSTER),
        number(id::TIMESTAMP, 2_000),
        group(1, -40, b"long", &[number(id::BLOCK_DURATION, 70)]),
        // Bytes that are no EBML, with a cluster behind them.
        vec![0; 9],
        element(
            id::CLUSTER,
            &[number(id::TIMESTAMP, 3_000), simple(1, 0, 0, b"last")].concat(),
        ),
        element(id::CUES, &[7; 50]),
    ]
    .concat()
}

fn read(pieces: impl IntoIterator<Item = Bytes>) -> (Vec<Event>, Stats, Option<MkvError>) {
    let mut reader = Reader::new();
    let mut events = Vec::new();
    let mut drain = |reader: &mut Reader| {
        loop {
            match reader.read() {
                Ok(Some(event)) => events.push(event),
                Ok(None) => return None,
                Err(error) => return Some(error),
            }
        }
    };
    for piece in pieces {
        reader.push(piece);
        if let Some(error) = drain(&mut reader) {
            return (events, reader.stats(), Some(error));
        }
    }
    reader.finish();
    let error = drain(&mut reader);
    (events, reader.stats(), error)
}

fn whole(bytes: Vec<u8>) -> (Vec<Event>, Stats, Option<MkvError>) {
    read([Bytes::from(bytes)])
}

fn frames(events: &[Event]) -> Vec<&Frame> {
    let frames = events.iter().filter_map(|event| match event {
        Event::Frame(frame) => Some(frame),
        Event::Header(_) => None,
    });
    frames.collect()
}

#[test]
fn all_kinds_of_elements_are_read_or_passed_over() {
    let (events, stats, error) = whole(file());
    assert_eq!(error, None);
    let Event::Header(header) = &events[0] else {
        panic!("{:?} comes first", events[0]);
    };
    assert_eq!(
        (header.doc_type.as_str(), header.duration_ns),
        ("webm", Some(5_000_000_000))
    );
    let kinds: Vec<_> = header.tracks.iter().map(|track| track.kind).collect();
    assert_eq!(kinds, [TrackKind::Video, TrackKind::Audio]);
    let frames: Vec<_> = frames(&events)
        .iter()
        .map(|frame| {
            let ms = |ns: i64| ns / 1_000_000;
            let duration = frame.duration_ns.map(|ns| ms(ns as i64));
            (
                frame.track,
                &frame.data[..],
                ms(frame.timestamp_ns),
                duration,
                frame.keyframe,
            )
        })
        .collect();
    assert_eq!(
        frames,
        [
            (1, &b"key"[..], 1_000, Some(40), true),
            (2, b"ab", 1_005, None, true),
            (2, b"cd", 1_005, None, true),
            (1, b"bi", 1_080, Some(40), false),
            (1, b"long", 1_960, Some(70), true),
            (1, b"last", 3_000, Some(40), false),
        ]
    );
    assert_eq!(
        (stats.damaged_bytes, stats.damaged_blocks, stats.truncated),
        (9, 0, false)
    );
    assert_eq!(stats.bytes, file().len() as u64);
}

#[test]
fn a_frame_is_a_slice_of_what_was_pushed() {
    // Small pieces are put together instead.
    let bytes = Bytes::from([file(), element(id::VOID, &[0; 5_000])].concat());
    let (events, ..) = read([bytes.clone()]);
    for frame in frames(&events) {
        let at = frame.data.as_ptr() as usize - bytes.as_ptr() as usize;
        assert!(at < bytes.len());
    }
}

#[test]
fn a_file_cut_anywhere_gives_what_is_whole_or_says_what_is_missing() {
    let bytes = file();
    let (all, ..) = whole(bytes.clone());
    let header_end = bytes
        .windows(4)
        .position(|window| window == [0x1F, 0x43, 0xB6, 0x75]);
    for length in 0..bytes.len() {
        let (events, _, error) = whole(bytes[..length].to_vec());
        assert_eq!(events, all[..events.len()], "{length}");
        match error {
            None => assert!(!events.is_empty(), "{length}"),
            Some(MkvError::Empty) => assert_eq!(length, 0),
            Some(MkvError::TruncatedHeader { bytes }) => {
                assert_eq!(bytes, length as u64);
                assert!(length < header_end.unwrap());
            }
            Some(other) => panic!("{length}: {other}"),
        }
    }
}

#[test]
fn sizes_beyond_the_limits_are_errors() {
    let huge =
        |id: u32, size: u64| [id_bytes(id), (size | 1 << 56).to_be_bytes().to_vec()].concat();
    let start = [ebml(), unknown(id::SEGMENT)].concat();
    let cluster = [start.clone(), tracks(), unknown(id::CLUSTER)].concat();
    for (bytes, name) in [
        (
            [start.clone(), huge(id::TRACKS, 1 << 40)].concat(),
            "Tracks",
        ),
        (
            [start, huge(id::INFO, MAX_HEADER_BYTES + 1)].concat(),
            "Info",
        ),
        (
            [cluster.clone(), huge(id::SIMPLE_BLOCK, MAX_BLOCK_BYTES + 1)].concat(),
            "SimpleBlock",
        ),
        (
            [cluster.clone(), huge(id::BLOCK_GROUP, (1 << 56) - 2)].concat(),
            "BlockGroup",
        ),
    ] {
        let (_, _, error) = whole(bytes);
        let Some(MkvError::TooLarge { element, .. }) = error else {
            panic!("{name}: {error:?}");
        };
        assert_eq!(element, name);
    }
    // What is passed over may be of any size if it is known, and an unknown one is damage.
    let (_, stats, error) = whole([cluster, huge(0xA2, 1 << 40)].concat());
    assert_eq!((stats.damaged_bytes > 0, error), (true, None));
}

#[test]
fn what_is_no_matroska_is_told() {
    let error = |bytes: Vec<u8>| whole(bytes).2.unwrap();
    assert_eq!(error(vec![]), MkvError::Empty);
    assert_eq!(
        error(b"RIFF....".to_vec()),
        MkvError::NotEbml {
            start: b"RIFF".to_vec()
        }
    );
    assert_eq!(
        error(b"R".to_vec()),
        MkvError::NotEbml {
            start: b"R".to_vec()
        }
    );
    assert_eq!(
        error(ebml()),
        MkvError::TruncatedHeader {
            bytes: ebml().len() as u64
        }
    );
    let other = element(id::EBML, &element(id::DOC_TYPE, b"other"));
    assert_eq!(
        error(other),
        MkvError::DocType {
            doc_type: "other".to_owned()
        }
    );
    let no_tracks = [ebml(), unknown(id::SEGMENT), unknown(id::CLUSTER)].concat();
    assert!(matches!(error(no_tracks), MkvError::NoTracks { .. }));
    let garbage = [ebml(), unknown(id::SEGMENT), vec![0; 20]].concat();
    assert!(matches!(error(garbage), MkvError::Malformed { .. }));
    let nested = [
        ebml(),
        unknown(id::SEGMENT),
        element(id::TRACKS, &[0xAE, 0x90]),
    ]
    .concat();
    assert!(matches!(
        error(nested),
        MkvError::Header {
            element: "Tracks",
            ..
        }
    ));
}

#[test]
fn a_second_segment_goes_on_unless_its_tracks_are_others() {
    let (_, stats, error) = whole([file(), file()].concat());
    assert_eq!((stats.damaged_bytes, error), (18, None));
    let other = element(id::TRACKS, &track(1, 1, &[]));
    let changed = [file(), ebml(), unknown(id::SEGMENT), other].concat();
    assert!(matches!(
        whole(changed).2,
        Some(MkvError::TracksChanged { .. })
    ));
}

#[test]
fn header_stripping_is_undone_and_other_encodings_are_named() {
    let encoding = |algorithm, settings: &[u8]| {
        let compression = [
            number(id::CONTENT_COMP_ALGO, algorithm),
            element(id::CONTENT_COMP_SETTINGS, settings),
        ];
        let compression = element(id::CONTENT_COMPRESSION, &compression.concat());
        element(
            id::CONTENT_ENCODINGS,
            &element(id::CONTENT_ENCODING, &compression),
        )
    };
    let entries = [
        track(1, 1, &[encoding(3, b"AB")]),
        track(2, 2, &[encoding(0, b"")]),
    ];
    let bytes = [
        ebml(),
        unknown(id::SEGMENT),
        element(id::TRACKS, &entries.concat()),
        unknown(id::CLUSTER),
        simple(1, 0, 0, b"cd"),
        simple(2, 0, 0, b"cd"),
        simple(3, 0, 0, b"cd"),
    ];
    let (events, stats, _) = whole(bytes.concat());
    let data: Vec<_> = frames(&events)
        .iter()
        .map(|frame| &frame.data[..])
        .collect();
    assert_eq!(data, [&b"ABcd"[..], b"cd"]);
    assert_eq!(stats.unknown_track, 1);
    let Event::Header(header) = &events[0] else {
        panic!("no header");
    };
    assert_eq!(header.tracks[1].encoding, Encoding::Unsupported("zlib"));
}

#[test]
fn blocks_that_make_no_sense_are_left_out() {
    let start = [ebml(), unknown(id::SEGMENT), tracks(), unknown(id::CLUSTER)].concat();
    let bad = [
        element(id::SIMPLE_BLOCK, &[0x81, 0]),
        simple(1, 0, 0x02, &[9, 255]),
        element(id::BLOCK_GROUP, &[0xA1]),
        element(id::BLOCK_GROUP, &[]),
        simple(1, 0, 0x80, b"good"),
    ];
    let (events, stats, error) = whole([start, bad.concat()].concat());
    assert_eq!(
        (frames(&events).len(), stats.damaged_blocks, error),
        (1, 4, None)
    );
}

proptest! {
    #[test]
    fn events_do_not_depend_on_how_the_bytes_are_cut(cuts in prop::collection::vec(1_usize..600, 1..200)) {
        let bytes = Bytes::from(file());
        let mut pieces = Vec::new();
        let mut rest = bytes.clone();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            pieces.push(rest.split_to((*cut).min(rest.len())));
        }
        prop_assert_eq!(read(pieces), read([bytes]));
    }

    #[test]
    fn changed_bytes_never_panic_and_every_byte_is_accounted_for(
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..20),
    ) {
        let mut bytes = file();
        for (at, value) in changes {
            let at = at.index(bytes.len());
            bytes[at] = value;
        }
        let length = bytes.len() as u64;
        let (_, stats, error) = whole(bytes);
        if error.is_none() {
            prop_assert!(stats.truncated || stats.bytes == length, "{stats:?}");
        }
    }

    #[test]
    fn any_bytes_behind_a_header_are_taken(bytes: Vec<u8>) {
        let start = [ebml(), unknown(id::SEGMENT), tracks(), unknown(id::CLUSTER)].concat();
        let _ = whole([start, bytes].concat());
    }
}
