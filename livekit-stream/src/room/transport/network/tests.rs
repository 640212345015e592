use std::net::Ipv4Addr;
use std::time::Duration;

use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::room::transport::default_runtime;

const DEADLINE: Duration = Duration::from_secs(20);
const REQUEST: &[u8] = b"\x00\x03\x00\x00\x21\x12\xa4\x42transaction!";
const CHANNEL_DATA: &[u8] = b"\x40\x00\x00\x05media";

/// A socket that a TURN server is reached by, and what sits at that server's port.
struct Scene {
    listener: TcpListener,
    socket: Arc<dyn AsyncUdpSocket>,
    /// The address that stands for the server's.
    server: SocketAddr,
}

impl Scene {
    async fn new(scheme: &str) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.expect("a free TCP port");
        let port = listener.local_addr().expect("a bound port").port();
        let runtime = NetworkRuntime::new(Network {
            runtime: default_runtime(),
            loopback: true,
            interfaces: None,
            tls: None,
            names: std::sync::Arc::default(),
        });
        let servers = runtime.ice_servers(&[proto::IceServer {
            urls: vec![format!("{scheme}:127.0.0.1:{port}?transport=tcp")],
            ..proto::IceServer::default()
        }]);
        let name = servers[0].urls[0]
            .strip_prefix("turn:")
            .and_then(|url| url.strip_suffix("?transport=udp"))
            .expect("a server over UDP");
        let resolved = runtime.resolve_host(name).await.expect("an address");
        let socket = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0));
        let socket = runtime.wrap_udp_socket(socket.expect("a free UDP port"));
        Self {
            listener,
            socket: socket.expect("a socket"),
            server: resolved[0],
        }
    }

    async fn send(&self, message: &[u8]) {
        let sent = self.socket.send_to(message, self.server).await;
        assert_eq!(sent.expect("a socket sends"), message.len());
    }

    async fn receive(&self) -> (Vec<u8>, SocketAddr) {
        let mut buffer = vec![0; 2000];
        let received = timeout(DEADLINE, self.socket.recv_from(&mut buffer)).await;
        let (length, from) = received.expect("in time").expect("a socket receives");
        buffer.truncate(length);
        (buffer, from)
    }

    async fn accept(&self) -> TcpStream {
        let accepted = timeout(DEADLINE, self.listener.accept()).await;
        accepted.expect("in time").expect("a connection").0
    }

    /// A datagram from elsewhere comes as it would by any socket.
    async fn assert_plain_datagrams_pass(&self) {
        let other = std::net::UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a UDP port");
        let own = self.socket.local_addr().expect("a bound socket");
        other.send_to(b"plain", own).expect("it is sent");
        let (message, from) = self.receive().await;
        assert_eq!(message, b"plain");
        assert_eq!(from, other.local_addr().expect("a bound socket"));
    }
}

async fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let read = timeout(DEADLINE, stream.read_exact(&mut bytes)).await;
    read.expect("in time").expect("so many bytes");
    bytes
}

/// Reads to the end, which may be an error: what we have not read makes it one.
async fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let read = timeout(DEADLINE, stream.read_to_end(&mut bytes)).await;
    let _ = read.expect("the connection is closed in time");
    bytes
}

#[tokio::test]
async fn messages_go_both_ways_and_datagrams_as_ever() {
    let scene = Scene::new("turn").await;
    scene.send(REQUEST).await;
    // The request is repeated and goes out once; ChannelData is padded.
    scene.send(REQUEST).await;
    scene.send(CHANNEL_DATA).await;
    let mut server = scene.accept().await;
    assert_eq!(read(&mut server, REQUEST.len()).await, REQUEST);
    let padded = [CHANNEL_DATA, &[0; 3]].concat();
    assert_eq!(read(&mut server, padded.len()).await, padded);

    for part in [&padded[..5], &padded[5..], REQUEST] {
        server.write_all(part).await.expect("it is written");
    }
    assert_eq!(scene.receive().await, (CHANNEL_DATA.to_vec(), scene.server));
    assert_eq!(scene.receive().await, (REQUEST.to_vec(), scene.server));
    scene.assert_plain_datagrams_pass().await;
}

#[tokio::test]
async fn what_is_sent_last_arrives_before_the_connection_ends_with_the_socket() {
    let scene = Scene::new("turn").await;
    scene.send(REQUEST).await;
    let mut server = scene.accept().await;
    read(&mut server, REQUEST.len()).await;
    for _ in 0..10 {
        scene.send(&CHANNEL_DATA[..8]).await;
        scene.send(b"\x40\x00\x00\x04last").await;
    }
    drop(scene.socket);
    let rest = rest(&mut server).await;
    assert!(rest.ends_with(b"last"), "{rest:?}");
}

#[tokio::test]
async fn a_server_that_says_something_else_is_left() {
    let scene = Scene::new("turn").await;
    scene.send(REQUEST).await;
    let mut server = scene.accept().await;
    // What SSH, SMTP and most others begin with is no better.
    server
        .write_all(b"SSH-2.0-server\r\n")
        .await
        .expect("it is written");
    rest(&mut server).await;
    // Nothing waits for a connection that is over.
    for _ in 0..1000 {
        scene.send(CHANNEL_DATA).await;
    }
    scene.assert_plain_datagrams_pass().await;
}

#[tokio::test]
async fn a_server_that_does_not_read_keeps_nobody_waiting() {
    let scene = Scene::new("turn").await;
    let mut large = vec![0x40, 0, 0x80, 0];
    large.resize(4 + 0x8000, 7);
    // More than the queue, the socket's buffers and the batch have room for.
    for _ in 0..2000 {
        scene.send(&large).await;
        tokio::task::yield_now().await;
    }
    scene.assert_plain_datagrams_pass().await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let scene = Scene::new("turns").await;
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]);
    let made = made.expect("a certificate");
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).expect("a key");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("TLS 1.2 and 1.3")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .expect("a good certificate");
    scene.send(REQUEST).await;
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let accepted = timeout(DEADLINE, acceptor.accept(scene.accept().await)).await;
    let refused = accepted.expect("in time").expect_err("nobody trusts it");
    assert!(refused.to_string().contains("alert"), "{refused}");
    scene.assert_plain_datagrams_pass().await;
}
