//! What the fuzz targets do with their input. No input may panic, hang or make a parser allocate
//! far more than the input's own size, or a decoder far more than the pictures that it announces.
//!
//! `cargo fuzz run --features libfuzzer NAME` runs one by libFuzzer; `cargo test -p
//! livekit-stream-fuzz` runs them all on their corpora and on random input, with any compiler.

mod bitstream;
mod decode;
mod flv;
mod mkv;
mod rtmp;
mod rtp;
mod turn;

/// A parser under test.
#[derive(Debug, Clone, Copy)]
pub struct Target {
    /// Of the binary in `fuzz_targets` and of the folder in `corpus`.
    pub name: &'static str,
    /// Gives the input to the parser, and panics when what comes out cannot be.
    pub run: fn(&[u8]),
}

const fn target(name: &'static str, run: fn(&[u8])) -> Target {
    Target { name, run }
}

/// All of them, one line each.
pub const TARGETS: &[Target] = &[
    target("rtp_h264", rtp::h264),
    target("rtp_h265", rtp::h265),
    target("rtp_vp8", rtp::vp8),
    target("rtp_vp9", rtp::vp9),
    target("rtp_av1", rtp::av1),
    target("rtp_opus", rtp::opus),
    target("bitstream_h264", bitstream::h264),
    target("bitstream_h265", bitstream::h265),
    target("bitstream_vp8", bitstream::vp8),
    target("bitstream_vp9", bitstream::vp9),
    target("bitstream_av1", bitstream::av1),
    target("bitstream_audio", bitstream::audio),
    target("decode_h264", decode::h264),
    target("decode_av1", decode::av1),
    target("decode_opus", decode::opus),
    target("demux_mkv", mkv::demux),
    target("pipeline_mkv", mkv::pipeline),
    target("rtmp_amf0", rtmp::amf0),
    target("rtmp_chunks", rtmp::chunks),
    target("rtmp_server", rtmp::server),
    target("rtmp_client", rtmp::client),
    target("rtmp_play", rtmp::play),
    target("rtmp_url", rtmp::url),
    target("flv_file", flv::file),
    target("flv_bodies", flv::bodies),
    target("turn_stream", turn::stream),
];

/// Runs the target of this name, for the binaries in `fuzz_targets`.
///
/// # Panics
///
/// When there is none, and when the target finds a fault.
pub fn run(name: &str, data: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name);
    (target.expect("a target of this name").run)(data);
}
