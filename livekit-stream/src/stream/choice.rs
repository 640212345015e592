//! Which of a participant's tracks are read.

use std::sync::{Arc, OnceLock};

use crate::codec::MediaKind;
use crate::room::{RemoteParticipant, RemoteTrack, RemoteTrackPublication, TrackSource};

/// Sources in order of preference: the first that is published is read.
///
/// They come in groups: once [settled](Self::settle) on a source, those of other groups do not
/// count any more. Clones settle together.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    groups: Vec<Vec<TrackSource>>,
    /// The number of a group.
    settled: Arc<OnceLock<usize>>,
}

impl Choice {
    pub(crate) fn new(groups: &[&[TrackSource]]) -> Self {
        Self {
            groups: groups.iter().map(|group| group.to_vec()).collect(),
            settled: Arc::default(),
        }
    }

    /// The source that is wanted most.
    pub(crate) fn first(&self) -> TrackSource {
        let mut sources = self.groups.iter().flatten();
        sources.next().copied().unwrap_or(TrackSource::Unknown)
    }

    /// What the participant has published of the source to read, subscribed to or not. Of tracks
    /// whose source is not told those of this kind.
    pub(crate) fn publications(
        &self,
        participant: &RemoteParticipant,
        kind: MediaKind,
    ) -> Vec<RemoteTrackPublication> {
        let mut published = participant.track_publications();
        published.retain(|one| one.source() != TrackSource::Unknown || one.kind() == kind);
        let groups = match self.settled.get() {
            Some(group) => self.groups.get(*group..=*group),
            None => self.groups.get(..),
        };
        let mut sources = groups.into_iter().flatten().flatten();
        let source = sources.find(|source| published.iter().any(|one| one.source() == **source));
        published.retain(|one| Some(&one.source()) == source);
        published
    }

    /// The subscribed track to read.
    pub(crate) fn track(
        &self,
        participant: &RemoteParticipant,
        kind: MediaKind,
    ) -> Option<RemoteTrack> {
        let publications = self.publications(participant, kind);
        let mut last_first = publications.iter().rev();
        last_first.find_map(RemoteTrackPublication::track)
    }

    /// Whether a source of another group may still be read instead of the one that is.
    pub(crate) fn is_open(&self) -> bool {
        self.groups.len() > 1 && self.settled.get().is_none()
    }

    /// Keeps to the group of this source.
    pub(crate) fn settle(&self, source: TrackSource) {
        if !self.is_open() {
            return;
        }
        let group = self.groups.iter().position(|group| group.contains(&source));
        if let Some(group) = group {
            // Somebody else may have settled it meanwhile.
            let _ = self.settled.set(group);
        }
    }
}
