//! One function's typed part of a storage in memory: shards under their locks.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`, which also
//! evicts. A key whose `Eq` or a value whose `Clone` is foreign is only touched outside of the
//! locks.

use super::bound::{Bound, Evicted, Member, Order};
use super::policy::{Adaptive, AnyPolicy, Lru, SlotId};
use super::shard::{Entry, Shard, Stored};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{self, RwLock, thread};
use crate::time::{Clock, NEVER, Nanos};
use std::hash::{BuildHasher, Hasher};
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    part: Arc<Part<K, V>>,
    bound: Arc<Bound>,
    order: Order,
    /// Seeded anew for each table: keys that collide in one do not in another, and nobody outside
    /// can choose keys that do.
    hasher: Seeded,
}

#[cfg(not(shuttle))]
type Seeded = foldhash::fast::RandomState;
/// In model checks the seed is part of the schedule, so that a schedule can be run again.
#[cfg(shuttle)]
type Seeded = foldhash::fast::FixedState;

fn seeded() -> Seeded {
    #[cfg(not(shuttle))]
    return Seeded::default();
    #[cfg(shuttle)]
    Seeded::with_seed(shuttle::rand::RngCore::next_u64(&mut shuttle::rand::thread_rng()))
}

/// What the storage knows of a table.
struct Part<K, V> {
    shards: Box<[Guarded<K, V>]>,
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
    /// What comes in; once it is in, what it replaced.
    pub(crate) stored: Option<Stored<K, V>>,
    pub(crate) expires: Nanos,
}

/// What an insertion pushed out. Dropped by the caller when no lock is held.
pub(crate) struct Displaced<K, V> {
    /// Evicted from the same shard.
    one: Option<Stored<K, V>>,
    /// Evicted from another function's table, or from another shard.
    elsewhere: Option<Evicted>,
    expired: Vec<Stored<K, V>>,
}

impl<K, V> Displaced<K, V> {
    pub(crate) fn nothing() -> Self {
        Displaced { one: None, elsewhere: None, expired: Vec::new() }
    }
}

/// The entries that share a hash, as seen a moment ago.
pub(crate) type Seen<K, V> = Snapshot<Entry<K, V>>;

/// Slots in which each insertion of an entry that expires looks for one that has.
const SWEEPS: usize = 2;

impl<K: NearKey, V: Value> Table<K, V> {
    pub(super) fn join(bound: Arc<Bound>) -> Self {
        let order = bound.order;
        let policy = || match (bound.capacity, order) {
            (None, _) => AnyPolicy::None,
            (Some(_), Order::Lru) => AnyPolicy::Lru(Lru::default()),
            (Some(capacity), Order::Adaptive) => {
                AnyPolicy::Adaptive(Adaptive::new(capacity, bound.shards))
            }
        };
        let shard =
            |_| Guarded { shard: RwLock::new(Shard::new(policy())), puts: AtomicU64::new(0) };
        let part = Arc::new(Part { shards: (0..bound.shards).map(shard).collect() });
        let member: Weak<Part<K, V>> = Arc::downgrade(&part);
        bound.join(member);
        Table { part, bound, order, hasher: seeded() }
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
        if !Q::is_plain_with::<V>() {
            return self.get_foreign(query, hash);
        }
        let lock = &self.guarded(hash).shard;
        match self.order {
            Order::Adaptive => {
                let shard = sync::read(lock);
                let slot = self.fresh(&shard, hash, |key| query.matches(key))?;
                shard.mark(slot);
                self.bound.tuner.hit(hash);
                Some(shard.stored(slot).entry().value.clone())
            }
            Order::Lru => {
                let mut shard = sync::write(lock);
                let slot = self.fresh(&shard, hash, |key| query.matches(key))?;
                shard.touch(slot, self.bound.stamp());
                Some(shard.stored(slot).entry().value.clone())
            }
        }
    }

    /// The same for entries that are compared and cloned outside of the lock.
    fn get_foreign<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let (first, alone) = {
            let shard = sync::read(&self.guarded(hash).shard);
            // Plain entries are no answer to a query that is not: equal keys are of one kind.
            let foreign = |slot| match shard.stored(slot) {
                Stored::Plain(_) => None,
                Stored::Foreign(entry) => Some((slot, entry)),
            };
            let mut entries = shard.same_hash(hash).filter_map(foreign);
            let (slot, first) = entries.next()?;
            let alone = entries.next().is_none();
            if alone && self.is_expired(shard.expires(slot)) {
                return None;
            }
            (first.clone(), alone)
        };
        let found = if alone {
            query.matches(&first.key).then_some(first)?
        } else {
            // Several keys share the 64-bit hash.
            self.fetch(hash, |key| query.matches(key))?
        };
        self.note_hit(hash, &found);
        Some(found.value.clone())
    }

    /// Tells the policy of a hit on an entry that is compared outside of the lock.
    fn note_hit(&self, hash: u64, hit: &Arc<Entry<K, V>>) {
        let is_hit = |stored: &Stored<K, V>| match stored {
            Stored::Plain(_) => false,
            Stored::Foreign(entry) => Arc::ptr_eq(entry, hit),
        };
        match self.order {
            Order::Adaptive => {
                let shard = sync::read(&self.guarded(hash).shard);
                if let Some(slot) = shard.find(hash, is_hit) {
                    shard.mark(slot);
                    self.bound.tuner.hit(hash);
                }
            }
            Order::Lru => {
                let mut shard = sync::write(&self.guarded(hash).shard);
                if let Some(slot) = shard.find(hash, is_hit) {
                    shard.touch(slot, self.bound.stamp());
                }
            }
        }
    }

    /// The fresh entry of a key that is compared outside of the lock, unnoticed by the policy.
    fn fetch(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<Arc<Entry<K, V>>> {
        let snapshot = {
            let shard = sync::read(&self.guarded(hash).shard);
            let fresh = |slot: &SlotId| !self.is_expired(shard.expires(*slot));
            let foreign = |slot| match shard.stored(slot) {
                Stored::Plain(_) => None,
                Stored::Foreign(entry) => Some(entry.clone()),
            };
            Snapshot::of(shard.same_hash(hash).filter(fresh).filter_map(foreign).collect())
        };
        snapshot.resolve(|entry| is(&entry.key)).found().cloned()
    }

    /// The fresh value of a key, unnoticed by the policy.
    pub(crate) fn peek(&self, hash: u64, plain: bool, is: impl Fn(&K) -> bool) -> Option<V> {
        if !plain {
            return self.fetch(hash, is).map(|entry| entry.value.clone());
        }
        let shard = sync::read(&self.guarded(hash).shard);
        let slot = self.fresh(&shard, hash, is)?;
        Some(shard.stored(slot).entry().value.clone())
    }

    /// Stores an entry in the place of the one that `known` found, or as a new one; evicts if that
    /// needs a place.
    ///
    /// Only if the storage [has places](Self::has_places).
    ///
    /// May be called under the lock of a flight's shard: runs no foreign code. On `Err` compare the
    /// new snapshot, outside of every lock, and come again.
    pub(crate) fn put(
        &self,
        known: &Seen<K, V>,
        incoming: &mut Incoming<K, V>,
        displaced: &mut Displaced<K, V>,
    ) -> Result<(), Seen<K, V>> {
        let Incoming { hash, ref mut stored, expires } = *incoming;
        let home = self.home(hash);
        let Guarded { shard, puts } = &self.part.shards[home];
        let mut place = self.bound.reserve();
        loop {
            let mut shard = sync::write(shard);
            let found = match stored {
                Some(Stored::Plain(new)) => Ok(Self::plain(&shard, hash, |key| *key == new.key)),
                _ => Self::foreign(&shard, hash, known),
            };
            let found = match found {
                Ok(found) => found,
                Err(snapshot) => {
                    drop(shard);
                    self.bound.give_back(place.into());
                    return Err(snapshot);
                }
            };
            if let Some(slot) = found {
                let expired = self.is_expired(shard.expires(slot));
                Self::count(puts);
                shard.replace(slot, expires, self.bound.stamp(), stored);
                shard.expirations += u64::from(expired);
                drop(shard);
                self.bound.give_back(place.into());
                return Ok(());
            }
            let mut gone = 0;
            if expires != NEVER {
                let now = self.clock().now();
                displaced.expired.extend((0..SWEEPS).filter_map(|_| shard.sweep(now)));
                gone = displaced.expired.len();
            }
            shard.follow(self.bound.tuner.rule());
            // The place of one that expired is as good as any; the rest goes back.
            let mut spare = gone + usize::from(place);
            if spare == 0 && !self.bound.is_shared() {
                spare = shard.evict(&mut displaced.one).into();
            }
            if spare > 0 {
                Self::count(puts);
                shard.insert(hash, expires, self.bound.stamp(), stored);
                drop(shard);
                self.bound.give_back(spare - 1);
                self.bound.note_miss(hash);
                return Ok(());
            }
            // Full, and nothing here to evict, or others have a say in what goes: take a place from
            // wherever the oldest entry is, then look again.
            drop(shard);
            displaced.elsewhere =
                self.bound.evict_oldest(home).or_else(|| self.bound.evict_anywhere(home));
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
        known: &Seen<K, V>,
    ) -> Result<Option<Stored<K, V>>, Seen<K, V>> {
        let mut shard = sync::write(&self.guarded(hash).shard);
        let plain = Self::plain(&shard, hash, |key| query.matches(key));
        let found = match plain {
            Some(slot) => Some(slot),
            None => Self::foreign(&shard, hash, known)?,
        };
        let Some(slot) = found else { return Ok(None) };
        let removed = shard.remove(slot);
        drop(shard);
        self.bound.give_back(1);
        Ok(Some(removed))
    }

    /// Counts a put. Only under the exclusive lock of the shard, so no step of its own is needed.
    fn count(puts: &AtomicU64) {
        puts.store(puts.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }

    /// The slot of a plain key whose entry is fresh.
    #[inline]
    fn fresh(&self, shard: &Shard<K, V>, hash: u64, is: impl Fn(&K) -> bool) -> Option<SlotId> {
        let slot = Self::plain(shard, hash, is)?;
        (!self.is_expired(shard.expires(slot))).then_some(slot)
    }

    /// The slot of a plain key.
    #[inline]
    fn plain(shard: &Shard<K, V>, hash: u64, is: impl Fn(&K) -> bool) -> Option<SlotId> {
        shard.find(hash, |stored| match stored {
            Stored::Plain(entry) => is(&entry.key),
            Stored::Foreign(_) => false,
        })
    }

    /// The slot that `known` found, if the shard still holds the foreign entries that it saw.
    fn foreign(
        shard: &Shard<K, V>,
        hash: u64,
        known: &Seen<K, V>,
    ) -> Result<Option<SlotId>, Seen<K, V>> {
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

    /// Removes every entry, shard by shard, and gives the memory back. What comes out is dropped by
    /// the caller, where no lock is held: foreign drops. As [`put`](Self::put).
    pub(crate) fn clear(&self) -> impl Sized + use<K, V> {
        let take = |guarded: &Guarded<K, V>| {
            let mut shard = sync::write(&guarded.shard);
            let count = shard.len();
            let removed = shard.clear();
            drop(shard);
            self.bound.give_back(count);
            removed
        };
        self.part.shards.iter().map(take).collect::<Vec<_>>()
    }

    #[inline]
    fn is_expired(&self, expires: Nanos) -> bool {
        expires != NEVER && self.clock().now() >= expires
    }

    /// Whether this storage has places at all. If not, nothing may be put.
    pub(crate) fn has_places(&self) -> bool {
        self.bound.capacity != Some(0)
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.bound.clock
    }

    /// Entries now, evicted so far, expired so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let shards = self.part.shards.iter().map(|guarded| sync::read(&guarded.shard));
        shards.fold((0, 0, 0), |(entries, evictions, expirations), shard| {
            let entries = entries + shard.len() as u64;
            (entries, evictions + shard.evictions, expirations + shard.expirations)
        })
    }

    /// Shows every entry of every shard that nobody writes at this moment; false if one was left
    /// out. Runs under the shards' locks: `show` must not be foreign code.
    pub(crate) fn show_entries(&self, mut show: impl FnMut(&K, &V)) -> bool {
        let mut complete = true;
        for guarded in &self.part.shards {
            match sync::try_read(&guarded.shard) {
                Some(shard) => shard.entries().for_each(|entry| show(&entry.key, &entry.value)),
                None => complete = false,
            }
        }
        complete
    }

    /// Checks the whole storage, and empties it.
    #[cfg(all(test, shuttle))]
    pub(crate) fn check(&self) {
        self.bound.check();
    }
}

impl<K: NearKey, V: Value> Member for Part<K, V> {
    fn oldest(&self, shard: usize) -> Option<u64> {
        sync::read(&self.shards[shard].shard).oldest()
    }

    fn evict(&self, shard: usize) -> Option<Evicted> {
        let mut evicted = None;
        sync::write(&self.shards[shard].shard).evict(&mut evicted);
        Some(Box::new(evicted?))
    }

    fn len(&self) -> usize {
        self.shards.iter().map(|guarded| sync::read(&guarded.shard).len()).sum()
    }

    #[cfg(shuttle)]
    fn hold(&self) -> (usize, Box<dyn super::bound::Held + '_>) {
        let held: Vec<_> = self.shards.iter().map(|one| sync::read(&one.shard)).collect();
        (held.iter().map(|shard| shard.len()).sum(), Box::new(held))
    }

    #[cfg(all(test, shuttle))]
    fn check(&self) {
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
