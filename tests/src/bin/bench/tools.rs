//! The programs that are compared: where they are, or what is missing.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use livekit_stream_tests::peers::Peer;
use livekit_stream_tests::{cli, process};

use crate::arguments::Arguments;

const IMPORT_DEADLINE: Duration = Duration::from_secs(60);

pub(crate) struct Tools {
    /// `livekit-stream`.
    pub(crate) recorder: PathBuf,
    python: PathBuf,
    baselines: PathBuf,
}

impl Tools {
    /// Fails with the name of the first one that is missing.
    pub(crate) fn find(arguments: &Arguments) -> Result<Self, String> {
        if cfg!(debug_assertions) {
            return Err("figures of a debug build say nothing: add --release".to_owned());
        }
        for peer in [Peer::LiveKit, Peer::Ffmpeg] {
            peer.find().map_err(|missing| missing.to_string())?;
        }
        let tools = Self {
            recorder: match &arguments.recorder {
                Some(path) => path.clone(),
                None => cli::program().to_owned(),
            },
            python: arguments.python.clone(),
            baselines: arguments.baselines.clone(),
        };
        for script in ["seeds_chain.py", "fastvideo_way.py"] {
            let path = tools.baselines.join(script);
            if !path.is_file() {
                return Err(format!(
                    "{} is missing (give the folder of the baselines with --baselines)",
                    path.display()
                ));
            }
        }
        let mut import = Command::new(&tools.python);
        import.args(["-c", "import livekit.rtc, livekit.api"]);
        if !runs(&mut import) {
            return Err(format!(
                "{} is no Python with the official livekit package ({} -m pip install -r {}, \
                 in a virtual environment given with --python)",
                tools.python.display(),
                tools.python.display(),
                tools.baselines.join("requirements.txt").display()
            ));
        }
        Ok(tools)
    }

    /// One of the peers' scripts.
    pub(crate) fn script(&self, name: &str) -> Command {
        let mut command = Command::new(&self.python);
        command.arg(self.baselines.join(name));
        command
    }
}

/// Whether a program is there and ends well.
fn runs(command: &mut Command) -> bool {
    let is_there = command.get_program();
    let is_there = Path::new(is_there).components().count() == 1 || Path::new(is_there).exists();
    is_there && process::run(command, IMPORT_DEADLINE).success()
}
