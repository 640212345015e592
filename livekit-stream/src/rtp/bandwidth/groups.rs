//! Packets that left together, and how much further apart two such groups arrive than they left. All
//! times are in microseconds.

/// Packets that left within this time are one group (draft-ietf-rmcat-gcc-02 section 5.2).
const GROUP_US: i64 = 5_000;

/// Packets that arrive within this time of each other, closer together than they left, waited for
/// the same thing: a radio's turn, or this program's.
const BURST_GAP_US: i64 = 5_000;

/// What arrives together for longer than this is a queue that drains, and no burst.
const BURST_US: i64 = 100_000;

/// How two groups that follow each other differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Delta {
    /// From the last packet of the one to the last of the other, as they left.
    pub(super) sent: i64,
    /// The same as they arrived.
    pub(super) arrived: i64,
    /// When the later group was complete.
    pub(super) at: i64,
}

#[derive(Debug, Clone, Copy)]
struct Group {
    first_sent: i64,
    last_sent: i64,
    first_arrived: i64,
    last_arrived: i64,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Groups {
    current: Option<Group>,
    previous: Option<Group>,
}

impl Groups {
    /// Takes a packet; the difference is there when it begins a group and two are complete.
    pub(super) fn add(&mut self, sent: i64, arrived: i64) -> Option<Delta> {
        let begun = Group {
            first_sent: sent,
            last_sent: sent,
            first_arrived: arrived,
            last_arrived: arrived,
        };
        let Some(current) = &mut self.current else {
            self.current = Some(begun);
            return None;
        };
        if sent < current.first_sent {
            // It was overtaken: it has nothing to say about the queue of now.
            return None;
        }
        if current.takes(sent, arrived) {
            current.last_sent = current.last_sent.max(sent);
            current.last_arrived = arrived;
            return None;
        }
        let complete = *current;
        *current = begun;
        let previous = self.previous.replace(complete)?;
        Some(Delta {
            sent: complete.last_sent - previous.last_sent,
            arrived: complete.last_arrived - previous.last_arrived,
            at: complete.last_arrived,
        })
    }
}

impl Group {
    fn takes(&self, sent: i64, arrived: i64) -> bool {
        if sent - self.first_sent <= GROUP_US {
            return true;
        }
        let gap = arrived - self.last_arrived;
        gap <= BURST_GAP_US
            && gap < sent - self.last_sent
            && arrived - self.first_arrived < BURST_US
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn deltas(packets: &[(i64, i64)]) -> Vec<(i64, i64)> {
        let mut groups = Groups::default();
        packets
            .iter()
            .filter_map(|&(sent, arrived)| groups.add(sent * 1000, arrived * 1000))
            .map(|delta| (delta.sent / 1000, delta.arrived / 1000))
            .collect()
    }

    #[test]
    fn packets_that_left_together_are_measured_together() {
        let packets = [(0, 10), (1, 11), (33, 44), (34, 50), (66, 80), (99, 120)];
        assert_eq!(deltas(&packets), [(33, 39), (32, 30)]);
    }

    #[test]
    fn what_piled_up_while_nobody_read_is_one_group() {
        // Nothing is read for 200 ms; what was sent meanwhile comes at once.
        let packets = [
            (0, 0),
            (33, 33),
            (66, 266),
            (99, 266),
            (133, 266),
            (166, 266),
            (200, 267),
            (233, 267),
            (266, 267),
            (300, 300),
            (333, 333),
        ];
        assert_eq!(deltas(&packets), [(33, 33), (233, 234), (34, 33)]);
    }

    #[test]
    fn a_packet_that_was_overtaken_is_left_out() {
        let packets = [(0, 0), (33, 33), (20, 40), (66, 66), (99, 99)];
        assert_eq!(deltas(&packets), [(33, 33), (33, 33)]);
    }
}
