//! One function's typed part of a storage in memory: shards under their locks.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`, which also
//! evicts. A key whose `Eq` or a value whose `Clone` is foreign is only touched outside of the
//! locks.

use super::bound::{Bound, Limit, Member, Order};
use super::lifetimes::Life;
use super::policy::{Adaptive, AnyPolicy, Lru, SlotId};
use super::removal::{Displaced, Evicted, Gone, Leaving, Listener, RemovalCause, tell};
use super::shard::{Entry, Shard, Slot, Stored};
use super::terms::{Terms, Theirs, Weigher, hash_by, hash_seeded};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::atomic::{AtomicU64, Ordering};
use crate::sync::{self, RwLock, thread};
use crate::time::{Clock, NEVER, Nanos};
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    pub(super) part: Arc<Part<K, V>>,
    pub(super) bound: Arc<Bound>,
    order: Order,
    /// `None`: each entry weighs 1.
    weigher: Option<Weigher<K, V>>,
    /// A user's hasher, instead of ours.
    theirs: Option<Theirs>,
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
pub(super) struct Part<K, V> {
    pub(super) shards: Box<[Guarded<K, V>]>,
    listener: Option<Listener<K, V>>,
}

/// A shard on cache lines of its own.
#[repr(align(128))]
pub(super) struct Guarded<K, V> {
    pub(super) shard: RwLock<Shard<K, V>>,
    /// Entries put in so far: tells a call whether anything came in since it looked.
    pub(super) puts: AtomicU64,
}

/// An entry on its way in.
pub(crate) struct Incoming<K, V> {
    pub(crate) hash: u64,
    /// What comes in; once it is in, what it replaced.
    pub(crate) stored: Option<Stored<K, V>>,
    pub(crate) life: Life,
    /// How many places it takes; see [`Table::weigh`].
    pub(crate) weight: usize,
}

/// What was in a table that was cleared, shard by shard.
pub(crate) struct Cleared<K, V>(Vec<Vec<Slot<K, V>>>);

/// The entries that share a hash, as seen a moment ago.
pub(crate) type Seen<K, V> = Snapshot<Entry<K, V>>;

/// Slots in which an insertion of an entry that expires looks for those that have, at most, and how
/// many of those it removes at most.
const LOOKS: usize = 16;
const REMOVES: usize = 8;
/// One in so many of them looks in another shard, too, and as much more there: shards where nothing
/// is stored any more are freed by those where something is.
const ELSEWHERE: u64 = 8;

impl<K: NearKey, V: Value> Table<K, V> {
    /// Attaches a function to a storage.
    ///
    /// # Panics
    ///
    /// If one of them weighs entries and the other does not.
    pub(super) fn join(bound: Arc<Bound>, terms: Terms<K, V>) -> Self {
        let Terms { weigher, listener, hasher: theirs } = terms;
        match (bound.limit, &weigher) {
            (Limit::Weight(_), None) => panic!(
                "a storage that is bounded by weight needs to be told what an entry weighs: \
                 `Cache::builder().weigher(|key, value| ..)`, `#[cached(.., weigher = |value| ..)]`"
            ),
            (Limit::None | Limit::Entries(_), Some(_)) => panic!(
                "a weigher needs a storage that is bounded by weight: \
                 `MemoryStorage::weighted(..)` or `LruStorage::weighted(..)`"
            ),
            _ => {}
        }
        let order = bound.order;
        let policy = || match (bound.limit, order) {
            (Limit::None, _) => AnyPolicy::None,
            (_, Order::Lru) => AnyPolicy::Lru(Lru::default()),
            (Limit::Entries(most), Order::Adaptive) => {
                AnyPolicy::Adaptive(Adaptive::new(most, bound.shards))
            }
            // How many to expect is not known: it goes by those that are there.
            (Limit::Weight(_), Order::Adaptive) => {
                AnyPolicy::Adaptive(Adaptive::new(0, bound.shards))
            }
        };
        let shard = |_| Guarded {
            shard: RwLock::new(Shard::new(policy(), weigher.is_some())),
            puts: AtomicU64::new(0),
        };
        let shards = (0..bound.shards).map(shard).collect();
        let part = Arc::new(Part { shards, listener });
        let member: Weak<Part<K, V>> = Arc::downgrade(&part);
        bound.join(member);
        Table { part, bound, order, weigher, theirs, hasher: seeded() }
    }

    #[inline]
    pub(crate) fn hash<Q: Query<K>>(&self, query: &Q) -> u64 {
        if let Some(theirs) = &self.theirs {
            return hash_by(&**theirs, query);
        }
        hash_seeded(&self.hasher, query)
    }

    /// The shard of a hash. The index inside uses the lowest and highest bits; these are others.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.part.shards.len() - 1)
    }

    #[inline]
    pub(super) fn guarded(&self, hash: u64) -> &Guarded<K, V> {
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
                let slot = self.hit(&shard, hash, |key| query.matches(key))?;
                shard.mark(slot);
                self.bound.tuner.hit(hash);
                Some(shard.stored(slot).entry().value.clone())
            }
            Order::Lru => {
                let mut shard = sync::write(lock);
                let slot = self.hit(&shard, hash, |key| query.matches(key))?;
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
                    self.put_off(&shard, slot);
                    shard.mark(slot);
                    self.bound.tuner.hit(hash);
                }
            }
            Order::Lru => {
                let mut shard = sync::write(&self.guarded(hash).shard);
                if let Some(slot) = shard.find(hash, is_hit) {
                    self.put_off(&shard, slot);
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
    /// needs places. What is too heavy for the whole storage is not stored, and what was there for
    /// its key goes all the same.
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
        let Incoming { hash, ref mut stored, life, weight } = *incoming;
        let home = self.home(hash);
        let Guarded { shard, puts } = &self.part.shards[home];
        let fits = self.bound.capacity.is_none_or(|capacity| weight <= capacity);
        let mut held = 0;
        if fits {
            self.bound.top_up(&mut held, weight);
        }
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
                    self.bound.give_back(held);
                    return Err(snapshot);
                }
            };
            if let Some(slot) = found {
                let expired = self.is_expired(shard.expires(slot));
                shard.expirations += u64::from(expired);
                let cause = if expired { RemovalCause::Expired } else { RemovalCause::Replaced };
                let before = shard.weight(slot);
                held += before;
                if fits && self.bound.top_up(&mut held, weight) {
                    let puts = Self::count(puts);
                    shard.replace(slot, &life, weight, self.bound.stamp(), stored);
                    drop(shard);
                    self.bound.give_back(held - weight);
                    if self.part.listener.is_some() {
                        displaced.set_aside();
                        (displaced.one, displaced.cause) = (stored.take(), cause);
                    }
                    self.expire_elsewhere(life, puts, displaced);
                    return Ok(());
                }
                // Lighter than what comes, and no room beside it: it goes first.
                displaced.push(shard.remove(slot).0, cause);
            }
            if !fits {
                drop(shard);
                self.bound.give_back(held);
                return Ok(());
            }
            if life.ends != NEVER {
                held += self.expire(&mut shard, displaced);
            }
            shard.follow(self.bound.tuner.rule());
            // The places of those that expired are as good as any; the rest goes back.
            while !self.bound.top_up(&mut held, weight)
                && !self.bound.is_shared()
                && self.is_laden(&shard)
            {
                displaced.set_aside();
                match shard.evict(&mut displaced.one) {
                    Some(evicted) => held += evicted,
                    None => break,
                }
            }
            if held >= weight {
                let puts = Self::count(puts);
                shard.insert(hash, &life, weight, self.bound.stamp(), stored);
                drop(shard);
                self.bound.give_back(held - weight);
                self.bound.note_miss(hash);
                self.expire_elsewhere(life, puts, displaced);
                return Ok(());
            }
            // Full, and not enough here to evict, or others have a say in what goes: take places
            // from wherever the oldest entry is, then look again.
            drop(shard);
            match self.bound.evict_oldest_from(home) {
                Some(evicted) => {
                    held += evicted.weight;
                    displaced.elsewhere.push(evicted);
                }
                None => {
                    // Every place is in the hands of threads about to insert. None of them waits
                    // with places in its hand: so does this one not.
                    self.bound.give_back(std::mem::take(&mut held));
                    if !self.bound.top_up(&mut held, weight) {
                        thread::yield_now();
                    }
                }
            }
        }
    }

    /// Whether room is made in this shard. A heavy entry does not empty a light shard while others
    /// hold more.
    fn is_laden(&self, shard: &Shard<K, V>) -> bool {
        match self.bound.limit {
            Limit::Weight(most) => shard.total_weight() >= most / self.bound.shards / 2,
            Limit::None | Limit::Entries(_) => true,
        }
    }

    /// Takes out what has expired in a shard, but not too much at once; how many places that frees.
    #[inline(never)]
    fn expire(&self, shard: &mut Shard<K, V>, displaced: &mut Displaced<K, V>) -> usize {
        let (now, mut looks, mut freed) = (self.clock().now(), LOOKS, 0);
        for _ in 0..REMOVES {
            let Some((expired, weight)) = shard.expire(now, &mut looks) else { break };
            displaced.push(expired, RemovalCause::Expired);
            freed += weight;
        }
        freed
    }

    /// After some of the puts of entries that end, the same in another shard, of all functions that
    /// share the storage.
    #[inline]
    fn expire_elsewhere(&self, life: Life, puts: u64, displaced: &mut Displaced<K, V>) {
        if life.ends != NEVER && puts.is_multiple_of(ELSEWHERE) {
            self.expire_in(puts / ELSEWHERE, displaced);
        }
    }

    #[inline(never)]
    fn expire_in(&self, turn: u64, displaced: &mut Displaced<K, V>) {
        let (shard, looks) = (turn as usize % self.bound.shards, LOOKS * ELSEWHERE as usize);
        let (mut expired, _) = self.bound.expire(shard, self.clock().now(), looks);
        displaced.elsewhere.append(&mut expired);
    }

    /// What an entry weighs: at least 1, so that the number of entries is bounded, too. Runs
    /// foreign code.
    #[inline]
    pub(crate) fn weigh(&self, key: &K, value: &V) -> usize {
        self.weigher.as_ref().map_or(1, |weigher| weigher(key, value).max(1))
    }

    /// Tells listeners of what left, and drops it. Runs foreign code: no lock is held.
    #[inline]
    pub(crate) fn tell(&self, displaced: Displaced<K, V>) {
        displaced.tell(self.part.listener.as_ref());
    }

    /// Removes the entry that `known` found, or the one with this key if keys are plain. As
    /// [`put`](Self::put).
    pub(crate) fn take<Q: Query<K>>(
        &self,
        hash: u64,
        query: &Q,
        known: &Seen<K, V>,
    ) -> Result<Displaced<K, V>, Seen<K, V>> {
        let mut displaced = Displaced::nothing();
        let mut shard = sync::write(&self.guarded(hash).shard);
        let plain = Self::plain(&shard, hash, |key| query.matches(key));
        let found = match plain {
            Some(slot) => Some(slot),
            None => Self::foreign(&shard, hash, known)?,
        };
        let Some(slot) = found else { return Ok(displaced) };
        if self.part.listener.is_some() {
            let expired = self.is_expired(shard.expires(slot));
            let causes = [RemovalCause::Invalidated, RemovalCause::Expired];
            displaced.cause = causes[usize::from(expired)];
        }
        let (removed, weight) = shard.remove(slot);
        drop(shard);
        self.bound.give_back(weight);
        displaced.one = Some(removed);
        Ok(displaced)
    }

    /// Counts a put, and says how many there were. Only under the exclusive lock of the shard, so
    /// no step of its own is needed.
    fn count(puts: &AtomicU64) -> u64 {
        let now = puts.load(Ordering::Relaxed).wrapping_add(1);
        puts.store(now, Ordering::Release);
        now
    }

    /// The slot of a plain key whose entry is fresh.
    #[inline]
    fn fresh(&self, shard: &Shard<K, V>, hash: u64, is: impl Fn(&K) -> bool) -> Option<SlotId> {
        let slot = Self::plain(shard, hash, is)?;
        (!self.is_expired(shard.expires(slot))).then_some(slot)
    }

    /// The same, asked for: that may put its end off.
    #[inline]
    fn hit(&self, shard: &Shard<K, V>, hash: u64, is: impl Fn(&K) -> bool) -> Option<SlotId> {
        let slot = Self::plain(shard, hash, is)?;
        let expires = shard.expires(slot);
        if expires != NEVER {
            let now = self.clock().now();
            if now >= expires {
                return None;
            }
            shard.put_off(slot, now);
        }
        Some(slot)
    }

    /// The entry of a slot was asked for.
    fn put_off(&self, shard: &Shard<K, V>, slot: SlotId) {
        if shard.puts_off() {
            shard.put_off(slot, self.clock().now());
        }
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

    /// Removes every entry, shard by shard, and gives the memory back. What comes out is
    /// [told](Self::tell_cleared) and dropped by the caller, where no lock is held: foreign drops.
    /// As [`put`](Self::put).
    pub(crate) fn clear(&self) -> Cleared<K, V> {
        let take = |guarded: &Guarded<K, V>| {
            let mut shard = sync::write(&guarded.shard);
            let weight = shard.total_weight();
            let removed = shard.clear();
            drop(shard);
            self.bound.give_back(weight);
            removed
        };
        Cleared(self.part.shards.iter().map(take).collect())
    }

    /// Tells the listener of what was cleared, and drops it. Runs foreign code: no lock is held.
    pub(crate) fn tell_cleared(&self, cleared: Cleared<K, V>) {
        if let Some(listener) = &self.part.listener {
            let slots = cleared.0.iter().flatten();
            slots
                .filter_map(|slot| slot.stored.as_ref())
                .for_each(|stored| tell(listener, stored, RemovalCause::Cleared));
        }
    }

    /// Whether the entry of a slot is fresh.
    pub(super) fn is_fresh(&self, shard: &Shard<K, V>, slot: SlotId) -> bool {
        !self.is_expired(shard.expires(slot))
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

    /// Entries now, and what they weigh.
    pub(crate) fn len_and_weight(&self) -> (usize, usize) {
        self.part.len_and_weight()
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

impl<K: NearKey, V: Value> Part<K, V> {
    fn leaving(&self, stored: Stored<K, V>, cause: RemovalCause) -> Box<dyn Gone> {
        Box::new(Leaving { stored, cause, listener: self.listener.clone() })
    }
}

impl<K: NearKey, V: Value> Member for Part<K, V> {
    fn oldest(&self, shard: usize) -> Option<u64> {
        sync::read(&self.shards[shard].shard).oldest()
    }

    fn evict(&self, shard: usize) -> Option<Evicted> {
        let mut evicted = None;
        let weight = sync::write(&self.shards[shard].shard).evict(&mut evicted)?;
        Some(Evicted { weight, gone: self.leaving(evicted?, RemovalCause::Evicted) })
    }

    fn expire(&self, shard: usize, now: Nanos, looks: &mut usize) -> Vec<Evicted> {
        let mut shard = sync::write(&self.shards[shard].shard);
        let expired: Vec<_> = std::iter::from_fn(|| shard.expire(now, looks)).collect();
        drop(shard);
        let evicted = |(stored, weight)| Evicted {
            weight,
            gone: self.leaving(stored, RemovalCause::Expired),
        };
        expired.into_iter().map(evicted).collect()
    }

    fn len_and_weight(&self) -> (usize, usize) {
        let shards = self.shards.iter().map(|guarded| sync::read(&guarded.shard));
        shards
            .fold((0, 0), |(len, weight), shard| (len + shard.len(), weight + shard.total_weight()))
    }

    #[cfg(shuttle)]
    fn hold(&self) -> (usize, Box<dyn super::bound::Held + '_>) {
        let held: Vec<_> = self.shards.iter().map(|one| sync::read(&one.shard)).collect();
        (held.iter().map(|shard| shard.total_weight()).sum(), Box::new(held))
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
