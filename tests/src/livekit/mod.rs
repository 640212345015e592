//! A real LiveKit server on loopback, with ports, keys and a log of its own.

mod expired;
mod proxy;
mod rooms;

use std::fmt::Write as _;
use std::fs::{self, OpenOptions};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener, UdpSocket};
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use livekit_token::AccessToken;
pub use livekit_token::VideoGrants;
pub use proxy::SignalProxy;
use serde_json::json;
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::http;
use crate::peers::Peer;
use crate::process::Process;
use crate::turn::{self, TurnServer, TurnTransport};

const API_KEY: &str = "devkey";
/// The name of a server's own TURN server, which nobody resolves.
pub const OWN_TURN_HOST: &str = "turn.livekit.example.org";
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
    certificate: Certificate,
    folder: TempDir,
    process: Option<Process>,
}

/// What makes a server unlike the others.
#[derive(Debug, Clone, Copy, Default)]
struct Traits {
    /// It pauses videos for which the network has no room.
    pauses: bool,
    /// It estimates by itself what a subscriber's network carries.
    estimates: bool,
    /// It logs what only its developers want to know.
    talkative: bool,
    /// It has no UDP.
    tcp_only: bool,
    /// A TURN server that it tells its clients of: its port and how it is reached.
    turn: Option<(u16, TurnTransport)>,
    /// It has a TURN server of its own, over TLS.
    own_turn: bool,
    /// It has no IPv4: its signals are at ::1, its media at this address.
    ipv6: Option<Ipv6Addr>,
}

#[derive(Debug, Clone, Copy)]
struct Ports {
    http: u16,
    rtc_tcp: u16,
    rtc_udp: u16,
    own_turn: u16,
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

    /// Starts one that asks its subscribers for transport-wide feedback and estimates by itself
    /// what their networks carry; others ask for the subscribers' own estimates.
    pub async fn start_estimating() -> Self {
        let traits = Traits {
            estimates: true,
            ..Traits::default()
        };
        Self::start_with(traits).await
    }

    /// Starts one whose log has all that it knows of its connections.
    pub async fn start_talkative() -> Self {
        let traits = Traits {
            talkative: true,
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

    /// Starts one that tells its clients of a TURN server, by one of its transports.
    pub async fn start_with_turn(turn: &TurnServer, transport: TurnTransport) -> Self {
        let traits = Traits {
            turn: Some((turn.port(transport), transport)),
            ..Traits::default()
        };
        Self::start_with(traits).await
    }

    /// Starts one that has a TURN server of its own, over TLS. It tells its clients to find it at
    /// [`OWN_TURN_HOST`], port 443; it is at [`own_turn`](Self::own_turn).
    pub async fn start_with_own_turn() -> Self {
        let traits = Traits {
            own_turn: true,
            ..Traits::default()
        };
        Self::start_with(traits).await
    }

    /// Starts one without IPv4: its signals are at ::1, its media at another address of this
    /// machine, see [`ipv6_address`], as it takes none to be on loopback.
    pub async fn start_with_ipv6(media: Ipv6Addr) -> Self {
        let traits = Traits {
            ipv6: Some(media),
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
            certificate: Certificate::make(OWN_TURN_HOST),
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

    /// Where clients connect, `ws://127.0.0.1:PORT` or `ws://[::1]:PORT`.
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

    /// Where its own TURN server is, and the certificate that it shows.
    pub fn own_turn(&self) -> (SocketAddr, &Certificate) {
        let address = (self.ip(), self.ports.own_turn).into();
        (address, &self.certificate)
    }

    fn ip(&self) -> IpAddr {
        if self.traits.ipv6.is_some() {
            Ipv6Addr::LOCALHOST.into()
        } else {
            Ipv4Addr::LOCALHOST.into()
        }
    }

    fn address(&self) -> SocketAddr {
        (self.ip(), self.ports.http).into()
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
        let address = self.address();
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
            let answer = http::post_json(address, rooms::LIST_ROOMS, &token, &json!({})).await;
            if matches!(answer, Ok((200, _))) {
                return true;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        false
    }

    /// As it stands the server listens on every interface and advertises them all; this keeps
    /// signalling, UDP and TCP on one address.
    fn config(&self) -> String {
        let Ports {
            http,
            rtc_tcp,
            rtc_udp,
            own_turn,
        } = self.ports;
        let ip = self.ip().to_string();
        let (media, only, interfaces) = match self.traits.ipv6 {
            Some(media) => (media.to_string(), format!("{media}/128"), json!({})),
            None => (ip.clone(), format!("{ip}/32"), json!({"includes": ["lo"]})),
        };
        let turn_servers: Vec<_> = self
            .traits
            .turn
            .iter()
            .map(|(port, transport)| {
                json!({
                    "host": "127.0.0.1", "port": port, "protocol": transport.name(),
                    "username": turn::USERNAME, "credential": turn::PASSWORD,
                })
            })
            .collect();
        let mut config = json!({
            "port": http,
            "bind_addresses": [ip],
            "rtc": {
                "tcp_port": rtc_tcp,
                "udp_port": rtc_udp,
                "use_external_ip": false,
                "node_ip": media,
                "enable_loopback_candidate": true,
                "interfaces": interfaces,
                "ips": {"includes": [only]},
                "force_tcp": self.traits.tcp_only,
                "turn_servers": turn_servers,
                "congestion_control": {
                    "enabled": true,
                    "allow_pause": self.traits.pauses,
                    "use_send_side_bwe": self.traits.estimates,
                },
            },
            "keys": {API_KEY: self.api_secret},
            "logging": {"level": if self.traits.talkative { "debug" } else { "info" }, "pion_level": "error"},
            "room": {"auto_create": true, "empty_timeout": 300, "departure_timeout": 20},
        });
        if self.traits.own_turn {
            let (certificate, key) = self.certificate.write(self.folder.path());
            config["turn"] = json!({
                "enabled": true,
                "bind_addresses": [ip],
                "domain": OWN_TURN_HOST,
                "tls_port": own_turn,
                "cert_file": certificate,
                "key_file": key,
            });
        }
        config.to_string()
    }
}

/// An address of this machine's that others can use, if it has one of IPv6.
pub fn ipv6_address() -> Option<Ipv6Addr> {
    let interfaces = rtc::shared::ifaces::ifaces().expect("the interfaces of this machine");
    interfaces
        .iter()
        .find_map(|interface| match interface.addr {
            Some(SocketAddr::V6(address)) => {
                let ip = *address.ip();
                (!ip.is_loopback() && !ip.is_unicast_link_local()).then_some(ip)
            }
            _ => None,
        })
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
        let (http, rtc_tcp, own_turn) = (tcp(), tcp(), tcp());
        let rtc_udp = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
        let port = |address: std::io::Result<SocketAddr>| address.expect("a bound port").port();
        Self {
            http: port(http.local_addr()),
            rtc_tcp: port(rtc_tcp.local_addr()),
            rtc_udp: port(rtc_udp.local_addr()),
            own_turn: port(own_turn.local_addr()),
        }
    }
}
