//! The two programs that record the same room at the same time.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use livekit_stream_tests::livekit::LiveKitServer;
use livekit_stream_tests::process::Process;
use serde_json::Value;

use crate::tools::Tools;

/// How long a recorder may take until its file grows.
pub(crate) const START_DEADLINE: Duration = Duration::from_secs(10);
/// How long it may take to close its file.
const END_DEADLINE: Duration = Duration::from_secs(20);
/// A recorder at work.
pub(crate) struct Recording {
    pub(crate) name: &'static str,
    pub(crate) process: Process,
    /// The file it writes.
    pub(crate) path: PathBuf,
    log: PathBuf,
}

impl Recording {
    /// Our command line program; it ends when it is interrupted.
    pub(crate) fn ours(tools: &Tools, server: &LiveKitServer, room: &str, folder: &Path) -> Self {
        let path = folder.join("ours.mp4");
        let mut command = std::process::Command::new(&tools.recorder);
        command
            .args(["record", "--url", &server.url(), "--room", room])
            .args(["--api-key", server.api_key(), "--output"])
            .arg(&path)
            .env("LIVEKIT_API_SECRET", server.api_secret())
            .env_remove("LIVEKIT_TOKEN")
            .env_remove("RUST_LOG");
        Self::start(
            "livekit-stream record",
            command,
            path,
            folder.join("ours.log"),
        )
    }

    /// The seeds' chain; it ends by itself after `length`.
    pub(crate) fn theirs(
        tools: &Tools,
        server: &LiveKitServer,
        room: &str,
        length: Duration,
        folder: &Path,
    ) -> Self {
        let path = folder.join("theirs.mp4");
        let mut command = tools.script("seeds_chain.py");
        command
            .args(["--url", &server.url(), "--room", room])
            .args(["--key", server.api_key(), "--secret", server.api_secret()])
            .args(["--duration", &length.as_secs().to_string(), "--output"])
            .arg(&path);
        Self::start("seeds_chain.py", command, path, folder.join("theirs.log"))
    }

    fn start(
        name: &'static str,
        mut command: std::process::Command,
        path: PathBuf,
        log: PathBuf,
    ) -> Self {
        let output = File::create(&log).expect("the recorder's log can be written");
        let errors = output.try_clone().expect("the log's handle can be shared");
        command.stdout(Stdio::from(output)).stderr(errors);
        Self {
            name,
            process: Process::spawn(&mut command),
            path,
            log,
        }
    }

    /// Waits for the head of the file, which is written when the first picture has come; tells
    /// whether it has in time.
    pub(crate) async fn begun(&mut self) -> bool {
        let deadline = Instant::now() + START_DEADLINE;
        while self.path.metadata().map_or(0, |file| file.len()) == 0 {
            self.assert_running();
            if Instant::now() > deadline {
                return false;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        true
    }

    /// # Panics
    ///
    /// When it has ended.
    pub(crate) fn assert_running(&mut self) {
        let ended = self.process.exited();
        assert!(ended.is_none(), "{} has ended: {}", self.name, self.log());
    }

    /// Waits for its end. What was measured came before: a bad end is told, and no more.
    pub(crate) async fn ended(&mut self) {
        let status = self.process.wait(END_DEADLINE).await;
        if !status.is_some_and(|status| status.success()) {
            eprintln!("{} ended badly: {status:?} {}", self.name, self.log());
        }
    }

    /// What it said.
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The last line of what it said that is JSON.
    pub(crate) fn result(&self) -> Option<Value> {
        let log = self.log();
        log.lines()
            .rev()
            .find_map(|line| serde_json::from_str(line).ok())
    }
}
