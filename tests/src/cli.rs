//! The `livekit-stream` program as a user runs it: built, started, watched, ended.

use std::env;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::iter;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;
use tempfile::TempDir;

use crate::livekit::LiveKitServer;
use crate::process::{self, Process, Usage};

/// Building takes minutes when nothing is built yet.
const BUILD_DEADLINE: Duration = Duration::from_secs(1800);
const POLL: Duration = Duration::from_millis(10);

/// The environment variables that the program reads: a developer's own must not reach it.
const VARIABLES: [&str; 5] = [
    "LIVEKIT_URL",
    "LIVEKIT_TOKEN",
    "LIVEKIT_API_KEY",
    "LIVEKIT_API_SECRET",
    "RUST_LOG",
];

/// The program's path. Tests of the whole workspace have built it with the tests; else cargo
/// builds it at the first call, in their profile.
///
/// # Panics
///
/// When it does not build.
pub fn program() -> &'static Path {
    static PROGRAM: OnceLock<PathBuf> = OnceLock::new();
    PROGRAM.get_or_init(|| built_with_the_tests().unwrap_or_else(build))
}

/// The program beside the tests, unless its sources are newer. Another selection of packages would
/// make cargo build half of its dependencies again with other features.
fn built_with_the_tests() -> Option<PathBuf> {
    let test = env::current_exe().ok()?;
    let program = test.parent()?.parent()?.join("livekit-stream");
    let built = fs::metadata(&program).ok()?.modified().ok()?;
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent()?;
    let sources = [
        "livekit-stream/src",
        "livekit-stream/Cargo.toml",
        "Cargo.lock",
    ];
    let newest = sources
        .iter()
        .filter_map(|source| newest(&workspace.join(source)))
        .max()?;
    (newest <= built).then_some(program)
}

/// When a file, or the newest one of a folder, was changed last.
fn newest(path: &Path) -> Option<SystemTime> {
    if path.is_dir() {
        let entries = fs::read_dir(path).ok()?;
        return entries
            .filter_map(|entry| newest(&entry.ok()?.path()))
            .max();
    }
    fs::metadata(path).ok()?.modified().ok()
}

fn build() -> PathBuf {
    let mut command = Command::new(env!("CARGO"));
    command.current_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/.."));
    command.args(["build", "--quiet", "--message-format=json"]);
    command.args([
        "-p",
        "livekit-stream",
        "--features",
        "cli",
        "--bin",
        "livekit-stream",
    ]);
    // What cargo tells a test of its own package would make build scripts run again.
    let of_the_test = |name: &str| {
        ["CARGO_PKG_", "CARGO_MANIFEST_"]
            .iter()
            .any(|prefix| name.starts_with(prefix))
    };
    for (name, _) in env::vars_os() {
        if name.to_str().is_some_and(of_the_test) {
            command.env_remove(name);
        }
    }
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    let messages = process::run_ok(&mut command, BUILD_DEADLINE);
    let messages = String::from_utf8_lossy(&messages);
    let executable = messages.lines().find_map(|line| {
        let message: Value = serde_json::from_str(line).ok()?;
        message["executable"].as_str().map(PathBuf::from)
    });
    executable.expect("cargo names the program it has built")
}

/// A command that runs the program with nothing of LiveKit's in its environment.
pub fn command() -> Command {
    let mut command = Command::new(program());
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    command
}

/// The same with a server's URL, key and secret in its environment, as an operator sets them.
pub fn command_for(server: &LiveKitServer) -> Command {
    let mut command = command();
    command.env("LIVEKIT_URL", server.url());
    command.env("LIVEKIT_API_KEY", server.api_key());
    command.env("LIVEKIT_API_SECRET", server.api_secret());
    command
}

/// A command that records `room` to a path.
pub fn record(server: &LiveKitServer, output: &Path) -> Command {
    let mut command = command_for(server);
    command.args(["record", "--room", "room", "--output"]);
    command.arg(output);
    command
}

/// The same command after another one in a shell, which may limit it.
pub fn in_shell(first: &str, command: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell.args(["-c", &shell_line(first, command)]);
    copy_environment(command, &mut shell);
    shell
}

/// A line for a shell: `first`, then the command in the shell's place.
fn shell_line(first: &str, command: &Command) -> String {
    let mut line = format!("{first}; exec");
    for word in iter::once(command.get_program()).chain(command.get_args()) {
        let word = word.to_str().expect("a word of a command line is text");
        let _ = write!(line, " '{}'", word.replace('\'', r"'\''"));
    }
    line
}

fn copy_environment(from: &Command, to: &mut Command) {
    for (name, value) in from.get_envs() {
        match value {
            Some(value) => to.env(name, value),
            None => to.env_remove(name),
        };
    }
}

/// The running program, killed when dropped. What it said is printed when the test fails.
#[derive(Debug)]
pub struct Program {
    process: Process,
    /// The keyboard of one that runs on a terminal.
    keyboard: Option<ChildStdin>,
    folder: TempDir,
}

/// How the program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ended {
    /// The exit code; `None` when a signal ended it.
    pub code: Option<i32>,
    /// All it wrote to stderr.
    pub stderr: String,
}

impl Ended {
    /// The one line that tells what is wrong, without its `error: `.
    ///
    /// # Panics
    ///
    /// When there is none, or more than one, or more after it.
    pub fn error(&self) -> &str {
        let lines: Vec<&str> = self.stderr.lines().collect();
        let is_error = |line: &&&str| line.starts_with("error: ");
        let errors = lines.iter().filter(is_error).count();
        assert!(errors == 1, "{errors} errors in {}", self.stderr);
        let last = lines.last().and_then(|line| line.strip_prefix("error: "));
        last.unwrap_or_else(|| panic!("the last line is no error: {}", self.stderr))
    }
}

impl Program {
    /// Starts it.
    pub fn start(command: &mut Command) -> Self {
        let folder = TempDir::with_prefix("program-").expect("a temporary folder");
        let stderr = File::create(folder.path().join("stderr")).expect("a file for stderr");
        let process = Process::spawn(command.stdout(Stdio::null()).stderr(stderr));
        Self {
            process,
            keyboard: None,
            folder,
        }
    }

    /// Starts it on a terminal of its own, a hundred and sixty columns wide, by util-linux's
    /// `script`. [`stderr`](Self::stderr) is all that appears there, escape sequences included.
    pub fn start_on_terminal(command: &Command) -> Self {
        let folder = TempDir::with_prefix("program-").expect("a temporary folder");
        let screen = File::create(folder.path().join("stderr")).expect("a file for the screen");
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command"]);
        script.arg(shell_line("stty cols 160 rows 50", command));
        copy_environment(command, &mut script);
        // Without TERM nothing is drawn.
        script.env("TERM", "xterm").env("SHELL", "/bin/sh");
        script.arg("/dev/null").stdout(screen).stderr(Stdio::null());
        let (process, keyboard) = Process::spawn_with_input(&mut script);
        Self {
            process,
            keyboard: Some(keyboard),
            folder,
        }
    }

    /// Presses Ctrl-C on its terminal.
    ///
    /// # Panics
    ///
    /// When it runs on none.
    pub fn press_ctrl_c(&mut self) {
        let keyboard = self.keyboard.as_mut().expect("it runs on a terminal");
        // End of text, which the terminal makes the signal of (termios(3), VINTR).
        keyboard.write_all(&[3]).expect("the key is pressed");
    }

    /// What it wrote to stderr so far.
    pub fn stderr(&self) -> String {
        let bytes = fs::read(self.folder.path().join("stderr")).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Waits until it has written this.
    ///
    /// # Panics
    ///
    /// When the deadline passes first, or it has ended without.
    pub async fn says(&mut self, text: &str, deadline: Duration) {
        let wanted = |stderr: &str| stderr.contains(text);
        self.shows(text, deadline, wanted).await;
    }

    /// Waits until all it has written so far is as wanted; `what` tells a failed test what that is.
    ///
    /// # Panics
    ///
    /// When the deadline passes first, or it has ended without.
    pub async fn shows(&mut self, what: &str, deadline: Duration, wanted: impl Fn(&str) -> bool) {
        let end = Instant::now() + deadline;
        loop {
            let exited = self.process.exited();
            let stderr = self.stderr();
            if wanted(&stderr) {
                return;
            }
            assert!(
                exited.is_none(),
                "it ended without {what:?}: {exited:?} {stderr}"
            );
            assert!(
                Instant::now() < end,
                "no {what:?} in {deadline:?}: {stderr}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Waits for its end.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn ended(&mut self, deadline: Duration) -> Ended {
        let status = self.process.wait(deadline).await;
        let stderr = self.stderr();
        let status = status.unwrap_or_else(|| panic!("it runs after {deadline:?}: {stderr}"));
        Ended {
            code: status.code(),
            stderr,
        }
    }

    /// Whether it still runs.
    pub fn is_running(&mut self) -> bool {
        self.process.exited().is_none()
    }

    /// Ctrl-C.
    pub fn interrupt(&mut self) {
        self.process.interrupt();
    }

    /// SIGTERM.
    pub fn terminate(&mut self) {
        self.process.terminate();
    }

    /// SIGKILL.
    pub fn kill(&mut self) {
        self.process.kill();
    }

    /// Processor time and memory so far.
    pub fn usage(&self) -> Usage {
        self.process.usage()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("--- the program said\n{}---", self.stderr());
        }
    }
}

/// Runs it to its end.
pub async fn run(command: &mut Command, deadline: Duration) -> Ended {
    Program::start(command).ended(deadline).await
}
