//! Where media comes from: a server that plays, or publishers that come to us.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{sleep, timeout};

use super::CaptureError;
use super::shared::{CaptureState, Shared, Undecoded};
use crate::codec::MediaKind;
use crate::demux::flv::{Demuxer, Frame, Item, TagKind};
use crate::input::{Publishers, RtmpConnection};
use crate::mux::AudioTrack;
use crate::output::rtmp::backoff;
use crate::rtmp::handshake::RANDOM_LEN;
use crate::rtmp::session::{MediaMessage, PlayEvent, PlaySession, Stage};
use crate::socket::{self, Transport};

/// How much is read at once.
const READ_LEN: usize = 64 * 1024;

/// A connection that lived this long was a good one: the pauses start small again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// A step back in time that is none of reordering.
const RESTART_US: i64 = 1_000_000;

/// How long the server may take to hang up after we have said goodbye.
const GOODBYE: Duration = Duration::from_millis(500);

/// A connection that media comes from.
pub(super) enum Peer {
    Server(Box<Playing>),
    Publisher(Box<RtmpConnection>),
}

/// A server that plays.
pub(super) struct Playing {
    transport: Box<dyn Transport>,
    session: PlaySession,
    address: String,
    input: Vec<u8>,
    idle_timeout: Duration,
    /// Media has come: from then on silence means that the connection is dead.
    flows: bool,
}

impl Playing {
    /// Connects, and asks for the stream; returns when the server has consented.
    pub(super) async fn open(shared: &Shared) -> Result<Self, CaptureError> {
        let options = &shared.options;
        let address = socket::address(&options.url);
        let mut random = [0; RANDOM_LEN];
        rand::fill(&mut random[..]);
        let open = async {
            let transport = socket::connect(&options.url, options.tls.as_ref(), &address).await?;
            let mut playing = Self {
                transport,
                session: PlaySession::new(options.url.clone(), 0, &random),
                address: address.clone(),
                input: vec![0; READ_LEN],
                idle_timeout: options.idle_timeout,
                flows: false,
            };
            while playing.session.stage() != Stage::Published {
                playing.exchange().await?;
            }
            Ok(playing)
        };
        let opened = timeout(options.connect_timeout, open).await;
        opened.unwrap_or_else(|_| {
            Err(CaptureError::Timeout {
                address: address.clone(),
                after: options.connect_timeout,
            })
        })
    }

    /// Writes what is to be said, and reads once.
    async fn exchange(&mut self) -> Result<(), CaptureError> {
        let output = self.session.take_output();
        if !output.is_empty() {
            let write = async {
                self.transport.write_all(&output).await?;
                self.transport.flush().await
            };
            let written = timeout(self.idle_timeout, write).await;
            written
                .map_err(|_| self.silent())?
                .map_err(|error| CaptureError::io(&self.address, error))?;
        }
        let count = self
            .transport
            .read(&mut self.input)
            .await
            .map_err(|error| CaptureError::io(&self.address, error))?;
        if count == 0 {
            return Err(CaptureError::closed(&self.address, self.session.stage()));
        }
        self.session
            .receive(self.input.get(..count).unwrap_or_default())
            .map_err(|error| CaptureError::session(&self.address, error))
    }

    fn silent(&self) -> CaptureError {
        CaptureError::Silent {
            address: self.address.clone(),
            after: self.idle_timeout,
        }
    }

    /// The next message; `None`: the whole of a recorded stream has come.
    async fn next(&mut self) -> Result<Option<MediaMessage>, CaptureError> {
        loop {
            match self.session.next_event() {
                Some(PlayEvent::Media(media)) => {
                    self.flows = true;
                    return Ok(Some(media));
                }
                Some(PlayEvent::Unpublished) => {
                    let address = self.address.clone();
                    return Err(CaptureError::Unpublished { address });
                }
                Some(PlayEvent::Completed) => return Ok(None),
                Some(_) => {}
                None if self.flows => {
                    let idle = self.idle_timeout;
                    let exchanged = timeout(idle, self.exchange()).await;
                    exchanged.map_err(|_| self.silent())??;
                }
                None => self.exchange().await?,
            }
        }
    }

    async fn close(&mut self) {
        self.session.close();
        let output = self.session.take_output();
        let goodbye = async {
            self.transport.write_all(&output).await?;
            self.transport.flush().await
        };
        if let Ok(Ok(())) = timeout(GOODBYE, goodbye).await {
            socket::finish(&mut *self.transport, GOODBYE).await;
        }
    }
}

impl Peer {
    async fn next(&mut self) -> Result<Option<MediaMessage>, CaptureError> {
        match self {
            Self::Server(playing) => playing.next().await,
            Self::Publisher(publisher) => {
                let peer = publisher.peer_addr();
                match publisher.next().await {
                    Ok(Some(media)) => Ok(Some(media)),
                    Ok(None) => Err(CaptureError::Unpublished {
                        address: peer.to_string(),
                    }),
                    Err(error) => Err(CaptureError::Publisher {
                        peer,
                        source: Arc::new(error),
                    }),
                }
            }
        }
    }

    async fn close(&mut self) {
        // A publisher's connection ends with the publisher.
        if let Self::Server(playing) = self {
            playing.close().await;
        }
    }
}

/// How the next connection comes about.
pub(super) enum Origin {
    Server,
    Publishers {
        publishers: Publishers,
        /// One is taken: others are rejected.
        busy: Arc<AtomicBool>,
    },
}

impl Origin {
    async fn open(&mut self, shared: &Shared) -> Result<Peer, CaptureError> {
        match self {
            Self::Server => Ok(Peer::Server(Box::new(Playing::open(shared).await?))),
            Self::Publishers { publishers, busy } => {
                busy.store(false, Ordering::Relaxed);
                let publisher = publishers.next().await;
                busy.store(true, Ordering::Relaxed);
                let publisher = publisher.ok_or_else(|| CaptureError::ClosedByPeer {
                    address: socket::address(&shared.options.url),
                })?;
                Ok(Peer::Publisher(Box::new(publisher)))
            }
        }
    }
}

/// The capture's task: one connection after the other, until it is stopped or has failed.
pub(super) async fn run(mut origin: Origin, shared: Arc<Shared>) {
    let state = tokio::select! {
        biased;
        () = shared.stopped() => CaptureState::Ended,
        state = connect_again_and_again(&mut origin, &shared) => state,
    };
    if let CaptureState::Failed(error) = &state {
        tracing::warn!(source = %shared.options.url, %error, "RTMP capture failed for good");
    }
    shared.end(state);
}

async fn connect_again_and_again(origin: &mut Origin, shared: &Shared) -> CaptureState {
    let policy = &shared.options.reconnect;
    let mut intake = Intake::new(shared);
    let (mut captured, mut attempts, mut rejections) = (false, 0u32, 0u32);
    loop {
        let listens = matches!(origin, Origin::Publishers { .. });
        let error = match origin.open(shared).await {
            Ok(mut peer) => {
                let since = Instant::now();
                intake.begin(captured);
                captured = true;
                let end = intake.take_all(&mut peer).await;
                let Err(error) = end else {
                    return CaptureState::Ended;
                };
                peer.close().await;
                if since.elapsed() >= GOOD_CONNECTION || intake.received {
                    (attempts, rejections) = (0, 0);
                }
                error
            }
            Err(error) => error,
        };
        attempts = attempts.saturating_add(1);
        rejections = rejections.saturating_add(u32::from(error.is_rejection()));
        let ended = matches!(error, CaptureError::Unpublished { .. });
        shared.note(error.clone());
        let again = (captured || policy.first_connection)
            && attempts <= policy.max_attempts
            && rejections <= policy.max_rejections;
        if !again {
            // A stream that ended in order is no failure.
            return if ended && captured {
                CaptureState::Ended
            } else {
                CaptureState::Failed(error)
            };
        }
        shared.state.send_replace(CaptureState::Reconnecting);
        // Publishers come when they come.
        if !listens {
            let pause = backoff::delay(policy, attempts, rand::random());
            tracing::warn!(source = %shared.options.url, %error, ?pause, "RTMP connection lost");
            sleep(pause).await;
        }
    }
}

/// Puts messages on the capture's clock and hands them to everybody.
struct Intake<'a> {
    shared: &'a Shared,
    demuxer: Demuxer,
    other_tracks: u64,
    track: Option<Arc<AudioTrack>>,
    /// What is added to this connection's times: the first one's begin with zero, and a later
    /// one's go on as much later as it came.
    offset_us: Option<i64>,
    /// When the first frame of all came.
    epoch: Option<Instant>,
    newest_us: i64,
    received: bool,
    items: Vec<Item>,
}

impl<'a> Intake<'a> {
    fn new(shared: &'a Shared) -> Self {
        Self {
            shared,
            demuxer: Demuxer::default(),
            other_tracks: 0,
            track: None,
            offset_us: None,
            epoch: None,
            newest_us: 0,
            received: false,
            items: Vec::new(),
        }
    }

    /// A connection takes effect.
    fn begin(&mut self, again: bool) {
        self.other_tracks += self.demuxer.stats().other_tracks;
        self.demuxer = Demuxer::default();
        self.offset_us = None;
        self.received = false;
        if again {
            self.shared.lock().counts.reconnects += 1;
        }
        tracing::info!(source = %self.shared.options.url, "RTMP capturing");
        self.shared.state.send_replace(CaptureState::Capturing);
    }

    /// Takes all of a connection's media. `Ok`: it was a recording, and is over.
    async fn take_all(&mut self, peer: &mut Peer) -> Result<(), CaptureError> {
        while let Some(media) = peer.next().await? {
            self.take(&media);
        }
        Ok(())
    }

    fn take(&mut self, media: &MediaMessage) {
        let kind = match media.tag_type {
            8 => TagKind::Audio,
            9 => TagKind::Video,
            _ => TagKind::Script,
        };
        let mut items = std::mem::take(&mut self.items);
        let pushed = self
            .demuxer
            .push(kind, media.timestamp_ms, &media.body, &mut items);
        let mut buffer = self.shared.lock();
        buffer.counts.bytes_received += media.body.len() as u64;
        buffer.counts.other_tracks = self.other_tracks + self.demuxer.stats().other_tracks;
        if let Err(error) = pushed {
            if buffer.counts.unreadable == 0 {
                tracing::warn!(source = %self.shared.options.url, %error, "a message cannot be read");
            }
            buffer.counts.unreadable += 1;
        }
        drop(buffer);
        for item in items.drain(..) {
            match item {
                Item::Frame(frame) => self.deliver(frame),
                Item::AudioTrack(track) => {
                    let track = Arc::new(track);
                    self.track = Some(Arc::clone(&track));
                    self.shared.audio_track.send_replace(Some(track));
                }
                Item::Metadata(metadata) => {
                    self.shared.metadata.send_replace(Some(metadata));
                }
            }
        }
        self.items = items;
    }

    fn deliver(&mut self, frame: Frame) {
        let Frame {
            mut frame,
            decode_timestamp_us,
        } = frame;
        let epoch = *self.epoch.get_or_insert_with(Instant::now);
        // Servers let one publisher follow another in one stream.
        if self.offset_us.is_some_and(|offset| {
            let now = decode_timestamp_us.saturating_add(offset);
            self.newest_us.saturating_sub(now) > RESTART_US
        }) {
            self.offset_us = None;
        }
        let newest = self.newest_us;
        let offset = *self.offset_us.get_or_insert_with(|| {
            let elapsed = i64::try_from(epoch.elapsed().as_micros()).unwrap_or(i64::MAX);
            // At least a millisecond on: times must not come twice.
            let begin = if newest == 0 {
                0
            } else {
                elapsed.max(newest.saturating_add(1_000))
            };
            begin.saturating_sub(frame.timestamp_us.min(decode_timestamp_us))
        });
        frame.timestamp_us = frame.timestamp_us.saturating_add(offset);
        let decode_us = decode_timestamp_us.saturating_add(offset);
        self.newest_us = newest.max(frame.timestamp_us);
        self.received = true;
        let shared = self.shared;
        let kind = frame.codec.kind();
        let (hub, ring, track) = match kind {
            MediaKind::Video => (&shared.video, &shared.undecoded_video, None),
            MediaKind::Audio => (&shared.audio, &shared.undecoded_audio, self.track.clone()),
        };
        hub.deliver(&frame);
        shared.lock().count(kind, decode_us, Instant::now());
        if shared.options.decode {
            // A decoder that is behind loses whole groups of pictures, which the ring counts.
            ring.push(Undecoded {
                frame,
                decode_us,
                track,
            });
        }
    }
}
