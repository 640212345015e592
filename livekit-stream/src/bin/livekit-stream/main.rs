//! The `livekit-stream` command line program: one file a subcommand, and what they share.

mod connection;
mod demo;
mod display;
mod encoding;
mod failure;
mod figures;
mod metrics;
mod output;
mod record;
mod restream;
mod running;
mod selection;
mod session;
mod stop;

use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use tokio::runtime::Builder;
use tracing_subscriber::EnvFilter;

use failure::Failure;

/// Records and restreams LiveKit rooms without transcoding what need not be.
///
/// Exit codes: 0 when something playable was written and nothing failed, 1 when not, 2 when the
/// command line is wrong.
#[derive(Parser)]
#[command(name = "livekit-stream", version, max_term_width = 100)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Record(record::Args),
    Restream(restream::Args),
    Demo(demo::Args),
}

/// How long threads that still work may hold up the end of the program.
const SHUTDOWN: Duration = Duration::from_secs(2);

fn main() -> ExitCode {
    let done = match Cli::try_parse() {
        Ok(cli) => {
            start_logging();
            run(cli.command)
        }
        Err(error) => match Failure::of_command_line(&error) {
            Some(failure) => Err(failure),
            None => error.exit(),
        },
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            display::say(&format!("error: {failure}"));
            ExitCode::from(failure.exit_code())
        }
    }
}

fn run(command: Command) -> Result<(), Failure> {
    let mut builder = match command {
        // It publishes too, which takes more than one thread.
        Command::Demo(_) => Builder::new_multi_thread(),
        // Media come in packets of a millisecond's work at most: one thread that sleeps and wakes
        // costs less than several that wake each other. Encoders have threads of their own.
        Command::Record(_) | Command::Restream(_) => Builder::new_current_thread(),
    };
    let runtime = builder.worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|error| Failure::of("cannot start the runtime", &error))?;
    let result = runtime.block_on(async {
        match command {
            Command::Record(args) => record::run(args).await,
            Command::Restream(args) => restream::run(args).await,
            Command::Demo(args) => demo::run(args).await,
        }
    });
    runtime.shutdown_timeout(SHUTDOWN);
    result
}

/// Logs to stderr as `RUST_LOG` says. The `log` crate, through which the WebRTC crates tell of
/// every packet that is out of the ordinary, is left out.
fn start_logging() {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("error,livekit_stream=warn"));
    let subscriber = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(display::LogWriter::default)
        .finish();
    // It fails only if a subscriber is set, and nobody else sets one.
    let _ = tracing::subscriber::set_global_default(subscriber);
}
