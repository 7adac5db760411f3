//! One function's typed part of a storage in memory.
//!
//! Called by `cache` and `call`. The hit path is `get`; what comes in and what leaves is in
//! `storing`. A key whose `Eq` or a value whose `Clone` is foreign is only touched where no lock is
//! held, and outside of what `raw` calls inside.

use super::bound::{Bound, Limit, Member, Order};
use super::entry::Entry;
use super::policy::{Adaptive, AnyPolicy, Lru, SlotId};
use super::raw::{About, First, Found, Part, Reading, Writing, may_lie_inline};
use super::removal::{Displaced, Evicted, Gone, Listener};
use super::terms::{Terms, Theirs, Weigher, hash_by, hash_seeded};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::sync::thread;
use crate::time::{Clock, NEVER, Nanos};
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    pub(super) part: Arc<Attached<K, V>>,
    pub(super) bound: Arc<Bound>,
    pub(super) order: Order,
    /// `None`: each entry weighs 1.
    pub(super) weigher: Option<Weigher<K, V>>,
    /// A user's hasher, instead of ours.
    theirs: Option<Theirs>,
    /// Seeded anew for each table: keys that collide in one do not in another, and nobody outside
    /// can choose keys that do.
    hasher: Seeded,
    /// Whether hits take no lock and keys are hashed by our own hasher.
    looks: bool,
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
pub(super) struct Attached<K, V> {
    pub(super) raw: Part<K, V>,
    pub(super) listener: Option<Listener<K, V>>,
}

/// A shard of a table, under its lock.
pub(super) type Locked<'a, K, V> = Writing<'a, K, V>;

/// What the first look at a table tells that found nothing.
#[derive(Clone, Copy, Debug)]
pub enum Unfound {
    /// It looked at nothing.
    Unseen,
    /// It takes another look for the key with this hash.
    Unsure(u64),
    /// The key with this hash was not there.
    Absent(u64),
}

/// How often who took something out looks whether those who read it have left. They do so within
/// nanoseconds, unless the system has taken a thread off its core just then; after that it is
/// whoever next changes that shard.
const PATIENCE: usize = if cfg!(shuttle) { 1 } else { 1_000 };

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
        let about = About {
            drops: !may_lie_inline::<K, V>() || listener.is_some(),
            expected: bound.entries().map_or(0, |entries| entries / bound.shards),
            weighs: weigher.is_some(),
        };
        let part = Arc::new(Attached { raw: Part::new(bound.shards, about, policy), listener });
        let member: Weak<Attached<K, V>> = Arc::downgrade(&part);
        bound.join(member);
        let looks = order == Order::Adaptive && theirs.is_none();
        Table { part, bound, order, weigher, theirs, hasher: seeded(), looks }
    }

    #[inline]
    pub(crate) fn hash<Q: Query<K>>(&self, query: &Q) -> u64 {
        if let Some(theirs) = &self.theirs {
            return hash_by(&**theirs, query);
        }
        hash_seeded(&self.hasher, query)
    }

    pub(super) fn lock(&self, hash: u64) -> Locked<'_, K, V> {
        self.part.raw.lock(self.part.raw.home(hash))
    }

    /// THE HIT PATH: a fresh value, noted by the policy, if the first look finds it; nearly always
    /// it does. Without `may_end`, nothing where any entry ever had an end.
    ///
    /// What is called here is called last, so that no register need be saved.
    #[inline(always)]
    pub(crate) fn look<Q: Query<K>>(&self, query: &Q, may_end: bool) -> Result<V, Unfound> {
        if !Q::is_plain_with::<V>() {
            return Err(Unfound::Unseen);
        }
        if !self.looks {
            return self.look_in_order(query);
        }
        let hash = hash_seeded(&self.hasher, query);
        let Some(reading) = self.part.raw.read_at_once(hash) else {
            return Err(Unfound::Unsure(hash));
        };
        let is = |entry: &Entry<K, V>| query.matches(&entry.key);
        let found = match reading.first(hash, may_lie_inline::<K, V>(), may_end, is) {
            First::Found(found) => found,
            First::Unsure => return Err(Unfound::Unsure(hash)),
            First::Absent => return Err(Unfound::Absent(hash)),
        };
        let ends = found.expires();
        if may_end && ends != NEVER {
            if found.may_be_put_off() {
                return Err(Unfound::Unsure(hash));
            }
            let (slot, value) = (found.id(), found.entry().value.clone());
            return self.if_fresh(slot, value, ends, hash, reading);
        }
        let value = found.entry().value.clone();
        found.mark();
        reading.count_hit();
        Ok(if self.bound.tuner.notes(hash) { self.note_hit(value, hash) } else { value })
    }

    #[cold]
    #[inline(never)]
    fn note_hit(&self, value: V, hash: u64) -> V {
        self.bound.tuner.hit(hash);
        value
    }

    /// The value of an entry that ends, if that is still to come.
    #[inline(never)]
    fn if_fresh(
        &self,
        slot: SlotId,
        value: V,
        ends: Nanos,
        hash: u64,
        reading: Reading<'_, K, V>,
    ) -> Result<V, Unfound> {
        if !self.clock().is_before(ends) {
            return Err(Unfound::Unsure(hash));
        }
        reading.mark(slot);
        self.bound.tuner.hit(hash);
        reading.count_hit();
        Ok(value)
    }

    /// What [`look`](Self::look) has not found, whatever it takes; and the hash.
    #[inline]
    pub(crate) fn look_longer<Q: Query<K>>(&self, query: &Q, unfound: Unfound) -> (Option<V>, u64) {
        match unfound {
            Unfound::Unseen => {
                let hash = self.hash(query);
                (self.get(query, hash), hash)
            }
            Unfound::Unsure(hash) => (self.get(query, hash), hash),
            Unfound::Absent(hash) => (None, hash),
        }
    }

    /// A fresh value, noted by the policy, whatever it takes.
    #[inline]
    pub(crate) fn get<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        match self.order {
            _ if !Q::is_plain_with::<V>() => self.get_foreign(query, hash),
            Order::Lru => self.get_in_order(query, hash),
            Order::Adaptive => self.get_slowly(query, hash),
        }
    }

    /// Whether there is no entry for a key, not even an expired one: told without a lock, and only
    /// if that is plain to see.
    #[inline]
    pub(crate) fn lacks(&self, hash: u64, plain: bool) -> bool {
        let Some(reading) = self.part.raw.read(hash) else { return false };
        reading.lacks(hash, plain && may_lie_inline::<K, V>())
    }

    /// Whether a hit is one, and has nothing to note but itself.
    #[inline]
    fn only_reads(&self, found: &Found<'_, K, V>) -> bool {
        let ends = found.expires();
        ends == NEVER || !found.may_be_put_off() && self.is_before(ends)
    }

    #[inline(never)] // leaves the registers to hits of what does not end
    fn is_before(&self, ends: Nanos) -> bool {
        self.clock().is_before(ends)
    }

    /// The same without a lock, if that can be.
    #[inline(never)]
    fn get_slowly<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let inline = may_lie_inline::<K, V>();
        if let Some(reading) = self.part.raw.read(hash) {
            let is = |entry: &Entry<K, V>| query.matches(&entry.key);
            match reading.first(hash, inline, true, is) {
                First::Absent => return None,
                First::Found(found) if self.only_reads(&found) => {
                    let value = self.noted(&found, hash);
                    reading.count_hit();
                    return Some(value);
                }
                First::Found(_) | First::Unsure => {}
            }
            let is = |found: &Found<'_, K, V>| query.matches(&found.entry().key);
            if let Ok(found) = reading.find(hash, inline, false, is) {
                let found = found?;
                if !self.hits(&found, |_| self.prolong(hash, &found, is)) {
                    return None;
                }
                let value = self.noted(&found, hash);
                reading.count_hit();
                return Some(value);
            }
        }
        self.get_locked(query, hash)
    }

    /// The value of a fresh entry, whose hit is noted.
    #[inline]
    fn noted(&self, found: &Found<'_, K, V>, hash: u64) -> V {
        found.mark();
        self.bound.tuner.hit(hash);
        found.entry().value.clone()
    }

    /// As [`look`](Self::look), in LRU order.
    #[inline(never)]
    fn look_in_order<Q: Query<K>>(&self, query: &Q) -> Result<V, Unfound> {
        if self.order != Order::Lru {
            return Err(Unfound::Unseen);
        }
        let hash = self.hash(query);
        self.get_in_order(query, hash).ok_or(Unfound::Absent(hash))
    }

    /// The same in LRU order, where a hit moves its entry under the lock: if it is found at once,
    /// and its end is not put off.
    #[inline(always)] // the hit path of LRU order
    fn get_in_order<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let mut shard = self.lock(hash);
        let is = |entry: &Entry<K, V>| query.matches(&entry.key);
        match shard.first(hash, may_lie_inline::<K, V>(), is) {
            First::Absent => return None,
            First::Found(found) if self.only_reads(&found) => {
                let (slot, value) = (found.id(), found.entry().value.clone());
                shard.count_hit();
                shard.touch(slot, self.bound.stamp());
                return Some(value);
            }
            First::Found(_) | First::Unsure => {}
        }
        drop(shard);
        self.get_locked(query, hash)
    }

    /// The same under the lock: in LRU order, and for a thread that cannot do without.
    #[inline(never)]
    fn get_locked<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let mut shard = self.lock(hash);
        let is = |found: &Found<'_, K, V>| query.matches(&found.entry().key);
        let found = shard.find(hash, may_lie_inline::<K, V>(), false, is)?;
        let mut ends = None;
        if !self.hits(&found, |later| ends = Some(later)) {
            return None;
        }
        let (slot, value) = (found.id(), found.entry().value.clone());
        self.note(&mut shard, slot, ends, hash);
        Some(value)
    }

    /// Whether an entry is fresh that is asked for now. If that puts its end off, calls `prolong`
    /// with the new one.
    pub(super) fn hits(&self, found: &Found<'_, K, V>, prolong: impl FnOnce(Nanos)) -> bool {
        let ends = found.expires();
        if ends == NEVER {
            return true;
        }
        let Some(look) = self.clock().before(ends) else { return false };
        if let Some(later) = found.put_off(look, self.clock()) {
            prolong(later);
        }
        true
    }

    /// Puts the end of an entry off that was found without the lock, unless somebody has that now:
    /// the next hit may do it.
    #[cold]
    pub(super) fn prolong(
        &self,
        hash: u64,
        found: &Found<'_, K, V>,
        is: impl Fn(&Found<'_, K, V>) -> bool,
    ) {
        let Some(mut shard) = self.part.raw.try_lock(self.part.raw.home(hash)) else { return };
        let Some(found) = shard.find(hash, found.lies_inline(), false, |found| is(found)) else {
            return;
        };
        let (slot, mut ends) = (found.id(), None);
        if self.hits(&found, |later| ends = Some(later))
            && let Some(ends) = ends
        {
            shard.put_off(slot, ends);
        }
    }

    /// Notes a hit under the lock, and counts it; `ends`, if that puts the entry's end off.
    #[inline]
    pub(super) fn note(
        &self,
        shard: &mut Locked<'_, K, V>,
        slot: SlotId,
        ends: Option<Nanos>,
        hash: u64,
    ) {
        if let Some(ends) = ends {
            shard.put_off(slot, ends);
        }
        shard.count_hit();
        match self.order {
            Order::Adaptive => {
                shard.mark(slot);
                self.bound.tuner.hit(hash);
            }
            Order::Lru => shard.touch(slot, self.bound.stamp()),
        }
    }

    /// The fresh value of a key, unnoticed by the policy.
    pub(crate) fn peek(&self, hash: u64, is_plain: bool, is: impl Fn(&K) -> bool) -> Option<V> {
        if !is_plain {
            return self.fetch(hash, is).map(|entry| entry.value.clone());
        }
        let inline = may_lie_inline::<K, V>();
        let is = |found: &Found<'_, K, V>| is(&found.entry().key);
        let value = |found: Found<'_, K, V>| {
            (!self.is_expired(found.expires())).then(|| found.entry().value.clone())
        };
        if let Some(reading) = self.part.raw.read(hash)
            && let Ok(found) = reading.find(hash, inline, false, is)
        {
            return found.and_then(value);
        }
        self.lock(hash).find(hash, inline, false, is).and_then(value)
    }

    /// Whether what was found is fresh.
    pub(super) fn is_fresh(&self, found: &Found<'_, K, V>) -> bool {
        !self.is_expired(found.expires())
    }

    #[inline(always)] // a hit of an entry that never expires must not even call
    pub(super) fn is_expired(&self, expires: Nanos) -> bool {
        expires != NEVER && self.clock().before(expires).is_none()
    }

    pub(crate) fn clock(&self) -> &Clock {
        &self.bound.clock
    }

    /// Entries now, evicted so far, expired so far.
    pub(crate) fn counts(&self) -> (u64, u64, u64) {
        let shards = (0..self.part.raw.shards()).map(|home| self.part.raw.lock(home));
        shards.fold((0, 0, 0), |(entries, evictions, expirations), shard| {
            let (evicted, expired) = shard.removed();
            (entries + shard.len() as u64, evictions + evicted, expirations + expired)
        })
    }

    /// Hits so far: what `get` and `with` have found.
    pub(crate) fn hits_so_far(&self) -> u64 {
        let locked = (0..self.part.raw.shards()).map(|home| self.part.raw.lock(home).hits());
        locked.sum::<u64>() + self.part.raw.hits()
    }

    /// In a child process: whoever else was reading is not there.
    #[cfg(not(shuttle))]
    pub(crate) fn after_fork(&self) {
        self.part.raw.after_fork();
    }

    /// Entries now, and what they weigh.
    pub(crate) fn len_and_weight(&self) -> (usize, usize) {
        self.part.len_and_weight()
    }

    /// Shows every entry of every shard that nobody writes at this moment; false if one was left
    /// out. Runs under the shards' locks: `show` must not be foreign code.
    pub(crate) fn show_entries(&self, mut show: impl FnMut(&K, &V)) -> bool {
        let mut complete = true;
        for home in 0..self.part.raw.shards() {
            let Some(shard) = self.part.raw.try_lock(home) else {
                complete = false;
                continue;
            };
            for found in shard.occupied(0, shard.buckets()) {
                let Entry { key, value } = found.entry();
                show(key, value);
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

/// Takes out of a shard what nobody reads any more.
#[inline]
pub(super) fn settle<K, V>(
    shard: &mut Locked<'_, K, V>,
    home: usize,
    displaced: &mut Displaced<K, V>,
) {
    if !shard.settle(&mut |stored, cause| displaced.push(stored, cause)) {
        displaced.late = Some(home);
    }
}

impl<K, V> Attached<K, V> {
    /// Tells listeners of what left, and drops it; then waits a little for those who are just
    /// reading what else left. Runs foreign code: no lock is held.
    #[inline(never)]
    pub(super) fn tell(&self, displaced: Displaced<K, V>) {
        let late = displaced.late;
        displaced.tell(self.listener.as_ref());
        if late.is_some() {
            self.tell_late(late);
        }
    }

    #[inline(never)]
    fn tell_late(&self, mut late: Option<usize>) {
        for _ in 0..PATIENCE {
            let Some(home) = late else { return };
            thread::yield_now();
            let mut more = Displaced::nothing();
            settle(&mut self.raw.lock(home), home, &mut more);
            late = more.late;
            more.tell(self.listener.as_ref());
        }
    }
}

/// What left a table on behalf of another one, on its way to its listener.
struct Leaving<K, V> {
    displaced: Displaced<K, V>,
    part: Arc<Attached<K, V>>,
}

impl<K: NearKey, V: Value> Gone for Leaving<K, V> {
    fn tell(self: Box<Self>) {
        self.part.tell(self.displaced);
    }
}

impl<K: NearKey, V: Value> Member for Attached<K, V> {
    fn oldest(&self, shard: usize) -> Option<u64> {
        self.raw.lock(shard).oldest()
    }

    fn evict(self: Arc<Self>, home: usize) -> Option<Evicted> {
        let mut displaced = Displaced::nothing();
        let mut shard = self.raw.lock(home);
        let weight = shard.evict()?;
        settle(&mut shard, home, &mut displaced);
        drop(shard);
        Some(Evicted { count: 1, weight, gone: Box::new(Leaving { displaced, part: self }) })
    }

    fn expire(self: Arc<Self>, home: usize, now: Nanos, looks: &mut usize) -> Option<Evicted> {
        let (mut count, mut weight, mut displaced) = (0, 0, Displaced::nothing());
        let mut shard = self.raw.lock(home);
        while let Some(expired) = shard.expire(now, looks) {
            count += 1;
            weight += expired;
        }
        if count == 0 {
            return None;
        }
        settle(&mut shard, home, &mut displaced);
        drop(shard);
        Some(Evicted { count, weight, gone: Box::new(Leaving { displaced, part: self }) })
    }

    fn len_and_weight(&self) -> (usize, usize) {
        let shards = (0..self.raw.shards()).map(|home| self.raw.lock(home));
        shards
            .fold((0, 0), |(len, weight), shard| (len + shard.len(), weight + shard.total_weight()))
    }

    #[cfg(shuttle)]
    fn hold(&self) -> (usize, Box<dyn super::bound::Held + '_>) {
        let held: Vec<_> = (0..self.raw.shards()).map(|home| self.raw.lock(home)).collect();
        (held.iter().map(|shard| shard.total_weight()).sum(), Box::new(held))
    }

    #[cfg(all(test, shuttle))]
    fn check(&self) {
        for home in 0..self.raw.shards() {
            self.raw.lock(home).check();
        }
    }
}

impl<K: NearKey, V: Value> Drop for Table<K, V> {
    fn drop(&mut self) {
        self.clear();
    }
}
