//! What `FragmentedMp4Encoder` gives plays in a real browser's SourceBuffer.

use std::time::Duration;

use bytes::Bytes;
use futures::StreamExt;
use livekit_stream::{ChunkKind, EncodedVideoStream, FragmentedMp4Encoder, VideoStream};
use livekit_stream_tests::chromium;
use livekit_stream_tests::clip::{VideoClip, VideoOptions};
use livekit_stream_tests::guest::{DEADLINE, Guest};
use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::publisher::{PublishOptions, Publisher};
use livekit_stream_tests::require;

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
async fn pictures_and_encoded_frames_of_a_room_play() {
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
async fn segments_of_fresh_encoders_play_through_one_after_the_other() {
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
    assert_eq!(played.buffered.len(), 1, "without a gap: {played:?}");
}
