//! One function's typed part of a storage in memory.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`, which also
//! evicts. A key whose `Eq` or a value whose `Clone` is foreign is only touched where no lock is
//! held, and outside of what `raw` calls inside.

use super::bound::{Bound, Evicted, Member, Order};
use super::entry::{Entry, Stored};
use super::policy::{Adaptive, AnyPolicy, Lru, SlotId};
use super::raw::{Found, Gone, Held, Part, Writing};
use crate::key::{NearKey, Query, is_plain};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::thread;
use crate::time::{Clock, NEVER, Nanos};
use std::hash::{BuildHasher, Hasher};
use std::ops::Deref;
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    part: Arc<Part<Stored<K, V>>>,
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

/// An entry on its way in.
pub(crate) struct Incoming<K, V> {
    pub(crate) hash: u64,
    /// What comes in, until it is in.
    pub(crate) stored: Option<Stored<K, V>>,
    pub(crate) expires: Nanos,
}

/// What was taken out. Dropped by the caller when no lock is held; then waits a little for those
/// who are just reading it.
pub(crate) struct Displaced<K: NearKey, V: Value> {
    gone: Gone<Stored<K, V>>,
    /// Evicted from another function's table, or from another shard.
    elsewhere: Option<Evicted>,
    /// Where something is left that somebody reads at this moment.
    late: Option<(Arc<Part<Stored<K, V>>>, usize)>,
}

/// How often who took something out looks whether those who read it have left. They do so within
/// nanoseconds, unless the system has taken a thread off its core just then; after that it is
/// whoever next changes that shard.
const LOOKS: usize = if cfg!(shuttle) { 1 } else { 1_000 };

impl<K: NearKey, V: Value> Displaced<K, V> {
    pub(crate) fn nothing() -> Self {
        Displaced { gone: Gone::nothing(), elsewhere: None, late: None }
    }
}

impl<K: NearKey, V: Value> Drop for Displaced<K, V> {
    fn drop(&mut self) {
        let Some((part, shard)) = self.late.take() else { return };
        for _ in 0..LOOKS {
            thread::yield_now();
            let mut gone = Gone::nothing();
            let late = part.lock(shard).settle(&mut gone);
            drop(gone); // no lock is held here
            if !late {
                return;
            }
        }
    }
}

/// The entries that share a hash, as seen a moment ago.
pub(crate) type Seen<K, V> = Snapshot<Entry<K, V>>;

const ONCE: &str = "an entry goes in once";

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
        let expected = bound.capacity.map_or(0, |capacity| capacity / bound.shards);
        let drops = std::mem::needs_drop::<K>() || std::mem::needs_drop::<V>();
        let part = Arc::new(Part::new(bound.shards, drops, expected, policy));
        let member: Weak<Part<Stored<K, V>>> = Arc::downgrade(&part);
        bound.join(member);
        Table { part, bound, order, hasher: seeded() }
    }

    #[inline]
    pub(crate) fn hash<Q: Query<K>>(&self, query: &Q) -> u64 {
        let mut state = self.hasher.build_hasher();
        query.hash_into(&mut state);
        state.finish()
    }

    fn lock(&self, hash: u64) -> Writing<'_, Stored<K, V>> {
        self.part.lock(self.part.home(hash))
    }

    /// Entries put so far where this hash belongs. If it is the same later, a look-up need not be
    /// repeated.
    #[inline]
    pub(crate) fn puts(&self, hash: u64) -> u64 {
        self.part.puts(hash)
    }

    /// THE HIT PATH: a fresh value, noted by the policy.
    #[inline]
    pub(crate) fn get<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        if !(Q::is_plain() && is_plain::<V>()) {
            return self.get_foreign(query, hash);
        }
        if self.order == Order::Adaptive
            && let Some(reading) = self.part.read(hash)
        {
            let found = reading.find(hash, plain(|key| query.matches(key)))?;
            let value = self.fresh(&found)?.value.clone();
            found.mark();
            self.bound.tuner.hit(hash);
            return Some(value);
        }
        self.get_locked(query, hash)
    }

    /// The same under the lock: in LRU order, and for a thread that cannot do without.
    #[inline(never)] // the hit path above keeps its values in registers
    fn get_locked<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let mut shard = self.lock(hash);
        let found = shard.find(hash, plain(|key| query.matches(key)))?;
        let value = self.fresh(&found)?.value.clone();
        let slot = found.id();
        self.note(&mut shard, slot, hash);
        Some(value)
    }

    /// Notes a hit under the lock.
    #[inline]
    fn note(&self, shard: &mut Writing<'_, Stored<K, V>>, slot: SlotId, hash: u64) {
        match self.order {
            Order::Adaptive => {
                shard.mark(slot);
                self.bound.tuner.hit(hash);
            }
            Order::Lru => shard.touch(slot, self.bound.stamp()),
        }
    }

    /// The same for entries that are compared and cloned where no lock is held.
    fn get_foreign<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        match self.lend(query, hash) {
            Lending::Lent(entry) => Some(entry.value.clone()),
            Lending::Absent => None,
            Lending::Refused => self.get_foreign_locked(query, hash),
        }
    }

    /// What `read` makes of a fresh value, noted by the policy. The value is not cloned, unless it
    /// cannot be lent.
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
        let Some(reading) = self.part.read(hash) else { return Lending::Refused };
        let in_place = Q::is_plain();
        let is = |stored: &Stored<K, V>| !in_place || query.matches(&stored.entry().key);
        let (held, fresh) = match self.order {
            Order::Adaptive => {
                let Some(found) = reading.find(hash, is) else { return Lending::Absent };
                let held = reading.hold(&found, Stored::entry);
                let fresh = !self.is_expired(found.expires());
                if fresh && held.is_some() {
                    found.mark();
                }
                (held, fresh)
            }
            // In order of use only what is compared under the lock, where it is moved, too.
            Order::Lru if in_place => {
                let mut shard = self.lock(hash);
                let Some(found) = shard.find(hash, is) else { return Lending::Absent };
                let held = reading.hold(&found, Stored::entry);
                let fresh = !self.is_expired(found.expires());
                let slot = found.id();
                if fresh && held.is_some() {
                    self.note(&mut shard, slot, hash);
                }
                (held, fresh)
            }
            Order::Lru => return Lending::Refused,
        };
        drop(reading);
        let Some(held) = held else { return Lending::Refused };
        let entry = Lent { held: Some(held), table: self, hash };
        // What was not compared may be another of several keys with this hash.
        if !in_place && (!fresh || !query.matches(&entry.key)) {
            return Lending::Refused;
        }
        if !fresh {
            return Lending::Absent;
        }
        if self.order == Order::Adaptive {
            self.bound.tuner.hit(hash);
        }
        Lending::Lent(entry)
    }

    fn get_foreign_locked<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let (first, alone) = {
            let shard = self.lock(hash);
            let first = shard.find(hash, |_| true)?;
            let mut count = 0;
            let second = |_: &_| {
                count += 1;
                count > 1
            };
            let alone = shard.find(hash, second).is_none();
            if alone && self.is_expired(first.expires()) {
                return None;
            }
            (first.content().foreign()?.clone(), alone)
        };
        let found = match alone {
            true => query.matches(&first.key).then_some(first)?,
            // Several keys share the hash.
            false => self.fetch(hash, |key| query.matches(key))?,
        };
        {
            let mut shard = self.lock(hash);
            let is_hit = |stored: &Stored<K, V>| {
                stored.foreign().is_some_and(|entry| Arc::ptr_eq(entry, &found))
            };
            let slot = shard.find(hash, is_hit).map(|hit| hit.id());
            if let Some(slot) = slot {
                self.note(&mut shard, slot, hash);
            }
        }
        Some(found.value.clone())
    }

    /// The fresh entry of a key that is compared where no lock is held, unnoticed by the policy.
    fn fetch(&self, hash: u64, is: impl Fn(&K) -> bool) -> Option<Arc<Entry<K, V>>> {
        let snapshot = {
            let shard = self.lock(hash);
            let same = shard.same_hash(hash);
            let fresh = same.iter().filter(|found| !self.is_expired(found.expires()));
            Snapshot::of(fresh.filter_map(|found| found.content().foreign()).cloned().collect())
        };
        snapshot.resolve(|entry| is(&entry.key)).found().cloned()
    }

    /// The fresh value of a key, unnoticed by the policy.
    pub(crate) fn peek(&self, hash: u64, is_plain: bool, is: impl Fn(&K) -> bool) -> Option<V> {
        if !is_plain {
            return self.fetch(hash, is).map(|entry| entry.value.clone());
        }
        let value = |found: Found<'_, _>| Some(self.fresh(&found)?.value.clone());
        match self.part.read(hash) {
            Some(reading) => reading.find(hash, plain(is)).and_then(value),
            None => self.lock(hash).find(hash, plain(is)).and_then(value),
        }
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
        let home = self.part.home(hash);
        let mut place = self.bound.reserve();
        loop {
            let mut shard = self.part.lock(home);
            let found = match stored {
                Some(Stored::Plain(new)) => Ok(shard.find(hash, plain(|key| *key == new.key))),
                _ => Self::foreign(&shard, hash, known),
            };
            let found = match found {
                Ok(found) => found.map(|found| (found.id(), found.expires())),
                Err(snapshot) => {
                    drop(shard);
                    self.bound.give_back(place.into());
                    return Err(snapshot);
                }
            };
            let mut settle = |shard: &mut Writing<'_, _>| {
                if shard.settle(&mut displaced.gone) {
                    displaced.late = Some((self.part.clone(), home));
                }
            };
            if let Some((slot, before)) = found {
                if self.is_expired(before) {
                    shard.count_expired();
                }
                shard.replace(slot, expires, self.bound.stamp(), stored.take().expect(ONCE));
                settle(&mut shard);
                drop(shard);
                self.bound.give_back(place.into());
                return Ok(());
            }
            let mut spare = usize::from(place);
            if expires != NEVER {
                let now = self.clock().now();
                // The place of one that expired is as good as any; the rest goes back.
                spare += (0..SWEEPS).filter(|_| shard.sweep(now)).count();
            }
            shard.follow(self.bound.tuner.rule());
            if spare == 0 && !self.bound.is_shared() {
                spare = shard.evict().into();
            }
            if spare > 0 {
                settle(&mut shard);
                shard.insert(hash, expires, self.bound.stamp(), stored.take().expect(ONCE));
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
    ) -> Result<Displaced<K, V>, Seen<K, V>> {
        let home = self.part.home(hash);
        let mut shard = self.part.lock(home);
        let found = match shard.find(hash, plain(|key| query.matches(key))) {
            Some(found) => Some(found.id()),
            None => Self::foreign(&shard, hash, known)?.map(|found| found.id()),
        };
        let mut removed = Displaced::nothing();
        if let Some(slot) = found {
            shard.remove(slot);
            if shard.settle(&mut removed.gone) {
                removed.late = Some((self.part.clone(), home));
            }
            drop(shard);
            self.bound.give_back(1);
        }
        Ok(removed)
    }

    /// The slot that `known` found, if the shard still holds the foreign entries that it saw.
    fn foreign<'s>(
        shard: &'s Writing<'_, Stored<K, V>>,
        hash: u64,
        known: &Seen<K, V>,
    ) -> Result<Option<Found<'s, Stored<K, V>>>, Seen<K, V>> {
        let same = shard.same_hash(hash);
        let now = || same.iter().filter_map(|found| found.content().foreign());
        if !known.still_holds(now()) {
            return Err(Snapshot::of(now().cloned().collect()));
        }
        let is_known =
            |entry: &Arc<_>| known.found().is_some_and(|known| Arc::ptr_eq(entry, known));
        Ok(same.into_iter().find(|found| found.content().foreign().is_some_and(is_known)))
    }

    /// Removes every entry, shard by shard, and gives the memory back. What comes out is dropped by
    /// the caller, where no lock is held: foreign drops. As [`put`](Self::put).
    pub(crate) fn clear(&self) -> impl Sized + use<K, V> {
        let take = |home| {
            let mut shard = self.part.lock(home);
            let count = shard.len();
            let mut removed = Displaced::nothing();
            if shard.clear(&mut removed.gone) {
                removed.late = Some((self.part.clone(), home));
            }
            drop(shard);
            self.bound.give_back(count);
            removed
        };
        (0..self.part.shards()).map(take).collect::<Vec<Displaced<K, V>>>()
    }

    /// The entry, if it is fresh.
    #[inline(always)]
    fn fresh<'f>(&self, found: &Found<'f, Stored<K, V>>) -> Option<&'f Entry<K, V>> {
        (!self.is_expired(found.expires())).then(|| found.content().entry())
    }

    #[inline(always)] // a hit of an entry that never expires must not even call
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
        let shards = (0..self.part.shards()).map(|home| self.part.lock(home));
        shards.fold((0, 0, 0), |(entries, evictions, expirations), shard| {
            let (evicted, expired) = shard.removed();
            (entries + shard.len() as u64, evictions + evicted, expirations + expired)
        })
    }

    /// Checks the whole storage, and empties it.
    #[cfg(all(test, shuttle))]
    pub(crate) fn check(&self) {
        self.bound.check();
    }
}

/// Whether what is stored has a plain key that `is` the wanted one.
#[inline]
fn plain<K, V>(is: impl Fn(&K) -> bool) -> impl Fn(&Stored<K, V>) -> bool {
    move |stored| match stored {
        Stored::Plain(entry) => is(&entry.key),
        Stored::Foreign(_) => false,
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
    held: Option<Held<'a, Entry<K, V>>>,
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
        let home = self.table.part.home(self.hash);
        if self.table.part.waits(home) {
            let mut displaced = Displaced::<K, V>::nothing();
            if self.table.part.lock(home).settle(&mut displaced.gone) {
                displaced.late = Some((self.table.part.clone(), home));
            }
        }
    }
}

impl<K: NearKey, V: Value> Member for Part<Stored<K, V>> {
    fn oldest(&self, shard: usize) -> Option<u64> {
        self.lock(shard).oldest()
    }

    fn evict(self: Arc<Self>, home: usize) -> Option<Evicted> {
        let mut evicted = Displaced::<K, V>::nothing();
        let late = {
            let mut shard = self.lock(home);
            if !shard.evict() {
                return None;
            }
            shard.settle(&mut evicted.gone)
        };
        evicted.late = late.then_some((self, home));
        Some(Box::new(evicted))
    }

    fn len(&self) -> usize {
        (0..self.shards()).map(|home| self.lock(home).len()).sum()
    }

    #[cfg(shuttle)]
    fn hold(&self) -> (usize, Box<dyn super::bound::Held + '_>) {
        let held: Vec<_> = (0..self.shards()).map(|home| self.lock(home)).collect();
        (held.iter().map(|shard| shard.len()).sum(), Box::new(held))
    }

    #[cfg(all(test, shuttle))]
    fn check(&self) {
        for home in 0..self.shards() {
            self.lock(home).check();
        }
    }
}

impl<K: NearKey, V: Value> Drop for Table<K, V> {
    fn drop(&mut self) {
        self.clear();
    }
}
