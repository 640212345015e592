//! Parameter sets that came before the keyframe that needs them.

use bytes::Bytes;

use crate::codec::h264::START_CODE;

/// Parameter sets of one kind that are kept: streams have one or two, and a sender must not fill
/// our memory.
const MAX_KEPT: usize = 32;

/// The last parameter sets of one kind, each with its identifier.
#[derive(Debug, Default)]
pub(super) struct Kept {
    sets: Vec<(u32, Bytes)>,
}

impl Kept {
    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    /// Keeps a parameter set whose identifier `id` reads. It replaces the one with the same
    /// identifier; one that cannot be read is not kept.
    pub(super) fn keep(&mut self, nal_unit: &[u8], id: impl FnOnce(&[u8]) -> Option<u32>) {
        if self.sets.iter().any(|(_, set)| set == nal_unit) {
            return;
        }
        let Some(id) = id(nal_unit) else {
            return;
        };
        let set = Bytes::copy_from_slice(nal_unit);
        if let Some(known) = self.sets.iter_mut().find(|(known, _)| *known == id) {
            known.1 = set;
        } else if self.sets.len() < MAX_KEPT {
            self.sets.push((id, set));
        }
    }

    /// The parameter sets with their start codes.
    pub(super) fn annex_b(&self) -> impl Iterator<Item = u8> {
        self.sets
            .iter()
            .flat_map(|(_, set)| START_CODE.iter().chain(set.iter()).copied())
    }
}
