//! `livekit-stream record`: participants to files.

use std::path::PathBuf;

use livekit_stream::{Recorder, Room};

use crate::connection::Connection;
use crate::failure::{Failure, causes};
use crate::metrics::MetricsArgs;
use crate::output::{self, Output};
use crate::running::Running;
use crate::selection::{Scope, Selection};
use crate::session::{Session, Start};

/// Record participants of a room to files that are playable at any moment
///
/// Fragmented MP4 takes H.264, H.265, VP9, AV1 and Opus as they come, and VP8 transcoded to H.264;
/// WebM takes VP8, VP9, AV1 and Opus as they come, Matroska all of them. The recording ends at --duration, Ctrl-C, SIGTERM or the room's end; somebody who leaves and comes
/// back goes on in the same file.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// File for one participant (.mp4, .webm, .mkv), or directory for everybody (.mp4 in it): an
    /// existing one, or a path that ends in a slash or has no ending
    #[arg(long, value_name = "FILE|DIR")]
    output: PathBuf,
    /// Overwrite the output file if it exists
    #[arg(long)]
    force: bool,
    /// Write what was recorded to a JSON file
    #[arg(long, value_name = "FILE.json")]
    report: Option<PathBuf>,
    #[command(flatten)]
    metrics: MetricsArgs,
    #[command(flatten)]
    selection: Selection,
    #[command(flatten)]
    connection: Connection,
}

/// Runs the subcommand.
pub(crate) async fn run(args: Args) -> Result<(), Failure> {
    let selection = &args.selection;
    if selection.is_empty() {
        return Err(Failure::usage(
            "--video none and --audio none leave nothing to record",
        ));
    }
    selection.encoding.check(selection.video)?;
    let access = args.connection.access()?;
    if let Some(report) = &args.report {
        output::check_report(report)?;
    }
    let output = Output::check(&args.output, args.force)?;
    if output.scope() == Scope::One && selection.participants.len() > 1 {
        return Err(Failure::usage(format!(
            "{} participants do not go into one file: give a directory for --output",
            selection.participants.len()
        )));
    }
    let recording = Recording {
        selection,
        output: &output,
    };
    let session = Session::new(selection, output.scope(), recording, args.metrics.start()?);
    let (files, result) = session.run(&access, args.report.as_deref()).await;
    output.tidy(&files);
    result
}

struct Recording<'a> {
    selection: &'a Selection,
    output: &'a Output,
}

impl Start for Recording<'_> {
    async fn start(&mut self, room: &Room, identity: &str) -> Result<(Running, String), Failure> {
        let path = self
            .output
            .path_for(identity, self.selection.source)
            .map_err(|error| {
                Failure::of(&format!("cannot create a file for {identity}"), &error)
            })?;
        let builder = self.selection.apply(Recorder::follow(room, identity));
        let recorder = builder.to_file(&path).await;
        let recorder = recorder.map_err(|error| Failure::failed(causes(&error)))?;
        let what = format!("recording {identity} to {}", path.display());
        Ok((Running::Recorder(recorder), what))
    }
}
