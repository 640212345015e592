//! A real TURN server on loopback: coturn.

use std::net::{Ipv4Addr, UdpSocket};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

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
    _process: Process,
}

impl TurnServer {
    /// Starts it on a free port of 127.0.0.1, for UDP and TCP, and waits until it answers.
    ///
    /// # Panics
    ///
    /// When it is not installed (see [`require!`](crate::require)) or does not start.
    pub async fn start() -> Self {
        for _ in 0..START_ATTEMPTS {
            let port = free_port();
            let process = Process::spawn(
                Command::new(Peer::Coturn.path())
                    .args(["-n", "--no-cli", "--no-tls", "--no-dtls", "--lt-cred-mech"])
                    .args(["--listening-ip", "127.0.0.1", "--relay-ip", "127.0.0.1"])
                    .args(["--allow-loopback-peers", "--realm", "livekit-stream"])
                    .args(["--log-file", "stdout", "--pidfile", "/dev/null"])
                    .args(["--listening-port", &port.to_string()])
                    .args(["--user", &format!("{USERNAME}:{PASSWORD}")])
                    .stdout(Stdio::null())
                    .stderr(Stdio::null()),
            );
            if answers(port).await {
                return Self {
                    port,
                    _process: process,
                };
            }
        }
        panic!("coturn does not start");
    }

    /// The port for UDP and TCP.
    pub fn port(&self) -> u16 {
        self.port
    }
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
