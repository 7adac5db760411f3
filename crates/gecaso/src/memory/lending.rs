//! Entries that are read where no lock is held, and stay for as long as that takes: by the closure
//! of `with`, or by comparing and cloning that may run foreign code.
//!
//! Called by `table`, for hits that are not plain, and by `call`. Knows how to hold an entry, and
//! not how that is kept (`raw`).

use super::bound::Order;
use super::entry::Entry;
use super::raw::{Found, Held, may_lie_inline};
use super::removal::Displaced;
use super::table::{Table, settle};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use std::ops::Deref;
use std::ptr;
use std::sync::Arc;

impl<K: NearKey, V: Value> Table<K, V> {
    /// The same for entries that are compared and cloned where no lock is held.
    pub(super) fn get_foreign<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        match self.lend(query, hash) {
            Lending::Lent(entry) => Some(entry.value.clone()),
            Lending::Absent => None,
            Lending::Refused => self.get_foreign_locked(query, hash),
        }
    }

    /// What `read` makes of a fresh value, noted by the policy. The value is not cloned, unless it
    /// has nothing to drop, or cannot be lent.
    pub(crate) fn with<Q: Query<K>, R>(
        &self,
        query: &Q,
        hash: u64,
        read: impl FnOnce(&V) -> R,
    ) -> Option<R> {
        match self.lend(query, hash) {
            Lending::Lent(entry) => Some(read(&entry.value)),
            Lending::Absent => None,
            Lending::Refused => self.get(query, hash).map(|value| read(&value)),
        }
    }

    /// Lends a fresh entry, noted by the policy: it stays for as long as it is lent, although
    /// nothing is locked.
    fn lend<Q: Query<K>>(&self, query: &Q, hash: u64) -> Lending<'_, K, V> {
        let plain = Q::is_plain_with::<V>();
        if plain && may_lie_inline::<K, V>() {
            return Lending::Refused;
        }
        let Some(reading) = self.part.raw.read(hash) else { return Lending::Refused };
        let is = |found: &Found<'_, K, V>| !plain || query.matches(&found.entry().key);
        let (held, fresh) = match self.order {
            Order::Adaptive => {
                let Ok(found) = reading.find(hash, false, !plain, is) else {
                    return Lending::Refused;
                };
                let Some(found) = found else { return Lending::Absent };
                let held = reading.hold(&found);
                let is_same = |other: &Found<'_, K, V>| ptr::eq(other.entry(), found.entry());
                let fresh =
                    held.is_some() && self.hits(&found, |_| self.prolong(hash, &found, is_same));
                if fresh {
                    found.mark();
                }
                (held, fresh)
            }
            // In order of use only what is compared under the lock, where it is moved, too.
            Order::Lru if plain => {
                let mut shard = self.lock(hash);
                let Some(found) = shard.find(hash, false, false, is) else {
                    return Lending::Absent;
                };
                let (held, mut ends) = (reading.hold(&found), None);
                let fresh = held.is_some() && self.hits(&found, |later| ends = Some(later));
                let slot = found.id();
                if fresh {
                    self.note(&mut shard, slot, ends, hash);
                }
                (held, fresh)
            }
            Order::Lru => return Lending::Refused,
        };
        drop(reading);
        let Some(held) = held else { return Lending::Refused };
        let entry = Lent { held: Some(held), table: self, hash };
        // What was not compared may be another of several keys with this hash.
        if !plain && (!fresh || !query.matches(&entry.key)) {
            return Lending::Refused;
        }
        if !fresh {
            return Lending::Absent;
        }
        if self.order == Order::Adaptive {
            self.bound.tuner.hit(hash);
            self.part.raw.count_hit();
        }
        Lending::Lent(entry)
    }

    fn get_foreign_locked<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let entry = self.fetch(hash, |key| query.matches(key))?;
        {
            let mut shard = self.lock(hash);
            let is = |found: &Found<'_, K, V>| ptr::eq(found.entry(), &*entry);
            let mut hit = None;
            if let Some(found) = shard.find(hash, false, true, is) {
                let mut ends = None;
                if self.hits(&found, |later| ends = Some(later)) {
                    hit = Some((found.id(), ends));
                }
            }
            match hit {
                Some((slot, ends)) => self.note(&mut shard, slot, ends, hash),
                None => shard.count_hit(), // it has left since
            }
        }
        Some(entry.value.clone())
    }

    /// The fresh entry of a key that is compared where no lock is held, unnoticed by the policy.
    pub(super) fn fetch(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<Arc<Entry<K, V>>> {
        let alone = self.lock(hash).alone(hash);
        if let Ok((_, ends, entry)) = alone {
            return (!self.is_expired(ends) && is(&entry.key)).then_some(entry);
        }
        let same = self.lock(hash).same_hash(hash);
        let fresh = same.into_iter().filter(|(_, ends, _)| !self.is_expired(*ends));
        fresh.map(|(_, _, entry)| entry).find(|entry| is(&entry.key))
    }
}

/// What becomes of asking for an entry to be lent.
enum Lending<'a, K: NearKey, V: Value> {
    Lent(Lent<'a, K, V>),
    /// There is no fresh one.
    Absent,
    /// It cannot be told without a lock.
    Refused,
}

/// An entry that a table has lent. Who gives the last one back that somebody waits for takes it
/// out.
struct Lent<'a, K: NearKey, V: Value> {
    held: Option<Held<'a, K, V>>,
    table: &'a Table<K, V>,
    hash: u64,
}

impl<K: NearKey, V: Value> Deref for Lent<'_, K, V> {
    type Target = Entry<K, V>;

    fn deref(&self) -> &Entry<K, V> {
        self.held.as_ref().expect("until it is dropped")
    }
}

impl<K: NearKey, V: Value> Drop for Lent<'_, K, V> {
    fn drop(&mut self) {
        self.held = None;
        let part = &self.table.part;
        let home = part.raw.home(self.hash);
        if part.raw.waits(home) {
            let mut displaced = Displaced::nothing();
            settle(&mut part.raw.lock(home), home, &mut displaced);
            part.tell(displaced);
        }
    }
}
