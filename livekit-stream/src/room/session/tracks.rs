//! Tracks whose media come: from the server's offers to a receiving task each.

use std::sync::Arc;

use livekit_protocol as proto;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use super::Session;
use crate::codec::{Codec, MediaKind};
use crate::fanout::TrackHub;
use crate::room::signal::Request;
use crate::room::transport::{self, TransportError, WebRtcTrack};
use crate::room::{RemoteParticipant, RemoteTrack, RemoteTrackPublication, RoomEvent};

/// A track whose media come, with its task's end.
pub(super) struct Subscribed {
    participant: RemoteParticipant,
    publication: RemoteTrackPublication,
    pub(super) track: RemoteTrack,
    parked: Parked,
    /// Dropped to end the receiving.
    _stop: oneshot::Sender<()>,
}

/// A track that may be subscribed to again, and its task, which lets what still comes run off.
pub(super) struct Parked {
    media: WebRtcTrack,
    task: JoinHandle<()>,
}

impl Parked {
    /// The track, once nobody reads it any more.
    async fn take(self) -> WebRtcTrack {
        self.task.abort();
        // It ends as aborted, or had ended before.
        let _ = self.task.await;
        self.media
    }
}

impl Session {
    /// Answers an offer of the subscriber's connection.
    pub(super) async fn answer(
        &mut self,
        offer: proto::SessionDescription,
    ) -> Result<(), TransportError> {
        if self.link.is_single() {
            // What we offer is answered, and nothing else agreed upon.
            return Ok(());
        }
        let again = self.media_changes(&offer.sdp);
        let sdp = self.link.receiving.answer(offer.sdp).await?;
        self.media_come_again(again).await;
        let answer = proto::SessionDescription {
            r#type: "answer".to_owned(),
            sdp,
            id: offer.id,
            ..proto::SessionDescription::default()
        };
        self.link.signal.send(Request::Answer(answer)).await;
        Ok(())
    }

    /// Takes the answer to our offer.
    pub(super) async fn take_answer(
        &mut self,
        answer: proto::SessionDescription,
    ) -> Result<(), TransportError> {
        if !self.link.is_single() {
            return self.link.take_answer(answer.sdp).await;
        }
        let again = self.media_changes(&answer.sdp);
        self.link.take_answer(answer.sdp).await?;
        self.media_come_again(again).await;
        Ok(())
    }

    /// Ends the tracks that the server sends no more, and tells those that it sends again. The
    /// WebRTC crate tells neither that a media section stopped sending, which ends its track, nor
    /// that it sends the same track again.
    fn media_changes(&mut self, sdp: &str) -> Vec<String> {
        let sending = transport::sending_sections(sdp);
        let sends = |sid: &str| sending.iter().any(|section| section.contains(sid));
        let over: Vec<_> = self
            .subscribed
            .keys()
            .filter(|sid| !sends(sid))
            .cloned()
            .collect();
        let again = self
            .parked
            .keys()
            .filter(|sid| sends(sid))
            .cloned()
            .collect();
        for sid in over {
            self.media_ended(&sid);
        }
        self.early.retain(|sid, _| sends(sid));
        again
    }

    async fn media_come_again(&mut self, sids: Vec<String>) {
        for sid in sids {
            if let Some(parked) = self.parked.remove(&sid) {
                self.media_came(parked.take().await).await;
            }
        }
    }

    pub(super) async fn media_came(&mut self, media: WebRtcTrack) {
        let stream_id = media.stream_id().await;
        let track_id = media.track_id().await;
        // The stream's id is `participant sid|track sid` for newer clients; the track's is its sid.
        let (participant_sid, sid) = match stream_id.split_once('|') {
            Some((participant, track)) if track.starts_with("TR_") => (participant, track),
            Some((participant, _)) => (participant, track_id.as_str()),
            None => (stream_id.as_str(), track_id.as_str()),
        };
        let known = self
            .shared
            .participant_of_sid(participant_sid)
            .and_then(|participant| Some((participant.track_publication(sid)?, participant)));
        let Some((publication, participant)) = known else {
            self.early.insert(sid.to_owned(), media);
            return;
        };
        // The server announces a track before it subscribes us: what we said to the announcement
        // may have come too early.
        if !publication.is_desired() {
            self.send_subscription(&publication).await;
        }
        // A track that comes again replaces what is left of itself.
        self.media_ended(sid);
        let kind = transport::media_kind(&media).await;
        let mime = match transport::codec_mime(&media).await {
            Some(mime) => mime,
            None => publication.mime_type(),
        };
        let hub = TrackHub::new(sid.to_owned(), mime, kind);
        let track = RemoteTrack::new(Arc::clone(&hub), publication.source());
        let rate = hub.codec().map_or(90_000, Codec::clock_rate);
        let (stop, stopped) = oneshot::channel();
        let source = transport::Source {
            track: Arc::clone(&media),
            clock: participant.clock().track(rate),
            hub,
            orientation_id: self
                .link
                .receiving
                .orientation_id()
                .filter(|_| kind == MediaKind::Video),
            stop: stopped,
        };
        let (ended, ended_sid) = (self.ended.clone(), sid.to_owned());
        let rest = Arc::clone(&media);
        let task = tokio::spawn(async move {
            transport::receive(source).await;
            // The session may be over; then there is nobody to tell.
            let _ = ended.send(ended_sid).await;
            transport::ebb(&rest).await;
        });
        publication.set_track(Some(track.clone()));
        self.subscribed.insert(
            sid.to_owned(),
            Subscribed {
                participant: participant.clone(),
                publication: publication.clone(),
                track: track.clone(),
                parked: Parked { media, task },
                _stop: stop,
            },
        );
        participant.notify();
        self.emit(RoomEvent::TrackSubscribed {
            track,
            publication,
            participant,
        });
    }

    pub(super) fn media_ended(&mut self, sid: &str) {
        self.early.remove(sid);
        let Some(subscribed) = self.subscribed.remove(sid) else {
            return;
        };
        let Subscribed {
            participant,
            publication,
            track,
            parked,
            _stop,
        } = subscribed;
        self.parked.insert(sid.to_owned(), parked);
        track.hub().end();
        publication.set_track(None);
        participant.notify();
        self.emit(RoomEvent::TrackUnsubscribed {
            track,
            publication,
            participant,
        });
    }
}
