//! Row 1.6: any container and codec to fragmented MP4, from bytes as they come. FFmpeg makes the
//! sources and judges what comes out.

use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use futures::{Stream, StreamExt, stream};
use livekit_stream::encode::H264Encoder;
use livekit_stream::pipeline::universal::{
    UniversalError, UniversalOptions, UniversalStats, transcode_universal,
};
use livekit_stream_tests::clip::{AudioClip, VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::media::{self, Probe};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{process, require};
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(120);
/// What a socket may give at once.
const PIECE: usize = 5_003;

fn ffmpeg(arguments: &str, files: &[&Path]) -> Vec<u8> {
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args(["-v", "error", "-nostdin", "-y"]);
    for argument in arguments.split_whitespace() {
        match argument.strip_prefix('@') {
            Some(index) => command.arg(files[index.parse::<usize>().expect("an index")]),
            None => command.arg(argument),
        };
    }
    process::run_ok(&mut command, DEADLINE)
}

/// Four seconds with a flash and a beep at every full second, in whatever `arguments` make of it.
fn source(folder: &TempDir, name: &str, arguments: &str) -> PathBuf {
    let clip = VideoClip::make(VideoOptions::of(VideoCodec::H264).seconds(4));
    let sound = AudioClip::make(4);
    let path = folder.path().join(name);
    let all = format!("-r 30 -i @0 -i @1 -map 0:v -map 1:a {arguments} @2");
    ffmpeg(&all, &[&clip.path, &sound.path, &path]);
    path
}

fn pieces(data: Vec<u8>) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    let data = Bytes::from(data);
    let starts = (0..data.len()).step_by(PIECE);
    stream::iter(starts.map(move |at| Ok(data.slice(at..data.len().min(at + PIECE)))))
}

struct Made {
    pieces: Vec<Bytes>,
    stats: UniversalStats,
    error: Option<UniversalError>,
}

async fn transcode(data: Vec<u8>, options: UniversalOptions) -> Made {
    let mut mp4 = transcode_universal(pieces(data), options);
    let (mut pieces, mut error) = (Vec::new(), None);
    while let Some(piece) = mp4.next().await {
        assert!(error.is_none(), "an error is the last item");
        match piece {
            Ok(piece) => pieces.push(piece),
            Err(failure) => error = Some(failure),
        }
    }
    Made {
        pieces,
        stats: mp4.stats(),
        error,
    }
}

/// What encoders are told where the test machine's hardware must not matter.
fn options() -> UniversalOptions {
    let mut options = UniversalOptions::default();
    options.encoder = H264Encoder::X264;
    options
}

async fn to_file(source: &Path, options: UniversalOptions) -> (PathBuf, UniversalStats) {
    let data = std::fs::read(source).expect("the source");
    let made = transcode(data, options).await;
    assert!(made.error.is_none(), "{:?}", made.error);
    assert_eq!(&made.pieces[0][4..8], b"ftyp");
    for fragment in &made.pieces[1..] {
        assert_eq!(&fragment[4..8], b"moof", "whole fragments");
    }
    let path = source.with_extension("out.mp4");
    std::fs::write(&path, made.pieces.concat()).expect("written");
    (path, made.stats)
}

/// The decoded pictures of a file, as one hash.
fn pictures(path: &Path) -> String {
    let arguments = "-i @0 -map 0:v -vsync passthrough -pix_fmt yuv420p -f md5 -";
    String::from_utf8(ffmpeg(arguments, &[path])).expect("text")
}

fn first_pts_us(probe: &Probe) -> (i64, i64) {
    let first = |stream| {
        let packets = probe.packets_of(stream);
        packets
            .iter()
            .filter_map(|one| one.pts_us)
            .min()
            .expect("packets")
    };
    (first(probe.video()), first(probe.audio()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_what_plays_is_copied() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, arguments, codecs) in [
        (
            "b-frames.ts",
            "-c:v libx264 -preset veryfast -bf 3 -g 30 -c:a aac -output_ts_offset 40000",
            ("h264", "aac"),
        ),
        (
            "open-gop.mkv",
            "-c:v libx264 -preset veryfast -bf 2 -x264-params open-gop=1:keyint=30 -c:a libopus",
            ("h264", "opus"),
        ),
        (
            "hevc.mp4",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none:bframes=3:keyint=30 -tag:v hvc1 -c:a aac -movflags faststart",
            ("hevc", "aac"),
        ),
        (
            "hevc.ts",
            "-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a aac",
            ("hevc", "aac"),
        ),
        (
            "vp9.webm",
            "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a copy",
            ("vp9", "opus"),
        ),
        (
            "av1.mkv",
            "-c:v libaom-av1 -usage realtime -cpu-used 8 -c:a copy",
            ("av1", "opus"),
        ),
        (
            "rates.flv",
            "-vf select='not(mod(n\\,7))+gt(mod(n\\,3)\\,1)' -vsync vfr -c:v libx264 -preset veryfast -c:a aac",
            ("h264", "aac"),
        ),
    ] {
        let source = source(&folder, name, arguments);
        let (made, stats) = to_file(&source, options()).await;
        println!("{name}: {stats:?}");
        assert!(!stats.video_reencoded && !stats.audio_reencoded, "{name}");
        let (from, to) = (media::probe(&source), media::assert_plays(&made));
        assert_eq!((&*to.video().codec, &*to.audio().codec), codecs, "{name}");
        assert_eq!(pictures(&made), pictures(&source), "{name}: other pictures");
        let (video_us, audio_us) = first_pts_us(&to);
        assert!(video_us.abs() < 2_000, "{name}: starts at {video_us} us");
        let (source_video_us, source_audio_us) = first_pts_us(&from);
        let moved = (audio_us - video_us) - (source_audio_us - source_video_us);
        // Sound that is before the first picture is left out, some frames at most.
        assert!(
            (-2_000..60_000).contains(&moved),
            "{name}: sound moved by {moved} us"
        );
        let times = |probe: &Probe| -> Vec<i64> {
            let packets = probe.packets_of(probe.video());
            let mut times: Vec<_> = packets.iter().filter_map(|one| one.pts_us).collect();
            times.sort_unstable();
            times.iter().map(|time| time - times[0]).collect()
        };
        for (ours, theirs) in times(&to).iter().zip(times(&from)) {
            assert!(
                (ours - theirs).abs() <= 1_000,
                "{name}: {ours} us, not {theirs}"
            );
        }
        if name != "rates.flv" {
            // There, pictures with flashes are left out.
            media::assert_in_sync(&made, 2);
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_what_does_not_play_is_encoded() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, arguments, reencoded, pictures) in [
        (
            "xvid.avi",
            "-c:v mpeg4 -q:v 2 -bf 2 -c:a mp3",
            (true, true),
            120,
        ),
        (
            "dvb.ts",
            "-c:v mpeg2video -q:v 2 -bf 2 -g 15 -af aformat=channel_layouts=5.1 -c:a ac3 -output_ts_offset 90000",
            (true, true),
            120,
        ),
        (
            "film.mkv",
            "-c:v copy -af aformat=channel_layouts=5.1 -c:a eac3",
            (false, true),
            120,
        ),
        (
            "deep.mov",
            "-c:v prores_ks -pix_fmt yuv422p10le -c:a pcm_s24le -movflags faststart",
            (true, true),
            120,
        ),
        (
            "eight.webm",
            "-c:v libvpx -deadline realtime -cpu-used 8 -b:v 2M -c:a libvorbis",
            (true, true),
            120,
        ),
    ] {
        let source = source(&folder, name, arguments);
        let (made, stats) = to_file(&source, options()).await;
        println!("{name}: {stats:?}");
        assert_eq!(
            (stats.video_reencoded, stats.audio_reencoded),
            reencoded,
            "{name}"
        );
        let probe = media::assert_plays(&made);
        assert_eq!(
            (&*probe.video().codec, &*probe.audio().codec),
            ("h264", "aac")
        );
        assert_eq!(
            (probe.audio().sample_rate, probe.audio().channels),
            (48_000, 2)
        );
        assert_eq!(media::decoded_frames(&made), pictures, "{name}");
        media::assert_in_sync(&made, 2);
        // Compared by number: AVI has no presentation times.
        let (ours, theirs) = (media::pictures(&made), media::pictures(&source));
        let quality = ours[75].psnr(&theirs[75]);
        assert!(quality > 30.0, "{name}: {quality} dB");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_good_pictures_are_encoded_when_asked_for() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let source = source(&folder, "good.ts", "-c:v libx264 -preset veryfast -c:a aac");
    for encoder in [H264Encoder::X264, H264Encoder::OpenH264, H264Encoder::Auto] {
        let mut options = options();
        options.force_video_reencode = true;
        options.encoder = encoder;
        let (made, stats) = to_file(&source, options).await;
        assert!(stats.video_reencoded && !stats.audio_reencoded);
        assert_eq!(media::decoded_frames(&made), 120);
        media::assert_in_sync(&made, 2);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_a_live_stream_is_joined_at_its_next_keyframe() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    for (name, video) in [
        ("copied.ts", "-c:v libx264 -preset veryfast -bf 2 -g 30"),
        ("encoded.ts", "-c:v mpeg2video -q:v 3 -g 30"),
    ] {
        let whole = source(
            &folder,
            name,
            &format!("{video} -c:a aac -output_ts_offset 70000"),
        );
        let whole = std::fs::read(whole).expect("there");
        // In the midst of a packet in the midst of a picture.
        let late = folder.path().join(format!("late-{name}"));
        std::fs::write(&late, &whole[whole.len() * 2 / 5 + 77..]).expect("written");
        let (made, stats) = to_file(&late, options()).await;
        println!("{name}: {stats:?}");
        assert!(stats.dropped_audio > 0, "sound before the first picture");
        let probe = media::assert_plays(&made);
        let (video_us, _) = first_pts_us(&probe);
        assert!(video_us.abs() < 2_000, "starts at {video_us} us");
        let shown = media::decoded_frames(&made);
        assert!((30..=90).contains(&shown), "{name}: {shown} pictures");
        media::assert_in_sync(&made, 1);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_sound_alone_and_pictures_alone() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sound.mp3");
    ffmpeg("-f lavfi -i sine=r=44100:d=3 -c:a mp3 @0", &[&path]);
    let (made, stats) = to_file(&path, options()).await;
    assert!(stats.audio_reencoded && stats.video_codec.is_empty());
    let probe = media::probe(&made);
    assert_eq!((probe.streams.len(), &*probe.audio().codec), (1, "aac"));
    let duration_us = probe.duration_us.expect("known");
    assert!(
        (2_950_000..3_100_000).contains(&duration_us),
        "{duration_us}"
    );
    media::decode_sound_without_errors(&made);

    let path = folder.path().join("silent.mkv");
    ffmpeg(
        "-f lavfi -i testsrc2=d=2:r=25 -c:v libx264 -preset veryfast @0",
        &[&path],
    );
    let (made, stats) = to_file(&path, options()).await;
    assert!(!stats.video_reencoded && stats.audio_codec.is_empty());
    assert_eq!(media::decoded_frames(&made), 50);
    assert_eq!(pictures(&made), pictures(&path));
}

/// The decoding time of a fragment's first track, in its units.
fn decode_time(fragment: &[u8]) -> u64 {
    let at = fragment
        .windows(4)
        .position(|four| four == b"tfdt")
        .expect("tfdt");
    let bytes = fragment[at + 8..at + 16].try_into().expect("version 1");
    u64::from_be_bytes(bytes)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_a_segment_lies_where_it_is_asked_for_and_closes_the_source() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let path = source(
        &folder,
        "long.ts",
        "-c:v libx264 -preset veryfast -g 30 -bf 0 -c:a aac",
    );
    let data = std::fs::read(&path).expect("there");
    let mut options = options();
    options.max_duration = Some(Duration::from_secs(1));
    let whole = transcode(data.clone(), options.clone()).await;
    options.start_decode_time = Duration::from_secs(25);
    options.emit_init_segment = false;
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let source = pieces([&data[..], &data[..]].concat()).inspect(move |piece| {
        let length = piece.as_ref().map_or(0, Bytes::len) as u64;
        counted.fetch_add(length, Ordering::Relaxed);
    });
    let mp4 = transcode_universal(source, options);
    let segment: Vec<Bytes> = mp4.map(|piece| piece.expect("made")).collect().await;
    assert!(
        taken.load(Ordering::Relaxed) < data.len() as u64,
        "closed early"
    );
    assert_eq!(&segment[0][4..8], b"moof");
    let timescale = decode_time(&segment[0]) / 25;
    assert_eq!(decode_time(&segment[0]), 25 * timescale);
    assert!(timescale >= 1_000, "{timescale}");
    assert_eq!(decode_time(&whole.pieces[1]), 0);
    assert_eq!(whole.stats.video_frames, 30);
    let file = folder.path().join("segment.mp4");
    let init_and_segment = [&whole.pieces[..1], &segment[..]].concat().concat();
    std::fs::write(&file, init_and_segment).expect("written");
    assert_eq!(media::decoded_frames(&file), 30);
}

/// Tells when it is dropped.
struct Guard(Arc<AtomicU64>);

impl Drop for Guard {
    fn drop(&mut self) {
        self.0.store(1, Ordering::Relaxed);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_dropping_it_closes_the_source() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    let path = source(
        &folder,
        "endless.ts",
        "-c:v libx264 -preset veryfast -g 30 -c:a aac",
    );
    let data = std::fs::read(&path).expect("there");
    let closed = Arc::new(AtomicU64::new(0));
    let guard = Guard(Arc::clone(&closed));
    // After the first pieces nothing comes any more, and no end either.
    let source = pieces(data).chain(stream::pending()).map(move |piece| {
        let _ = &guard;
        piece
    });
    let mut mp4 = transcode_universal(source, options());
    let init = mp4.next().await.expect("an item").expect("made");
    assert_eq!(&init[4..8], b"ftyp");
    assert!(mp4.next().await.expect("an item").is_ok());
    drop(mp4);
    let start = Instant::now();
    while closed.load(Ordering::Relaxed) == 0 {
        assert!(start.elapsed() < DEADLINE, "the source lives on");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_what_cannot_be_read_is_told() {
    require!(Peer::Ffmpeg);
    let made = transcode(Vec::new(), options()).await;
    assert!(
        matches!(made.error, Some(UniversalError::Empty)),
        "{:?}",
        made.error
    );
    let noise = (0..100_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8);
    let made = transcode(noise.collect(), options()).await;
    assert!(made.pieces.is_empty() && made.error.is_some(), "noise");
    let subtitles = "1\n00:00:00,000 --> 00:00:01,000\nwords\n\n".repeat(20);
    let made = transcode(subtitles.into_bytes(), options()).await;
    let error = made.error.expect("no track");
    assert_eq!(error.to_string(), "no usable track: the source has subrip");

    let folder = tempfile::tempdir().expect("a folder");
    let path = source(
        &folder,
        "whole.ts",
        "-c:v libx264 -preset veryfast -g 30 -c:a aac",
    );
    let data = std::fs::read(&path).expect("there");
    let half = data.len() / 2;
    let broken = pieces(data[..half].to_vec()).chain(stream::once(async {
        Err(io::Error::other("the line is dead"))
    }));
    let items: Vec<_> = transcode_universal(broken, options()).collect().await;
    let (last, before) = items.split_last().expect("items");
    let error = last.as_ref().expect_err("told at the end");
    assert_eq!(error.to_string(), "the source failed: the line is dead");
    assert!(
        before.len() > 1 && before.iter().all(Result::is_ok),
        "what came before is there"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_6_a_source_may_end_anywhere() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["cut.ts", "cut.mkv", "cut.flv", "cut.mp4"] {
        let encoders = "-c:v libx264 -preset veryfast -bf 2 -g 30 -c:a aac";
        let fragmented = "-movflags frag_keyframe+empty_moov";
        let path = source(
            &folder,
            name,
            &format!("{encoders} {fragmented}").replace(
                fragmented,
                if name.ends_with("mp4") {
                    fragmented
                } else {
                    ""
                },
            ),
        );
        let data = std::fs::read(&path).expect("there");
        let mut playable = 0;
        for step in 1..12_usize {
            let end = data.len() * step / 12 + step * 37 % 188;
            let made = transcode(data[..end].to_vec(), options()).await;
            if made.pieces.len() < 2 {
                assert!(
                    made.error.is_some(),
                    "{name} cut at {end}: nothing and no error"
                );
                continue;
            }
            let file = folder.path().join("played.mp4");
            std::fs::write(&file, made.pieces.concat()).expect("written");
            assert!(media::decoded_frames(&file) > 0, "{name} cut at {end}");
            playable += 1;
        }
        assert!(playable >= 8, "{name}: {playable} of 11 play");
    }
}
