//! A way to a server's signal port that can be cut, closed, and written into.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::{Buf, BytesMut};
use livekit_protocol::{SignalRequest, SignalResponse, signal_request, signal_response};
use prost::Message;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use super::LiveKitServer;

/// Passes connections on to a server's port for HTTP and signals; media go their own way.
#[derive(Debug)]
pub struct SignalProxy {
    address: SocketAddr,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Debug)]
struct State {
    server: Mutex<SocketAddr>,
    open: AtomicBool,
    connections: AtomicUsize,
    /// Changes to cut what is connected.
    cut: watch::Sender<()>,
    /// Where the frames for the last connection's two ends go.
    injections: Mutex<Option<Injections>>,
}

#[derive(Debug, Clone)]
struct Injections {
    to_client: mpsc::UnboundedSender<Vec<u8>>,
    to_server: mpsc::UnboundedSender<Vec<u8>>,
}

impl SignalProxy {
    /// Starts in front of `server`, on a port of 127.0.0.1 of its own.
    pub async fn start(server: &LiveKitServer) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .expect("a free TCP port");
        let address = listener.local_addr().expect("a bound port");
        let state = Arc::new(State {
            server: Mutex::new(server.address()),
            open: AtomicBool::new(true),
            connections: AtomicUsize::new(0),
            cut: watch::channel(()).0,
            injections: Mutex::default(),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self {
            address,
            state,
            accepting,
        }
    }

    /// What clients connect to instead of the server's own URL.
    pub fn url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// How many connections for signals were passed on so far.
    pub fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Acquire)
    }

    /// Passes new connections on to another server.
    pub fn lead_to(&self, server: &LiveKitServer) {
        *lock(&self.state.server) = server.address();
    }

    /// Cuts all connections; new ones are passed on unless the proxy is closed.
    pub fn cut(&self) {
        self.state.cut.send_replace(());
    }

    /// Whether new connections are passed on; else they are cut at once.
    pub fn set_open(&self, open: bool) {
        self.state.open.store(open, Ordering::Release);
    }

    /// Tells the client something as if the server had.
    ///
    /// # Panics
    ///
    /// When nobody is connected.
    pub fn tell_client(&self, message: signal_response::Message) {
        let response = SignalResponse {
            message: Some(message),
        };
        let frame = frame(&response.encode_to_vec(), false);
        let sent = self.injections().to_client.send(frame);
        sent.expect("a client is connected");
    }

    /// Tells the server something as if the client had.
    ///
    /// # Panics
    ///
    /// When nobody is connected.
    pub fn tell_server(&self, message: signal_request::Message) {
        let request = SignalRequest {
            message: Some(message),
        };
        let frame = frame(&request.encode_to_vec(), true);
        let sent = self.injections().to_server.send(frame);
        sent.expect("a client is connected");
    }

    fn injections(&self) -> Injections {
        lock(&self.state.injections)
            .clone()
            .expect("a client is connected")
    }
}

impl Drop for SignalProxy {
    fn drop(&mut self) {
        self.accepting.abort();
        self.cut();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    while let Ok((client, _)) = listener.accept().await {
        if state.open.load(Ordering::Acquire) {
            tokio::spawn(pass(client, Arc::clone(&state)));
        }
    }
}

/// Passes one connection on until either end closes it or it is cut.
async fn pass(client: TcpStream, state: Arc<State>) {
    let server = *lock(&state.server);
    let Ok(server) = TcpStream::connect(server).await else {
        return;
    };
    let mut cut = state.cut.subscribe();
    let (client_read, client_write) = client.into_split();
    let (server_read, server_write) = server.into_split();
    let (to_client, from_kit_to_client) = mpsc::unbounded_channel();
    let (to_server, from_kit_to_server) = mpsc::unbounded_channel();
    let injections = Injections {
        to_client,
        to_server,
    };
    let upgraded = || {
        state.connections.fetch_add(1, Ordering::AcqRel);
        *lock(&state.injections) = Some(injections.clone());
    };
    tokio::select! {
        _ = forward(client_read, server_write, from_kit_to_server, || {}) => {}
        _ = forward(server_read, client_write, from_kit_to_client, upgraded) => {}
        _ = cut.changed() => {}
    }
}

/// Forwards one direction: the head of HTTP, and then one frame of WebSocket after the other, so
/// that other frames fit between them.
async fn forward(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut injected: mpsc::UnboundedReceiver<Vec<u8>>,
    upgraded: impl Fn(),
) -> io::Result<()> {
    let mut buffer = BytesMut::new();
    let head = loop {
        if from.read_buf(&mut buffer).await? == 0 {
            return to.write_all(&buffer).await;
        }
        if let Some(end) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break buffer.split_to(end + 4);
        }
    };
    to.write_all(&head).await?;
    let text = String::from_utf8_lossy(&head).to_ascii_lowercase();
    if !text.contains("upgrade: websocket") {
        to.write_all(&buffer).await?;
        tokio::io::copy(&mut from, &mut to).await?;
        return Ok(());
    }
    upgraded();
    loop {
        while let Some(length) = frame_length(&buffer).filter(|length| buffer.len() >= *length) {
            to.write_all(&buffer.chunk()[..length]).await?;
            buffer.advance(length);
        }
        tokio::select! {
            read = from.read_buf(&mut buffer) => {
                if read? == 0 {
                    return Ok(());
                }
            }
            Some(frame) = injected.recv() => to.write_all(&frame).await?,
        }
    }
}

/// The length of the WebSocket frame that begins here (RFC 6455 section 5.2), once it is known.
fn frame_length(bytes: &[u8]) -> Option<usize> {
    let second = *bytes.get(1)?;
    let (header, payload) = match second & 0x7f {
        126 => (
            4,
            usize::from(u16::from_be_bytes(bytes.get(2..4)?.try_into().ok()?)),
        ),
        127 => {
            let length = u64::from_be_bytes(bytes.get(2..10)?.try_into().ok()?);
            (10, usize::try_from(length).ok()?)
        }
        length => (2, usize::from(length)),
    };
    let mask = if second & 0x80 == 0 { 0 } else { 4 };
    Some(header + mask + payload)
}

/// A binary message in one frame; clients mask theirs, here with zeros.
fn frame(payload: &[u8], masked: bool) -> Vec<u8> {
    let mask_bit = if masked { 0x80 } else { 0 };
    let mut frame = vec![0x82];
    match u16::try_from(payload.len()) {
        Ok(length) if length < 126 => frame.push(mask_bit + length.to_be_bytes()[1]),
        Ok(length) => {
            frame.push(mask_bit + 126);
            frame.extend(length.to_be_bytes());
        }
        Err(_) => {
            frame.push(mask_bit + 127);
            frame.extend((payload.len() as u64).to_be_bytes());
        }
    }
    if masked {
        frame.extend([0; 4]);
    }
    frame.extend(payload);
    frame
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
