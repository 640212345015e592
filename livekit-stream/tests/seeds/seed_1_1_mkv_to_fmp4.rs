//! Row 1.1: Matroska and WebM to fragmented MP4; pictures and sound copied bit for bit.

use std::path::Path;

use livekit_stream::pipeline::mkv::TranscodeOptions;

use crate::kit::{
    Folder, assert_times_are_sound, decoded, has_ffmpeg, hashes, packets, stream_of, transcode,
};

/// The file as MP4, with the same packets in the same order; returns the MP4.
fn assert_copied(folder: &Folder, file: &Path, codecs: [&str; 2]) -> std::path::PathBuf {
    let mp4 = folder.transcode(file);
    for (stream, codec) in ["v", "a"].into_iter().zip(codecs) {
        let (before, after) = (packets(file, stream), packets(&mp4, stream));
        assert!(after.len() > 20, "{} packets of {codec}", after.len());
        assert_eq!(hashes(&before), hashes(&after), "{codec}");
        assert_times_are_sound(&after);
        assert_eq!(stream_of(&mp4, stream)["codec_name"], codec);
    }
    assert_eq!(decoded(file), decoded(&mp4));
    mp4
}

#[test]
fn seed_1_1_h264_and_aac_are_copied() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libx264 -preset veryfast -g 50 -c:a aac -ac 2";
        let file = folder.film("in.mkv", 6, options);
        let mp4 = assert_copied(&folder, &file, ["h264", "aac"]);
        assert_eq!(stream_of(&mp4, "v")["codec_tag_string"], "avc1");
        assert_eq!(stream_of(&mp4, "v")["width"], 320);
    }
}

#[test]
fn seed_1_1_h265_is_copied() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options =
            "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=3 -c:a aac";
        let file = folder.film("in.mkv", 3, options);
        let mp4 = assert_copied(&folder, &file, ["hevc", "aac"]);
        assert_eq!(stream_of(&mp4, "v")["codec_tag_string"], "hvc1");
    }
}

#[test]
fn seed_1_1_vp9_and_opus_in_webm_are_copied() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 -c:a libopus";
        let file = folder.film("in.webm", 3, options);
        assert_copied(&folder, &file, ["vp9", "opus"]);
    }
}

#[test]
fn seed_1_1_av1_is_copied() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let options = "-c:v libaom-av1 -usage realtime -cpu-used 8 -g 25 -c:a libopus -ac 2";
        let file = folder.film("in.mkv", 2, options);
        assert_copied(&folder, &file, ["av1", "opus"]);
    }
}

#[test]
fn seed_1_1_surround_sound_of_aac_and_opus_is_copied() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let pictures = "-c:v libx264 -preset ultrafast";
        for (sound, codec) in [("-c:a aac -ac 6", "aac"), ("-c:a libopus -ac 6", "opus")] {
            let file = folder.film("in.mkv", 2, &format!("{pictures} {sound}"));
            let mp4 = assert_copied(&folder, &file, ["h264", codec]);
            assert_eq!(stream_of(&mp4, "a")["channels"], 6);
        }
    }
}

#[test]
fn seed_1_1_what_goes_on_for_longer_than_the_pictures_is_written() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film(
            "a.mkv",
            5,
            "-c:v libx264 -preset ultrafast -frames:v 50 -c:a aac",
        );
        assert_copied(&folder, &file, ["h264", "aac"]);
    }
}

#[test]
fn seed_1_1_sound_alone_becomes_a_track_of_sound() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film("in.webm", 5, "-vn -c:a libopus");
        let mp4 = folder.transcode(&file);
        assert_eq!(hashes(&packets(&file, "a")), hashes(&packets(&mp4, "a")));
    }
}

#[cfg(not(feature = "ffmpeg"))]
#[test]
fn seed_1_1_sound_that_has_to_be_decoded_names_codec_and_feature() {
    if has_ffmpeg() {
        let folder = Folder::new();
        let file = folder.film(
            "in.mkv",
            1,
            "-c:v libx264 -preset ultrafast -c:a eac3 -ac 6",
        );
        let file = std::fs::read(file).unwrap();
        let error = transcode(&file, TranscodeOptions::default())
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("A_EAC3") && error.contains("`ffmpeg`"),
            "{error}"
        );
        // The pictures can be had without it.
        let mut options = TranscodeOptions::default();
        options.audio = false;
        let (pieces, stats) = transcode(&file, options).unwrap();
        assert_eq!((stats.video_frames, stats.audio_frames), (25, 0));
        let mp4 = folder.write("mute.mp4", &pieces.concat());
        assert_eq!(packets(&mp4, "a"), []);
    }
}

#[cfg(feature = "ffmpeg")]
#[test]
fn seed_1_1_ffmpeg_surround_sound_of_dolby_becomes_aac_in_stereo() {
    if has_ffmpeg() {
        let folder = Folder::new();
        for codec in ["eac3", "ac3"] {
            let options = format!("-c:v libx264 -preset veryfast -c:a {codec} -ac 6");
            let file = folder.film("in.mkv", 4, &options);
            let bytes = std::fs::read(&file).unwrap();
            let (pieces, stats) = transcode(&bytes, TranscodeOptions::default()).unwrap();
            let mp4 = folder.write("out.mp4", &pieces.concat());
            assert_eq!(hashes(&packets(&file, "v")), hashes(&packets(&mp4, "v")));
            let sound = stream_of(&mp4, "a");
            assert_eq!(
                (&sound["codec_name"], &sound["channels"]),
                (&"aac".into(), &2.into())
            );
            assert_eq!(sound["sample_rate"], "48000");
            let rate: f64 = sound["bit_rate"].as_str().unwrap().parse().unwrap();
            assert!((rate - 192_000.0).abs() < 10_000.0, "{rate} b/s");
            let packets = packets(&mp4, "a");
            assert_eq!(stats.audio_frames as usize, packets.len());
            assert!(
                (187..=190).contains(&packets.len()),
                "{} frames in 4 s",
                packets.len()
            );
            decoded(&mp4);
        }
    }
}
