//! Decoders give back what they take, however many pictures they decode. A program of its own, as all
//! that it allocates is counted.

use std::alloc::System;

use livekit_stream::codec::Codec;
use livekit_stream::decode::video_decoder;
use livekit_stream::frame::{EncodedFrame, VideoRotation, VideoSize};
use livekit_stream_tests::clip::{VideoClip, VideoCodec, VideoOptions};
use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::require;
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};

#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

const ROUNDS: usize = 10;

/// Bytes that are allocated and not freed.
fn live() -> usize {
    let stats = ALLOCATOR.stats();
    stats.bytes_allocated - stats.bytes_deallocated
}

#[test]
fn av1_pictures_leave_nothing_behind() {
    require!(Peer::Ffmpeg);
    let options = VideoOptions::of(VideoCodec::Av1).size(160, 90).seconds(2);
    let clip = VideoClip::make(options);
    let mut decoder = video_decoder(Codec::Av1).expect("the feature av1");
    let mut held = Vec::with_capacity(ROUNDS);
    for _ in 0..ROUNDS {
        for unit in &clip.units {
            let frame = EncodedFrame {
                codec: Codec::Av1,
                data: unit.data.clone(),
                keyframe: unit.keyframe,
                timestamp_us: unit.pts_us,
                rotation: VideoRotation::Deg0,
                size: VideoSize::default(),
                lost_packets: 0,
            };
            let picture = decoder.decode(&frame).expect("decodes");
            assert_eq!(picture.expect("no delay").width(), 160);
        }
        held.push(live());
    }
    // A byte for each picture would be too much.
    let pictures = clip.units.len() * (ROUNDS - 1);
    assert!(held[ROUNDS - 1] < held[0] + pictures, "{held:?}");
    drop(decoder);
    assert!(live() < held[0], "{held:?}");
}
