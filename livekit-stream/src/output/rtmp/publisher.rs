//! One connection after the other to one target.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::Stream;
use tokio::io::{AsyncReadExt, AsyncWriteExt, WriteHalf};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep, sleep_until};

use super::connection::{self, Connection, READ_LEN, Transport};
use super::feed::{Feed, Out};
use super::shared::{Inner, Shared};
use super::{
    ENHANCED_CODECS, EnhancedRtmp, LEGACY_CODECS, PublishError, PublisherOptions, PublisherState,
    PublisherStats, backoff,
};
use crate::codec::{Codec, MediaKind};
use crate::frame::EncodedFrame;
use crate::mux::AudioTrack;
use crate::output::OutputError;
use crate::rtmp::RtmpUrl;
use crate::rtmp::session::{PublishSession, Stage};

/// Frames are taken from the buffer until this much waits for the socket: the rest stays where
/// it can still be dropped.
const WRITE_AHEAD: usize = 64 * 1024;

/// Answers to the server that may wait while it takes nothing; then it is not read any more.
const MAX_ANSWERS: usize = 256 * 1024;

/// A connection that lived this long was a good one: the pauses start small again.
const GOOD_CONNECTION: Duration = Duration::from_secs(10);

/// How long the server may take to hang up after the stream's end.
const GOODBYE: Duration = Duration::from_secs(1);

/// Publishes encoded H.264 and AAC to one RTMP server, and H.265, AV1, VP9 and Opus to one that
/// takes Enhanced RTMP ([`EnhancedRtmp`]).
///
/// Frames go into a bounded buffer ([`BufferLimits`](super::BufferLimits)) and a task of its own
/// sends them. A server that is too slow loses whole groups of pictures; a connection that
/// breaks is made again, and starts with metadata, sequence headers and a keyframe. Times start
/// at zero with each connection.
///
/// Dropping it closes it without waiting.
///
/// ```no_run
/// use livekit_stream::frame::EncodedFrame;
/// use livekit_stream::output::rtmp::{PublisherOptions, RtmpPublisher};
///
/// # async fn example(frames: Vec<EncodedFrame>) -> Result<(), Box<dyn std::error::Error>> {
/// let url = "rtmp://localhost/live/key".parse()?;
/// let publisher = RtmpPublisher::new(url, PublisherOptions::default())?;
/// publisher.published().await?;
/// for frame in frames {
///     publisher.send(frame)?;
/// }
/// let stats = publisher.close().await;
/// println!("{} frames sent", stats.video_frames_sent);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct RtmpPublisher {
    shared: Arc<Shared>,
}

impl RtmpPublisher {
    /// Starts to connect, and returns at once.
    ///
    /// # Errors
    ///
    /// [`OutputError::NoRuntime`] outside of a Tokio runtime.
    pub fn new(url: RtmpUrl, options: PublisherOptions) -> Result<Self, OutputError> {
        Self::with_keyframe_requests(url, options, watch::Sender::new(0))
    }

    /// As [`new`](Self::new), with a counter of keyframe requests that publishers share.
    pub(super) fn with_keyframe_requests(
        url: RtmpUrl,
        options: PublisherOptions,
        keyframes: watch::Sender<u64>,
    ) -> Result<Self, OutputError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| OutputError::NoRuntime)?;
        let shared = Arc::new(Shared {
            target: url.to_string(),
            inner: Mutex::new(Inner::new(options.buffer)),
            wake: Notify::new(),
            closing: watch::Sender::new(None),
            close_timeout: options.close_timeout,
            state: watch::Sender::new(PublisherState::Connecting),
            keyframes,
            enhanced: options.enhanced,
        });
        runtime.spawn(run(url, options, Arc::clone(&shared)));
        Ok(Self { shared })
    }

    /// Buffers a frame; never waits. A frame that has no room is dropped and counted, which is
    /// no error.
    ///
    /// # Errors
    ///
    /// Why the publisher failed for good, that it is closed, or a codec that the server does not
    /// take. As long as that is not known, before the first connection, frames of all codecs of
    /// [`EnhancedRtmp`] are buffered.
    pub fn send(&self, frame: EncodedFrame) -> Result<(), PublishError> {
        self.check_codec(frame.codec)?;
        match &*self.shared.state.borrow() {
            PublisherState::Failed(error) => return Err(error.clone()),
            PublisherState::Closed => return Err(PublishError::Closed),
            _ => {}
        }
        if self.shared.is_closing() {
            return Err(PublishError::Closed);
        }
        let mut inner = self.shared.lock();
        inner.push(frame, std::time::Instant::now());
        let wanted = inner.queue.take_keyframe_request();
        drop(inner);
        if wanted {
            self.shared.request_keyframe();
        }
        self.shared.wake.notify_one();
        Ok(())
    }

    fn check_codec(&self, codec: Codec) -> Result<(), PublishError> {
        if LEGACY_CODECS.contains(&codec) {
            return Ok(());
        }
        if !ENHANCED_CODECS.contains(&codec) || self.shared.enhanced == EnhancedRtmp::Never {
            return Err(PublishError::UnsupportedCodec { codec });
        }
        let mut inner = self.shared.lock();
        if inner
            .codecs
            .as_ref()
            .is_none_or(|codecs| codecs.contains(&codec))
        {
            return Ok(());
        }
        match codec.kind() {
            MediaKind::Video => inner.counts.dropped.video_frames += 1,
            MediaKind::Audio => inner.counts.dropped.audio_frames += 1,
        }
        Err(PublishError::NotAnnounced {
            target: self.shared.target.clone(),
            codec,
        })
    }

    /// The codecs that the server takes as they are; `None` before the first connection.
    #[must_use]
    pub fn codecs(&self) -> Option<Arc<[Codec]>> {
        self.shared.lock().codecs.clone()
    }

    /// Says what the AAC or Opus frames are. AAC that comes before it is dropped.
    pub fn set_audio_track(&self, track: AudioTrack) {
        self.shared.lock().audio = Some(track);
    }

    /// Waits until the server takes the stream, or the publisher has failed for good.
    pub async fn published(&self) -> Result<(), PublishError> {
        let mut state = self.shared.state.subscribe();
        let reached = state
            .wait_for(|state| matches!(state, PublisherState::Publishing) || state.is_final())
            .await;
        match reached.as_deref() {
            Ok(PublisherState::Publishing) => Ok(()),
            Ok(PublisherState::Failed(error)) => Err(error.clone()),
            _ => Err(PublishError::Closed),
        }
    }

    /// Waits for the server's answer: the codecs it takes. `None`: it failed or was closed before.
    pub(crate) fn negotiated(&self) -> impl Future<Output = Option<Arc<[Codec]>>> + Send + use<> {
        let shared = Arc::clone(&self.shared);
        let mut state = shared.state.subscribe();
        async move {
            let told = |state: &PublisherState| {
                matches!(state, PublisherState::Publishing) || state.is_final()
            };
            // The sender is in `shared`.
            let _ = state.wait_for(told).await;
            shared.lock().codecs.clone()
        }
    }

    /// What it is doing now.
    #[must_use]
    pub fn state(&self) -> PublisherState {
        self.shared.state.borrow().clone()
    }

    /// What it is doing now, and each change from now on; ends when it failed or was closed.
    /// States that follow each other faster than they are polled are left out.
    pub fn states(&self) -> impl Stream<Item = PublisherState> + Send + use<> {
        let state = self.shared.state.subscribe();
        futures::stream::unfold((state, true), |(mut state, first)| async move {
            if !first {
                if state.borrow().is_final() {
                    return None;
                }
                state.changed().await.ok()?;
            }
            let now = state.borrow_and_update().clone();
            Some((now, (state, false)))
        })
    }

    /// Counts keyframe requests: it changes whenever a keyframe would let the stream start or
    /// go on. Whoever encodes or forwards the video should answer with one.
    #[must_use]
    pub fn keyframe_requests(&self) -> watch::Receiver<u64> {
        self.shared.keyframes.subscribe()
    }

    /// Counts so far.
    #[must_use]
    pub fn stats(&self) -> PublisherStats {
        self.shared.stats()
    }

    /// Sends what is buffered, for [`PublisherOptions::close_timeout`] at most, ends the stream
    /// and closes the connection; a connection that is just being made is waited for if there is
    /// something to send. The counts tell whether everything went out; after a failure the state
    /// stays [`PublisherState::Failed`].
    pub async fn close(&self) -> PublisherStats {
        self.shared.begin_closing();
        let mut state = self.shared.state.subscribe();
        // The sender is in `shared` and outlives this wait.
        let _ = state.wait_for(PublisherState::is_final).await;
        self.shared.stats()
    }
}

impl Drop for RtmpPublisher {
    fn drop(&mut self) {
        self.shared.begin_closing();
    }
}

/// The publisher's task.
async fn run(url: RtmpUrl, options: PublisherOptions, shared: Arc<Shared>) {
    let end = connect_again_and_again(&url, &options, &shared).await;
    shared.lock().queue.clear();
    shared.state.send_replace(match end {
        Ok(()) => PublisherState::Closed,
        Err(error) => {
            tracing::warn!(target_url = %url, %error, "RTMP publishing failed for good");
            PublisherState::Failed(error)
        }
    });
}

/// `Ok`: it was closed.
async fn connect_again_and_again(
    url: &RtmpUrl,
    options: &PublisherOptions,
    shared: &Shared,
) -> Result<(), PublishError> {
    let policy = &options.reconnect;
    let (mut published, mut attempts, mut rejections) = (false, 0u32, 0u32);
    loop {
        let Some(opened) = while_useful(shared, connection::open(url, options)).await else {
            let unheard = !published && !shared.lock().queue.is_empty();
            return if unheard {
                Err(PublishError::Timeout {
                    address: connection::address(url),
                    stage: Stage::Handshake,
                    after: options.close_timeout,
                })
            } else {
                Ok(())
            };
        };
        let error = match opened {
            Ok(connection) => {
                let since = Instant::now();
                let codecs = options
                    .enhanced
                    .codecs(connection.session.server_capabilities());
                start(shared, published, codecs);
                published = true;
                tracing::info!(target_url = %url, "RTMP publishing");
                match drive(connection, options, shared).await {
                    Ok(()) => return Ok(()),
                    Err(error) => {
                        if since.elapsed() >= GOOD_CONNECTION {
                            (attempts, rejections) = (0, 0);
                        }
                        error
                    }
                }
            }
            Err(error) => error,
        };
        attempts = attempts.saturating_add(1);
        rejections = rejections.saturating_add(u32::from(error.is_rejection()));
        shared.note_failure(&error, attempts);
        if shared.is_closing() {
            // A server that never took anything is not closed but failed.
            return if published { Ok(()) } else { Err(error) };
        }
        let retried = (published || policy.first_connection)
            && attempts <= policy.max_attempts
            && rejections <= policy.max_rejections;
        if !retried {
            return Err(error);
        }
        let pause = backoff::delay(policy, attempts, rand::random());
        tracing::warn!(target_url = %url, %error, ?pause, "RTMP connection lost");
        shared.state.send_replace(PublisherState::Reconnecting);
        if unless_closing(shared, sleep(pause)).await.is_none() {
            return Ok(());
        }
    }
}

/// The server takes the stream.
fn start(shared: &Shared, again: bool, codecs: Vec<Codec>) {
    let mut inner = shared.lock();
    inner.codecs = Some(codecs.into());
    if again {
        inner.counts.reconnects = inner.counts.reconnects.saturating_add(1);
    }
    inner.queue.connect();
    let wanted = inner.queue.take_keyframe_request();
    drop(inner);
    shared.state.send_replace(PublisherState::Publishing);
    if wanted {
        shared.request_keyframe();
    }
}

/// Runs `future` until closing is asked for.
async fn unless_closing<T>(shared: &Shared, future: impl Future<Output = T>) -> Option<T> {
    let mut closing = shared.closing.subscribe();
    tokio::select! {
        biased;
        _ = closed(&mut closing) => None,
        value = future => Some(value),
    }
}

/// Runs `future`; when closing is asked for, only as long as there is something to send and time.
async fn while_useful<T>(shared: &Shared, future: impl Future<Output = T>) -> Option<T> {
    let mut closing = shared.closing.subscribe();
    let given_up = async {
        let deadline = closed(&mut closing).await;
        if !shared.lock().queue.is_empty() {
            sleep_until(deadline).await;
        }
    };
    tokio::select! {
        biased;
        value = future => Some(value),
        () = given_up => None,
    }
}

/// Waits until closing is asked for; returns until when it may take.
async fn closed(closing: &mut watch::Receiver<Option<Instant>>) -> Instant {
    let deadline = closing
        .wait_for(Option::is_some)
        .await
        .ok()
        .and_then(|deadline| *deadline);
    // The sender is in `Shared`, which outlives this wait.
    deadline.unwrap_or_else(Instant::now)
}

/// Writes some of `pending`, or passes on what TLS holds back when there is none.
async fn write_or_flush(
    writer: &mut WriteHalf<Box<dyn Transport>>,
    pending: &[u8],
) -> io::Result<usize> {
    if pending.is_empty() {
        writer.flush().await?;
        return Ok(0);
    }
    match writer.write(pending).await? {
        0 => Err(io::ErrorKind::WriteZero.into()),
        count => Ok(count),
    }
}

/// Sends frames until the publisher is closed (`Ok`) or the connection ends.
async fn drive(
    connection: Connection,
    options: &PublisherOptions,
    shared: &Shared,
) -> Result<(), PublishError> {
    let mut feed = Feed::new(options.audio_only, options.frame_rate);
    let result = drive_with(connection, options, shared, &mut feed).await;
    feed.abandon(&mut shared.lock().counts);
    result
}

async fn drive_with(
    connection: Connection,
    options: &PublisherOptions,
    shared: &Shared,
    feed: &mut Feed,
) -> Result<(), PublishError> {
    let Connection {
        transport,
        mut session,
        address,
    } = connection;
    let (mut reader, mut writer) = tokio::io::split(transport);
    let mut closing = shared.closing.subscribe();
    let mut input = vec![0; READ_LEN];
    let mut output = Vec::new();
    let mut written = 0;
    let mut flushed = true;
    let mut progress = Instant::now();
    // Set when closing begins.
    let mut deadline: Option<Instant> = None;
    loop {
        if written == output.len() {
            if flushed {
                progress = Instant::now();
            }
            written = 0;
            output = session.take_output();
            fill(&mut output, &mut session, feed, shared);
            if output.is_empty() && deadline.is_some() {
                if session.stage() < Stage::Closed {
                    session.close();
                    output = session.take_output();
                } else if flushed {
                    let mut transport = reader.unsplit(writer);
                    connection::finish(&mut *transport, GOODBYE).await;
                    return Ok(());
                }
            }
        }
        let pending = output.get(written..).unwrap_or_default();
        let waiting = !pending.is_empty() || !flushed;
        let stalled = progress + options.write_timeout;
        let (limit, after) = match deadline {
            Some(deadline) if deadline < stalled => (deadline, options.close_timeout),
            _ => (stalled, options.write_timeout),
        };
        tokio::select! {
            read = reader.read(&mut input), if session.pending_output() < MAX_ANSWERS => {
                let stage = session.stage();
                let count = read.map_err(|error| PublishError::io(&address, stage, error))?;
                if count == 0 && stage == Stage::Closed {
                    return Ok(());
                }
                let bytes = input.get(..count).unwrap_or_default();
                connection::received(&mut session, bytes, &address)?;
            }
            step = write_or_flush(&mut writer, pending), if waiting => {
                let stage = session.stage();
                let count = step.map_err(|error| PublishError::io(&address, stage, error))?;
                flushed = pending.is_empty();
                written += count;
                progress = Instant::now();
                shared.lock().counts.bytes += count as u64;
            }
            () = sleep_until(limit), if waiting => {
                return Err(PublishError::Stalled { address, after });
            }
            () = shared.wake.notified(), if !waiting => {}
            until = closed(&mut closing), if deadline.is_none() => {
                deadline = Some(until);
            }
        }
    }
}

/// Moves frames from the buffer to `output`, as many as may wait for the socket.
fn fill(output: &mut Vec<u8>, session: &mut PublishSession, feed: &mut Feed, shared: &Shared) {
    let mut messages = Vec::new();
    let mut wanted = false;
    while output.len() < WRITE_AHEAD {
        let mut inner = shared.lock();
        let frame = inner.queue.pop();
        wanted |= inner.queue.take_keyframe_request();
        let Some(frame) = frame else {
            break;
        };
        let taken = inner.takes(frame.codec);
        if taken {
            inner.pass(&frame, std::time::Instant::now());
        }
        let audio = inner.audio.clone();
        drop(inner);
        // Buffered before the server's answer was there.
        if !taken {
            feed.refuse(&frame);
            shared.lock().counts.last_error = Some(PublishError::NotAnnounced {
                target: shared.target.clone(),
                codec: frame.codec,
            });
            continue;
        }
        if let Err(error) = feed.push(frame, audio.as_ref(), &mut messages) {
            tracing::warn!(target_url = shared.target, %error, "a frame cannot be sent");
        }
        for message in messages.drain(..) {
            match message {
                Out::Metadata(body) => session.send_metadata(&body),
                Out::Video(time_ms, body) => session.send_video(time_ms, body),
                Out::Audio(time_ms, body) => session.send_audio(time_ms, body),
            }
        }
        output.append(&mut session.take_output());
    }
    feed.settle(&mut shared.lock().counts);
    if std::mem::take(&mut feed.keyframe_wanted) || wanted {
        shared.request_keyframe();
    }
}
