//! One function's typed part of a storage in memory: shards under their locks.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`, which also
//! evicts. A key whose `Eq` or a value whose `Clone` is foreign is only touched outside of the locks.

use super::bound::{Bound, Evicted, Member, Order};
use super::policy::{Lru, Policy, Sieve, SlotId};
use super::shard::{Entry, Shard, Stored};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{self, RwLock, thread};
use crate::time::{Clock, NEVER, Nanos};
use std::hash::{BuildHasher, Hasher};
use std::sync::atomic::AtomicU64 as Count;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    part: Arc<Part<K, V>>,
    bound: Arc<Bound>,
    order: Order,
    /// Seeded anew for each table: keys that collide in one do not in another, and nobody outside can
    /// choose keys that do.
    hasher: foldhash::fast::RandomState,
}

/// What the storage knows of a table.
struct Part<K, V> {
    shards: Box<[Guarded<K, V>]>,
    entries: Count,
    evictions: Count,
    expirations: Count,
}

/// A shard on cache lines of its own.
#[repr(align(128))]
struct Guarded<K, V> {
    shard: RwLock<Shard<K, V>>,
    /// Entries put in so far: tells a call whether anything came in since it looked.
    puts: AtomicU64,
}

/// An entry on its way in.
pub(crate) struct Incoming<K, V> {
    pub(crate) hash: u64,
    pub(crate) stored: Stored<K, V>,
    pub(crate) expires: Nanos,
}

/// What an insertion pushed out. Dropped by the caller when no lock is held.
pub(crate) struct Displaced<K, V> {
    replaced: Option<Stored<K, V>>,
    evicted: Option<Stored<K, V>>,
    /// Evicted from another function's table, or from another shard.
    elsewhere: Option<Evicted>,
    expired: [Option<Stored<K, V>>; 2],
}

impl<K, V> Displaced<K, V> {
    pub(crate) fn nothing() -> Self {
        Displaced { replaced: None, evicted: None, elsewhere: None, expired: [None, None] }
    }
}

/// A lost bet on what a shard holds: what to compare before the next try, and the entry again.
pub(crate) type Changed<K, V> = (Snapshot<Entry<K, V>>, Incoming<K, V>);

impl<K: NearKey, V: Value> Table<K, V> {
    pub(super) fn join(bound: Arc<Bound>) -> Self {
        let order = bound.order;
        let policy = || -> Option<Box<dyn Policy>> {
            bound.capacity?;
            Some(match order {
                Order::Lru => Box::new(Lru::default()),
                Order::Sieve => Box::new(Sieve::default()),
            })
        };
        let shard = |_| Guarded {
            shard: RwLock::new(Shard::new(policy())),
            puts: AtomicU64::new(0),
        };
        let part = Arc::new(Part {
            shards: (0..bound.shards).map(shard).collect(),
            entries: Count::new(0),
            evictions: Count::new(0),
            expirations: Count::new(0),
        });
        let member: Weak<Part<K, V>> = Arc::downgrade(&part);
        bound.join(member);
        Table { part, bound, order, hasher: foldhash::fast::RandomState::default() }
    }

    #[inline]
    pub(crate) fn hash<Q: Query<K>>(&self, query: &Q) -> u64 {
        let mut state = self.hasher.build_hasher();
        query.hash_into(&mut state);
        state.finish()
    }

    /// The shard of a hash. The index inside uses the lowest and highest bits; these are others.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.part.shards.len() - 1)
    }

    #[inline]
    fn guarded(&self, hash: u64) -> &Guarded<K, V> {
        &self.part.shards[self.home(hash)]
    }

    /// Entries put so far where this hash belongs. If it is the same later, a look-up need not be
    /// repeated.
    #[inline]
    pub(crate) fn puts(&self, hash: u64) -> u64 {
        self.guarded(hash).puts.load(Ordering::Acquire)
    }

    /// THE HIT PATH: a fresh value, noted by the policy.
    #[inline]
    pub(crate) fn get<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let lock = &self.guarded(hash).shard;
        let is_it = |stored: &Stored<K, V>| match stored {
            Stored::Plain(entry) => query.matches(&entry.key),
            Stored::Foreign(_) => true, // as far as can be told under the lock
        };
        let found = match self.order {
            Order::Sieve => {
                let shard = sync::read(lock);
                let slot = shard.find(hash, is_it)?;
                if self.is_expired(shard.expires(slot)) {
                    return None;
                }
                shard.mark(slot);
                match shard.stored(slot) {
                    Stored::Plain(entry) => return Some(entry.value.clone()),
                    Stored::Foreign(entry) => entry.clone(),
                }
            }
            Order::Lru => {
                let mut shard = sync::write(lock);
                let slot = shard.find(hash, is_it)?;
                if self.is_expired(shard.expires(slot)) {
                    return None;
                }
                shard.touch(slot, self.bound.stamp());
                match shard.stored(slot) {
                    Stored::Plain(entry) => return Some(entry.value.clone()),
                    Stored::Foreign(entry) => entry.clone(),
                }
            }
        };
        if query.matches(&found.key) {
            return Some(found.value.clone());
        }
        // Two keys with one 64-bit hash.
        self.peek(hash, |key| query.matches(key))
    }

    /// The fresh value of a key, unnoticed by the policy.
    pub(crate) fn peek(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<V> {
        let snapshot = {
            let shard = sync::read(&self.guarded(hash).shard);
            let mut seen = Vec::new();
            for slot in shard.same_hash(hash) {
                match shard.stored(slot) {
                    _ if self.is_expired(shard.expires(slot)) => {}
                    Stored::Plain(entry) if is(&entry.key) => return Some(entry.value.clone()),
                    Stored::Plain(_) => {}
                    Stored::Foreign(entry) => seen.push(entry.clone()),
                }
            }
            Snapshot::of(seen)
        };
        let snapshot = snapshot.resolve(|entry| is(&entry.key));
        snapshot.found().map(|entry| entry.value.clone())
    }

    /// Stores an entry in the place of the one that `known` found, or as a new one; evicts if that
    /// needs a place.
    ///
    /// May be called under the lock of a flight's shard: runs no foreign code. On `Err` compare the
    /// new snapshot, outside of every lock, and come again.
    pub(crate) fn put(
        &self,
        known: &Snapshot<Entry<K, V>>,
        incoming: Incoming<K, V>,
        displaced: &mut Displaced<K, V>,
    ) -> Result<(), Changed<K, V>> {
        let Incoming { hash, stored, expires } = incoming;
        if self.bound.capacity == Some(0) {
            displaced.replaced = Some(stored);
            return Ok(());
        }
        let home = self.home(hash);
        let Guarded { shard, puts } = &self.part.shards[home];
        let mut place = self.bound.reserve();
        if !place && self.bound.is_shared() {
            displaced.elsewhere = self.bound.evict_oldest(home);
            place = displaced.elsewhere.is_some();
        }
        loop {
            let mut shard = sync::write(shard);
            let found = match Self::verify(&shard, hash, &stored.entry().key, known) {
                Ok(found) => found,
                Err(snapshot) => {
                    drop(shard);
                    self.bound.give_back(place.into());
                    return Err((snapshot, Incoming { hash, stored, expires }));
                }
            };
            if let Some(slot) = found {
                let expired = self.is_expired(shard.expires(slot));
                puts.fetch_add(1, Ordering::Release);
                displaced.replaced =
                    Some(shard.replace(slot, expires, self.bound.stamp(), stored));
                drop(shard);
                self.part.expirations.fetch_add(expired.into(), Relaxed);
                self.bound.give_back(place.into());
                return Ok(());
            }
            let mut gone = 0;
            if expires != NEVER {
                let now = self.clock().now();
                for expired in displaced.expired.iter_mut().filter(|one| one.is_none()) {
                    *expired = shard.sweep(now);
                    gone += usize::from(expired.is_some());
                }
                self.part.expirations.fetch_add(gone as u64, Relaxed);
            }
            // The place of one that expired is as good as any; the rest goes back.
            let mut spare = gone + usize::from(place);
            if spare == 0 {
                displaced.evicted = shard.evict();
                spare = displaced.evicted.is_some().into();
                gone += spare;
                self.part.evictions.fetch_add(spare as u64, Relaxed);
            }
            if spare > 0 {
                puts.fetch_add(1, Ordering::Release);
                shard.insert(hash, expires, self.bound.stamp(), stored);
                drop(shard);
                if gone != 1 {
                    // In the usual case one goes and one comes: nothing to write.
                    self.part.entries.fetch_add(1_u64.wrapping_sub(gone as u64), Relaxed);
                }
                self.bound.give_back(spare - 1);
                return Ok(());
            }
            // Full, and nothing here to evict: take a place from elsewhere, then look again.
            drop(shard);
            displaced.elsewhere = self.bound.evict_anywhere(home);
            place = displaced.elsewhere.is_some() || self.bound.reserve();
            if !place {
                // Every place is in the hands of threads about to insert; they wait for nobody.
                thread::yield_now();
            }
        }
    }

    /// Removes the entry that `known` found, or the one with this key if keys are plain. As
    /// [`put`](Self::put).
    pub(crate) fn take<Q: Query<K>>(
        &self,
        hash: u64,
        query: &Q,
        known: &Snapshot<Entry<K, V>>,
    ) -> Result<Option<Stored<K, V>>, Snapshot<Entry<K, V>>> {
        let mut shard = sync::write(&self.guarded(hash).shard);
        let plain = shard.find(hash, |stored| match stored {
            Stored::Plain(entry) => query.matches(&entry.key),
            Stored::Foreign(_) => false,
        });
        let found = match plain {
            Some(slot) => Some(slot),
            None => Self::same(&shard, hash, known)?,
        };
        let Some(slot) = found else { return Ok(None) };
        let removed = shard.remove(slot);
        drop(shard);
        self.bound.give_back(1);
        self.part.entries.fetch_sub(1, Relaxed);
        Ok(Some(removed))
    }

    /// The slot of a key: told at once if keys are plain, else by what `known` found.
    fn verify(
        shard: &Shard<K, V>,
        hash: u64,
        key: &K,
        known: &Snapshot<Entry<K, V>>,
    ) -> Result<Option<SlotId>, Snapshot<Entry<K, V>>> {
        let plain = shard.find(hash, |stored| match stored {
            Stored::Plain(entry) => entry.key == *key,
            Stored::Foreign(_) => false,
        });
        if plain.is_some() { Ok(plain) } else { Self::same(shard, hash, known) }
    }

    /// The slot that `known` found, if the shard still holds the foreign entries that it saw.
    fn same(
        shard: &Shard<K, V>,
        hash: u64,
        known: &Snapshot<Entry<K, V>>,
    ) -> Result<Option<SlotId>, Snapshot<Entry<K, V>>> {
        let foreign = |slot| match shard.stored(slot) {
            Stored::Plain(_) => None,
            Stored::Foreign(entry) => Some((slot, entry)),
        };
        let now = || shard.same_hash(hash).filter_map(foreign);
        if !known.still_holds(now().map(|(_, entry)| entry)) {
            return Err(Snapshot::of(now().map(|(_, entry)| entry.clone()).collect()));
        }
        Ok(known.found().and_then(|found| {
            now().find(|(_, entry)| Arc::ptr_eq(entry, found)).map(|(slot, _)| slot)
        }))
    }

    /// Removes every entry, shard by shard, and gives the memory back.
    pub(crate) fn clear(&self) {
        for Guarded { shard, .. } in &self.part.shards {
            let (count, removed) = {
                let mut shard = sync::write(shard);
                (shard.len(), shard.clear())
            };
            self.bound.give_back(count);
            self.part.entries.fetch_sub(count as u64, Relaxed);
            drop(removed); // foreign drops, outside of the lock
        }
    }

    #[inline]
    fn is_expired(&self, expires: Nanos) -> bool {
        expires != NEVER && self.clock().now() >= expires
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.bound.clock
    }

    /// Entries now, evicted so far, expired so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let Part { entries, evictions, expirations, .. } = &*self.part;
        (entries.load(Relaxed), evictions.load(Relaxed), expirations.load(Relaxed))
    }

    /// Checks the whole storage, and empties it.
    #[cfg(any(test, shuttle))]
    pub(crate) fn check(&self) {
        self.bound.check();
    }
}

impl<K: NearKey, V: Value> Member for Part<K, V> {
    fn oldest(&self, shard: usize) -> Option<u64> {
        sync::read(&self.shards[shard].shard).oldest()
    }

    fn evict(&self, shard: usize) -> Option<Evicted> {
        let evicted = sync::write(&self.shards[shard].shard).evict()?;
        self.entries.fetch_sub(1, Relaxed);
        self.evictions.fetch_add(1, Relaxed);
        Some(Box::new(evicted))
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|guarded| sync::read(&guarded.shard).len()).sum()
    }

    #[cfg(any(test, shuttle))]
    fn check(&self) {
        let booked = self.entries.swap(0, Relaxed);
        assert_eq!(booked, self.len() as u64, "the books agree with the shards");
        for Guarded { shard, .. } in &self.shards {
            sync::write(shard).check();
        }
    }
}

impl<K: NearKey, V: Value> Drop for Table<K, V> {
    fn drop(&mut self) {
        self.clear();
    }
}
