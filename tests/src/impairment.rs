//! A bad network: a `webrtc` runtime whose UDP sockets lose, reorder, hold up and cut off datagrams.
//!
//! It sits below the interceptors, so a packet lost here is a packet the other end asks for again.

mod narrow;

use std::collections::VecDeque;
use std::fmt;
use std::future::Future;
use std::io::{self, IoSliceMut};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};

use narrow::{Link, Queue};
use webrtc::runtime::{
    AsyncInterval, AsyncTcpListener, AsyncTcpStream, AsyncUdpSocket, JoinHandle, RecvMeta, Runtime,
    TokioRuntime, Transmit,
};

/// Datagrams that overtake one that is held back.
const REORDER_DISTANCE: usize = 3;

/// What a connection's network does; all clones are one network, and every setting can change
/// while it runs. Loss, bursts and reordering hit RTP only, retransmissions included; never
/// RTCP, STUN or DTLS. Where chance decides, it is the same at each run.
#[derive(Clone, Default)]
pub struct Impairment(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    send_loss: f64,
    receive_loss: f64,
    send_burst: usize,
    receive_burst: usize,
    reorder: f64,
    cut: bool,
    /// What all that comes in has to pass.
    link: Link,
    /// The only port of others that can be reached.
    only_port: Option<u16>,
    /// What a name resolves to, whatever its port.
    host: Option<(String, SocketAddr)>,
    chance: u64,
    counts: Counts,
    addresses: Vec<SocketAddr>,
}

/// What has happened to RTP packets so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Sent and not lost.
    pub sent: usize,
    /// Lost on the way out.
    pub lost_sent: usize,
    /// Lost on the way in.
    pub lost_received: usize,
    /// Sent later than packets that came after them.
    pub reordered: usize,
    /// Datagrams of any kind that found the narrow link's queue full.
    pub held_out: usize,
    /// Bytes of datagrams of any kind that came in and were not lost.
    pub received_bytes: usize,
}

impl fmt::Debug for Impairment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.state().fmt(f)
    }
}

impl Impairment {
    /// Loses this share of the RTP packets sent, 0.0 to 1.0.
    pub fn set_send_loss(&self, share: f64) {
        self.state().send_loss = share;
    }

    /// Loses this share of the RTP packets received, 0.0 to 1.0.
    pub fn set_receive_loss(&self, share: f64) {
        self.state().receive_loss = share;
    }

    /// Loses the next `packets` RTP packets sent, in one burst.
    pub fn lose_next_sent(&self, packets: usize) {
        self.state().send_burst = packets;
    }

    /// Loses the next `packets` RTP packets received, in one burst.
    pub fn lose_next_received(&self, packets: usize) {
        self.state().receive_burst = packets;
    }

    /// Sends this share of the RTP packets after three later datagrams, 0.0 to 1.0.
    pub fn set_reorder(&self, share: f64) {
        self.state().reorder = share;
    }

    /// Cuts the connection off (`true`): no datagram of any kind passes in either direction.
    pub fn set_cut(&self, cut: bool) {
        self.state().cut = cut;
    }

    /// Lets in no more than so many bits per second, of datagrams of any kind, and loses what
    /// would wait longer than this for its turn.
    pub fn narrow(&self, bits_per_second: f64, longest_wait: Duration) {
        self.state().link.set(Some(bits_per_second), longest_wait);
    }

    /// Lets in whatever comes.
    pub fn widen(&self) {
        self.state().link.set(None, Duration::ZERO);
    }

    /// Lets nothing pass but to and from this port of others, over UDP and TCP.
    pub fn set_only_port(&self, port: u16) {
        self.state().only_port = Some(port);
    }

    /// Leads those who look for a host to this address, whatever port they look for.
    pub fn set_host(&self, name: &str, address: SocketAddr) {
        self.state().host = Some((name.to_owned(), address));
    }

    /// What has happened to RTP packets so far.
    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    /// Where its connections receive, of every socket that was opened.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.state().addresses.clone()
    }

    /// The runtime for [`PeerConnectionBuilder::with_runtime`], whose sockets behave so.
    ///
    /// [`PeerConnectionBuilder::with_runtime`]: webrtc::peer_connection::PeerConnectionBuilder::with_runtime
    pub fn runtime(&self) -> Arc<dyn Runtime> {
        Arc::new(ImpairedRuntime(self.clone()))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

enum Fate {
    Pass,
    Lose,
    Delay,
}

impl State {
    fn on_send(&mut self, datagram: &[u8]) -> Fate {
        if self.cut {
            return Fate::Lose;
        }
        if !is_rtp(datagram) {
            return Fate::Pass;
        }
        if self.send_burst > 0 || self.happens(self.send_loss) {
            self.send_burst = self.send_burst.saturating_sub(1);
            self.counts.lost_sent += 1;
            return Fate::Lose;
        }
        self.counts.sent += 1;
        if self.happens(self.reorder) {
            self.counts.reordered += 1;
            return Fate::Delay;
        }
        Fate::Pass
    }

    fn blocks(&self, other: SocketAddr) -> bool {
        self.only_port.is_some_and(|port| other.port() != port)
    }

    fn loses_received(&mut self, datagram: &[u8]) -> bool {
        if self.cut {
            return true;
        }
        let lost = is_rtp(datagram) && (self.receive_burst > 0 || self.happens(self.receive_loss));
        if lost {
            self.receive_burst = self.receive_burst.saturating_sub(1);
            self.counts.lost_received += 1;
        }
        lost
    }

    /// True in this share of the calls (splitmix64 over a counter).
    fn happens(&mut self, share: f64) -> bool {
        if share <= 0.0 {
            return false;
        }
        self.chance = self.chance.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.chance;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) as f64 / u64::MAX as f64) < share
    }
}

/// RTP by the first byte (RFC 9443) and not RTCP by the second (RFC 5761 section 4).
fn is_rtp(datagram: &[u8]) -> bool {
    matches!(datagram, [128..=191, kind, ..] if !(64..=95).contains(&(kind & 0x7F)))
}

/// What the library asks for on its own sockets, in bytes.
const RECEIVE_BUFFER: usize = 4 << 20;

#[derive(Debug)]
struct ImpairedRuntime(Impairment);

impl Runtime for ImpairedRuntime {
    fn spawn(&self, future: Pin<Box<dyn Future<Output = ()> + Send>>) -> Box<dyn JoinHandle> {
        TokioRuntime.spawn(future)
    }

    fn wrap_udp_socket(&self, socket: std::net::UdpSocket) -> io::Result<Arc<dyn AsyncUdpSocket>> {
        self.0.state().addresses.push(socket.local_addr()?);
        // What is lost is the impairment's doing, not that of a test that waits for its turn.
        socket2::SockRef::from(&socket).set_recv_buffer_size(RECEIVE_BUFFER)?;
        Ok(Arc::new(ImpairedSocket {
            inner: TokioRuntime.wrap_udp_socket(socket)?,
            impairment: self.0.clone(),
            delayed: Mutex::default(),
            queue: Mutex::default(),
        }))
    }

    fn wrap_tcp_listener(
        &self,
        listener: std::net::TcpListener,
    ) -> io::Result<Arc<dyn AsyncTcpListener>> {
        TokioRuntime.wrap_tcp_listener(listener)
    }

    fn connect_tcp<'a>(
        &'a self,
        remote: SocketAddr,
    ) -> Pin<Box<dyn Future<Output = io::Result<Arc<dyn AsyncTcpStream>>> + Send + 'a>> {
        if self.0.state().blocks(remote) {
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        }
        TokioRuntime.connect_tcp(remote)
    }

    fn resolve_host<'a>(
        &'a self,
        host: &'a str,
    ) -> Pin<Box<dyn Future<Output = io::Result<Vec<SocketAddr>>> + Send + 'a>> {
        let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
        if let Some((known, address)) = self.0.state().host.clone()
            && known == name
        {
            return Box::pin(async move { Ok(vec![address]) });
        }
        TokioRuntime.resolve_host(host)
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + 'static>> {
        TokioRuntime.sleep(duration)
    }

    fn interval(&self, period: Duration) -> Box<dyn AsyncInterval> {
        TokioRuntime.interval(period)
    }

    fn block_on(&self, future: Pin<Box<dyn Future<Output = ()> + '_>>) {
        TokioRuntime.block_on(future);
    }
}

#[derive(Debug)]
struct ImpairedSocket {
    inner: Arc<dyn AsyncUdpSocket>,
    impairment: Impairment,
    delayed: Mutex<VecDeque<Delayed>>,
    /// What is on its way in over a narrow link.
    queue: Mutex<Queue>,
}

#[derive(Debug)]
struct Delayed {
    datagram: Vec<u8>,
    destination: SocketAddr,
    /// Datagrams still to be sent before it.
    behind: usize,
}

impl ImpairedSocket {
    /// Sends what has been overtaken often enough.
    fn send_delayed(&self, cx: &mut Context<'_>) {
        let mut delayed = self.delayed.lock().unwrap_or_else(PoisonError::into_inner);
        for held in delayed.iter_mut() {
            held.behind = held.behind.saturating_sub(1);
        }
        while delayed.front().is_some_and(|held| held.behind == 0) {
            let Some(held) = delayed.pop_front() else {
                return;
            };
            // A full socket buffer loses it, as a network would.
            let _ = self.inner.poll_send(
                cx,
                &Transmit {
                    destination: held.destination,
                    ecn: None,
                    contents: &held.datagram,
                    segment_size: None,
                    src_ip: None,
                },
            );
        }
    }
}

impl AsyncUdpSocket for ImpairedSocket {
    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    // One datagram a call, so that each has a fate of its own.
    fn max_gso_segments(&self) -> usize {
        1
    }

    fn max_gro_segments(&self) -> usize {
        self.inner.max_gro_segments()
    }

    fn poll_send(&self, cx: &mut Context<'_>, transmit: &Transmit<'_>) -> Poll<io::Result<usize>> {
        if self.impairment.state().blocks(transmit.destination) {
            return Poll::Ready(Ok(transmit.contents.len()));
        }
        let fate = self.impairment.state().on_send(transmit.contents);
        let sent = match fate {
            Fate::Pass => ready!(self.inner.poll_send(cx, transmit)),
            Fate::Lose => Ok(transmit.contents.len()),
            Fate::Delay => {
                let mut delayed = self.delayed.lock().unwrap_or_else(PoisonError::into_inner);
                delayed.push_back(Delayed {
                    datagram: transmit.contents.to_vec(),
                    destination: transmit.destination,
                    behind: REORDER_DISTANCE + 1,
                });
                Ok(transmit.contents.len())
            }
        };
        self.send_delayed(cx);
        Poll::Ready(sent)
    }

    fn poll_recv(
        &self,
        cx: &mut Context<'_>,
        buffers: &mut [IoSliceMut<'_>],
        meta: &mut [RecvMeta],
    ) -> Poll<io::Result<usize>> {
        let mut queue = self.queue.lock().unwrap_or_else(PoisonError::into_inner);
        while let Poll::Ready(received) = self.inner.poll_recv(cx, buffers, meta) {
            let received = received?;
            let mut state = self.impairment.state();
            let queued = state.sift(&mut queue, buffers, &mut meta[..received]);
            if !queued {
                return Poll::Ready(Ok(received));
            }
        }
        queue.poll_recv(cx, buffers, meta).map(Ok)
    }
}

impl State {
    /// Loses what is to be lost of what came. The rest stays where it is, or has to wait: then
    /// all is in the queue, and true is returned.
    fn sift(
        &mut self,
        queue: &mut Queue,
        buffers: &mut [IoSliceMut<'_>],
        metas: &mut [RecvMeta],
    ) -> bool {
        let now = Instant::now();
        let waits = !queue.is_empty() || self.link.is_narrow();
        for (buffer, meta) in buffers.iter_mut().zip(metas) {
            // One message may hold several datagrams of `stride` bytes each.
            let stride = meta.stride.max(1);
            let mut kept = 0;
            for start in (0..meta.len).step_by(stride) {
                let end = (start + stride).min(meta.len);
                if self.blocks(meta.addr) || self.loses_received(&buffer[start..end]) {
                    continue;
                }
                let bytes = end - start;
                let Some(passed) = self.link.pass(now, bytes) else {
                    self.counts.held_out += 1;
                    continue;
                };
                self.counts.received_bytes += bytes;
                if waits {
                    queue.push(passed, *meta, &buffer[start..end]);
                } else {
                    buffer.copy_within(start..end, kept);
                    kept += bytes;
                }
            }
            meta.len = kept;
        }
        waits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const RTP: [u8; 12] = [0x80, 96, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1];
    const RTCP: [u8; 8] = [0x80, 200, 0, 1, 0, 0, 0, 1];

    #[test]
    fn a_burst_loses_as_many_rtp_packets_and_no_rtcp() {
        let impairment = Impairment::default();
        impairment.lose_next_sent(2);
        let mut state = impairment.state();
        let lost = [&RTP[..], &RTCP, &RTP, &RTP]
            .map(|datagram| matches!(state.on_send(datagram), Fate::Lose));
        assert_eq!(lost, [true, false, true, false]);
        assert_eq!(state.counts.lost_sent, 2);
    }

    #[test]
    fn random_loss_comes_near_its_share() {
        let impairment = Impairment::default();
        impairment.set_receive_loss(0.1);
        let mut state = impairment.state();
        let lost = (0..10_000).filter(|_| state.loses_received(&RTP)).count();
        assert!((900..1100).contains(&lost), "{lost} of 10000");
    }

    #[test]
    fn a_cut_stops_everything() {
        let impairment = Impairment::default();
        impairment.set_cut(true);
        let mut state = impairment.state();
        assert!(state.loses_received(&RTCP));
        assert!(matches!(state.on_send(&RTCP), Fate::Lose));
    }
}
