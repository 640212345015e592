//! A real LiveKit server on loopback, with ports, keys and a log of its own.

mod expired;
mod proxy;
mod rooms;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use livekit_token::AccessToken;
pub use livekit_token::VideoGrants;
pub use proxy::SignalProxy;
use serde_json::json;
use tempfile::TempDir;

use crate::http;
use crate::peers::Peer;
use crate::process::Process;
use crate::turn::{self, TurnServer};

const API_KEY: &str = "devkey";
/// How long one attempt to start may take on a busy machine.
const START_DEADLINE: Duration = Duration::from_secs(20);
/// Another process may take a port between the probe and the server's own bind.
const START_ATTEMPTS: usize = 8;
/// Lines of the server's log that a failed test shows.
const LOG_TAIL: usize = 80;

/// A LiveKit server, killed when dropped. Its log is printed when the test fails.
#[derive(Debug)]
pub struct LiveKitServer {
    ports: Ports,
    api_secret: String,
    traits: Traits,
    folder: TempDir,
    process: Option<Process>,
}

/// What makes a server unlike the others.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    /// It pauses videos for which the network has no room.
    pauses: bool,
    /// It has no UDP.
    tcp_only: bool,
    /// The port of a TURN server that it tells its clients of.
    turn: Option<u16>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    http: u16,
    rtc_tcp: u16,
    rtc_udp: u16,
}

impl LiveKitServer {
    /// Starts a server on free ports of 127.0.0.1 and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed (see [`require!`](crate::require)) or does not start.
    pub async fn start() -> Self {
        Self::start_with(Traits::default()).await
    }

    /// Starts one that pauses videos for which a subscriber's network has no room.
    pub async fn start_pausing() -> Self {
        let traits = Traits {
            pauses: true,
            ..Traits::default()
        };
        Self::start_with(traits).await
    }

    /// Starts one that takes and gives media over TCP alone.
    pub async fn start_without_udp() -> Self {
        let traits = Traits {
            tcp_only: true,
            ..Traits::default()
        };
        Self::start_with(traits).await
    }

    /// Starts one that tells its clients of a TURN server.
    pub async fn start_with_turn(turn: &TurnServer) -> Self {
        let traits = Traits {
            turn: Some(turn.port()),
            ..Traits::default()
        };
        Self::start_with(traits).await
    }

    async fn start_with(traits: Traits) -> Self {
        let mut server = Self {
            ports: Ports::free(),
            // A secret of its own also tells this server from another test's on the same port.
            api_secret: format!("{:032x}", rand::random::<u128>()),
            traits,
            folder: TempDir::with_prefix("livekit-").expect("a temporary folder"),
            process: None,
        };
        for _ in 0..START_ATTEMPTS {
            if server.launch().await {
                return server;
            }
            server.kill();
            server.ports = Ports::free();
        }
        panic!("livekit-server does not start: {}", server.log_tail());
    }

    /// Kills the server at once: its rooms are gone, its clients find out by themselves.
    pub fn kill(&mut self) {
        self.process = None;
    }

    /// Starts the killed server again, on the same ports and with the same keys.
    pub async fn start_again(&mut self) {
        self.kill();
        for _ in 0..START_ATTEMPTS {
            if self.launch().await {
                return;
            }
            self.kill();
        }
        panic!("livekit-server does not start again: {}", self.log_tail());
    }

    /// Where clients connect, `ws://127.0.0.1:PORT`.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address())
    }

    /// The API key that goes with [`api_secret`](Self::api_secret).
    pub fn api_key(&self) -> &str {
        API_KEY
    }

    /// The API secret, another for each server.
    pub fn api_secret(&self) -> &str {
        &self.api_secret
    }

    /// A token for exactly these grants, valid for six hours.
    pub fn token(&self, identity: &str, grants: VideoGrants) -> String {
        AccessToken::with_api_key(API_KEY, &self.api_secret)
            .with_identity(identity)
            .with_name(identity)
            .with_grants(grants)
            .to_jwt()
            .expect("the token can be signed")
    }

    /// A token for one who joins `room`, publishes and subscribes.
    pub fn participant_token(&self, room: &str, identity: &str) -> String {
        self.token(
            identity,
            VideoGrants {
                room_join: true,
                room: room.to_owned(),
                ..VideoGrants::default()
            },
        )
    }

    /// A token for one who joins `room` to publish only.
    pub fn publisher_token(&self, room: &str, identity: &str) -> String {
        self.token(
            identity,
            VideoGrants {
                room_join: true,
                room: room.to_owned(),
                can_subscribe: Some(false),
                ..VideoGrants::default()
            },
        )
    }

    /// A token for an agent, who joins `room` and publishes.
    pub fn agent_token(&self, room: &str, identity: &str) -> String {
        AccessToken::with_api_key(API_KEY, &self.api_secret)
            .with_identity(identity)
            .with_kind("agent")
            .with_grants(VideoGrants {
                room_join: true,
                room: room.to_owned(),
                agent: true,
                ..VideoGrants::default()
            })
            .to_jwt()
            .expect("the token can be signed")
    }

    /// A genuine token whose time was over `ago`.
    pub fn expired_token(&self, room: &str, identity: &str, ago: Duration) -> String {
        expired::expired_token(API_KEY, &self.api_secret, room, identity, ago)
    }

    /// The process id, for [`process::usage`](crate::process::usage).
    pub fn process_id(&self) -> Option<u32> {
        self.process.as_ref().map(Process::id)
    }

    /// What the server has logged so far, over all its starts.
    pub fn log(&self) -> String {
        fs::read_to_string(self.log_file()).unwrap_or_default()
    }

    fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.ports.http).into()
    }

    fn log_file(&self) -> PathBuf {
        self.folder.path().join("livekit.log")
    }

    fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = lines.len().saturating_sub(LOG_TAIL);
        lines[tail..].iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    /// Starts the process; true once it answers, false when it has given up or the time is over.
    async fn launch(&mut self) -> bool {
        let log = OpenOptions::new()
            .create(true)
            .append(true)
            .open(self.log_file())
            .expect("the server's log can be written");
        let process = Process::spawn(
            Command::new(Peer::LiveKit.path())
                .arg("--config-body")
                .arg(self.config())
                .current_dir(self.folder.path())
                .stdout(log.try_clone().expect("the log's handle can be shared"))
                .stderr(log),
        );
        let process = self.process.insert(process);
        let deadline = Instant::now() + START_DEADLINE;
        while process.exited().is_none() && Instant::now() < deadline {
            let token = AccessToken::with_api_key(API_KEY, &self.api_secret)
                .with_grants(VideoGrants {
                    room_list: true,
                    ..VideoGrants::default()
                })
                .to_jwt()
                .expect("the token can be signed");
            let address = (Ipv4Addr::LOCALHOST, self.ports.http).into();
            let answer = http::post_json(address, rooms::LIST_ROOMS, &token, &json!({})).await;
            if matches!(answer, Ok((200, _))) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// As it stands the server listens on every interface and advertises them all; this keeps
    /// signalling, UDP and TCP on 127.0.0.1.
    fn config(&self) -> String {
        let Ports {
            http,
            rtc_tcp,
            rtc_udp,
        } = self.ports;
        let turn_servers: Vec<_> = self
            .traits
            .turn
            .iter()
            .map(|port| {
                json!({
                    "host": "127.0.0.1", "port": port, "protocol": "udp",
                    "username": turn::USERNAME, "credential": turn::PASSWORD,
                })
            })
            .collect();
        json!({
            "port": http,
            "bind_addresses": ["127.0.0.1"],
            "rtc": {
                "tcp_port": rtc_tcp,
                "udp_port": rtc_udp,
                "use_external_ip": false,
                "node_ip": "127.0.0.1",
                "enable_loopback_candidate": true,
                "interfaces": {"includes": ["lo"]},
                "ips": {"includes": ["127.0.0.1/32"]},
                "force_tcp": self.traits.tcp_only,
                "turn_servers": turn_servers,
                "congestion_control": {"enabled": true, "allow_pause": self.traits.pauses},
            },
            "keys": {API_KEY: self.api_secret},
            "logging": {"level": "info", "pion_level": "error"},
            "room": {"auto_create": true, "empty_timeout": 300, "departure_timeout": 20},
        })
        .to_string()
    }
}

impl Drop for LiveKitServer {
    fn drop(&mut self) {
        self.kill();
        if std::thread::panicking() {
            eprintln!("--- livekit-server's log ends with\n{}---", self.log_tail());
        }
    }
}

impl Ports {
    /// Ports that are free now. All are held at once, so they differ.
    fn free() -> Self {
        let tcp = || TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
        let (http, rtc_tcp) = (tcp(), tcp());
        let rtc_udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let port = |address: std::io::Result<SocketAddr>| address.expect("a bound port").port();
        Self {
            http: port(http.local_addr()),
            rtc_tcp: port(rtc_tcp.local_addr()),
            rtc_udp: port(rtc_udp.local_addr()),
        }
    }
}
