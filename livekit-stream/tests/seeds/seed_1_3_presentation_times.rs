//! Row 1.3: the file's own presentation times, with composition offsets for B-frames; the order of
//! frames is that of ffmpeg.

use std::path::{Path, PathBuf};

use crate::kit::{Folder, assert_times_are_sound, decoded, has_ffmpeg, hashes, packets};

/// All times in the MP4 are the file's, and order and pictures those that ffmpeg makes of it.
fn assert_times_kept(folder: &Folder, file: &Path) -> PathBuf {
    let mp4 = folder.transcode(file);
    let (before, after) = (packets(file, "v"), packets(&mp4, "v"));
    assert_times_are_sound(&after);
    for (before, after) in before.iter().zip(&after) {
        let (before, after) = (before.pts.unwrap(), after.pts.unwrap());
        // A tick of 1/90000 s, and ffprobe's rounding.
        assert!((before - after).abs() <= 12, "{before} us became {after}");
    }
    for (before, after) in packets(file, "a").iter().zip(&packets(&mp4, "a")) {
        let (before, after) = (before.pts.unwrap(), after.pts.unwrap());
        // Half a millisecond of rounding in the file.
        assert!(
            (before - after).abs() <= 1_050,
            "{before} us of sound became {after}"
        );
    }
    let arguments = format!(
        "-i {} -map 0 -c copy -movflags frag_keyframe+empty_moov+default_base_moof",
        file.display()
    );
    let theirs = folder.ffmpeg("theirs.mp4", &arguments);
    let keyframes = |packets: &[crate::kit::Packet]| -> Vec<bool> {
        packets.iter().map(|packet| packet.keyframe).collect()
    };
    let their_packets = packets(&theirs, "v");
    assert_eq!(hashes(&their_packets), hashes(&after));
    assert_eq!(keyframes(&their_packets), keyframes(&after));
    assert_eq!(decoded(&theirs), decoded(&mp4));
    mp4
}

#[test]
fn seed_1_3_b_frames_are_shown_at_their_times_and_in_order() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx264 -preset veryfast -bf 3 -b_strategy 0 -g 50 -c:a aac";
        let file = folder.film("in.mkv", 5, options);
        let mp4 = assert_times_kept(&folder, &file);
        let after = packets(&mp4, "v");
        assert!(
            after.iter().any(|packet| packet.dts != packet.pts),
            "there are no B-frames"
        );
        // Decoding goes evenly: 40 ms, and a millisecond of the file's rounding.
        for pair in after.windows(2) {
            let step = pair[1].dts.unwrap() - pair[0].dts.unwrap();
            assert!(
                (38_900..=41_100).contains(&step),
                "{step} us between {pair:?}"
            );
        }
    }
}

#[test]
fn seed_1_3_open_groups_of_pictures() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let h264 = "-c:v libx264 -preset veryfast -bf 2 -b_strategy 0 -g 25 \
                    -x264-params open-gop=1:scenecut=0 -c:a aac";
        assert_times_kept(&folder, &folder.film("h264.mkv", 4, h264));
        let h265 = "-c:v libx265 -preset ultrafast -x265-params \
                    log-level=none:open-gop=1:bframes=3:keyint=25:min-keyint=25 -c:a aac";
        assert_times_kept(&folder, &folder.film("h265.mkv", 3, h265));
    }
}

#[test]
fn seed_1_3_frame_rates_that_vary() {
    if has_ffmpeg() {
        let folder = Folder::new();
        // Pictures are missing here and there, up to half a second of them.
        let options = "-vf select='not(between(mod(n,60),30,42))*gt(mod(n,7),0)' -fps_mode vfr \
                       -c:v libx264 -preset veryfast -bf 2 -g 60 -c:a aac";
        let file = folder.film("in.mkv", 6, options);
        assert_times_kept(&folder, &file);
    }
}

#[test]
fn seed_1_3_a_stream_that_begins_late_and_one_without_b_frames() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx264 -preset veryfast -bf 2 -c:a aac -output_ts_offset 3600";
        assert_times_kept(&folder, &folder.film("late.mkv", 3, options));
        let options = "-c:v libx264 -preset ultrafast -tune zerolatency -c:a aac";
        let mp4 = assert_times_kept(&folder, &folder.film("plain.mkv", 3, options));
        assert!(
            packets(&mp4, "v")
                .iter()
                .all(|packet| packet.dts == packet.pts)
        );
    }
}
