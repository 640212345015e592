//! What becomes of a Matroska file plays in a real browser's SourceBuffer: the whole of it, and HLS
//! segments one after the other (rows 1.2, 1.3 and 1.5).

use std::fs;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use futures::stream::{self, Stream};
use futures::{StreamExt, TryStreamExt};
use livekit_stream::pipeline::mkv::{Segment, TranscodeOptions};
use livekit_stream::{init_segment_mkv, segment_mkv, transcode_mkv};
use livekit_stream_tests::chromium::{self, Playback};
use livekit_stream_tests::guest::DEADLINE;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{process, require};

/// 6 s with three B-frames between others, groups of 2 s, and AAC.
fn film(folder: &Path) -> Vec<u8> {
    let path = folder.join("film.mkv");
    let mut command = Command::new(Peer::Ffmpeg.path());
    command.args("-v error -f lavfi -i testsrc2=size=320x180:rate=25".split(' '));
    command.args("-f lavfi -i sine=frequency=440:sample_rate=48000 -t 6".split(' '));
    command.args("-c:v libx264 -preset veryfast -bf 3 -b_strategy 0 -g 50".split(' '));
    command.args("-pix_fmt yuv420p -c:a aac -ac 2".split(' '));
    process::run_ok(command.arg(&path), DEADLINE);
    fs::read(path).expect("the film")
}

fn source(file: &[u8]) -> impl Stream<Item = std::io::Result<Bytes>> + use<> {
    let pieces: Vec<_> = file.chunks(8_192).map(Bytes::copy_from_slice).collect();
    stream::iter(pieces).map(Ok)
}

async fn plays_through(mime: &str, pieces: Vec<Bytes>) -> Playback {
    let played = chromium::play(mime, pieces, DEADLINE).await;
    assert_eq!(played.error, None);
    assert!(played.decoded_frames >= 145, "{played:?}");
    assert!(played.current_time > 5.9, "{played:?}");
    assert_eq!(played.buffered.len(), 1, "without a gap: {played:?}");
    assert!(
        played.buffered[0].0 < 0.05,
        "from the beginning: {played:?}"
    );
    played
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_1_5_a_file_with_b_frames_and_its_segments_play_without_a_gap() {
    require!(Peer::Ffmpeg, Peer::Chromium);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let film = film(folder.path());
    let options = TranscodeOptions::default;
    let mut mp4 = transcode_mkv(source(&film), options()).expect("good options");
    let pieces: Vec<Bytes> = mp4.by_ref().try_collect().await.expect("a good file");
    let mime = mp4.mime_type().expect("the type is known");
    let whole = plays_through(&mime, pieces).await;

    let init = init_segment_mkv(source(&film), options()).await;
    let mut pieces = vec![init.expect("the initialization segment")];
    // The sound's encoder has a delay of 21 ms, which the pictures wait for.
    for (start, duration) in [
        (0.0, Some(2_021.0)),
        (2_021.0, Some(2_000.0)),
        (4_021.0, None),
    ] {
        let segment = segment_mkv(source(&film), Segment::new(start, duration), options());
        let segment = segment.expect("good times").try_collect::<Vec<_>>().await;
        pieces.extend(segment.expect("a good file"));
    }
    let segments = plays_through(&mime, pieces).await;
    assert_eq!(segments.buffered, whole.buffered);
}
