//! Publishers that were let in, as they come.

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinHandle;

use super::{ListenError, RtmpConnection, RtmpListener};
use crate::rtmp::session::PublishRequest;

/// Connections whose handshake may go on at once; more are hung up on.
const MAX_PENDING: usize = 64;

/// Accepted publishers that wait to be taken; the next one waits for its answer.
const MAX_WAITING: usize = 4;

/// How long nobody is accepted after the system had no more sockets.
const PAUSE: std::time::Duration = std::time::Duration::from_millis(100);

/// The publishers that [`RtmpListener::publishers`] lets in. Dropping it closes the socket; the
/// connections taken go on.
#[derive(Debug)]
pub struct Publishers {
    accepted: mpsc::Receiver<RtmpConnection>,
    task: JoinHandle<()>,
}

impl Publishers {
    pub(super) fn start(
        listener: RtmpListener,
        check: impl Fn(&PublishRequest) -> bool + Send + Sync + 'static,
    ) -> Self {
        let (sender, accepted) = mpsc::channel(MAX_WAITING);
        Self {
            accepted,
            task: tokio::spawn(listen(listener, Arc::new(check), sender)),
        }
    }

    /// The next publisher whose stream was accepted. Never `None` while the runtime lives.
    ///
    /// Cancelling loses nothing but the wait.
    pub async fn next(&mut self) -> Option<RtmpConnection> {
        self.accepted.recv().await
    }
}

impl Drop for Publishers {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn listen<C: Fn(&PublishRequest) -> bool + Send + Sync + 'static>(
    listener: RtmpListener,
    check: Arc<C>,
    sender: mpsc::Sender<RtmpConnection>,
) {
    let pending = Arc::new(Semaphore::new(MAX_PENDING));
    loop {
        let connection = match listener.accept().await {
            Ok(connection) => connection,
            Err(error) => {
                tracing::warn!(%error, "no RTMP connection can be accepted");
                tokio::time::sleep(PAUSE).await;
                continue;
            }
        };
        let Ok(permit) = Arc::clone(&pending).try_acquire_owned() else {
            tracing::warn!(peer = %connection.peer_addr(), "too many RTMP handshakes at once");
            continue;
        };
        let (check, sender) = (Arc::clone(&check), sender.clone());
        tokio::spawn(async move {
            let peer = connection.peer_addr();
            match admit(connection, &*check).await {
                Ok(Some(connection)) => {
                    drop(permit);
                    // The receiver may be gone: then nobody wants it.
                    let _ = sender.send(connection).await;
                }
                Ok(None) => {}
                Err(error) => tracing::debug!(%peer, %error, "RTMP publisher"),
            }
        });
    }
}

/// Asks one connection what it wants. `None`: it was rejected or went away.
async fn admit(
    mut connection: RtmpConnection,
    check: &(impl Fn(&PublishRequest) -> bool + Sync),
) -> Result<Option<RtmpConnection>, ListenError> {
    let Some(request) = connection.request().await? else {
        return Ok(None);
    };
    if !check(&request) {
        tracing::info!(peer = %connection.peer_addr(), ?request, "RTMP publisher rejected");
        let code = "NetStream.Publish.BadName";
        connection.reject(code, "unknown stream key").await?;
        return Ok(None);
    }
    connection.accept().await?;
    Ok(Some(connection))
}
