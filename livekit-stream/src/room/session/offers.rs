//! Offers of a session's only connection: each waits for the answer to the one before.

use livekit_protocol as proto;

use crate::room::RoomOptions;

/// Tracks that sections are made for before the server asks for them. Most rooms have fewer.
const MOST: u32 = 64;

/// See the module.
#[derive(Debug)]
pub(super) struct Offers {
    waiting: bool,
    again: bool,
}

impl Offers {
    /// An offer has been made.
    pub(super) fn begun() -> Self {
        Self {
            waiting: true,
            again: false,
        }
    }

    pub(super) fn is_waiting(&self) -> bool {
        self.waiting
    }

    /// Another offer is wanted: whether it is to be made now, else it follows the answer.
    pub(super) fn is_next(&mut self) -> bool {
        if self.waiting {
            self.again = true;
            return false;
        }
        self.waiting = true;
        true
    }

    /// The answer has come: whether another offer is to be made.
    pub(super) fn answered(&mut self) -> bool {
        self.waiting = std::mem::take(&mut self.again);
        self.waiting
    }
}

/// How many sections for sound and for pictures the first offer has: for the tracks that are there,
/// and for one of each as soon as somebody publishes.
pub(super) fn wanted(options: &RoomOptions, join: &proto::JoinResponse) -> (u32, u32) {
    let mut wanted = [1_u32, 1];
    if options.auto_subscribe {
        let participants = join.other_participants.iter();
        for track in participants.flat_map(|participant| &participant.tracks) {
            let video = track.r#type == proto::TrackType::Video as i32;
            wanted[usize::from(video)] += 1;
        }
    }
    (wanted[0].min(MOST), wanted[1].min(MOST))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offers_wait_for_the_answer_to_the_one_before() {
        let mut offers = Offers::begun();
        assert!(!offers.is_next() && !offers.is_next());
        // Both are in the next offer.
        assert!(offers.answered());
        assert!(!offers.answered());
        assert!(!offers.is_waiting() && offers.is_next());
        assert!(offers.is_waiting());
    }

    #[test]
    fn the_first_offer_has_sections_for_the_tracks_that_are_there() {
        let track = |kind: proto::TrackType| proto::TrackInfo {
            r#type: kind as i32,
            ..proto::TrackInfo::default()
        };
        let participant = |videos| proto::ParticipantInfo {
            tracks: [
                vec![track(proto::TrackType::Audio)],
                vec![track(proto::TrackType::Video); videos],
            ]
            .concat(),
            ..proto::ParticipantInfo::default()
        };
        let join = proto::JoinResponse {
            other_participants: vec![participant(2), participant(100)],
            ..proto::JoinResponse::default()
        };
        assert_eq!(wanted(&RoomOptions::default(), &join), (3, MOST));
        let options = RoomOptions::default().with_auto_subscribe(false);
        assert_eq!(wanted(&options, &join), (1, 1));
    }
}
