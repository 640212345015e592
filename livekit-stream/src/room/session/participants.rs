//! Who is in the room and what they publish, as the server tells it.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use livekit_protocol as proto;
use proto::participant_info::State;

use super::Session;
use crate::room::settings::Wish;
use crate::room::{RemoteParticipant, RemoteTrackPublication, RoomEvent, StreamState, TrackSource};

/// After we had to join again, others may have lost their connections too: so long those who were
/// there are taken for present.
const RETURN_TIME: Duration = Duration::from_secs(30);

/// What is kept of those who were there before we had to join again.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Who is not there at the moment, and until when they are waited for.
    away: HashMap<String, Instant>,
    /// What was wanted of their tracks.
    wishes: HashMap<(String, TrackSource, String), Wish>,
}

impl Memory {
    /// When somebody is not waited for any longer.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.away.values().min().copied()
    }

    /// Those who are not waited for any longer.
    pub(super) fn expired(&mut self, now: Instant) -> Vec<String> {
        let over = self.away.iter().filter(|(_, until)| **until <= now);
        let over: Vec<String> = over.map(|(identity, _)| identity.clone()).collect();
        self.away.retain(|_, until| *until > now);
        over
    }

    fn forget(&mut self, identity: &str) {
        self.away.remove(identity);
        self.wishes.retain(|(whose, ..), _| whose != identity);
    }
}

impl Session {
    pub(super) async fn update_participant(&mut self, info: proto::ParticipantInfo) {
        if info.sid == self.link.sid || info.identity == self.shared.identity() {
            return;
        }
        if info.state == State::Disconnected as i32 {
            self.participant_left(&info);
            return;
        }
        let returned = self.memory.away.remove(&info.identity).is_some();
        let known = self.shared.participant(&info.identity);
        let participant = match known {
            Some(participant) if participant.sid() == info.sid => participant,
            other => {
                let clock = self.shared.clock().participant();
                let participant = RemoteParticipant::new(info.clone(), clock);
                // The same identity with a new sid is a new joining: the old one is over.
                if let Some(old) = other {
                    if returned {
                        old.succeed(&participant);
                    }
                    self.replace_participant(&old);
                }
                self.shared.insert(participant.clone());
                self.emit(RoomEvent::ParticipantConnected(participant.clone()));
                participant
            }
        };
        self.update_publications(&participant, &info).await;
        participant.update(info);
        participant.notify();
    }

    async fn update_publications(
        &mut self,
        participant: &RemoteParticipant,
        info: &proto::ParticipantInfo,
    ) {
        for gone in participant.track_publications() {
            if !info.tracks.iter().any(|track| track.sid == gone.sid()) {
                self.unpublish(participant, &gone);
            }
        }
        for track in &info.tracks {
            if let Some(publication) = participant.track_publication(&track.sid) {
                if publication.update(track.clone()) {
                    let participant = participant.clone();
                    let muted = publication.is_muted();
                    self.emit(if muted {
                        RoomEvent::TrackMuted {
                            publication,
                            participant,
                        }
                    } else {
                        RoomEvent::TrackUnmuted {
                            publication,
                            participant,
                        }
                    });
                }
                continue;
            }
            let publication = self.publication(participant.identity(), track.clone());
            participant.insert(publication.clone());
            self.send_wish(&publication).await;
            let participant = participant.clone();
            self.emit(RoomEvent::TrackPublished {
                publication,
                participant,
            });
            if let Some(media) = self.early.remove(&track.sid) {
                self.media_came(media).await;
            }
        }
    }

    /// Whether the session that was resumed is another's: somebody joined with our identity
    /// meanwhile, which the server does not look at.
    pub(super) fn is_taken_over(&self, update: &proto::ParticipantUpdate) -> bool {
        let is_twin = |info: &proto::ParticipantInfo| {
            info.identity == self.shared.identity()
                && info.sid != self.link.sid
                && info.state != State::Disconnected as i32
        };
        self.link.resumed && update.participants.iter().any(is_twin)
    }

    fn participant_left(&mut self, info: &proto::ParticipantInfo) {
        // A late farewell of an earlier joining must not end the present one.
        if let Some(participant) = self.shared.participant_of_sid(&info.sid) {
            self.remove_participant(&participant);
        }
    }

    pub(super) fn remove_participant(&mut self, participant: &RemoteParticipant) {
        self.memory.forget(participant.identity());
        self.replace_participant(participant);
    }

    /// Ends a joining, and keeps what is to go on in the next.
    fn replace_participant(&mut self, participant: &RemoteParticipant) {
        for publication in participant.track_publications() {
            self.unpublish(participant, &publication);
        }
        self.shared.remove(participant.identity());
        participant.leave(None);
        self.emit(RoomEvent::ParticipantDisconnected(participant.clone()));
    }

    /// A track that was announced; what was wanted of it before we had to join again is wanted
    /// still.
    fn publication(&mut self, identity: &str, info: proto::TrackInfo) -> RemoteTrackPublication {
        let source = TrackSource::from_proto(info.source);
        let key = (identity.to_owned(), source, info.name.clone());
        let wish = self.memory.wishes.remove(&key);
        let wish = wish.unwrap_or_else(|| Wish::new(self.options.auto_subscribe));
        RemoteTrackPublication::new(info, wish, self.commands.clone())
    }

    /// Tells the server what it does not do by itself for a new subscriber.
    async fn send_wish(&self, publication: &RemoteTrackPublication) {
        let wish = publication.wished();
        if wish.subscribed != self.options.auto_subscribe {
            self.send_subscription(publication).await;
        }
        if wish.has_settings() {
            self.send_settings(publication).await;
        }
    }

    /// We had to join again: takes over what the server says now, and waits for those who are
    /// missing.
    pub(super) async fn rejoined(&mut self, join: proto::JoinResponse) {
        let tracks: Vec<String> = self.subscribed.keys().cloned().collect();
        for sid in tracks {
            self.media_ended(&sid);
        }
        self.early.clear();
        self.parked.clear();
        self.shared.set_info(join.room.unwrap_or_default());
        let until = Instant::now() + RETURN_TIME;
        for participant in self.shared.participants() {
            let others = &join.other_participants;
            let present = others.iter().find(|info| info.sid == participant.sid());
            if present.is_none() {
                let identity = participant.identity().to_owned();
                self.memory.away.entry(identity).or_insert(until);
            }
            for publication in participant.track_publications() {
                let is_this = |track: &proto::TrackInfo| track.sid == publication.sid();
                if present.is_some_and(|info| info.tracks.iter().any(is_this)) {
                    self.send_wish(&publication).await;
                    // The new session starts with nothing paused.
                    self.set_stream_state(&participant, &publication, StreamState::Active);
                } else {
                    self.remember(&participant, &publication);
                    self.unpublish(&participant, &publication);
                }
            }
        }
        for info in join.other_participants {
            self.update_participant(info).await;
        }
    }

    pub(super) fn set_stream_state(
        &self,
        participant: &RemoteParticipant,
        publication: &RemoteTrackPublication,
        state: StreamState,
    ) {
        if publication.set_stream_state(state) {
            self.emit(RoomEvent::TrackStreamStateChanged {
                publication: publication.clone(),
                participant: participant.clone(),
                state,
            });
        }
    }

    fn remember(&mut self, participant: &RemoteParticipant, publication: &RemoteTrackPublication) {
        let wish = publication.wished();
        if wish != Wish::new(self.options.auto_subscribe) {
            let identity = participant.identity().to_owned();
            let key = (identity, publication.source(), publication.name());
            self.memory.wishes.insert(key, wish);
        }
    }

    fn unpublish(&mut self, participant: &RemoteParticipant, publication: &RemoteTrackPublication) {
        self.media_ended(publication.sid());
        self.parked.remove(publication.sid());
        participant.remove(publication.sid());
        self.emit(RoomEvent::TrackUnpublished {
            publication: publication.clone(),
            participant: participant.clone(),
        });
    }
}
