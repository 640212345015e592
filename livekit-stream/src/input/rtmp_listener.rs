//! A small RTMP server: takes publishers and hands out what they send.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, ToSocketAddrs};
use tokio::time::timeout;

use super::Publishers;
use crate::mux::{MuxError, flv};
use crate::rtmp::handshake::RANDOM_LEN;
use crate::rtmp::session::{
    Capabilities, MediaMessage, PublishRequest, ServerEvent, ServerOptions, ServerSession,
    SessionError,
};

/// How long a publisher may say nothing, and may take nothing.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// How much is read at once.
const READ_LEN: usize = 64 * 1024;

/// A publisher cannot be received any further.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ListenError {
    /// The socket failed.
    #[error("RTMP connection: {0}")]
    Io(#[from] io::Error),
    /// The publisher does not speak RTMP as it should.
    #[error(transparent)]
    Session(#[from] SessionError),
    /// The publisher said nothing, or took nothing, for too long.
    #[error("the publisher was silent for {} s", .after.as_secs_f32())]
    Silent {
        /// The time limit.
        after: Duration,
    },
    /// What was received does not go into FLV.
    #[error(transparent)]
    Mux(#[from] MuxError),
}

/// Listens for RTMP publishers.
///
/// ```no_run
/// use livekit_stream::input::RtmpListener;
///
/// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = RtmpListener::bind("127.0.0.1:1935").await?;
/// let mut publisher = listener.accept().await?;
/// let request = publisher.request().await?;
/// if request.is_some_and(|request| request.key() == "expected") {
///     publisher.accept().await?;
///     let file = tokio::fs::File::create("stream.flv").await?;
///     let tags = publisher.record_flv(file).await?;
///     println!("{tags} tags");
/// } else {
///     publisher.reject("NetStream.Publish.Denied", "unknown key").await?;
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RtmpListener {
    listener: TcpListener,
    options: ServerOptions,
}

impl RtmpListener {
    /// Listens on `address`; port 0 takes a free one.
    pub async fn bind(address: impl ToSocketAddrs) -> io::Result<Self> {
        Ok(Self::new(TcpListener::bind(address).await?))
    }

    /// Takes a socket that listens already. It announces Enhanced RTMP: what
    /// [`demux::flv`](crate::demux::flv) reads by FourCC.
    #[must_use]
    pub fn new(listener: TcpListener) -> Self {
        Self {
            listener,
            options: ServerOptions {
                capabilities: capabilities(),
                ..ServerOptions::default()
            },
        }
    }

    /// Presents itself otherwise to the publishers that come from now on.
    #[must_use]
    pub fn with_options(mut self, options: ServerOptions) -> Self {
        self.options = options;
        self
    }

    /// The address it listens on.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Takes publishers in from now on: those that `check` agrees to are accepted, the others
    /// rejected. Handshakes go on beside each other, so a silent client keeps nobody waiting. Has
    /// to be called within a tokio runtime.
    ///
    /// ```no_run
    /// use livekit_stream::input::RtmpListener;
    ///
    /// # async fn example() -> Result<(), Box<dyn std::error::Error>> {
    /// let listener = RtmpListener::bind("127.0.0.1:1935").await?;
    /// let mut publishers = listener.publishers(|request| request.is("live", "expected"));
    /// while let Some(mut publisher) = publishers.next().await {
    ///     tokio::spawn(async move {
    ///         while let Ok(Some(media)) = publisher.next().await {
    ///             println!("{} bytes at {} ms", media.body.len(), media.timestamp_ms);
    ///         }
    ///     });
    /// }
    /// # Ok(())
    /// # }
    /// ```
    pub fn publishers(
        self,
        check: impl Fn(&PublishRequest) -> bool + Send + Sync + 'static,
    ) -> Publishers {
        Publishers::start(self, check)
    }

    /// Waits for the next connection. What it wants is not known yet: ask each in a task of its
    /// own, or a silent one keeps the others waiting.
    pub async fn accept(&self) -> io::Result<RtmpConnection> {
        let (stream, peer) = self.listener.accept().await?;
        let mut random = [0; RANDOM_LEN];
        rand::fill(&mut random[..]);
        Ok(RtmpConnection {
            stream,
            peer,
            session: ServerSession::new(self.options.clone(), 0, &random),
            input: vec![0; READ_LEN],
            output: BytesMut::new(),
            ended: false,
        })
    }
}

/// One publisher's connection: ask for its [`request`](Self::request),
/// [`accept`](Self::accept) it, and take its media.
///
/// `Debug` hides what it wants: the stream key.
pub struct RtmpConnection {
    stream: TcpStream,
    peer: SocketAddr,
    session: ServerSession,
    input: Vec<u8>,
    /// Answers that are not written yet.
    output: BytesMut,
    ended: bool,
}

/// What our demuxer reads by FourCC.
fn capabilities() -> Capabilities {
    let video = [*b"avc1", *b"hvc1", *b"av01", *b"vp09", *b"vp08"];
    Capabilities::new(&video, &[*b"mp4a", *b"Opus"])
}

impl fmt::Debug for RtmpConnection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RtmpConnection")
            .field("peer", &self.peer)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

impl RtmpConnection {
    /// The publisher's address.
    #[must_use]
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Waits for what the publisher wants. `None`: it went away before it said so.
    pub async fn request(&mut self) -> Result<Option<PublishRequest>, ListenError> {
        // The whole exchange has one time limit: a trickle of bytes does not keep it open.
        let began = Instant::now();
        loop {
            match self.next_event().await? {
                Some(ServerEvent::PublishRequested(request)) => return Ok(Some(request)),
                Some(_) => {}
                None if self.ended => return Ok(None),
                None if began.elapsed() > IDLE_TIMEOUT => {
                    return Err(ListenError::Silent {
                        after: IDLE_TIMEOUT,
                    });
                }
                None => self.read().await?,
            }
        }
    }

    /// Accepts the stream.
    pub async fn accept(&mut self) -> Result<(), ListenError> {
        self.session.accept();
        self.write().await
    }

    /// Refuses the stream, with a code such as `NetStream.Publish.BadName` and words for people.
    pub async fn reject(&mut self, code: &str, description: &str) -> Result<(), ListenError> {
        self.session.reject(code, description);
        self.write().await
    }

    /// The next audio, video or metadata message. `None`: the stream has ended.
    ///
    /// Cancelling loses nothing but the wait.
    pub async fn next(&mut self) -> Result<Option<MediaMessage>, ListenError> {
        loop {
            match self.next_event().await? {
                Some(ServerEvent::Media(media)) => return Ok(Some(media)),
                Some(ServerEvent::Unpublished) => self.ended = true,
                Some(_) => {}
                None if self.ended => return Ok(None),
                None => self.read().await?,
            }
        }
    }

    /// Writes all that comes to an FLV file, until the stream ends; returns how many tags it
    /// wrote. Each tag is whole, so what was written is playable at any time.
    pub async fn record_flv(
        &mut self,
        mut file: impl AsyncWrite + Unpin,
    ) -> Result<u64, ListenError> {
        file.write_all(&flv::file_header(true, true)).await?;
        let mut tags = 0;
        while let Some(media) = self.next().await? {
            let kind = match media.tag_type {
                8 => flv::TagKind::Audio,
                9 => flv::TagKind::Video,
                _ => flv::TagKind::Script,
            };
            let tag = flv::tag(kind, media.timestamp_ms, &media.body)?;
            file.write_all(&tag).await?;
            tags += 1;
        }
        file.flush().await?;
        Ok(tags)
    }

    /// What was read already, after the answers to it are written.
    async fn next_event(&mut self) -> Result<Option<ServerEvent>, ListenError> {
        if let Some(event) = self.session.next_event() {
            return Ok(Some(event));
        }
        // A publisher that hangs up without reading our last answers ends the stream in order.
        if let Err(error) = self.write().await
            && !self.ended
        {
            return Err(error);
        }
        Ok(None)
    }

    async fn read(&mut self) -> Result<(), ListenError> {
        let silent = |_| ListenError::Silent {
            after: IDLE_TIMEOUT,
        };
        let read = timeout(IDLE_TIMEOUT, self.stream.read(&mut self.input))
            .await
            .map_err(silent)?;
        let count = match read {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => 0,
            Err(error) => return Err(error.into()),
        };
        self.ended |= count == 0;
        self.session
            .receive(self.input.get(..count).unwrap_or_default())?;
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ListenError> {
        self.output.extend(self.session.take_output());
        if self.output.is_empty() {
            return Ok(());
        }
        timeout(IDLE_TIMEOUT, self.stream.write_all_buf(&mut self.output))
            .await
            .map_err(|_| ListenError::Silent {
                after: IDLE_TIMEOUT,
            })??;
        Ok(())
    }
}
