//! What a peer connection's network is: which interfaces it uses, and TURN servers that are reached
//! over TCP or TLS.
//!
//! The WebRTC crate speaks to TURN servers over UDP alone. Those of TCP and TLS are given to it under
//! names and addresses that do not exist; what it sends to those goes through a connection of ours.

mod interfaces;
mod names;
mod routes;
mod socket;
mod stream;
mod tunnel;

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use rustls::ClientConfig;
use webrtc::peer_connection::RTCIceServer;
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, Runtime,
};

pub(crate) use interfaces::{Addresses, InterfaceFilter};
pub(crate) use names::Names;
use routes::Routes;
use socket::TunnelSocket;

type Boxed<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What the network of a session's peer connections is to be like.
#[derive(Debug, Clone)]
pub(crate) struct Network {
    pub(crate) runtime: Arc<dyn Runtime>,
    /// The peer is on this machine.
    pub(crate) loopback: bool,
    pub(crate) interfaces: Option<InterfaceFilter>,
    /// How TURN servers are verified; `None`: by Mozilla's roots.
    pub(crate) tls: Option<Arc<ClientConfig>>,
    /// The names that were looked up.
    pub(crate) names: Arc<Names>,
}

impl Network {
    /// Where sockets are bound.
    pub(super) fn addresses(&self) -> Addresses {
        Addresses {
            loopback: self.loopback,
            filter: self.interfaces.clone(),
        }
    }
}

/// The runtime of one peer connection.
#[derive(Debug)]
pub(super) struct NetworkRuntime {
    network: Network,
    routes: Arc<Routes>,
}

impl NetworkRuntime {
    pub(super) fn new(network: Network) -> Self {
        Self {
            network,
            routes: Arc::default(),
        }
    }

    /// The servers as the WebRTC crate takes them.
    pub(super) fn ice_servers(&self, servers: &[proto::IceServer]) -> Vec<RTCIceServer> {
        servers
            .iter()
            .map(|server| RTCIceServer {
                urls: server
                    .urls
                    .iter()
                    .filter_map(|url| self.routes.stand_in(url))
                    .collect(),
                username: server.username.clone(),
                credential: server.credential.clone(),
            })
            .filter(|server| !server.urls.is_empty())
            .collect()
    }
}

impl Runtime for NetworkRuntime {
    fn spawn(&self, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        self.network.runtime.spawn(future)
    }

    fn spawn_reactor(&self, pool: usize, future: Boxed<'static, ()>) -> Box<dyn JoinHandle> {
        self.network.runtime.spawn_reactor(pool, future)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        let socket = self.network.runtime.wrap_udp_socket(socket)?;
        // An ICE restart, by which other servers come, binds new sockets.
        if self.routes.is_empty() {
            return Ok(socket);
        }
        Ok(Arc::new(TunnelSocket::new(
            socket,
            self.network.clone(),
            Arc::clone(&self.routes),
        )))
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        self.network.runtime.wrap_tcp_listener(listener)
    }

    fn connect_tcp(&self, address: SocketAddr) -> Boxed<'_, io::Result<Arc<dyn AsyncTcpStream>>> {
        self.network.connect_tcp(address)
    }

    fn resolve_host<'a>(&'a self, host: &'a str) -> Boxed<'a, io::Result<Vec<SocketAddr>>> {
        let runtime = &self.network.runtime;
        Box::pin(async move {
            let Some((name, address)) = self.routes.named(host) else {
                let resolving = runtime.resolve_host(host);
                return self
                    .network
                    .names
                    .resolve(host, runtime.now(), resolving)
                    .await;
            };
            let resolving = runtime.resolve_host(&address);
            let resolved = self
                .network
                .names
                .resolve(&address, runtime.now(), resolving);
            Ok(self.routes.addresses(&name, resolved.await?))
        })
    }

    fn now(&self) -> Instant {
        self.network.runtime.now()
    }

    fn sleep(&self, duration: Duration) -> Boxed<'static, ()> {
        self.network.runtime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        self.network.runtime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        self.network.runtime.block_on(future);
    }

    fn yield_now(&self) -> Boxed<'static, ()> {
        self.network.runtime.yield_now()
    }

    fn name(&self) -> &'static str {
        self.network.runtime.name()
    }
}

impl Network {
    /// Connects over TCP, unless the way there leads over an interface that is left out.
    fn connect_tcp(&self, address: SocketAddr) -> Boxed<'_, io::Result<Arc<dyn AsyncTcpStream>>> {
        let leads_outside = |filter: &InterfaceFilter| !filter.leads_to(address);
        if self.interfaces.as_ref().is_some_and(leads_outside) {
            return Box::pin(async move {
                let reason = format!("the interface that leads to {address} is left out");
                Err(io::Error::new(io::ErrorKind::NetworkUnreachable, reason))
            });
        }
        self.runtime.connect_tcp(address)
    }
}

#[cfg(test)]
mod tests;
