//! `FragmentedMp4Encoder` row by row: its options, lists and streams of pictures, exact chunks, segments
//! that stand alone, a real browser's SourceBuffer, an end at any moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use futures::{StreamExt, stream};
use livekit_stream::encode::Preset;
use livekit_stream::{
    ChunkKind, EncodedVideoStream, FragmentedMp4Chunk, FragmentedMp4Encoder, VideoFormat,
    VideoFrame, VideoStream,
};
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest, eventually};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::{chromium, media, require};

const MIME: &str = "video/mp4; codecs=\"avc1.42E01F\"";

/// The boxes at the top level of some bytes.
fn boxes(mut data: &[u8]) -> Vec<String> {
    let mut names = Vec::new();
    while data.len() >= 8 {
        let length = u32::from_be_bytes([data[0], data[1], data[2], data[3]]) as usize;
        names.push(String::from_utf8_lossy(&data[4..8]).into_owned());
        data = data.get(length..).expect("a box ends within its chunk");
    }
    assert!(data.is_empty(), "a chunk ends on a box boundary");
    names
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_0_3_and_0_5_chunks_of_a_room_are_whole_boxes_and_play() {
    require!(Peer::LiveKit, Peer::Ffmpeg, Peer::Chromium);
    let server = LiveKitServer::start().await;
    let mut guest = Guest::join(&server, "room", "guest").await;
    let publisher = Publisher::join(&server.url(), &server.publisher_token("room", "alice")).await;
    let clip = VideoClip::make(VideoOptions::default());
    let _track = publisher.publish(PublishOptions::camera(clip)).await;
    let track = guest.video_track().await;

    let encoder = || {
        FragmentedMp4Encoder::builder(640, 360, 30.0)
            .build()
            .expect("an encoder")
    };
    let pictures = VideoStream::builder(&track).capacity(0).build().take(90);
    let copied = EncodedVideoStream::new(&track).take(90);
    let encoded: Vec<_> = encoder().encode(pictures).collect().await;
    let copied: Vec<_> = encoder().encode_encoded(copied).collect().await;
    publisher.leave().await;
    guest.room.close().await;

    for chunks in [encoded, copied] {
        let chunks: Vec<_> = chunks
            .into_iter()
            .collect::<Result<_, _>>()
            .expect("no error among the chunks");
        assert_eq!(chunks[0].kind, ChunkKind::Init);
        assert_eq!(boxes(&chunks[0].data), ["ftyp", "moov"]);
        for chunk in &chunks[1..] {
            assert_eq!(chunk.kind, ChunkKind::Media);
            assert_eq!(boxes(&chunk.data), ["moof", "mdat"]);
        }
        let data: Vec<Bytes> = chunks.into_iter().map(|chunk| chunk.data).collect();
        let played = chromium::play(MIME, data, DEADLINE).await;
        assert_eq!(played.error, None);
        assert!(played.current_time > 2.8, "{played:?}");
        assert!(played.decoded_frames >= 85, "{played:?}");
        assert_eq!((played.width, played.height), (640, 360));
        assert_eq!(played.buffered.len(), 1, "without a gap: {played:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_0_4_segments_of_fresh_encoders_play_through_one_after_the_other() {
    require!(Peer::Chromium);
    let mut data = Vec::new();
    for segment in 0..3u32 {
        let frames = (0..30u32).map(|n| {
            let mut rgb = vec![40u8; 320 * 180 * 3];
            let row = ((segment * 30 + n) % 180) as usize;
            rgb[row * 320 * 3..(row + 1) * 320 * 3].fill(220);
            rgb
        });
        let encoder = FragmentedMp4Encoder::builder(320, 180, 30.0)
            .segment_idx(segment)
            .base_decode_time(Duration::from_secs(u64::from(segment)))
            .build()
            .expect("an encoder");
        let chunks = encoder.encode_all(frames).expect("chunks");
        assert!(chunks.iter().all(|chunk| chunk.segment_idx == segment));
        data.extend(chunks.into_iter().map(|chunk| chunk.data));
    }
    let played = chromium::play(MIME, data, DEADLINE).await;
    assert_eq!(played.error, None);
    assert!(played.current_time > 2.9, "{played:?}");
    assert!(played.decoded_frames >= 88, "{played:?}");
    assert_eq!(played.buffered.len(), 1, "without a gap: {played:?}");
}

const SIZE: (u32, u32) = (320, 180);

/// The pictures of a clip as rows of RGB24.
fn rgb24() -> Vec<Vec<u8>> {
    let clip = VideoClip::make(VideoOptions::default().size(SIZE.0, SIZE.1));
    let pictures = media::pictures(&clip.path);
    pictures.into_iter().map(|picture| picture.rgb).collect()
}

fn frames() -> Vec<VideoFrame> {
    let frame = |rgb| VideoFrame::new(VideoFormat::Rgb24, SIZE.0, SIZE.1, rgb);
    rgb24()
        .into_iter()
        .map(|rgb| frame(rgb).expect("a picture"))
        .collect()
}

fn encoder() -> FragmentedMp4Encoder {
    FragmentedMp4Encoder::builder(SIZE.0, SIZE.1, 30.0)
        .stream_id("stream")
        .build()
        .expect("an encoder")
}

fn joined(chunks: &[FragmentedMp4Chunk]) -> Vec<u8> {
    chunks.iter().flat_map(|it| it.data.to_vec()).collect()
}

#[test]
fn seed_0_1_options_are_those_of_the_original() {
    require!(Peer::Ffmpeg);
    let folder = tempfile::tempdir().expect("a folder");
    for preset in [Preset::Ultrafast, Preset::Medium, Preset::Slow] {
        let encoder = FragmentedMp4Encoder::builder(SIZE.0, SIZE.1, 30.0)
            .segment_idx(7)
            .stream_id("stream")
            .preset(preset)
            .pixel_format_out(VideoFormat::I420)
            .bit_rate(500_000)
            .gop_size(15)
            .build()
            .expect("an encoder");
        let chunks = encoder.encode_all(rgb24()).expect("chunks");
        let named = |it: &FragmentedMp4Chunk| it.segment_idx == 7 && &*it.stream_id == "stream";
        assert!(chunks.iter().all(named));
        let path = folder.path().join("segment.mp4");
        std::fs::write(&path, joined(&chunks)).expect("a file");
        let probe = media::assert_plays(&path);
        let keyframes = probe.packets_of(probe.video());
        let keyframes = keyframes.iter().filter(|packet| packet.keyframe).count();
        assert_eq!(keyframes, 120 / 15);
        assert_eq!((probe.video().width, probe.video().height), SIZE);
    }
}

#[tokio::test]
async fn seed_0_2_lists_and_streams_of_pictures_and_of_rgb24_are_encoded_alike() {
    require!(Peer::Ffmpeg);
    let of_a_list = encoder().encode_all(rgb24()).expect("chunks");
    let of_frames = encoder().encode_all(frames()).expect("chunks");
    let of_a_stream = encoder().encode(stream::iter(rgb24()));
    let of_a_stream: Vec<_> = of_a_stream.map(|it| it.expect("a chunk")).collect().await;
    assert_eq!(of_a_list, of_frames);
    assert_eq!(of_a_list, of_a_stream);
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("segment.mp4");
    std::fs::write(&path, joined(&of_a_list)).expect("a file");
    let decoded = media::pictures(&path);
    assert_eq!(decoded.len(), 120);
    for (decoded, given) in decoded.iter().zip(rgb24()) {
        let psnr = media::psnr(&decoded.rgb, &given);
        assert!(psnr > 24.0, "{psnr} dB");
    }
}

#[tokio::test]
async fn seed_0_2_a_picture_of_another_size_is_an_error_that_names_both() {
    require!(Peer::Ffmpeg);
    let mut pictures = rgb24();
    pictures.truncate(10);
    pictures.push(vec![0; 64 * 48 * 3]);
    let items: Vec<_> = encoder().encode(stream::iter(pictures)).collect().await;
    let (last, before) = items.split_last().expect("items");
    let error = last.as_ref().expect_err("an error").to_string();
    assert_eq!(
        error,
        "a 320x180 Rgb24 picture takes 172800 bytes, 9216 were given"
    );
    // The ten pictures before it are there.
    let before: Vec<_> = before
        .iter()
        .map(|it| it.as_ref().expect("a chunk").clone())
        .collect();
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("segment.mp4");
    std::fs::write(&path, joined(&before)).expect("a file");
    assert_eq!(media::decoded_frames(&path), 10);
    let small = VideoFrame::blank(VideoFormat::I420, 64, 48).expect("a picture");
    let error = encoder().encode_all([small]).expect_err("an error");
    assert_eq!(
        error.to_string(),
        "the encoder takes 320x180 pictures, not 64x48"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seed_0_6_dropping_the_chunks_lets_go_of_the_pictures() {
    require!(Peer::Ffmpeg);
    let given = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&given);
    let pictures = stream::iter(rgb24().into_iter().cycle()).inspect(move |_| {
        counter.fetch_add(1, Ordering::SeqCst);
    });
    let mut chunks = encoder().encode(pictures);
    for _ in 0..3 {
        chunks.next().await.expect("a chunk").expect("no error");
    }
    drop(chunks);
    eventually("the pictures are let go", || Arc::strong_count(&given) == 1).await;
    let taken = given.load(Ordering::SeqCst);
    assert!(taken < 120, "{taken} pictures of an endless stream");
}
