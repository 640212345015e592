//! A real TURN server on loopback: coturn.

use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::ClientConfig;
use tempfile::TempDir;

use crate::certificate::Certificate;
use crate::peers::Peer;
use crate::process::Process;

/// Who may use it.
pub const USERNAME: &str = "guest";
/// With this password.
pub const PASSWORD: &str = "relayed";

const START_DEADLINE: Duration = Duration::from_secs(10);
/// Another process may take the port between the probe and the server's own bind.
const START_ATTEMPTS: usize = 8;
/// A binding request of STUN (RFC 8489 section 5) with an arbitrary transaction.
const BINDING_REQUEST: [u8; 20] = *b"\x00\x01\x00\x00\x21\x12\xa4\x42livekit-test";

/// coturn, which relays to 127.0.0.1; killed when dropped.
#[derive(Debug)]
pub struct TurnServer {
    port: u16,
    tls_port: u16,
    certificate: Certificate,
    _folder: TempDir,
    _process: Process,
}

/// How a TURN server is reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TurnTransport {
    /// `turn:`
    Udp,
    /// `turn:` with `?transport=tcp`
    Tcp,
    /// `turns:` with `?transport=tcp`
    Tls,
}

impl TurnTransport {
    /// What a LiveKit server's configuration calls it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Udp => "udp",
            Self::Tcp => "tcp",
            Self::Tls => "tls",
        }
    }
}

impl TurnServer {
    /// Starts it on free ports of 127.0.0.1, for UDP, TCP and TLS, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed (see [`require!`](crate::require)) or does not start.
    pub async fn start() -> Self {
        let certificate = Certificate::make("127.0.0.1");
        let folder = TempDir::with_prefix("turn-").expect("a temporary folder");
        let (pem, key) = certificate.write(folder.path());
        for _ in 0..START_ATTEMPTS {
            let (port, tls_port) = (free_port(), free_tcp_port());
            let process = Process::spawn(
                Command::new(Peer::Coturn.path())
                    .args(["-n", "--no-cli", "--no-dtls", "--lt-cred-mech"])
                    .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"])
                    .args(["--allow-loopback-peers", "--realm", "livekit-stream"])
                    .args(["--log-file", "stdout", "--pidfile", "/dev/null"])
                    .args(["--listening-port", &port.to_string()])
                    .args(["--tls-listening-port", &tls_port.to_string()])
                    .arg("--cert")
                    .arg(&pem)
                    .arg("--pkey")
                    .arg(&key)
                    .args(["--user", &format!("{USERNAME}:{PASSWORD}")])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null()),
            );
            if answers(port).await && accepts(tls_port).await {
                return Self {
                    port,
                    tls_port,
                    certificate,
                    _folder: folder,
                    _process: process,
                };
            }
        }
        panic!("coturn does not start");
    }

    /// The port for a transport; UDP and TCP have the same.
    pub fn port(&self, transport: TurnTransport) -> u16 {
        match transport {
            TurnTransport::Udp | TurnTransport::Tcp => self.port,
            TurnTransport::Tls => self.tls_port,
        }
    }

    /// What clients have that trust its certificate.
    pub fn client_tls(&self) -> Arc<ClientConfig> {
        self.certificate.client()
    }
}

fn free_tcp_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free TCP port");
    listener.local_addr().expect("a bound port").port()
}

/// Whether somebody listens for TCP before the time is over.
async fn accepts(port: u16) -> bool {
    let end = Instant::now() + START_DEADLINE;
    while TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_err() {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    true
}

fn free_port() -> u16 {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free UDP port");
    socket.local_addr().expect("a bound port").port()
}

async fn answers(port: u16) -> bool {
    let socket = tokio::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await;
    let socket = socket.expect("a free UDP port");
    let end = Instant::now() + START_DEADLINE;
    while Instant::now() < end {
        // Nobody may listen yet, which some systems tell as an error.
        let _ = socket
            .send_to(&BINDING_REQUEST, (Ipv4Addr::LOCALHOST, port))
            .await;
        let mut answer = [0; 512];
        let received = socket.recv_from(&mut answer);
        let received = tokio::time::timeout(Duration::from_millis(100), received).await;
        if matches!(received, Ok(Ok((length, _))) if length >= BINDING_REQUEST.len()) {
            return true;
        }
    }
    false
}
