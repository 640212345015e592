//! Scenarios against real peers: one file each, named after what it shows. They are one program, so
//! that they are linked once and run beside each other.

mod cli_bad_input;
mod cli_progress;
mod cli_record_ends;
mod cli_record_file;
mod cli_record_quality;
mod cli_record_screen;
mod cli_restream;
mod cli_usage;
mod demo_outputs;
mod kit_chromium;
mod kit_livekit;
mod kit_media;
mod kit_nginx;
mod kit_publisher;
mod parameter_sets_change;
mod record_another_codec;
mod record_begins_late;
mod record_codecs;
mod record_discontinuous_sound;
mod record_gaps;
mod record_garbage;
mod record_h265_is_copied;
mod record_on_a_bad_network;
mod record_sources;
mod record_webm;
mod restream_enhanced;
mod restream_to_nginx;
mod restream_vp9_and_av1;
mod room_congestion;
mod room_data;
mod room_events;
mod room_join_errors;
mod room_layers;
mod room_networks;
mod room_one_connection;
mod room_peer_connections;
mod room_receiver_reports;
mod room_rejoins;
mod room_resumes;
mod room_sender_reports;
mod room_starts_muted;
mod room_tracks_come_one_by_one;
mod seed_0_fragmented_mp4_encoder;
mod seed_1_5_mkv_plays_in_chromium;
#[cfg(feature = "ffmpeg")]
mod seed_1_6_transcode_universal;
mod seed_2_5_stream_monitor;
#[cfg(feature = "ffmpeg")]
mod seed_3_media_encoder_ffmpeg;
mod seed_4_python_video_stream;
mod seed_4_video_stream;
mod stream_audio;
