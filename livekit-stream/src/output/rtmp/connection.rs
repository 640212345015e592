//! One connection: sockets, TLS, the session up to the server's consent.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::{PublishError, PublisherOptions};
use crate::rtmp::RtmpUrl;
use crate::rtmp::handshake::RANDOM_LEN;
use crate::rtmp::session::{PublishEvent, PublishSession, Stage};
use crate::socket;
pub(super) use crate::socket::{Transport, address, finish};

/// How much is read at once: servers say little.
pub(super) const READ_LEN: usize = 8 * 1024;

/// A connection whose server takes media.
pub(super) struct Connection {
    pub(super) transport: Box<dyn Transport>,
    pub(super) session: PublishSession,
    /// Host and port, for errors.
    pub(super) address: String,
}

/// Connects and publishes, within [`PublisherOptions::connect_timeout`].
pub(super) async fn open(
    url: &RtmpUrl,
    options: &PublisherOptions,
) -> Result<Connection, PublishError> {
    let address = address(url);
    let mut random = [0; RANDOM_LEN];
    rand::fill(&mut random[..]);
    let mut session = PublishSession::new(url.clone(), 0, &random)
        .with_capabilities(&options.enhanced.capabilities());
    let establish = async {
        let mut transport = socket::connect(url, options.tls.as_ref(), &address).await?;
        publish(&mut *transport, &mut session, &address).await?;
        Ok::<_, PublishError>(transport)
    };
    let transport = timeout(options.connect_timeout, establish).await;
    match transport {
        Ok(transport) => Ok(Connection {
            transport: transport?,
            session,
            address,
        }),
        Err(_) => Err(PublishError::Timeout {
            address,
            stage: session.stage(),
            after: options.connect_timeout,
        }),
    }
}

async fn publish(
    transport: &mut dyn Transport,
    session: &mut PublishSession,
    address: &str,
) -> Result<(), PublishError> {
    let mut input = vec![0; READ_LEN];
    loop {
        let output = session.take_output();
        if !output.is_empty() {
            let stage = session.stage();
            let written = async {
                transport.write_all(&output).await?;
                transport.flush().await
            };
            written
                .await
                .map_err(|error| PublishError::io(address, stage, error))?;
        }
        if session.stage() == Stage::Published {
            return Ok(());
        }
        let count = transport
            .read(&mut input)
            .await
            .map_err(|error| PublishError::io(address, session.stage(), error))?;
        received(session, input.get(..count).unwrap_or_default(), address)?;
    }
}

/// Feeds what was read to the session; nothing means that the server closed.
pub(super) fn received(
    session: &mut PublishSession,
    bytes: &[u8],
    address: &str,
) -> Result<(), PublishError> {
    let address = address.to_owned();
    if bytes.is_empty() {
        let stage = session.stage();
        return Err(PublishError::ClosedByPeer { address, stage });
    }
    session
        .receive(bytes)
        .map_err(|error| PublishError::session(&address, error))?;
    while let Some(event) = session.next_event() {
        if event == PublishEvent::Unpublished {
            return Err(PublishError::Unpublished { address });
        }
    }
    Ok(())
}
