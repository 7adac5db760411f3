//! A shard that has lost most of its entries gives their memory back.
//!
//! Entries move from the last slots into empty ones, all at once: as dear as growing to that size
//! was, and at most once for each time that three in four entries have gone. Part of `shard`.

use super::policy::{Policy, SlotId};
use super::shard::Shard;
use crate::time::NEVER;

/// Slots below which nothing is given back.
const FEWEST: usize = if cfg!(shuttle) { 2 } else { 64 };
/// Of so many slots one is still full.
const SPARSE: usize = 4;

impl<K, V> Shard<K, V> {
    /// After a removal.
    #[inline]
    pub(super) fn shrink_if_sparse(&mut self) {
        if self.slots.len() > FEWEST && self.index.len() < self.slots.len() / SPARSE {
            self.shrink();
        }
    }

    #[cold]
    fn shrink(&mut self) {
        let left = self.index.len();
        let empty: Vec<SlotId> = (0..left)
            .filter(|&at| self.slots[at].stored.is_none())
            .map(|at| at as SlotId)
            .collect();
        let full = (left..self.slots.len()).filter(|&at| self.slots[at].stored.is_some());
        let moves: Vec<_> = full.map(|at| at as SlotId).zip(empty).collect();
        for (from, to) in moves {
            self.renumber(from, to);
        }
        self.slots.truncate(left);
        self.slots.shrink_to_fit();
        self.free = Vec::new();
        let slots = &self.slots;
        self.index.shrink_to_fit(|&slot| slots[slot as usize].hash);
        self.policy.truncate(left);
        if let Some(lifetimes) = &mut self.lifetimes {
            lifetimes.truncate(left);
        }
        if let Some(weights) = &mut self.weights {
            weights.truncate(left);
        }
        self.moves += 1;
    }

    /// The entry of one slot goes into another, which is empty.
    fn renumber(&mut self, from: SlotId, to: SlotId) {
        let hash = self.slots[from as usize].hash;
        let ends = self.expires(from) != NEVER;
        self.slots.swap(from as usize, to as usize);
        if let Ok(indexed) = self.index.find_entry(hash, |&slot| slot == from) {
            *indexed.into_mut() = to;
        }
        self.policy.renumber(from, to);
        if let (true, Some(lifetimes)) = (ends, &mut self.lifetimes) {
            lifetimes.renumber(from, to);
        }
        if let Some(weights) = &mut self.weights {
            let weight = weights.set(from, 0);
            weights.set(to, weight);
        }
    }
}
