//! Benchmarks against what users run today. `bench chain` measures this project and its peers in
//! one run on one machine, for only such figures compare, and so does `bench mkv` for Matroska to MP4,
//! and `bench receive` for the copying of a track and a loop that only counts its packets. `bench soak`
//! shows that nothing is left behind however long people come and go. Results are in
//! `docs/benchmarks.md`.
//!
//! ```text
//! cargo run --release -p livekit-stream-tests --bin bench -- chain
//! cargo run --release -p livekit-stream-tests --bin bench -- mkv
//! cargo run --release -p livekit-stream-tests --bin bench -- receive
//! cargo run --release -p livekit-stream-tests --bin bench -- soak
//! ```

mod arguments;
mod encoder;
mod mkv;
mod receive;
mod recorders;
mod room;
mod soak;
mod table;
mod tools;

use std::alloc::System;
use std::process::ExitCode;

use livekit_stream_tests::clip::VideoCodec;

use arguments::{Arguments, Case, Command};
use stats_alloc::{INSTRUMENTED_SYSTEM, StatsAlloc};
use table::Target;
use tools::Tools;

/// Counts what Rust code allocates.
#[global_allocator]
static ALLOCATOR: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;

/// What 720p30 video that is copied, and Opus, may cost of the chain's.
const COPY: room::Targets = room::Targets {
    cpu: Target("1/20", 1.0 / 20.0),
    memory: Some(Target("1/8", 1.0 / 8.0)),
};
/// What transcoding VP8 to H.264 may cost of the chain's.
const TRANSCODE: room::Targets = room::Targets {
    cpu: Target("1/2.5", 1.0 / 2.5),
    memory: None,
};

fn main() -> ExitCode {
    if let Some(done) = mkv::command(std::env::args().skip(1)) {
        return done;
    }
    let done = match Command::parse(std::env::args().skip(1)) {
        Ok(Command::Chain(arguments)) => chain(&arguments),
        Ok(Command::Receive(arguments)) => Ok(receive::compare(&arguments)),
        Ok(Command::Receiver) => Ok(receive::receiver()),
        Ok(Command::Soak(arguments)) => Ok(soak::run(&arguments)),
        Ok(Command::Crowd) => Ok(soak::crowd()),
        Err(reason) => Err(reason),
    };
    done.unwrap_or_else(|reason| {
        eprintln!("error: {reason}");
        ExitCode::FAILURE
    })
}

/// A target that is missed is told, and is no failure: whether it is reached may depend on what
/// else the machine does.
fn chain(arguments: &Arguments) -> Result<ExitCode, String> {
    let tools = Tools::find(arguments)?;
    table::print_machine();
    for case in &arguments.cases {
        println!();
        match case {
            Case::H264 => room::compare(arguments, &tools, VideoCodec::H264, &COPY),
            Case::H265 => room::compare(arguments, &tools, VideoCodec::H265, &COPY),
            Case::Vp8 => room::compare(arguments, &tools, VideoCodec::Vp8, &TRANSCODE),
            Case::Vp9 => room::compare(arguments, &tools, VideoCodec::Vp9, &COPY),
            Case::Av1 => room::compare(arguments, &tools, VideoCodec::Av1, &COPY),
            Case::Fmp4 => encoder::compare(arguments, &tools),
        }
    }
    Ok(ExitCode::SUCCESS)
}
