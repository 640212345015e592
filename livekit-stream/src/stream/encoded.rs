//! Encoded frames as a stream.

use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use futures::Stream;
use tokio::task::JoinHandle;

use super::source::Current;
use super::{Choice, FrameSource};
use crate::codec::MediaKind;
use crate::fanout::{Begin, Ring, TrackHub};
use crate::frame::EncodedFrame;
use crate::room::{Presence, RemoteParticipant, TrackSource, WebRtcTrack};

/// Frames kept for a reader that is behind: ten seconds of video at 30 a second.
const CAPACITY: usize = 300;

/// The encoded frames of one track, as the publisher sent them.
///
/// A stream of video starts with a keyframe. A reader that falls behind by more than the ring's
/// capacity loses everything up to the next keyframe, counted in
/// [`dropped_frames`](Self::dropped_frames); nobody else is disturbed. Frames that need others
/// which were lost on the network are not delivered; the loss is told by
/// [`EncodedFrame::lost_packets`].
#[derive(Debug)]
pub struct EncodedStream {
    ring: Arc<Ring<EncodedFrame>>,
    task: JoinHandle<()>,
    current: Arc<Current>,
    unreadable: Arc<Mutex<Option<String>>>,
}

/// [`EncodedStream`] of a video track.
pub type EncodedVideoStream = EncodedStream;

impl EncodedStream {
    /// The frames of a video track, or of a [`WebRtcTrack`](crate::WebRtcTrack). Has to be called
    /// within a tokio runtime, as every stream of this crate.
    pub fn new(source: impl Into<FrameSource>) -> Self {
        Self::with_capacity(source, MediaKind::Video, CAPACITY)
    }

    /// The packets of an audio track.
    pub fn audio(source: impl Into<FrameSource>) -> Self {
        Self::with_capacity(source, MediaKind::Audio, CAPACITY)
    }

    /// The frames of a video track of any WebRTC peer, no LiveKit needed: a `TrackRemote` of the
    /// `webrtc` crate, from its connection's `on_track`. [`new`](Self::new) takes it too, and
    /// [`audio`](Self::audio) one of sound.
    ///
    /// ```no_run
    /// # async fn example(track: livekit_stream::WebRtcTrack) {
    /// use futures::StreamExt;
    /// use livekit_stream::EncodedVideoStream;
    ///
    /// let mut frames = EncodedVideoStream::from_webrtc(track);
    /// while let Some(frame) = frames.next().await {
    ///     println!("{} us: {} bytes of {}", frame.timestamp_us, frame.data.len(), frame.codec);
    /// }
    /// # }
    /// ```
    pub fn from_webrtc(track: WebRtcTrack) -> Self {
        Self::new(track)
    }

    /// The frames of whatever track a participant's source has: goes on when the track is
    /// unpublished and published again, and ends when the participant leaves.
    pub fn from_participant(participant: &RemoteParticipant, source: TrackSource) -> Self {
        match source {
            TrackSource::Microphone | TrackSource::ScreenShareAudio => {
                Self::audio((participant, source))
            }
            _ => Self::new((participant, source)),
        }
    }

    pub(crate) fn chosen(
        presence: Presence,
        choice: Choice,
        kind: MediaKind,
        begin: Begin,
    ) -> Self {
        let source = FrameSource::chosen(presence, choice);
        Self::beginning(begin, source, kind, CAPACITY)
    }

    /// As [`new`](Self::new) or [`audio`](Self::audio), keeping `capacity` frames for a reader that is behind; 0 is
    /// unbounded.
    pub fn with_capacity(source: impl Into<FrameSource>, kind: MediaKind, capacity: usize) -> Self {
        Self::beginning(Begin::Now, source.into(), kind, capacity)
    }

    fn beginning(begin: Begin, source: FrameSource, kind: MediaKind, capacity: usize) -> Self {
        let ring = TrackHub::ring(kind, capacity);
        let current = Arc::new(Current::default());
        let unreadable = Arc::new(Mutex::new(None));
        let met = Arc::clone(&unreadable);
        let (frames, reading) = (Arc::clone(&ring), Arc::clone(&current));
        let task = source.follow(kind, begin, frames, reading, move |hub| {
            tracing::error!(
                track = hub.id(),
                mime = hub.mime(),
                "cannot read this track"
            );
            *met.lock().unwrap_or_else(PoisonError::into_inner) = Some(hub.mime().to_owned());
        });
        Self {
            ring,
            task: tokio::spawn(task),
            current,
            unreadable,
        }
    }

    /// Asks the publisher for a keyframe. Not needed after loss on the network.
    pub fn request_keyframe(&self) {
        self.current.request_keyframe();
    }

    /// The MIME type of a track that was met and is of no codec this crate reads.
    pub(crate) fn unreadable(&self) -> Arc<Mutex<Option<String>>> {
        Arc::clone(&self.unreadable)
    }

    pub(crate) fn current(&self) -> Arc<Current> {
        Arc::clone(&self.current)
    }

    /// What a job closes to end the stream after what is queued.
    pub(crate) fn ring(&self) -> Arc<Ring<EncodedFrame>> {
        Arc::clone(&self.ring)
    }

    /// Frames lost since the reader was behind.
    pub fn dropped_frames(&self) -> u64 {
        self.ring.dropped()
    }

    /// Stops reading the track. Frames not yet read are dropped.
    pub async fn close(mut self) {
        self.ring.close();
        self.task.abort();
        // It ends as aborted, or had ended before.
        let _ = (&mut self.task).await;
    }
}

impl Stream for EncodedStream {
    type Item = EncodedFrame;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<EncodedFrame>> {
        self.ring.poll_next(cx)
    }
}

impl Drop for EncodedStream {
    fn drop(&mut self) {
        self.ring.close();
        self.task.abort();
    }
}
