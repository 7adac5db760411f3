//! Going through the entries of a table, a few buckets at a time: for those who look at them all.
//!
//! Called by `cache`. What looks at entries is foreign code, and runs between the steps, under no
//! lock: a step sees its entries under the lock of one shard, and takes out a copy of plain ones
//! and a reference to others. A key stays in its bucket as long as it is stored, whatever its
//! value, so one that is there all the time is met; where a shard has got other buckets, because
//! it has grown or shrunk, going through it begins anew.

use super::entry::{Entry, Stored};
use super::raw::Found;
use super::removal::{Displaced, RemovalCause};
use super::table::{Table, settle};
use crate::key::NearKey;
use crate::outcome::Value;
use std::ptr;

/// Buckets that one step looks at, of seven entries at most: a writer waits that long.
const STEP: usize = if cfg!(shuttle) { 1 } else { 12 };

/// How far somebody has gone.
#[derive(Default)]
pub(crate) struct Walk {
    shard: usize,
    bucket: usize,
    /// How often the shard had got other buckets.
    moves: u64,
}

/// An entry that was met.
pub(crate) struct Met<K, V> {
    shard: usize,
    /// What the shard keeps of it.
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
    /// The fresh entries in the next few buckets; `None`: there are no more.
    pub(crate) fn step(&self, walk: &mut Walk) -> Option<Vec<Met<K, V>>> {
        if walk.shard == self.part.raw.shards() {
            return None;
        }
        let shard = self.part.raw.lock(walk.shard);
        if walk.moves != shard.moves() {
            walk.bucket = 0;
        }
        walk.moves = shard.moves();
        let puts = shard.puts();
        let met = shard.occupied(walk.bucket, STEP).filter(|found| self.is_fresh(found));
        let met = met
            .map(|found| Met { shard: walk.shard, hash: found.hash(), stored: found.copy(), puts })
            .collect();
        walk.bucket += STEP;
        if walk.bucket >= shard.buckets() {
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
            let home = met.shard;
            let mut shard = self.part.raw.lock(home);
            let inline = matches!(met.stored, Stored::Inline(_));
            let is_same = |now: &Found<'_, K, V>| match &met.stored {
                Stored::Inline(met) => now.entry().key == met.key,
                Stored::Shared(met) => ptr::eq(now.entry(), &**met),
            };
            let Some(found) = shard.find(met.hash, inline, true, is_same) else {
                return displaced;
            };
            let (slot, puts) = (found.id(), shard.puts());
            if inline && puts != met.puts {
                // The copy may be one of an older value.
                met = Met { stored: found.copy(), puts, ..met };
                drop(shard);
                let Entry { key, value } = met.entry();
                if !is_meant(key, value) {
                    return displaced;
                }
                continue;
            }
            let weight = shard.remove(slot, RemovalCause::Invalidated);
            settle(&mut shard, home, &mut displaced);
            drop(shard);
            self.bound.give_back(weight);
            return displaced;
        }
    }
}
