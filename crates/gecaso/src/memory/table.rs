//! One function's typed view of a storage in memory: the only place that knows what the untyped
//! entries of a shard are.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`. A key whose
//! `Eq` or a value whose `Clone` is foreign is only touched after the lock was left.

use super::engine::{Displaced, Engine, Incoming, Ledger, Order};
use super::policy::SlotId;
use super::shard::{Held, Owner, Shard};
use crate::key::{NearKey, Query, is_plain};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync;
use crate::time::{Clock, NEVER, Nanos};
use std::hash::BuildHasher;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;

/// What is stored: the key, for exact comparison, and the value.
pub(crate) struct Entry<K, V> {
    pub(crate) key: K,
    pub(crate) value: V,
}

/// A lost bet on what a shard holds: what is to be dropped, and what to compare before the next try.
pub(crate) type Changed<K, V> = (Displaced, Snapshot<Entry<K, V>>);

pub(crate) struct Table<K: NearKey, V: Value> {
    engine: Arc<Engine>,
    owner: Owner,
    ledger: Arc<Ledger>,
    /// Seeded anew for each table: keys that collide in one do not in another, and nobody outside can
    /// choose keys that do.
    hasher: foldhash::fast::RandomState,
    types: PhantomData<fn() -> Entry<K, V>>,
}

impl<K: NearKey, V: Value> Table<K, V> {
    pub(super) fn open(engine: Arc<Engine>) -> Self {
        let (owner, ledger) = engine.open();
        let hasher = foldhash::fast::RandomState::default();
        Table { engine, owner, ledger, hasher, types: PhantomData }
    }

    #[inline]
    pub(crate) fn hash<Q: Query<K>>(&self, query: &Q) -> u64 {
        use std::hash::Hasher;
        let mut state = self.hasher.build_hasher();
        query.hash_into(&mut state);
        state.finish()
    }

    /// THE HIT PATH: a fresh value, counted by the policy.
    #[inline]
    pub(crate) fn get<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        if Q::is_plain() && is_plain::<V>() {
            let is_wanted = |held: &Held| query.matches(&Self::typed(held).key);
            return self.hit(hash, is_wanted, |held| Self::typed(held).value.clone());
        }
        let first = self.hit(hash, |_| true, |held| Self::shared(held))?;
        if query.matches(&first.key) {
            return Some(first.value.clone());
        }
        // Two keys with one 64-bit hash.
        let found = self.fetch(hash, |key| query.matches(key))?;
        Some(found.value.clone())
    }

    #[inline]
    fn hit<R>(
        &self,
        hash: u64,
        is_wanted: impl FnMut(&Held) -> bool,
        take: impl FnOnce(&Held) -> R,
    ) -> Option<R> {
        match self.engine.order {
            Order::Sieve => {
                let shard = sync::read(self.engine.shard(hash));
                let slot = shard.find(hash, self.owner, is_wanted)?;
                if self.is_expired(shard.expires(slot)) {
                    return None;
                }
                shard.mark(slot);
                Some(take(shard.entry(slot)))
            }
            Order::Lru => {
                let mut shard = sync::write(self.engine.shard(hash));
                let slot = shard.find(hash, self.owner, is_wanted)?;
                if self.is_expired(shard.expires(slot)) {
                    return None;
                }
                shard.touch(slot);
                Some(take(shard.entry(slot)))
            }
        }
    }

    /// The fresh entry of a key, unnoticed by the policy.
    pub(crate) fn fetch(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<Arc<Entry<K, V>>> {
        let snapshot = {
            let shard = sync::read(self.engine.shard(hash));
            let fresh = |slot: &SlotId| !self.is_expired(shard.expires(*slot));
            let fresh = shard.same_hash(hash, self.owner).filter(fresh);
            Snapshot::of(fresh.map(|slot| Self::shared(shard.entry(slot))))
        };
        snapshot.resolve(|entry| is(&entry.key)).found().cloned()
    }

    /// Stores an entry in the place of the one that `known` found, or as a new one.
    ///
    /// May be called under the lock of a flight's shard: runs no foreign code. On `Err` compare the
    /// new snapshot and come again.
    pub(crate) fn put(
        &self,
        hash: u64,
        known: &Snapshot<Entry<K, V>>,
        entry: &Arc<Entry<K, V>>,
        expires: Nanos,
    ) -> Result<Displaced, Changed<K, V>> {
        let mut displaced = Displaced::default();
        let incoming = Incoming {
            hash,
            owner: self.owner,
            ledger: &self.ledger,
            entry: entry.clone(),
            expires,
            now: (expires != NEVER).then(|| self.clock().now()),
        };
        match self.engine.put(incoming, &mut displaced, |shard| self.verify(shard, hash, known)) {
            Ok(()) => Ok(displaced),
            Err(snapshot) => Err((displaced, snapshot)),
        }
    }

    /// Removes the entry that `known` found. As [`put`](Self::put).
    pub(crate) fn take(
        &self,
        hash: u64,
        known: &Snapshot<Entry<K, V>>,
    ) -> Result<Option<Removed>, Changed<K, V>> {
        let look = |shard: &Shard| self.verify(shard, hash, known);
        match self.engine.take(hash, &self.ledger, look) {
            Ok(removed) => Ok(removed.map(Removed)),
            Err(snapshot) => Err((Displaced::default(), snapshot)),
        }
    }

    /// The slot that `known` found, if the shard still holds what `known` saw.
    fn verify(
        &self,
        shard: &Shard,
        hash: u64,
        known: &Snapshot<Entry<K, V>>,
    ) -> Result<Option<SlotId>, Snapshot<Entry<K, V>>> {
        let pointer = |slot| std::ptr::from_ref(Self::typed(shard.entry(slot)));
        if !known.still_holds(shard.same_hash(hash, self.owner).map(pointer)) {
            let now = shard.same_hash(hash, self.owner);
            return Err(Snapshot::of(now.map(|slot| Self::shared(shard.entry(slot)))));
        }
        Ok(known.found().and_then(|found| {
            let found = Arc::as_ptr(found);
            shard.same_hash(hash, self.owner).find(|&slot| std::ptr::eq(pointer(slot), found))
        }))
    }

    pub(crate) fn clear(&self) {
        self.engine.clear(self.owner, &self.ledger);
    }

    #[inline]
    fn is_expired(&self, expires: Nanos) -> bool {
        expires != NEVER && self.clock().now() >= expires
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.engine.clock
    }

    /// Entries now, evicted so far, expired so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let Ledger { entries, evictions, expirations } = &*self.ledger;
        (entries.load(Relaxed), evictions.load(Relaxed), expirations.load(Relaxed))
    }

    /// Checks the whole storage, and empties it.
    #[cfg(any(test, shuttle))]
    pub(crate) fn check(&self) {
        self.engine.check();
    }

    #[inline]
    fn typed(held: &Held) -> &Entry<K, V> {
        held.downcast_ref().expect("a table's entries have its types")
    }

    #[inline]
    fn shared(held: &Held) -> Arc<Entry<K, V>> {
        held.clone().downcast().expect("a table's entries have its types")
    }
}

/// A removed entry, to be dropped outside of every lock.
pub(crate) struct Removed(#[expect(dead_code, reason = "held for its drop")] Held);

impl<K: NearKey, V: Value> Drop for Table<K, V> {
    fn drop(&mut self) {
        self.clear();
        self.engine.close(self.owner);
    }
}
