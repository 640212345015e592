//! One connection to a TURN server over TCP or TLS.

use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::Network;
use super::routes::Target;
use super::stream::TcpStream;
use crate::turn::{MalformedMessage, Reader, frame, request_transaction};

/// Messages that wait for the connection. We send requests, feedback and hardly anything else.
const OUTGOING: usize = 256;

/// How long connecting may take, and how long TLS. The WebRTC crate gives an allocation up after
/// eight seconds.
const CONNECT: Duration = Duration::from_secs(8);

/// How long the last messages, which release the allocation, may take to go out.
const CLOSE: Duration = Duration::from_secs(2);

/// Bytes that are written together.
const BATCH: usize = 16 * 1024;

/// Requests that are remembered, so that none is sent twice.
const REQUESTS: usize = 64;

#[derive(Debug, thiserror::Error)]
enum TunnelError {
    #[error("no connection within {} s", CONNECT.as_secs())]
    Timeout(#[from] tokio::time::error::Elapsed),
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("{0}")]
    Tls(#[from] rustls::Error),
    #[error(transparent)]
    Malformed(#[from] MalformedMessage),
    #[error("the server closed the connection")]
    Closed,
}

/// The way into a tunnel, which ends when this is dropped.
#[derive(Debug)]
pub(super) struct Outgoing {
    messages: mpsc::Sender<Bytes>,
    target: Target,
    dropped: u64,
}

impl Outgoing {
    /// Sends a message, unless too many wait or the connection is over.
    pub(super) fn send(&mut self, message: &[u8]) {
        if self
            .messages
            .try_send(Bytes::copy_from_slice(message))
            .is_err()
        {
            self.dropped += 1;
        }
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        if self.dropped > 0 {
            let (server, dropped) = (&self.target.server.host, self.dropped);
            tracing::info!(server, dropped, "messages to a TURN server were dropped");
        }
    }
}

/// Opens a tunnel to a server. What comes from there is sent to `incoming` as if from the address
/// `stand_in`. When it fails, it stays closed; an ICE restart opens another.
pub(super) fn open(
    network: &Network,
    target: Target,
    stand_in: SocketAddr,
    incoming: mpsc::Sender<(SocketAddr, Bytes)>,
) -> Outgoing {
    let (messages, outgoing) = mpsc::channel(OUTGOING);
    let tunnel = Tunnel {
        network: network.clone(),
        target: target.clone(),
        stand_in,
        incoming,
        outgoing,
    };
    network.runtime.spawn(Box::pin(tunnel.run())).detach();
    Outgoing {
        messages,
        target,
        dropped: 0,
    }
}

struct Tunnel {
    network: Network,
    target: Target,
    stand_in: SocketAddr,
    incoming: mpsc::Sender<(SocketAddr, Bytes)>,
    outgoing: mpsc::Receiver<Bytes>,
}

impl Tunnel {
    async fn run(self) {
        let (server, address) = (self.target.server.clone(), self.target.address);
        if let Err(error) = self.connect_and_carry().await {
            let (host, tls) = (server.host, server.tls);
            tracing::warn!(host, %address, tls, %error, "no way through a TURN server");
        }
    }

    async fn connect_and_carry(mut self) -> Result<(), TunnelError> {
        let connecting = timeout(CONNECT, self.network.connect_tcp(self.target.address));
        let stream = TcpStream::new(tokio::select! {
            connected = connecting => connected??,
            () = self.incoming.closed() => return Ok(()),
        });
        if !self.target.server.tls {
            return self.carry(stream).await;
        }
        let config = match &self.network.tls {
            Some(config) => Arc::clone(config),
            None => crate::tls::default_config()?,
        };
        let name = ServerName::try_from(self.target.server.host.clone())
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let connecting = timeout(CONNECT, TlsConnector::from(config).connect(name, stream));
        let stream = tokio::select! {
            connected = connecting => connected??,
            () = self.incoming.closed() => return Ok(()),
        };
        self.carry(stream).await
    }

    /// Carries messages until the socket is gone or the connection ends.
    async fn carry(&mut self, stream: impl AsyncRead + AsyncWrite) -> Result<(), TunnelError> {
        let (read, write) = tokio::io::split(stream);
        tokio::select! {
            received = receive(read, self.stand_in, &self.incoming) => received,
            sent = send(write, &mut self.outgoing) => sent,
        }
    }
}

async fn receive(
    mut stream: impl AsyncRead + Unpin,
    from: SocketAddr,
    incoming: &mpsc::Sender<(SocketAddr, Bytes)>,
) -> Result<(), TunnelError> {
    let mut reader = Reader::default();
    let mut bytes = vec![0; BATCH];
    loop {
        let length = stream.read(&mut bytes).await?;
        if length == 0 {
            return Err(TunnelError::Closed);
        }
        reader.receive(&bytes[..length]);
        while let Some(message) = reader.next_message()? {
            // A socket that is gone ends the other direction.
            let _ = incoming.send((from, message)).await;
        }
    }
}

async fn send(
    mut stream: impl AsyncWrite + Unpin,
    outgoing: &mut mpsc::Receiver<Bytes>,
) -> Result<(), TunnelError> {
    let mut sent = Sent::default();
    let mut batch = Vec::new();
    while let Some(message) = outgoing.recv().await {
        batch.clear();
        sent.frame(&message, &mut batch);
        while batch.len() < BATCH
            && let Ok(message) = outgoing.try_recv()
        {
            sent.frame(&message, &mut batch);
        }
        if batch.is_empty() {
            continue;
        }
        let writing = async {
            stream.write_all(&batch).await?;
            stream.flush().await
        };
        if outgoing.is_closed() {
            // Nobody reads any more; a server that does not either must not keep us.
            let _ = timeout(CLOSE, writing).await;
        } else {
            writing.await?;
        }
    }
    let _ = timeout(CLOSE, stream.shutdown()).await;
    Ok(())
}

/// The requests that were sent. The WebRTC crate repeats those that are not answered, and over a
/// stream they must not be (RFC 8489 section 6.2.2).
#[derive(Default)]
struct Sent(VecDeque<[u8; 12]>);

impl Sent {
    fn frame(&mut self, message: &[u8], stream: &mut Vec<u8>) {
        if let Some(transaction) = request_transaction(message) {
            if self.0.contains(&transaction) {
                return;
            }
            if self.0.len() >= REQUESTS {
                self.0.pop_front();
            }
            self.0.push_back(transaction);
        }
        if let Err(error) = frame(message, stream) {
            tracing::warn!(%error, "a message to a TURN server is dropped");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_goes_out_once() {
        let mut request = b"\x00\x03\x00\x00\x21\x12\xa4\x42transaction!".to_vec();
        let mut stream = Vec::new();
        let mut sent = Sent::default();
        for _ in 0..3 {
            sent.frame(&request, &mut stream);
        }
        assert_eq!(stream, request);
        request[8] = b'T';
        sent.frame(&request, &mut stream);
        assert_eq!(stream.len(), 2 * request.len());
        // Indications have no answer and may be alike.
        request[1] = 0x16;
        stream.clear();
        for _ in 0..2 {
            sent.frame(&request, &mut stream);
        }
        assert_eq!(stream.len(), 2 * request.len());
    }
}
