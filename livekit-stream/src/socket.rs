//! Sockets to RTMP servers, with and without TLS: for those who publish and those who play.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_rustls::TlsConnector;

use crate::rtmp::RtmpUrl;

/// How much is read at once of a server that says goodbye.
const READ_LEN: usize = 8 * 1024;

/// How long an address is tried alone before the next one is tried as well (RFC 8305 section 8).
const HEAD_START: Duration = Duration::from_millis(250);

/// A socket, with or without TLS.
pub(crate) trait Transport: AsyncRead + AsyncWrite + Unpin + Send {}

impl<T: AsyncRead + AsyncWrite + Unpin + Send> Transport for T {}

/// A connection could not be made.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// The host's name has no address.
    #[error("cannot resolve {host}: {source}")]
    Resolve {
        /// The host.
        host: String,
        /// What the resolver said.
        source: Arc<io::Error>,
    },
    /// Nobody listens there.
    #[error("{address} refused the connection")]
    Refused {
        /// Host and port.
        address: String,
    },
    /// The connection could not be made for another reason.
    #[error("cannot connect to {address}: {source}")]
    Connect {
        /// Host and port.
        address: String,
        /// Why.
        source: Arc<io::Error>,
    },
    /// The server's certificate was not accepted, or it does not speak TLS.
    #[error("TLS with {address}: {source}")]
    Tls {
        /// Host and port.
        address: String,
        /// Why.
        source: Arc<io::Error>,
    },
}

/// Host and port as they are written.
pub(crate) fn address(url: &RtmpUrl) -> String {
    if url.host().contains(':') {
        format!("[{}]:{}", url.host(), url.port())
    } else {
        format!("{}:{}", url.host(), url.port())
    }
}

/// Connects to the server of an RTMP address; `rtmps` with this configuration, or with Mozilla's
/// roots.
pub(crate) async fn connect(
    url: &RtmpUrl,
    tls: Option<&Arc<rustls::ClientConfig>>,
    address: &str,
) -> Result<Box<dyn Transport>, ConnectFailure> {
    let candidates = tokio::net::lookup_host((url.host(), url.port()))
        .await
        .map_err(|source| ConnectFailure::Resolve {
            host: url.host().to_owned(),
            source: Arc::new(source),
        })?;
    let stream = first_connected(candidates, TcpStream::connect).await;
    let stream = stream.map_err(|error| {
        let address = address.to_owned();
        match error.kind() {
            io::ErrorKind::ConnectionRefused => ConnectFailure::Refused { address },
            _ => ConnectFailure::Connect {
                address,
                source: Arc::new(error),
            },
        }
    })?;
    // Media is written in whole frames: waiting to fill a segment only delays it.
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "TCP_NODELAY was refused");
    }
    if !url.tls() {
        return Ok(Box::new(stream));
    }
    let failed = |source: io::Error| ConnectFailure::Tls {
        address: address.to_owned(),
        source: Arc::new(source),
    };
    let config = match tls {
        Some(config) => Arc::clone(config),
        None => crate::tls::default_config().map_err(|error| failed(io::Error::other(error)))?,
    };
    let name = ServerName::try_from(url.host().to_owned())
        .map_err(|error| failed(io::Error::other(error)))?;
    let stream = TlsConnector::from(config)
        .connect(name, stream)
        .await
        .map_err(failed)?;
    Ok(Box::new(stream))
}

/// The first connection to come about. An address that says nothing must not use up the time of
/// the others (RFC 8305 section 5).
///
/// # Errors
///
/// Why the last one failed, when none is left.
async fn first_connected<S, F>(
    candidates: impl Iterator<Item = SocketAddr>,
    connect: impl Fn(SocketAddr) -> F,
) -> io::Result<S>
where
    F: Future<Output = io::Result<S>>,
{
    let mut candidates = candidates.peekable();
    let mut attempts = FuturesUnordered::new();
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the name has no address");
    loop {
        if let Some(candidate) = candidates.next() {
            attempts.push(connect(candidate));
        }
        tokio::select! {
            biased;
            attempt = attempts.next() => match attempt {
                Some(Ok(connected)) => return Ok(connected),
                Some(Err(error)) => last = error,
                None => return Err(last),
            },
            () = sleep(HEAD_START), if candidates.peek().is_some() => {}
        }
    }
}

/// Says goodbye: nothing more is written, and what the server still says is read, or the system
/// would reset the connection and the server might lose its last frames.
pub(crate) async fn finish(transport: &mut dyn Transport, within: Duration) {
    let goodbye = async {
        transport.shutdown().await?;
        let mut input = vec![0; READ_LEN];
        while transport.read(&mut input).await? > 0 {}
        Ok::<_, io::Error>(())
    };
    // The stream is complete; how the server hangs up is no news.
    if let Ok(Err(error)) = timeout(within, goodbye).await {
        tracing::debug!(%error, "the server did not close in order");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(count: u16) -> impl Iterator<Item = SocketAddr> {
        (1..=count).map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
    }

    /// What an address with this port does.
    async fn connect(candidate: SocketAddr, silent: u16, takes: u16) -> io::Result<u16> {
        let port = candidate.port();
        if port == silent {
            std::future::pending::<()>().await;
        }
        if port == takes {
            return Ok(port);
        }
        Err(io::ErrorKind::ConnectionRefused.into())
    }

    #[tokio::test]
    async fn an_address_that_says_nothing_does_not_use_up_the_time_of_the_next() {
        let connected = first_connected(addresses(3), |address| connect(address, 1, 3));
        let connected = timeout(Duration::from_secs(5), connected).await;
        assert!(matches!(connected, Ok(Ok(3))), "{connected:?}");
    }

    #[tokio::test]
    async fn an_address_that_answers_late_is_still_taken_when_the_others_refuse() {
        let connected = first_connected(addresses(3), |address| async move {
            if address.port() == 1 {
                sleep(HEAD_START * 2).await;
            }
            connect(address, 0, 1).await
        });
        assert!(matches!(connected.await, Ok(1)));
    }

    #[tokio::test]
    async fn when_every_address_fails_the_last_reason_is_told() {
        let failed = first_connected(addresses(3), |address| connect(address, 0, 0)).await;
        assert!(matches!(failed, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused));
        let failed = first_connected(addresses(0), |address| connect(address, 0, 0)).await;
        assert!(matches!(failed, Err(error) if error.kind() == io::ErrorKind::NotFound));
    }
}
