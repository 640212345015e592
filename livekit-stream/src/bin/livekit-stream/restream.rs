//! `livekit-stream restream`: a participant to RTMP servers.

use std::path::PathBuf;

use livekit_stream::output::rtmp::{EnhancedRtmp, PublisherOptions};
use livekit_stream::rtmp::RtmpUrl;
use livekit_stream::{Restreamer, Room};

use crate::connection::Connection;
use crate::failure::{Failure, causes};
use crate::metrics::MetricsArgs;
use crate::output;
use crate::running::Running;
use crate::selection::{Scope, Selection};
use crate::session::{Session, Start};

/// Send a participant of a room to RTMP servers
///
/// H.264 is copied as it comes, and so are H.265, AV1, VP9 and Opus if every target takes them
/// (Enhanced RTMP). Other pictures are transcoded to H.264, and Opus to AAC, once for all targets. A
/// target that fails does not disturb the others; a connection that is lost is made
/// again.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Target, rtmp:// or rtmps:// with application and stream key; may be given several times
    #[arg(long, required = true, value_name = "RTMP_URL")]
    to: Vec<String>,
    /// Whether H.265, AV1, VP9 and Opus go to the targets as they are (Enhanced RTMP): if every
    /// target announces them, always, or never; otherwise they are transcoded
    #[arg(
        long,
        value_name = "announced|always|never",
        default_value = "announced"
    )]
    enhanced: EnhancedRtmp,
    /// Write what was sent to a JSON file
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
            "--video none and --audio none leave nothing to restream",
        ));
    }
    if selection.participants.len() > 1 {
        return Err(Failure::usage(format!(
            "{} participants do not go into one stream: start a restream for each",
            selection.participants.len()
        )));
    }
    // Not by clap, whose errors would show the stream key.
    for target in &args.to {
        RtmpUrl::parse(target)
            .map_err(|error| Failure::usage(format!("--to: {}", causes(&error))))?;
    }
    selection.encoding.check(selection.video)?;
    let access = args.connection.access()?;
    if let Some(report) = &args.report {
        output::check_report(report)?;
    }
    let restream = Restream {
        selection,
        targets: &args.to,
        enhanced: args.enhanced,
    };
    let session = Session::new(selection, Scope::One, restream, args.metrics.start()?);
    session.run(&access, args.report.as_deref()).await.1
}

struct Restream<'a> {
    selection: &'a Selection,
    targets: &'a [String],
    enhanced: EnhancedRtmp,
}

impl Start for Restream<'_> {
    async fn start(&mut self, room: &Room, identity: &str) -> Result<(Running, String), Failure> {
        let mut options = PublisherOptions::default();
        options.enhanced = self.enhanced;
        let restreamer = Restreamer::follow(room, identity).publisher(options);
        let mut builder = self.selection.apply(restreamer);
        for target in self.targets {
            builder = builder.target(target);
        }
        let restreamer = builder
            .start()
            .map_err(|error| Failure::failed(causes(&error)))?;
        let running = Running::Restreamer(restreamer);
        let targets = match self.targets.len() {
            1 => "1 target".to_owned(),
            count => format!("{count} targets"),
        };
        Ok((running, format!("restreaming {identity} to {targets}")))
    }
}
