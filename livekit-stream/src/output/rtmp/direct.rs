//! Media to one peer in the order it is written and nothing left out: who writes waits for a peer
//! that is slow. For programs that make media faster than it plays, where [`super::RtmpPublisher`]
//! would drop what a live stream cannot keep.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use super::connection::{self, READ_LEN, Transport};
use super::{PublishError, PublisherOptions};
use crate::mux::flv::TagKind;
use crate::rtmp::RtmpUrl;
use crate::rtmp::handshake::RANDOM_LEN;
use crate::rtmp::session::{PublishSession, ServerEvent, ServerOptions, ServerSession, Stage};

/// Messages that wait for the socket before the writer does.
const QUEUED: usize = 16;

/// How long the peer may take to hang up after the stream's end.
const GOODBYE: Duration = Duration::from_secs(1);

/// The body of an FLV tag and its time in milliseconds.
pub(crate) type Message = (TagKind, u64, Bytes);

/// Either end of a connection that media is sent on.
enum Session {
    Publish(Box<PublishSession>),
    Serve(Box<ServerSession>),
}

/// A connection with a task of its own, which keeps answering the peer while nothing is written.
pub(crate) struct DirectOutput {
    messages: Option<mpsc::Sender<Message>>,
    task: Option<JoinHandle<Result<(), PublishError>>>,
    runtime: Handle,
}

impl DirectOutput {
    /// Publishes to a server. Called, as all of this, on a thread that may wait.
    pub(crate) fn publish(
        url: &RtmpUrl,
        options: &PublisherOptions,
        runtime: Handle,
    ) -> Result<Self, PublishError> {
        let connection = runtime.block_on(connection::open(url, options))?;
        let session = Session::Publish(Box::new(connection.session));
        let address = connection.address;
        let limit = options.write_timeout;
        Ok(Self::start(
            runtime,
            connection.transport,
            session,
            address,
            limit,
        ))
    }

    /// Waits on the address for a player that asks for its stream, and serves it. Others are sent
    /// away.
    pub(crate) fn serve(
        url: &RtmpUrl,
        within: Option<Duration>,
        options: &PublisherOptions,
        runtime: Handle,
    ) -> Result<Self, PublishError> {
        let address = connection::address(url);
        let waiting = wait_for_player(url, &address, options.connect_timeout);
        let player = runtime.block_on(async {
            match within {
                Some(within) => timeout(within, waiting).await.unwrap_or_else(|_| {
                    Err(PublishError::NoPlayer {
                        address: address.clone(),
                        after: within,
                    })
                }),
                None => waiting.await,
            }
        });
        let (transport, session) = player?;
        let session = Session::Serve(Box::new(session));
        let limit = options.write_timeout;
        Ok(Self::start(runtime, transport, session, address, limit))
    }

    fn start(
        runtime: Handle,
        transport: Box<dyn Transport>,
        session: Session,
        address: String,
        write_timeout: Duration,
    ) -> Self {
        let (messages, received) = mpsc::channel(QUEUED);
        let task = runtime.spawn(run(transport, session, received, address, write_timeout));
        Self {
            messages: Some(messages),
            task: Some(task),
            runtime,
        }
    }

    pub(crate) fn send(&mut self, message: Message) -> Result<(), PublishError> {
        match &self.messages {
            Some(messages) if messages.blocking_send(message).is_ok() => Ok(()),
            _ => {
                self.close()?;
                Err(PublishError::Closed)
            }
        }
    }

    /// Ends the stream when everything is sent; the second time does nothing.
    pub(crate) fn close(&mut self) -> Result<(), PublishError> {
        self.messages = None;
        match self.task.take() {
            // A task that panicked, or a runtime that ended.
            Some(task) => self
                .runtime
                .block_on(task)
                .unwrap_or(Err(PublishError::Closed)),
            None => Ok(()),
        }
    }
}

impl Drop for DirectOutput {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

async fn wait_for_player(
    url: &RtmpUrl,
    address: &str,
    patience: Duration,
) -> Result<(Box<dyn Transport>, ServerSession), PublishError> {
    let failed = |source: io::Error| PublishError::Listen {
        address: address.to_owned(),
        source: Arc::new(source),
    };
    let listener = TcpListener::bind((url.host(), url.port()))
        .await
        .map_err(failed)?;
    loop {
        let (stream, peer) = listener.accept().await.map_err(failed)?;
        // As with those that publish: whole frames are written.
        let _ = stream.set_nodelay(true);
        let mut transport: Box<dyn Transport> = Box::new(stream);
        match timeout(patience, greet(&mut *transport, url)).await {
            Ok(Ok(Some(session))) => return Ok((transport, session)),
            Ok(Ok(None)) => tracing::info!(%peer, "asked for something else than the stream"),
            Ok(Err(error)) => tracing::info!(%peer, %error, "not a player"),
            Err(_) => tracing::info!(%peer, "said nothing"),
        }
    }
}

/// `None`: the client wants something else.
async fn greet(transport: &mut dyn Transport, url: &RtmpUrl) -> io::Result<Option<ServerSession>> {
    let mut random = [0; RANDOM_LEN];
    rand::fill(&mut random[..]);
    let mut session = ServerSession::new(ServerOptions::default(), 0, &random);
    let mut input = vec![0; READ_LEN];
    loop {
        transport.write_all(&session.take_output()).await?;
        transport.flush().await?;
        while let Some(event) = session.next_event() {
            match event {
                ServerEvent::PlayRequested(request)
                    if (request.app(), request.key()) == (url.app(), url.key()) =>
                {
                    session.accept();
                    return Ok(Some(session));
                }
                ServerEvent::PlayRequested(_) => {
                    session.reject("NetStream.Play.StreamNotFound", "no such stream");
                }
                ServerEvent::PublishRequested(_) => {
                    session.reject("NetStream.Publish.Denied", "this server plays");
                }
                _ => continue,
            }
            transport.write_all(&session.take_output()).await?;
            transport.shutdown().await?;
            return Ok(None);
        }
        let count = transport.read(&mut input).await?;
        if count == 0 {
            return Ok(None);
        }
        let bytes = input.get(..count).unwrap_or_default();
        session.receive(bytes).map_err(io::Error::other)?;
    }
}

async fn run(
    transport: Box<dyn Transport>,
    mut session: Session,
    mut messages: mpsc::Receiver<Message>,
    address: String,
    write_timeout: Duration,
) -> Result<(), PublishError> {
    let (mut reader, mut writer) = tokio::io::split(transport);
    let mut input = vec![0; READ_LEN];
    let mut output = Vec::new();
    let mut written = 0;
    let mut closing = false;
    let mut progress = Instant::now();
    let broken = |error| PublishError::io(&address, Stage::Published, error);
    loop {
        if written == output.len() {
            written = 0;
            output = session.take_output();
            progress = Instant::now();
            if output.is_empty() && closing {
                writer.flush().await.map_err(broken)?;
                connection::finish(&mut *reader.unsplit(writer), GOODBYE).await;
                return Ok(());
            }
        }
        let pending = output.get(written..).unwrap_or_default();
        tokio::select! {
            read = reader.read(&mut input) => {
                let count = read.map_err(broken)?;
                if count == 0 && closing && pending.is_empty() {
                    return Ok(());
                }
                session.received(input.get(..count).unwrap_or_default(), &address)?;
            }
            done = writer.write(pending), if !pending.is_empty() => {
                written += done.map_err(broken)?;
                progress = Instant::now();
            }
            message = messages.recv(), if pending.is_empty() && !closing => {
                if let Some(message) = message {
                    session.send(message);
                } else {
                    session.close();
                    closing = true;
                }
            }
            () = sleep_until(progress + write_timeout), if !pending.is_empty() => {
                return Err(PublishError::Stalled { address, after: write_timeout });
            }
        }
    }
}

impl Session {
    fn take_output(&mut self) -> Vec<u8> {
        match self {
            Self::Publish(session) => session.take_output(),
            Self::Serve(session) => session.take_output(),
        }
    }

    fn received(&mut self, bytes: &[u8], address: &str) -> Result<(), PublishError> {
        let gone = || PublishError::ClosedByPeer {
            address: address.to_owned(),
            stage: Stage::Published,
        };
        match self {
            Self::Publish(session) => connection::received(session, bytes, address),
            Self::Serve(_) if bytes.is_empty() => Err(gone()),
            Self::Serve(session) => {
                let received = session.receive(bytes);
                received.map_err(|error| PublishError::session(address, error))?;
                while let Some(event) = session.next_event() {
                    if event == ServerEvent::Unpublished {
                        return Err(gone());
                    }
                }
                Ok(())
            }
        }
    }

    fn send(&mut self, (kind, time_ms, body): Message) {
        match (self, kind) {
            (Self::Publish(session), TagKind::Script) => session.send_metadata(&body),
            (Self::Publish(session), TagKind::Video) => session.send_video(time_ms, body),
            (Self::Publish(session), TagKind::Audio) => session.send_audio(time_ms, body),
            (Self::Serve(session), kind) => session.send_media(kind as u8, time_ms, body),
        }
    }

    fn close(&mut self) {
        match self {
            Self::Publish(session) => session.close(),
            Self::Serve(session) => session.end(),
        }
    }
}
