//! Going through the entries of a table, a few slots at a time: for those who look at all of them.
//!
//! Called by `cache`. What looks at entries is foreign code, and runs between the steps, under no
//! lock: a step sees its entries under the shared lock of one shard, and takes out a copy of plain
//! ones and a reference to others. An entry stays in its slot as long as it lives, so one that is
//! there all the time is met; where a shard has moved its entries, going through it begins anew.

use super::removal::{Displaced, RemovalCause};
use super::shard::{Entry, Stored};
use super::table::Table;
use crate::key::NearKey;
use crate::outcome::Value;
use crate::sync;
use crate::sync::atomic::Ordering;
use std::sync::Arc;

/// Slots that one step looks at: a writer waits that long at most.
const STEP: usize = if cfg!(shuttle) { 2 } else { 64 };

/// How far somebody has gone.
#[derive(Default)]
pub(crate) struct Walk {
    shard: usize,
    slot: usize,
    /// How often the shard had moved its entries.
    moves: u64,
}

/// An entry that was met.
pub(crate) struct Met<K, V> {
    hash: u64,
    /// A copy, or the entry itself.
    stored: Stored<K, V>,
    /// What had been put into the shard by then.
    puts: u64,
}

impl<K, V> Met<K, V> {
    pub(crate) fn entry(&self) -> &Entry<K, V> {
        self.stored.entry()
    }
}

impl<K: NearKey, V: Value> Table<K, V> {
    /// The fresh entries in the next few slots; `None`: there are no more slots.
    pub(crate) fn step(&self, walk: &mut Walk) -> Option<Vec<Met<K, V>>> {
        let guarded = self.part.shards.get(walk.shard)?;
        let shard = sync::read(&guarded.shard);
        if walk.slot > 0 && walk.moves != shard.moves {
            walk.slot = 0;
        }
        walk.moves = shard.moves;
        let puts = guarded.puts.load(Ordering::Relaxed);
        let met = shard.occupied(walk.slot, STEP).filter(|(slot, ..)| self.is_fresh(&shard, *slot));
        let met = met.map(|(_, hash, stored)| Met { hash, stored: copy(stored), puts }).collect();
        walk.slot += STEP;
        if walk.slot >= shard.slots.len() {
            *walk = Walk { shard: walk.shard + 1, ..Walk::default() };
        }
        Some(met)
    }

    /// Removes an entry that was met and that `is_meant` has chosen, unless another value has taken
    /// its place that is not meant.
    pub(crate) fn remove_met(
        &self,
        mut met: Met<K, V>,
        is_meant: impl Fn(&K, &V) -> bool,
    ) -> Displaced<K, V> {
        let mut displaced = Displaced::nothing();
        loop {
            let guarded = self.guarded(met.hash);
            let mut shard = sync::write(&guarded.shard);
            let is_same = |now: &Stored<K, V>| match (now, &met.stored) {
                (Stored::Plain(now), Stored::Plain(met)) => now.key == met.key,
                (Stored::Foreign(now), Stored::Foreign(met)) => Arc::ptr_eq(now, met),
                _ => false,
            };
            let Some(slot) = shard.find(met.hash, is_same) else { return displaced };
            let puts = guarded.puts.load(Ordering::Relaxed);
            if let (Stored::Plain(_), true) = (&met.stored, puts != met.puts) {
                // The copy may be one of an older value.
                met = Met { hash: met.hash, stored: copy(shard.stored(slot)), puts };
                drop(shard);
                let Entry { key, value } = met.entry();
                if !is_meant(key, value) {
                    return displaced;
                }
                continue;
            }
            let (removed, weight) = shard.remove(slot);
            drop(shard);
            self.bound.give_back(weight);
            displaced.one = Some(removed);
            displaced.cause = RemovalCause::Invalidated;
            return displaced;
        }
    }
}

/// Plain types are cloned in place: that runs no foreign code.
fn copy<K: Clone, V: Clone>(stored: &Stored<K, V>) -> Stored<K, V> {
    match stored {
        Stored::Plain(Entry { key, value }) => {
            Stored::Plain(Entry { key: key.clone(), value: value.clone() })
        }
        Stored::Foreign(entry) => Stored::Foreign(entry.clone()),
    }
}
