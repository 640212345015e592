//! When to ask the sender for a keyframe (PLI, RFC 4585 section 6.3.1).

use std::time::{Duration, Instant};

/// How long after its first packet a stream may be without a keyframe. The server asks for the
/// first one itself, and while a request of ours is under way it retransmits nothing.
const PATIENCE: Duration = Duration::from_secs(2);

/// The time to the first repetition, and by how much each further one comes later.
const REPEAT: Duration = Duration::from_millis(500);
const BACK_OFF: Duration = Duration::from_millis(250);
const MAX_REPEAT: Duration = Duration::from_secs(1);

/// Requests that are sent while no packet comes: nobody may be there to answer.
const MAX_UNANSWERED: u32 = 4;

/// Decides when a keyframe is asked for.
#[derive(Debug, Default)]
pub(super) struct KeyframeRequester {
    /// When to ask next; `None` when no keyframe is wanted.
    next: Option<Instant>,
    last: Option<Instant>,
    repeat: Duration,
    /// Requests since the last packet.
    unanswered: u32,
    /// A request is to be taken.
    pending: bool,
    requests: u64,
}

impl KeyframeRequester {
    /// A packet came while a keyframe is needed to begin: asks when none comes for a while.
    pub(super) fn wait_for_first(&mut self, now: Instant) {
        if self.next.is_none() {
            self.repeat = REPEAT;
            self.next = now.checked_add(PATIENCE);
        }
    }

    /// What follows cannot be decoded, or somebody needs a keyframe: asks at once, but not sooner
    /// than the repetition of the last request.
    pub(super) fn want(&mut self, now: Instant) {
        let earliest = match self.last.and_then(|last| last.checked_add(REPEAT)) {
            Some(at) => at.max(now),
            None => now,
        };
        if self.next.is_none_or(|next| next > earliest) {
            self.repeat = REPEAT;
            self.next = Some(earliest);
        }
    }

    /// A packet came, so somebody is there.
    pub(super) fn handle_packet(&mut self) {
        self.unanswered = 0;
    }

    /// A keyframe came.
    pub(super) fn fulfil(&mut self) {
        self.next = None;
        self.pending = false;
    }

    /// Makes a request if one is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if self.poll_timeout().is_none_or(|next| next > now) {
            return;
        }
        self.pending = true;
        self.unanswered += 1;
        self.last = Some(now);
        self.next = now.checked_add(self.repeat);
        self.repeat = (self.repeat + BACK_OFF).min(MAX_REPEAT);
    }

    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        self.next.filter(|_| self.unanswered < MAX_UNANSWERED)
    }

    /// Takes the request that is to be sent now.
    pub(super) fn take(&mut self) -> bool {
        let due = std::mem::take(&mut self.pending);
        self.requests += u64::from(due);
        due
    }

    /// Requests taken so far.
    pub(super) fn requests(&self) -> u64 {
        self.requests
    }
}
