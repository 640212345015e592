//! Row 1.5: one HLS segment, without initialization segment, at its place on the timeline; segments
//! that follow each other are the continuous stream, sample for sample.

use std::fs;
use std::path::Path;

use bytes::Bytes;
use futures::executor::block_on;
use livekit_stream::pipeline::mkv::{
    Segment, TranscodeOptions, TranscodeStats, init_segment_mkv, segment_mkv,
};

use crate::kit::{Folder, Packet, boxes, collect, decoded, has_ffmpeg, packets, source};
use crate::matroska::split;

fn segment(bytes: &[u8], segment: Segment) -> (Vec<Bytes>, TranscodeStats) {
    let mut mp4 = segment_mkv(source(bytes), segment, TranscodeOptions::default()).unwrap();
    let pieces = collect(&mut mp4).map_err(|(_, error)| error).unwrap();
    (pieces, mp4.stats())
}

/// A file cut at all its keyframes: each segment's source is the header and what follows from the
/// cluster with its keyframe on.
struct Cut {
    init: Bytes,
    /// Start in milliseconds, and the segment.
    segments: Vec<(f64, Vec<Bytes>, TranscodeStats)>,
}

fn cut(folder: &Folder, path: &Path) -> (Cut, std::path::PathBuf) {
    let file = fs::read(path).unwrap();
    let (header, clusters) = split(&file);
    let keyframes = packets(path, "v")
        .into_iter()
        .filter(|packet| packet.keyframe);
    let mut starts: Vec<f64> = keyframes
        .map(|packet| packet.pts.unwrap() as f64 / 1e3)
        .collect();
    // The first segment has all that comes before the first picture, too.
    starts[0] = 0.0;
    let mut segments = Vec::new();
    for (index, &start) in starts.iter().enumerate() {
        let end = starts.get(index + 1);
        // The last cluster that begins no later: with B-frames it begins before its keyframe is
        // shown.
        let from = clusters
            .iter()
            .rposition(|(time, _)| *time as f64 <= start)
            .unwrap_or(0);
        let from = from.saturating_sub(index % 2);
        let mut bytes = header.clone();
        for (_, cluster) in &clusters[from..] {
            bytes.extend(cluster);
        }
        let window = Segment::new(start, end.map(|end| end - start));
        let (pieces, stats) = segment(&bytes, window);
        segments.push((start, pieces, stats));
    }
    let init = block_on(init_segment_mkv(source(&file), TranscodeOptions::default())).unwrap();
    let mut whole = init.to_vec();
    for (_, pieces, _) in &segments {
        whole.extend(pieces.concat());
    }
    (Cut { init, segments }, folder.write("segments.mp4", &whole))
}

fn assert_same(stream: &str, continuous: &[Packet], segments: &[Packet]) {
    for (index, (one, other)) in continuous.iter().zip(segments).enumerate() {
        assert_eq!(one, other, "{stream}: sample {index}");
    }
    assert_eq!(continuous.len(), segments.len(), "{stream}");
}

/// Cuts a film, and compares with the continuous stream.
fn assert_segments_are_the_stream(name: &str, seconds: u32, options: &str) {
    let folder = Folder::new();
    let path = folder.film(name, seconds, options);
    let (cut, joined) = cut(&folder, &path);
    assert!(cut.segments.len() > 2);
    let continuous = folder.transcode(&path);
    for stream in ["v", "a"] {
        assert_same(
            stream,
            &packets(&continuous, stream),
            &packets(&joined, stream),
        );
    }
    assert_eq!(decoded(&continuous), decoded(&joined));
    assert_eq!(boxes(&cut.init), ["ftyp", "moov"]);
    for (start, pieces, _) in &cut.segments {
        assert!(!pieces.is_empty(), "the segment at {start} ms is empty");
        for piece in pieces {
            assert_eq!(boxes(piece), ["moof", "mdat"]);
        }
        let alone = folder.write("alone.mp4", &[&cut.init[..], &pieces.concat()].concat());
        assert!(
            packets(&alone, "v")[0].keyframe,
            "the segment at {start} ms"
        );
    }
}

#[test]
fn seed_1_5_segments_of_closed_groups_are_the_continuous_stream() {
    if has_ffmpeg() {
        let options = "-c:v libx264 -preset veryfast -bf 3 -b_strategy 0 -g 50 -c:a aac";
        assert_segments_are_the_stream("in.mkv", 9, options);
    }
}

#[test]
fn seed_1_5_segments_of_open_groups_are_the_continuous_stream() {
    if has_ffmpeg() {
        let options = "-c:v libx264 -preset veryfast -bf 2 -b_strategy 0 -g 30 \
                       -x264-params open-gop=1:scenecut=0 -c:a aac -ar 44100";
        assert_segments_are_the_stream("in.mkv", 6, options);
    }
}

#[test]
fn seed_1_5_segments_of_vp9_and_opus_are_the_continuous_stream() {
    if has_ffmpeg() {
        let options = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 40 -c:a libopus";
        assert_segments_are_the_stream("in.webm", 6, options);
    }
}

/// `tfdt` of each track in a fragment, by its track id.
fn decode_times(fragment: &[u8]) -> Vec<u64> {
    let mut times = Vec::new();
    for at in 0..fragment.len().saturating_sub(16) {
        if &fragment[at..at + 4] == b"mdat" {
            break;
        }
        if &fragment[at..at + 5] == b"tfdt\x01" {
            times.push(u64::from_be_bytes(
                fragment[at + 8..at + 16].try_into().unwrap(),
            ));
        }
    }
    times
}

#[test]
fn seed_1_5_a_segment_begins_at_its_decode_time_and_has_exactly_its_frames() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx264 -preset veryfast -bf 2 -g 50 -x264-params scenecut=0 -c:a aac";
        let path = folder.film("in.mkv", 10, options);
        let (cut, _) = cut(&folder, &path);
        assert_eq!(cut.segments.len(), 5);
        for (start, pieces, stats) in &cut.segments {
            assert_eq!(stats.video_frames, 50, "the segment at {start} ms");
            if *start > 0.0 {
                let times = decode_times(&pieces[0]);
                assert_eq!(times[0], (start * 90.0) as u64);
                // The first AAC frame that begins in the segment, counted from 0.
                let frame = (start * 48.0 / 1_024.0).ceil() as u64;
                assert_eq!(times[1], frame * 1_024);
                let next = ((start + 2_000.0) * 48.0 / 1_024.0).ceil() as u64;
                if *start < 8_000.0 {
                    assert_eq!(stats.audio_frames, next - frame);
                }
            }
        }
    }
}

#[test]
fn seed_1_5_what_is_outside_of_the_segment_is_dropped() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx264 -preset ultrafast -bf 0 -g 25 -x264-params scenecut=0 -c:a aac";
        let path = folder.film("in.mkv", 6, options);
        let file = fs::read(&path).unwrap();
        let offset = packets(&path, "v")[0].pts.unwrap() as f64 / 1e3;
        // The whole file as the source of its third and fourth second.
        let (pieces, stats) = segment(&file, Segment::new(offset + 2_000.0, 2_000.0));
        assert_eq!(stats.video_frames, 50);
        assert!(stats.outside >= 50 + 90, "{stats:?}");
        assert!(
            stats.input.bytes < file.len() as u64,
            "the rest of the source is not read"
        );
        let init = block_on(init_segment_mkv(source(&file), TranscodeOptions::default())).unwrap();
        let mp4 = folder.write("out.mp4", &[&init[..], &pieces.concat()].concat());
        let shown: Vec<_> = packets(&mp4, "v")
            .iter()
            .map(|packet| packet.pts.unwrap())
            .collect();
        let start = ((offset + 2_000.0) * 1e3) as i64;
        assert!(
            shown
                .iter()
                .all(|pts| (start - 12..start + 2_000_000).contains(pts)),
            "{shown:?}"
        );
        // A segment that begins between keyframes has what follows the first one.
        let (_, stats) = segment(&file, Segment::new(offset + 1_500.0, 1_000.0));
        assert_eq!(stats.video_frames, 13);
        // Behind the end there is nothing.
        let (pieces, stats) = segment(&file, Segment::new(60_000.0, 1_000.0));
        assert_eq!(
            (pieces.len(), stats.video_frames, stats.audio_frames),
            (0, 0, 0)
        );
    }
}

#[cfg(feature = "ffmpeg")]
#[test]
fn seed_1_5_ffmpeg_segments_of_encoded_sound_have_the_continuous_stream_s_times() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx264 -preset veryfast -bf 2 -g 50 -c:a eac3 -ac 6";
        let path = folder.film("in.mkv", 8, options);
        let (_, joined) = cut(&folder, &path);
        let continuous = folder.transcode(&path);
        assert_same("v", &packets(&continuous, "v"), &packets(&joined, "v"));
        let times = |path: &Path| -> Vec<_> {
            let packets = packets(path, "a");
            packets
                .iter()
                .map(|packet| (packet.pts, packet.dts))
                .collect()
        };
        assert_eq!(times(&continuous), times(&joined));
        decoded(&joined);
    }
}
