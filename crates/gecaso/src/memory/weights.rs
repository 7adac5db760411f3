//! What the entries of one shard weigh, where entries are weighed at all.
//!
//! Used by `shard` alone, under its lock.

use super::policy::SlotId;

/// Weights by slot, and their sum.
#[derive(Default)]
pub(super) struct Weights {
    of: Vec<usize>,
    total: usize,
}

impl Weights {
    /// What all entries weigh together.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// What the entry in a slot weighs; 0: there is none.
    pub(super) fn of(&self, slot: SlotId) -> usize {
        self.of.get(slot as usize).copied().unwrap_or(0)
    }

    /// A slot has got an entry of this weight, or lost it: 0. What it weighed before.
    pub(super) fn set(&mut self, slot: SlotId, weight: usize) -> usize {
        let at = slot as usize;
        if at >= self.of.len() {
            self.of.resize(at + 1, 0);
        }
        let before = std::mem::replace(&mut self.of[at], weight);
        self.total = self.total - before + weight;
        before
    }

    /// Entries have got other slots, of which there are so many.
    pub(super) fn remap(&mut self, slots: usize, to: impl Fn(SlotId) -> SlotId) {
        let mut of = vec![0; slots];
        for (slot, &weight) in (0..).zip(&self.of).filter(|(_, weight)| **weight > 0) {
            of[to(slot) as usize] = weight;
        }
        self.of = of;
    }
}
