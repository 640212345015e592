//! Row 1.2: the initialization segment first, then fragments of about two seconds; a longest
//! duration.

use std::fs;
use std::time::Duration;

use livekit_stream::pipeline::mkv::TranscodeOptions;

use crate::kit::{Folder, boxes, has_ffmpeg, packets, stream_of, transcode};

#[test]
fn seed_1_2_fragments_last_two_seconds_behind_one_init_segment() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film("in.mkv", 9, "-c:v libx264 -preset veryfast -g 250 -c:a aac");
        let (pieces, stats) =
            transcode(&fs::read(&file).unwrap(), TranscodeOptions::default()).unwrap();
        assert_eq!(boxes(&pieces[0]), ["ftyp", "moov"]);
        for piece in &pieces[1..] {
            assert_eq!(boxes(piece), ["moof", "mdat"]);
        }
        assert_eq!((pieces.len(), stats.fragments), (6, 5));
        // 50 pictures each, but for those that wait for others to be put in order.
        for (index, piece) in pieces[1..5].iter().enumerate() {
            let part = folder.write("part.mp4", &[&pieces[0][..], piece].concat());
            let pictures = packets(&part, "v").len();
            assert!(
                (47..=53).contains(&pictures),
                "{pictures} in fragment {index}"
            );
        }
        let whole = folder.write("out.mp4", &pieces.concat());
        let duration = stream_of(&whole, "v")["duration"]
            .as_str()
            .unwrap()
            .to_owned();
        let duration: f64 = duration.parse().unwrap();
        assert!((duration - 9.0).abs() < 0.2, "{duration} s");
    }
}

#[test]
fn seed_1_2_fragments_last_what_is_asked() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film("in.mkv", 4, "-c:v libx264 -preset veryfast -c:a aac");
        let mut options = TranscodeOptions::default();
        options.fragment_duration = Duration::from_millis(500);
        let (_, stats) = transcode(&fs::read(&file).unwrap(), options).unwrap();
        assert!(
            (8..=9).contains(&stats.fragments),
            "{} fragments",
            stats.fragments
        );
    }
}

#[test]
fn seed_1_2_a_longest_duration_ends_both_tracks() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film("in.mkv", 8, "-c:v libx264 -preset veryfast -c:a aac");
        let mut options = TranscodeOptions::default();
        options.max_duration_ms = Some(3_000.0);
        let (pieces, stats) = transcode(&fs::read(&file).unwrap(), options).unwrap();
        assert_eq!(stats.video_frames, 75);
        let mp4 = folder.write("out.mp4", &pieces.concat());
        let last = packets(&mp4, "a").last().unwrap().clone();
        let end = last.pts.unwrap() + last.duration.unwrap();
        assert!(
            (2_950_000..=3_050_000).contains(&end),
            "sound ends at {end} us"
        );
        assert!(stats.input.bytes < fs::metadata(&file).unwrap().len());
    }
}
