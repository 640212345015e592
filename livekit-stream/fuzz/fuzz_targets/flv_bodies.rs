#![no_main]
#![allow(missing_docs)]

libfuzzer_sys::fuzz_target!(|data: &[u8]| livekit_stream_fuzz::run("flv_bodies", data));
