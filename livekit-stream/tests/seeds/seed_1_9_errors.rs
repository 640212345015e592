//! Row 1.9: no usable track, a header that is cut short, no bytes at all: a clear error each.

use std::fs;

use livekit_stream::demux::mkv::MkvError;
use livekit_stream::pipeline::mkv::{Segment, TranscodeError, TranscodeOptions, segment_mkv};

use crate::kit::{Folder, has_ffmpeg, source, transcode};
use crate::matroska::{head, read, split};

fn error(file: &[u8]) -> TranscodeError {
    transcode(file, TranscodeOptions::default()).unwrap_err()
}

#[test]
fn seed_1_9_no_bytes_are_told_from_wrong_ones() {
    assert_eq!(error(b"").to_string(), "the Matroska input is empty");
    let wrong = error(b"\0\0\0\x1cftypisom").to_string();
    assert!(
        wrong.starts_with("no Matroska: it begins with [00, 00, 00, 1c]"),
        "{wrong}"
    );
}

#[test]
fn seed_1_9_a_header_that_is_cut_short() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = fs::read(folder.film("in.mkv", 1, "-c:v libx264 -c:a aac")).unwrap();
        let error = error(&file[..300]);
        assert!(matches!(
            error,
            TranscodeError::Mkv(MkvError::TruncatedHeader { bytes: 300 })
        ));
        let text = "the Matroska header is cut short: the input ended after 300 bytes";
        assert_eq!(error.to_string(), text);
    }
}

#[test]
fn seed_1_9_tracks_that_cannot_be_used_are_named() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film("in.webm", 1, "-c:v libvpx -deadline realtime -c:a libopus");
        let file = fs::read(file).unwrap();
        let text = "no usable track: the file has V_VP8, A_OPUS";
        assert_eq!(error(&file).to_string(), text);
        let (mut header, _) = read(&file);
        header.tracks.clear();
        let text = "no usable track: the file has no track";
        assert_eq!(error(&head(&header, |_| None)).to_string(), text);
        let mut options = TranscodeOptions::default();
        options.audio_track = Some(7);
        let error = transcode(&file, options).unwrap_err().to_string();
        assert_eq!(error, "the file has no audio track 7");
    }
}

#[test]
fn seed_1_9_private_data_that_makes_no_sense() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = fs::read(folder.film("in.mkv", 1, "-c:v libx264 -c:a aac")).unwrap();
        let (header, _) = read(&file);
        let (_, clusters) = split(&file);
        let broken = [
            head(&header, |track| (track == 1).then(|| vec![9; 9])),
            clusters[0].1.clone(),
        ];
        let error = error(&broken.concat()).to_string();
        assert!(error.starts_with("track 1 (V_MPEG4/ISO/AVC): "), "{error}");
    }
}

#[test]
fn seed_1_9_times_that_are_none() {
    for value in [f64::NAN, f64::INFINITY, -1.0, 1e13] {
        let segment = Segment::new(value, None);
        let error = segment_mkv(source(b""), segment, TranscodeOptions::default())
            .err()
            .unwrap();
        assert!(
            error.to_string().starts_with("start_decode_time_ms = "),
            "{error}"
        );
    }
}
