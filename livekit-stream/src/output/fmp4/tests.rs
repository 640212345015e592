#![allow(clippy::unwrap_used)]

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use futures::{FutureExt, StreamExt, stream};

use super::*;
use crate::codec::Codec;
use crate::frame::{VideoFrame, VideoFrameEvent, VideoRotation};
use crate::mux::AudioTrack;
use crate::mux::fmp4::FragmentPolicy;
use crate::mux::testing::{self, Clip};

const WIDTH: u32 = 64;
const HEIGHT: u32 = 48;

fn encoder() -> FragmentedMp4EncoderBuilder {
    FragmentedMp4Encoder::builder(WIDTH, HEIGHT, 25.0).stream_id("s")
}

fn picture(shade: u8) -> VideoFrame {
    let len = VideoFormat::I420.frame_len(WIDTH, HEIGHT).unwrap();
    VideoFrame::new(VideoFormat::I420, WIDTH, HEIGHT, vec![shade; len]).unwrap()
}

fn rgb24(shade: u8) -> Vec<u8> {
    vec![shade; (WIDTH * HEIGHT * 3) as usize]
}

fn top_boxes(mut bytes: &[u8]) -> Vec<String> {
    let mut kinds = Vec::new();
    while let Some((size, rest)) = bytes.split_first_chunk::<4>() {
        kinds.push(String::from_utf8_lossy(&rest[..4]).into_owned());
        bytes = &bytes[u32::from_be_bytes(*size) as usize..];
    }
    kinds
}

fn file(chunks: &[FragmentedMp4Chunk]) -> Vec<u8> {
    chunks
        .iter()
        .flat_map(|chunk| chunk.data.to_vec())
        .collect()
}

#[tokio::test]
async fn chunks_are_one_init_and_whole_fragments_with_their_names() {
    let pictures = stream::iter((0..100).map(picture));
    let encoder = encoder().segment_idx(5).gop_size(25).build().unwrap();
    let chunks: Vec<_> = encoder.encode(pictures).collect().await;
    let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
    assert_eq!(chunks[0].kind, ChunkKind::Init);
    assert_eq!(top_boxes(&chunks[0].data), ["ftyp", "moov"]);
    assert_eq!(chunks.len(), 1 + 4);
    for chunk in &chunks[1..] {
        assert_eq!(chunk.kind, ChunkKind::Media);
        assert_eq!(top_boxes(&chunk.data), ["moof", "mdat"]);
    }
    assert!(
        chunks
            .iter()
            .all(|c| &*c.stream_id == "s" && c.segment_idx == 5)
    );
}

#[tokio::test]
async fn segments_follow_each_other_without_gap_or_overlap() {
    let mut whole = Vec::new();
    for segment in 0..2_u32 {
        let encoder = encoder()
            .segment_idx(segment)
            .base_decode_time(Duration::from_secs(2) * segment)
            .build()
            .unwrap();
        let pictures = stream::iter((0..50).map(|n| rgb24(n * 5)));
        let chunks: Vec<_> = encoder.encode(pictures).collect().await;
        let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
        // The initialization segments are the same, so one serves both.
        whole.extend(file(&chunks[usize::from(segment > 0)..]));
    }
    if !testing::is_installed() {
        return;
    }
    testing::assert_decodes(&whole);
    let packets = testing::packets(&whole);
    assert_eq!(packets.len(), 100);
    for (index, packet) in packets.iter().enumerate() {
        assert_eq!(packet.pts, index as i64 * 3_600);
    }
    assert!(packets[0].keyframe && packets[50].keyframe);
}

#[test]
fn a_list_is_encoded_without_a_runtime_and_events_keep_their_times() {
    let events = [7_000_000, 7_040_000, 7_120_000].map(|timestamp_us| VideoFrameEvent {
        frame: picture(90),
        timestamp_us,
        rotation: VideoRotation::Deg90,
    });
    let chunks = encoder().build().unwrap().encode_all(events).unwrap();
    if !testing::is_installed() {
        return;
    }
    let file = file(&chunks);
    let times: Vec<_> = testing::packets(&file).iter().map(|p| p.pts).collect();
    assert_eq!(times, [0, 3_600, 10_800]);
    let rotation = testing::probe("stream_side_data=rotation", &file);
    assert_eq!(rotation.trim(), "-90");
}

#[tokio::test]
async fn encoded_frames_and_sound_are_copied() {
    let (Some(video), Some(audio)) = (Clip::h264("320x180", 60), Clip::opus(2)) else {
        return;
    };
    let encoder = encoder().audio(AudioTrack::opus(2)).build().unwrap();
    let frames = testing::interleave(&[&audio, &video]);
    let frames = stream::iter(frames.into_iter().map(|(_, frame)| frame));
    let chunks: Vec<_> = encoder.encode_encoded(frames).collect().await;
    let chunks: Vec<_> = chunks.into_iter().map(Result::unwrap).collect();
    let file = file(&chunks);
    testing::assert_decodes(&file);
    assert_eq!(testing::packets(&file).len(), 60 + audio.frames.len());
    assert_eq!(
        testing::pictures_only(&testing::extract_h264(&file)),
        testing::pictures_only(&video.annex_b)
    );
}

#[tokio::test]
async fn a_wrong_size_is_the_last_item_and_names_both_sizes() {
    let frames = vec![
        InputFrame::from(picture(1)),
        picture(2).into(),
        VideoFrame::blank(VideoFormat::I420, 32, 48).unwrap().into(),
        picture(3).into(),
    ];
    let encoder = encoder().build().unwrap();
    let items: Vec<_> = encoder.encode(stream::iter(frames)).collect().await;
    let [Ok(init), Ok(media), Err(error)] = &items[..] else {
        panic!("{items:?}");
    };
    assert_eq!((init.kind, media.kind), (ChunkKind::Init, ChunkKind::Media));
    assert_eq!(
        error.to_string(),
        "the encoder takes 64x48 pictures, not 32x48"
    );
}

#[tokio::test]
async fn other_wrong_input_is_an_error_that_says_what() {
    let short = encoder().build().unwrap().encode_all([vec![0; 10]]);
    assert_eq!(
        short.unwrap_err().to_string(),
        "a 64x48 Rgb24 picture takes 9216 bytes, 10 were given"
    );
    let format = encoder().pixel_format_out(VideoFormat::I444).build();
    assert!(format.unwrap_err().to_string().contains("I444"));
    let rate = FragmentedMp4Encoder::builder(64, 48, f32::NAN).build();
    assert!(rate.unwrap_err().to_string().contains("NaN"));
    let size = FragmentedMp4Encoder::builder(0, 48, 30.0).build();
    assert!(size.unwrap_err().to_string().contains("0x48"));
    let sound = testing::frame(Codec::Opus, b"x", true, 0);
    let error = encoder().build().unwrap().encode_all([sound]).unwrap_err();
    assert!(matches!(error, EncoderError::NoAudioTrack(Codec::Opus)));
    let none = encoder()
        .build()
        .unwrap()
        .encode_all(Vec::<VideoFrame>::new());
    assert!(none.unwrap().is_empty());
}

#[test]
fn outside_a_runtime_the_stream_is_an_error_and_does_not_panic() {
    let encoder = encoder().build().unwrap();
    let items: Vec<_> = encoder
        .encode(stream::iter([picture(1)]))
        .collect()
        .now_or_never()
        .unwrap();
    assert!(matches!(items[..], [Err(EncoderError::NoRuntime)]));
}

/// Pixels that are alive as long as `Arc` is shared.
struct Tracked(Vec<u8>, #[allow(dead_code)] Arc<()>);

impl AsRef<[u8]> for Tracked {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

#[tokio::test]
async fn dropping_the_stream_stops_the_work_and_frees_everything() {
    let alive = Arc::new(());
    let asked = Arc::new(AtomicUsize::new(0));
    let pictures = {
        let (alive, asked) = (alive.clone(), asked.clone());
        stream::repeat_with(move || {
            asked.fetch_add(1, Ordering::SeqCst);
            Bytes::from_owner(Tracked(rgb24(50), alive.clone()))
        })
    };
    let encoder = encoder()
        .fragment(FragmentPolicy::EveryFrame)
        .build()
        .unwrap();
    let settings = Arc::downgrade(&encoder.settings);
    let mut chunks = encoder.encode(pictures);
    for _ in 0..3 {
        chunks.next().await.unwrap().unwrap();
    }
    // Polled once, so that a picture is with the encoder when the stream is dropped.
    let _ = chunks.next().now_or_never();
    let asked_before = asked.load(Ordering::SeqCst);
    drop(chunks);

    let deadline = Instant::now() + Duration::from_secs(10);
    while Arc::strong_count(&alive) > 1 || settings.strong_count() > 0 {
        assert!(Instant::now() < deadline, "something is kept");
        tokio::task::yield_now().await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), asked_before);
}

#[tokio::test]
async fn the_executor_is_free_while_a_picture_is_encoded() {
    // The only thread of this runtime runs both futures: if encoding held it, the chunks would be
    // there at the first poll.
    let turns = AtomicUsize::new(0);
    let chunks = encoder()
        .build()
        .unwrap()
        .encode(stream::iter((0..30).map(picture)))
        .collect::<Vec<_>>();
    let mut chunks = pin!(chunks);
    let chunks = loop {
        tokio::select! {
            biased;
            chunks = &mut chunks => break chunks,
            () = tokio::task::yield_now() => turns.fetch_add(1, Ordering::SeqCst),
        };
    };
    assert!(chunks.iter().all(Result::is_ok));
    assert!(turns.load(Ordering::SeqCst) > 0);
}
