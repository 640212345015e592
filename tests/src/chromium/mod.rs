//! A real browser: headless Chromium with the kit's pages (`tests/browser`).
//!
//! A page takes its parameters in its address and posts events to a server of the kit; the test's
//! commands are fetched by the page. No debugging protocol is in between.

mod player;
mod publisher;

use std::collections::HashMap;
use std::fmt::Write as _;
use std::future::ready;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::cache::try_cached;
use crate::http::{Request, Response, Server};
use crate::peers::Peer;
use crate::process::{self, Process};
pub use player::{Playback, play};
pub use publisher::{BrowserOptions, BrowserPublisher};

const PACKAGE: &str = include_str!("../../browser/package.json");
const KIT: &str = include_str!("../../browser/kit.js");
/// The whole client in one file, inside the package.
const CLIENT: &str = "node_modules/livekit-client/dist/livekit-client.umd.js";
const FETCH_DEADLINE: Duration = Duration::from_secs(120);
/// A command is a call to the browser's LiveKit client, which may renegotiate.
const COMMAND_DEADLINE: Duration = Duration::from_secs(30);
const POLL: Duration = Duration::from_millis(20);

/// Its fake camera shows a moving pattern at 30 pictures a second, its fake microphone beeps.
/// Pages in the background are not slowed down, and media plays without a click.
const FLAGS: [&str; 16] = [
    "--headless=new",
    "--no-sandbox",
    "--no-first-run",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--disable-breakpad",
    "--disable-component-update",
    "--mute-audio",
    "--use-fake-ui-for-media-stream",
    "--use-fake-device-for-media-stream=device-count=1,fps=30",
    "--autoplay-policy=no-user-gesture-required",
    "--disable-background-timer-throttling",
    "--disable-renderer-backgrounding",
    "--disable-backgrounding-occluded-windows",
    "--disable-features=WebRtcHideLocalIpsWithMdns",
];

/// The client's bundle, fetched by npm once; `None` when that fails.
pub(crate) fn fetch_livekit_client(npm: &Path) -> Option<PathBuf> {
    let package: Value = serde_json::from_str(PACKAGE).expect("package.json is JSON");
    let version = package["dependencies"]["livekit-client"].as_str()?;
    let folder = try_cached(&format!("livekit-client-{version}"), |folder| {
        let written = std::fs::create_dir(folder)
            .and_then(|()| std::fs::write(folder.join("package.json"), PACKAGE));
        let mut command = Command::new(npm);
        command.args(["install", "--ignore-scripts", "--no-package-lock"]);
        command
            .args(["--no-audit", "--no-fund"])
            .current_dir(folder);
        written.is_ok()
            && process::run(&mut command, FETCH_DEADLINE).success()
            && folder.join(CLIENT).is_file()
    })?;
    Some(folder.join(CLIENT))
}

/// A browser with one page open, killed when dropped.
pub(crate) struct Browser {
    process: Process,
    state: Arc<Mutex<State>>,
    _server: Server,
    _profile: TempDir,
}

#[derive(Default)]
struct State {
    events: Vec<Value>,
    commands: Vec<Value>,
    next_command: u64,
}

impl Browser {
    /// Opens `page` with its parameters; `files` are what the page may fetch, by their paths.
    pub(crate) async fn open(
        page: &'static str,
        parameters: &Value,
        files: HashMap<String, Bytes>,
    ) -> Self {
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        let answer = move |request| ready(serve(&request, page, &files, &shared));
        let server = Server::start(answer).await;
        let profile = TempDir::with_prefix("chromium-").expect("a temporary folder");
        let url = format!(
            "{}/?parameters={}",
            server.url(),
            percent_encode(&parameters.to_string())
        );
        let mut command = Command::new(Peer::Chromium.path());
        command
            .args(FLAGS)
            .arg(format!("--user-data-dir={}", profile.path().display()));
        command.arg(url).stdout(Stdio::null()).stderr(Stdio::null());
        Self {
            process: Process::spawn(&mut command),
            state,
            _server: server,
            _profile: profile,
        }
    }

    /// Takes the oldest event of that name, when it comes.
    ///
    /// # Panics
    ///
    /// When the deadline passes first, the page reports an error or the browser ends.
    pub(crate) async fn event(&mut self, name: &str, deadline: Duration) -> Value {
        self.matching(deadline, name, |event| event["event"] == name)
            .await
    }

    /// Has the page do something, and returns its result.
    ///
    /// # Panics
    ///
    /// As [`event`](Self::event).
    pub(crate) async fn command(&mut self, name: &str, argument: &str) -> Value {
        let id = {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            state.next_command += 1;
            let id = state.next_command;
            state
                .commands
                .push(json!({"id": id, "name": name, "argument": argument}));
            id
        };
        let done = self.matching(COMMAND_DEADLINE, name, |event| {
            event["event"] == "done" && event["id"] == id
        });
        done.await["result"].take()
    }

    async fn matching(
        &mut self,
        deadline: Duration,
        what: &str,
        matches: impl Fn(&Value) -> bool,
    ) -> Value {
        let end = Instant::now() + deadline;
        loop {
            {
                let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
                if let Some(place) = state.events.iter().position(&matches) {
                    return state.events.remove(place);
                }
                let error = state.events.iter().find(|event| event["event"] == "error");
                assert!(
                    error.is_none(),
                    "waiting for {what}, the page reports {error:?}"
                );
                let late = Instant::now() > end;
                assert!(
                    !late,
                    "no {what} in {deadline:?}; the page reported {:?}",
                    state.events
                );
            }
            let exited = self.process.exited();
            assert!(
                exited.is_none(),
                "waiting for {what}, the browser ended: {exited:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Kills the browser and all its processes, as a crash or a closed lid does.
    pub(crate) fn kill(&mut self) {
        self.process.kill();
    }
}

fn serve(
    request: &Request,
    page: &'static str,
    files: &HashMap<String, Bytes>,
    state: &Mutex<State>,
) -> Response {
    let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
    match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/") => Response::ok("text/html; charset=utf-8", page),
        ("GET", "/kit.js") => Response::ok("text/javascript", KIT),
        ("GET", "/commands") => {
            let commands = Value::from(std::mem::take(&mut state.commands));
            Response::ok("application/json", commands.to_string())
        }
        ("POST", "/event") => {
            state
                .events
                .extend(serde_json::from_slice::<Value>(&request.body));
            Response::ok("application/json", "null")
        }
        ("GET", path) => files.get(path).map_or_else(Response::not_found, |file| {
            let kind = if path.ends_with("js") {
                "text/javascript"
            } else {
                "application/octet-stream"
            };
            Response::ok(kind, file.clone())
        }),
        _ => Response::not_found(),
    }
}

/// RFC 3986 section 2.1, everything but the unreserved.
fn percent_encode(text: &str) -> String {
    text.bytes().fold(String::new(), |mut encoded, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            let _ = write!(encoded, "%{byte:02X}");
        }
        encoded
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_survive_the_address() {
        assert_eq!(
            percent_encode("{\"a\": 1}~é"),
            "%7B%22a%22%3A%201%7D~%C3%A9"
        );
    }
}
