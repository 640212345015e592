//! A UDP socket that reaches some TURN servers over TCP or TLS.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use tokio::sync::mpsc;
use webrtc::runtime::{AsyncUdpSocket, RecvMeta, Transmit};

use super::Network;
use super::routes::{self, Routes};
use super::tunnel::{self, Outgoing};

/// Messages from the servers that wait for the connection: a keyframe of a megabyte. When it is
/// full, the server is not read from.
const INCOMING: usize = 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct TunnelSocket {
    socket: Arc<dyn AsyncUdpSocket>,
    network: Network,
    routes: Arc<Routes>,
    /// By the address that stands for the server's. They end with the socket.
    tunnels: Mutex<HashMap<SocketAddr, Outgoing>>,
    sender: mpsc::Sender<(SocketAddr, Bytes)>,
    incoming: Mutex<mpsc::Receiver<(SocketAddr, Bytes)>>,
}

impl TunnelSocket {
    pub(super) fn new(
        socket: Arc<dyn AsyncUdpSocket>,
        network: Network,
        routes: Arc<Routes>,
    ) -> Self {
        let (sender, incoming) = mpsc::channel(INCOMING);
        Self {
            socket,
            network,
            routes,
            tunnels: Mutex::default(),
            sender,
            incoming: Mutex::new(incoming),
        }
    }

    /// Sends by a tunnel; `false` when the destination is an address like any other.
    fn send_by_tunnel(&self, transmit: &Transmit<'_>) -> bool {
        let to = transmit.destination;
        if !routes::stands_in(to) {
            return false;
        }
        let mut tunnels = self.tunnels.lock().unwrap_or_else(PoisonError::into_inner);
        let outgoing = match tunnels.entry(to) {
            Entry::Occupied(entry) => entry.into_mut(),
            Entry::Vacant(entry) => {
                let Some(target) = self.routes.target(to) else {
                    return false;
                };
                let sender = self.sender.clone();
                entry.insert(tunnel::open(&self.network, target, to, sender))
            }
        };
        let segment = transmit.segment_size.unwrap_or(transmit.contents.len());
        for message in transmit.contents.chunks(segment.max(1)) {
            outgoing.send(message);
        }
        true
    }
}

impl AsyncUdpSocket for TunnelSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn max_gso_segments(&self) -> usize {
        self.socket.max_gso_segments()
    }

    fn max_gro_segments(&self) -> usize {
        self.socket.max_gro_segments()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if self.send_by_tunnel(transmit) {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        self.socket.poll_send(cx, transmit)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut incoming = self.incoming.lock().unwrap_or_else(PoisonError::into_inner);
        // Never the end: a sender is here.
        if let Poll::Ready(Some((from, message))) = incoming.poll_recv(cx)
            && let ([buffer, ..], [meta, ..]) = (&mut *buffers, &mut *meta)
        {
            // As with any datagram, what the buffer has no room for is lost.
            let length = message.len().min(buffer.len());
            buffer[..length].copy_from_slice(&message[..length]);
            *meta = RecvMeta::default();
            meta.addr = from;
            meta.len = length;
            meta.stride = length.max(1);
            return Poll::Ready(Ok(1));
        }
        drop(incoming);
        self.socket.poll_recv(cx, buffers, meta)
    }
}
