//! One function's typed part of a storage in memory.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`, which also
//! evicts. A key whose `Eq` or a value whose `Clone` is foreign is only touched where no lock is
//! held, and outside of what `raw` calls inside.

use super::bound::{Bound, Limit, Member, Order};
use super::entry::{Entry, Stored};
use super::lifetimes::Life;
use super::policy::{Adaptive, AnyPolicy, Lru, SlotId};
use super::raw::{About, First, Found, Part, Writing, may_lie_inline};
use super::removal::{Displaced, Evicted, Gone, Listener, RemovalCause};
use super::terms::{Terms, Theirs, Weigher, hash_by, hash_seeded};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::thread;
use crate::time::{Clock, NEVER, Nanos};
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    pub(super) part: Arc<Attached<K, V>>,
    pub(super) bound: Arc<Bound>,
    pub(super) order: Order,
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
pub(super) struct Attached<K, V> {
    pub(super) raw: Part<K, V>,
    listener: Option<Listener<K, V>>,
}

/// A shard of a table, under its lock.
pub(super) type Locked<'a, K, V> = Writing<'a, K, V>;

/// An entry on its way in.
pub(crate) struct Incoming<K, V> {
    pub(crate) hash: u64,
    /// What comes in, until it is in.
    pub(crate) stored: Option<Stored<K, V>>,
    /// Whether its key is compared in place.
    pub(crate) plain: bool,
    /// Known not to be there, not even expired.
    pub(crate) absent: bool,
    pub(crate) life: Life,
    /// How many places it takes; see [`Table::weigh`].
    pub(crate) weight: usize,
}

/// What was in a table that was cleared, shard by shard.
pub(crate) struct Cleared<K, V>(Vec<Displaced<K, V>>);

/// The entries that share a hash, as seen a moment ago.
pub(crate) type Seen<K, V> = Snapshot<Entry<K, V>>;

/// Slots in which an insertion of an entry that expires looks for those that have, at most, and how
/// many of those it removes at most.
const LOOKS: usize = 16;
const REMOVES: usize = 8;
/// One in so many of them looks in another shard, too, and as much more there: shards where nothing
/// is stored any more are freed by those where something is.
const ELSEWHERE: u64 = 8;

/// How often who took something out looks whether those who read it have left. They do so within
/// nanoseconds, unless the system has taken a thread off its core just then; after that it is
/// whoever next changes that shard.
const PATIENCE: usize = if cfg!(shuttle) { 1 } else { 1_000 };

const ONCE: &str = "an entry goes in once";

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
        Table { part, bound, order, weigher, theirs, hasher: seeded() }
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

    /// THE HIT PATH: a fresh value, noted by the policy.
    #[inline]
    pub(crate) fn get<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        if !Q::is_plain_with::<V>() {
            return self.get_foreign(query, hash);
        }
        if self.order == Order::Lru {
            return self.get_locked(query, hash);
        }
        if let Some(reading) = self.part.raw.read(hash) {
            let is = |entry: &Entry<K, V>| query.matches(&entry.key);
            match reading.first(hash, may_lie_inline::<K, V>(), is) {
                First::Absent => return None,
                First::Found(found) if self.only_reads(&found) => {
                    let value = found.entry().value.clone();
                    found.mark();
                    self.bound.tuner.hit(hash);
                    reading.count_hit();
                    return Some(value);
                }
                First::Found(_) | First::Unsure => {}
            }
        }
        self.get_slowly(query, hash)
    }

    /// Whether there is no entry for a key, not even an expired one: told without a lock, and only
    /// if that is plain to see.
    #[inline]
    pub(crate) fn lacks(&self, hash: u64, plain: bool) -> bool {
        let Some(reading) = self.part.raw.read(hash) else { return false };
        reading.lacks(hash, plain && may_lie_inline::<K, V>())
    }

    /// Whether a hit is one, and has nothing to note but itself.
    #[inline(always)] // a hit of an entry that never expires must not even call
    fn only_reads(&self, found: &Found<'_, K, V>) -> bool {
        let ends = found.expires();
        ends == NEVER || !found.may_be_put_off() && self.clock().before(ends).is_some()
    }

    /// The same, whatever it takes.
    #[inline(never)] // the hit path above keeps its values in registers
    fn get_slowly<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let is = |found: &Found<'_, K, V>| query.matches(&found.entry().key);
        if let Some(reading) = self.part.raw.read(hash)
            && let Ok(found) = reading.find(hash, may_lie_inline::<K, V>(), false, is)
        {
            let found = found?;
            if !self.hits(&found, |_| self.prolong(hash, &found, is)) {
                return None;
            }
            let value = found.entry().value.clone();
            found.mark();
            self.bound.tuner.hit(hash);
            reading.count_hit();
            return Some(value);
        }
        self.get_locked(query, hash)
    }

    /// The same under the lock: in LRU order, and for a thread that cannot do without.
    #[inline(never)]
    fn get_locked<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        let mut shard = self.lock(hash);
        let is = |entry: &Entry<K, V>| query.matches(&entry.key);
        match shard.first(hash, may_lie_inline::<K, V>(), is) {
            First::Absent => return None,
            First::Found(found) if self.only_reads(&found) => {
                let (slot, value) = (found.id(), found.entry().value.clone());
                self.note(&mut shard, slot, None, hash);
                return Some(value);
            }
            First::Found(_) | First::Unsure => {}
        }
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
        let Incoming { hash, ref mut stored, plain, absent, life, weight } = *incoming;
        let home = self.part.raw.home(hash);
        let fits = self.bound.capacity.is_none_or(|capacity| weight <= capacity);
        let mut held = 0;
        if fits {
            self.bound.top_up(&mut held, weight);
        }
        loop {
            let mut shard = self.part.raw.lock(home);
            let found = match stored {
                _ if absent => {
                    debug_assert!(Self::is_absent(&shard, hash, plain, stored.as_ref()));
                    Ok(None)
                }
                Some(new) if plain => {
                    let inline = matches!(new, Stored::Inline(_));
                    let is = |entry: &Entry<K, V>| entry.key == new.entry().key;
                    let found = match shard.first(hash, inline, is) {
                        First::Absent => None,
                        First::Found(found) => Some(found),
                        First::Unsure => shard.find(hash, inline, false, |found| is(found.entry())),
                    };
                    Ok(found.map(|found| (found.id(), found.expires())))
                }
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
            if let Some((slot, ends)) = found {
                let expired = self.is_expired(ends);
                if expired {
                    shard.count_expired();
                }
                let cause = if expired { RemovalCause::Expired } else { RemovalCause::Replaced };
                held += shard.weight(slot);
                if fits && self.bound.top_up(&mut held, weight) {
                    let (stamp, stored) = (self.bound.stamp(), stored.take().expect(ONCE));
                    let puts = shard.replace(slot, life, weight, stamp, stored, cause);
                    settle(&mut shard, home, displaced);
                    drop(shard);
                    self.bound.give_back(held - weight);
                    self.expire_elsewhere(life, puts, displaced);
                    return Ok(());
                }
                // Lighter than what comes, and no room beside it: it goes first.
                shard.remove(slot, cause);
            }
            if !fits {
                settle(&mut shard, home, displaced);
                drop(shard);
                self.bound.give_back(held);
                return Ok(());
            }
            if life.ends != NEVER {
                held += self.expire(&mut shard);
            }
            shard.follow(self.bound.tuner.rule());
            // The places of those that expired are as good as any; the rest goes back.
            while !self.bound.top_up(&mut held, weight)
                && !self.bound.is_shared()
                && self.is_laden(&shard)
            {
                match shard.evict() {
                    Some(evicted) => held += evicted,
                    None => break,
                }
            }
            settle(&mut shard, home, displaced);
            if held >= weight {
                let (stamp, stored) = (self.bound.stamp(), stored.take().expect(ONCE));
                let puts = shard.insert(hash, life, weight, stamp, stored);
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
                    displaced.push_elsewhere([evicted]);
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

    /// Whether what was said to be absent is; foreign keys are not compared here.
    fn is_absent(
        shard: &Locked<'_, K, V>,
        hash: u64,
        plain: bool,
        new: Option<&Stored<K, V>>,
    ) -> bool {
        let (true, Some(new)) = (plain, new) else { return true };
        let inline = matches!(new, Stored::Inline(_));
        shard.find(hash, inline, false, |found| found.entry().key == new.entry().key).is_none()
    }

    /// Whether room is made in this shard. A heavy entry does not empty a light shard while others
    /// hold more.
    fn is_laden(&self, shard: &Locked<'_, K, V>) -> bool {
        match self.bound.limit {
            Limit::Weight(most) => shard.total_weight() >= most / self.bound.shards / 2,
            Limit::None | Limit::Entries(_) => true,
        }
    }

    /// Takes out what has expired in a shard, but not too much at once; how many places that frees.
    #[inline(never)]
    fn expire(&self, shard: &mut Locked<'_, K, V>) -> usize {
        let (now, mut looks) = (self.clock().now(), LOOKS);
        (0..REMOVES).map_while(|_| shard.expire(now, &mut looks)).sum()
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
        let (expired, _) = self.bound.expire(shard, self.clock().now(), looks);
        displaced.push_elsewhere(expired);
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
        if !displaced.is_nothing() {
            self.part.tell(displaced);
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
        let mut displaced = Displaced::nothing();
        let home = self.part.raw.home(hash);
        let mut shard = self.part.raw.lock(home);
        let found = if Q::is_plain_with::<V>() {
            let is = |found: &Found<'_, K, V>| query.matches(&found.entry().key);
            let found = shard.find(hash, may_lie_inline::<K, V>(), false, is);
            found.map(|found| (found.id(), found.expires()))
        } else {
            Self::foreign(&shard, hash, known)?
        };
        let Some((slot, ends)) = found else { return Ok(displaced) };
        let told = self.part.listener.is_some();
        let expired = told && self.is_expired(ends);
        let causes = [RemovalCause::Invalidated, RemovalCause::Expired];
        let weight = shard.remove(slot, causes[usize::from(expired)]);
        settle(&mut shard, home, &mut displaced);
        drop(shard);
        self.bound.give_back(weight);
        Ok(displaced)
    }

    /// The slot that `known` found and when its entry ends, if the shard still holds the entries
    /// that it saw.
    fn foreign(
        shard: &Locked<'_, K, V>,
        hash: u64,
        known: &Seen<K, V>,
    ) -> Result<Option<(SlotId, Nanos)>, Seen<K, V>> {
        let same = shard.same_hash(hash);
        if !known.still_holds(same.iter().map(|(_, _, entry)| entry)) {
            return Err(Snapshot::of(same.into_iter().map(|(_, _, entry)| entry).collect()));
        }
        let is_known = |entry| known.found().is_some_and(|known| Arc::ptr_eq(entry, known));
        Ok(same.iter().find(|(_, _, entry)| is_known(entry)).map(|(slot, ends, _)| (*slot, *ends)))
    }

    /// Removes every entry, shard by shard, and gives the memory back. What comes out is
    /// [told](Self::tell_cleared) and dropped by the caller, where no lock is held: foreign drops.
    /// As [`put`](Self::put).
    pub(crate) fn clear(&self) -> Cleared<K, V> {
        let take = |home| {
            let mut shard = self.part.raw.lock(home);
            let weight = shard.total_weight();
            let mut removed = Displaced::nothing();
            if !shard.clear(&mut |stored, cause| removed.push(stored, cause)) {
                removed.late = Some(home);
            }
            drop(shard);
            self.bound.give_back(weight);
            removed
        };
        Cleared((0..self.part.raw.shards()).map(take).collect())
    }

    /// Tells the listener of what was cleared, and drops it. Runs foreign code: no lock is held.
    pub(crate) fn tell_cleared(&self, cleared: Cleared<K, V>) {
        cleared.0.into_iter().for_each(|removed| self.part.tell(removed));
    }

    /// Whether what was found is fresh.
    pub(super) fn is_fresh(&self, found: &Found<'_, K, V>) -> bool {
        !self.is_expired(found.expires())
    }

    #[inline(always)] // a hit of an entry that never expires must not even call
    pub(super) fn is_expired(&self, expires: Nanos) -> bool {
        expires != NEVER && self.clock().before(expires).is_none()
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
