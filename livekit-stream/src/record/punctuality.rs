//! How steadily a job's frames are written or sent, by the room's clock.

use std::time::Instant;

use crate::codec::MediaKind;
use crate::room::Presence;
use crate::rtp::RoomClock;
use crate::timing::{Paces, Timing};

/// See the module.
#[derive(Debug)]
pub(super) struct Punctuality {
    clock: RoomClock,
    /// The room's time when the job was asked for.
    asked_us: i64,
    paces: Paces,
}

impl Punctuality {
    /// Of a job that is asked for now.
    pub(super) fn new(presence: &Presence) -> Self {
        let clock = presence.clock();
        Self {
            clock,
            asked_us: clock.time_us(Instant::now()),
            paces: Paces::default(),
        }
    }

    pub(super) fn asked_us(&self) -> i64 {
        self.asked_us
    }

    /// A frame passes. What waited before the job was asked for says nothing.
    pub(super) fn pass(&mut self, kind: MediaKind, timestamp_us: i64) {
        if timestamp_us >= self.asked_us {
            let now_us = self.clock.time_us(Instant::now());
            self.paces.pass(kind, now_us.saturating_sub(timestamp_us));
        }
    }

    /// One track's.
    pub(super) fn of(&self, kind: MediaKind) -> Timing {
        self.paces.of(kind)
    }
}
