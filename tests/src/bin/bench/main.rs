//! Benchmarks against what users run today. `bench chain` measures this project and its peers in
//! one run on one machine, for only such figures compare; its results are in `docs/benchmarks.md`.
//!
//! ```text
//! cargo run --release -p livekit-stream-tests --bin bench -- chain
//! ```

mod arguments;
mod encoder;
mod recorders;
mod room;
mod table;
mod tools;

use std::process::ExitCode;

use livekit_stream_tests::clip::VideoCodec;

use arguments::{Arguments, Case};
use table::Target;
use tools::Tools;

/// What 720p30 H.264 and Opus may cost of the chain's.
const COPY: room::Targets = room::Targets {
    cpu: Target("1/20", 1.0 / 20.0),
    memory: Some(Target("1/8", 1.0 / 8.0)),
};
/// What transcoding VP8 to H.264 may cost of the chain's.
const TRANSCODE: room::Targets = room::Targets {
    cpu: Target("1/2.5", 1.0 / 2.5),
    memory: None,
};

/// A target that is missed is told, and is no failure: whether it is reached may depend on what
/// else the machine does.
fn main() -> ExitCode {
    let run = Arguments::parse(std::env::args().skip(1))
        .and_then(|arguments| Tools::find(&arguments).map(|tools| (arguments, tools)));
    let (arguments, tools) = match run {
        Ok(run) => run,
        Err(reason) => {
            eprintln!("error: {reason}");
            return ExitCode::FAILURE;
        }
    };
    table::print_machine();
    for case in &arguments.cases {
        println!();
        match case {
            Case::H264 => room::compare(&arguments, &tools, VideoCodec::H264, &COPY),
            Case::Vp8 => room::compare(&arguments, &tools, VideoCodec::Vp8, &TRANSCODE),
            Case::Fmp4 => encoder::compare(&arguments, &tools),
        }
    }
    ExitCode::SUCCESS
}
