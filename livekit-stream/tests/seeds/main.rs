//! What the systems had that this crate replaces, row by row: each module is named after its row
//! in docs/status.md. These need FFmpeg and nginx alone; rows that need a room are scenarios.
#![allow(unreachable_pub, clippy::unwrap_used)]

mod encoder_kit;
mod kit;
mod matroska;
#[path = "../rtmp_kit/mod.rs"]
mod rtmp_kit;
mod seed_1_1_memory;
mod seed_1_1_mkv_to_fmp4;
mod seed_1_2_fragments;
mod seed_1_3_presentation_times;
mod seed_1_4_annex_b;
mod seed_1_5_hls_segments;
mod seed_1_7_ends;
mod seed_1_8_cache_keys;
mod seed_1_9_errors;
mod seed_2_1_capture;
mod seed_2_1_enhanced_capture;
mod seed_2_2_sound_of_the_moment;
mod seed_2_3_streams_and_iterators;
mod seed_2_4_enhanced_publish;
mod seed_2_5_capture_and_output;
mod seed_3_1_destinations;
mod seed_3_2_format;
mod seed_3_3_audio_streams;
mod seed_3_4_video_streams;
mod seed_3_5_open;
mod seed_3_6_writing;
mod seed_3_7_codec_config;
mod seed_3_8_errors;
