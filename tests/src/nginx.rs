//! A real RTMP server on loopback: nginx with its RTMP module.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::http;
use crate::peers::{Peer, nginx_rtmp_module};
use crate::process::Process;

const START_DEADLINE: Duration = Duration::from_secs(10);
/// Another process may take a port between the probe and nginx's own bind.
const START_ATTEMPTS: usize = 8;
const POLL: Duration = Duration::from_millis(20);

/// The application that takes any stream key.
pub const LIVE: &str = "live";
/// The application that takes [`GOOD_KEY`] only.
pub const KEYED: &str = "keyed";
/// The one stream key that [`KEYED`] takes.
pub const GOOD_KEY: &str = "good-key";

/// nginx with the applications [`LIVE`] and [`KEYED`], killed when dropped. Its error log is
/// printed when the test fails.
#[derive(Debug)]
pub struct NginxRtmp {
    folder: TempDir,
    rtmp_port: u16,
    http_port: u16,
    process: Option<Process>,
}

impl NginxRtmp {
    /// Starts nginx on free ports of 127.0.0.1 and waits until it answers.
    pub async fn start() -> Self {
        let mut server = Self {
            folder: TempDir::with_prefix("nginx-").expect("a temporary folder"),
            rtmp_port: 0,
            http_port: 0,
            process: None,
        };
        for _ in 0..START_ATTEMPTS {
            server.choose_ports();
            if server.launch().await {
                return server;
            }
            server.kill();
        }
        panic!("nginx does not start: {}", server.log());
    }

    /// Kills it at once: its connections are reset.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the killed server again, on the same ports.
    pub async fn start_again(&mut self) {
        self.kill();
        for _ in 0..START_ATTEMPTS {
            if self.launch().await {
                return;
            }
            self.kill();
        }
        panic!("nginx does not start again: {}", self.log());
    }

    /// Where to publish or play: `rtmp://127.0.0.1:PORT/APP/KEY`.
    pub fn url(&self, app: &str, key: &str) -> String {
        format!("rtmp://127.0.0.1:{}/{app}/{key}", self.rtmp_port)
    }

    /// Stops and continues all work without closing anything: a server that no longer reads.
    pub fn set_frozen(&mut self, frozen: bool) {
        if let Some(process) = &mut self.process {
            process.set_frozen(frozen);
        }
    }

    /// What is known about a stream key, whatever its application.
    pub async fn stream(&self, key: &str) -> StreamState {
        let address = (Ipv4Addr::LOCALHOST, self.http_port).into();
        let Ok((200, xml)) = http::get(address, "/stat").await else {
            return StreamState::default();
        };
        let xml = String::from_utf8_lossy(&xml).into_owned();
        let name = format!("<name>{key}</name>");
        let stream = xml.split("<stream>").find(|stream| stream.contains(&name));
        let stream = stream.and_then(|stream| stream.split("</stream>").next());
        stream.map_or_else(StreamState::default, |stream| {
            let publishing = stream.contains("<publishing/>");
            StreamState {
                publishing,
                players: stream.matches("<client>").count() - usize::from(publishing),
            }
        })
    }

    /// Waits until somebody publishes under the key.
    ///
    /// # Panics
    ///
    /// When the deadline passes first.
    pub async fn published(&self, key: &str, deadline: Duration) {
        let end = Instant::now() + deadline;
        while !self.stream(key).await.publishing {
            assert!(
                Instant::now() < end,
                "nothing published as {key} in {deadline:?}"
            );
            tokio::time::sleep(POLL).await;
        }
    }

    /// Starts a player that copies so many seconds of the stream into an FLV file, and waits
    /// until it has joined; the publisher may come later.
    pub async fn pull(&self, app: &str, key: &str, seconds: u32) -> Pull {
        let folder = TempDir::with_prefix("pull-").expect("a temporary folder");
        let path = folder.path().join("pulled.flv");
        let before = self.stream(key).await.players;
        let mut command = Command::new(Peer::Ffmpeg.path());
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-i"]);
        command.arg(self.url(app, key));
        command.args(["-map", "0", "-c", "copy", "-t", &seconds.to_string()]);
        command
            .arg(&path)
            .stdout(Stdio::null())
            .stderr(Stdio::inherit());
        let process = Process::spawn(&mut command);
        let end = Instant::now() + START_DEADLINE;
        while self.stream(key).await.players <= before {
            assert!(Instant::now() < end, "ffmpeg does not join {app}/{key}");
            tokio::time::sleep(POLL).await;
        }
        Pull {
            folder,
            path,
            process,
        }
    }

    fn log(&self) -> String {
        fs::read_to_string(self.folder.path().join("error.log")).unwrap_or_default()
    }

    fn choose_ports(&mut self) {
        let free = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let port = |listener: &TcpListener| {
            let address = listener.local_addr();
            address.expect("the listener has an address").port()
        };
        let (rtmp, http) = (free(), free());
        (self.rtmp_port, self.http_port) = (port(&rtmp), port(&http));
    }

    async fn launch(&mut self) -> bool {
        let folder = self.folder.path();
        let config = folder.join("nginx.conf");
        fs::write(&config, self.config()).expect("nginx's configuration is written");
        let mut command = Command::new(Peer::Nginx.path());
        command.arg("-p").arg(folder).arg("-c").arg(&config);
        command.arg("-e").arg(folder.join("error.log"));
        command.stdout(Stdio::null()).stderr(Stdio::null());
        let process = self.process.insert(Process::spawn(&mut command));
        let end = Instant::now() + START_DEADLINE;
        let address: SocketAddr = (Ipv4Addr::LOCALHOST, self.http_port).into();
        while process.exited().is_none() && Instant::now() < end {
            // The marker tells this server from another test's on the same port.
            let marker = folder.display().to_string();
            if matches!(http::get(address, "/whoami").await, Ok((200, body)) if body == marker) {
                return true;
            }
            tokio::time::sleep(POLL).await;
        }
        false
    }

    fn config(&self) -> String {
        let module = nginx_rtmp_module().expect("nginx's RTMP module is installed");
        let module = module.display();
        let folder = self.folder.path().display();
        let Self {
            rtmp_port,
            http_port,
            ..
        } = self;
        format!(
            "load_module {module};
            daemon off;
            # One process, which runs as whoever started it and dies alone.
            master_process off;
            pid {folder}/nginx.pid;
            error_log {folder}/error.log notice;
            events {{ worker_connections 256; }}
            rtmp {{
                server {{
                    listen 127.0.0.1:{rtmp_port};
                    notify_method get;
                    application {LIVE} {{ live on; }}
                    application {KEYED} {{
                        live on;
                        on_publish http://127.0.0.1:{http_port}/publish;
                    }}
                }}
            }}
            http {{
                access_log off;
                client_body_temp_path {folder}/body;
                proxy_temp_path {folder}/proxy;
                fastcgi_temp_path {folder}/fastcgi;
                uwsgi_temp_path {folder}/uwsgi;
                scgi_temp_path {folder}/scgi;
                server {{
                    listen 127.0.0.1:{http_port};
                    location = /stat {{ rtmp_stat all; }}
                    location = /whoami {{ return 200 \"{folder}\"; }}
                    location = /publish {{
                        if ($arg_name != \"{GOOD_KEY}\") {{ return 403; }}
                        return 200;
                    }}
                }}
            }}
            "
        )
    }
}

impl Drop for NginxRtmp {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- nginx's log\n{}---", self.log());
        }
    }
}

/// What nginx knows about one stream key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct StreamState {
    /// Somebody publishes under it.
    pub publishing: bool,
    /// How many play it.
    pub players: usize,
}

/// A player that writes what it gets into a file. The file goes when this is dropped.
#[derive(Debug)]
pub struct Pull {
    folder: TempDir,
    path: PathBuf,
    process: Process,
}

impl Pull {
    /// Waits until it has its seconds or the stream has ended.
    ///
    /// # Panics
    ///
    /// When the deadline passes first, or there is no file.
    pub async fn finish(&mut self, deadline: Duration) -> &Path {
        let status = self.process.wait(deadline).await;
        assert!(
            status.is_some(),
            "the player has not finished in {deadline:?}"
        );
        self.file()
    }

    /// Ends it now, as a user does, with what it has.
    pub async fn stop(&mut self) -> &Path {
        self.process.interrupt();
        self.finish(START_DEADLINE).await
    }

    fn file(&self) -> &Path {
        let folder = self.folder.path().display();
        assert!(
            self.path.is_file(),
            "the player wrote nothing into {folder}"
        );
        &self.path
    }
}
