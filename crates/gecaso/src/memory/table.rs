//! One function's typed part of a storage in memory.
//!
//! Called by `cache` and `call`. The hit path is `get`; the miss path comes in by `put`, which also
//! evicts. A key whose `Eq` or a value whose `Clone` is foreign is only touched where no lock is
//! held, and outside of what `raw` calls inside.

use super::bound::{Bound, Limit, Member, Order};
use super::entry::{Entry, Stored};
use super::lifetimes::Life;
use super::policy::{Adaptive, AnyPolicy, Lru, SlotId};
use super::raw::{About, Found, Held, Part, Writing};
use super::removal::{Displaced, Evicted, Gone, Listener, RemovalCause};
use super::terms::{Terms, Theirs, Weigher, hash_by, hash_seeded};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::thread;
use crate::time::{Clock, NEVER, Nanos};
use std::ops::Deref;
use std::sync::{Arc, Weak};

pub(crate) struct Table<K: NearKey, V: Value> {
    pub(super) part: Arc<Attached<K, V>>,
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
pub(super) struct Attached<K, V> {
    pub(super) raw: Part<Stored<K, V>>,
    listener: Option<Listener<K, V>>,
}

/// A shard of a table, under its lock.
pub(super) type Locked<'a, K, V> = Writing<'a, Stored<K, V>>;

/// A full slot of one.
type FoundIn<'r, K, V> = Found<'r, Stored<K, V>>;

/// An entry on its way in.
pub(crate) struct Incoming<K, V> {
    pub(crate) hash: u64,
    /// What comes in, until it is in.
    pub(crate) stored: Option<Stored<K, V>>,
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
            drops: std::mem::needs_drop::<K>() || std::mem::needs_drop::<V>() || listener.is_some(),
            expected: bound.entries().map_or(0, |entries| entries / bound.shards),
            weighs: weigher.is_some(),
            copy: Stored::copy,
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

    fn lock(&self, hash: u64) -> Locked<'_, K, V> {
        self.part.raw.lock(self.part.raw.home(hash))
    }

    /// Entries put so far where this hash belongs. If it is the same later, a look-up need not be
    /// repeated.
    #[inline]
    pub(crate) fn puts(&self, hash: u64) -> u64 {
        self.part.raw.puts(hash)
    }

    /// THE HIT PATH: a fresh value, noted by the policy.
    #[inline]
    pub(crate) fn get<Q: Query<K>>(&self, query: &Q, hash: u64) -> Option<V> {
        if !Q::is_plain_with::<V>() {
            return self.get_foreign(query, hash);
        }
        if self.order == Order::Adaptive
            && let Some(reading) = self.part.raw.read(hash)
        {
            let found = reading.find(hash, plain(|key| query.matches(key)))?;
            let value = self.hit(&found)?.value.clone();
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
        let value = self.hit(&found)?.value.clone();
        let slot = found.id();
        self.note(&mut shard, slot, hash);
        Some(value)
    }

    /// Notes a hit under the lock.
    #[inline]
    fn note(&self, shard: &mut Locked<'_, K, V>, slot: SlotId, hash: u64) {
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
        let Some(reading) = self.part.raw.read(hash) else { return Lending::Refused };
        let in_place = Q::is_plain_with::<V>();
        // Entries of one kind are no answer to queries of the other: equal keys are of one kind.
        let is = |stored: &Stored<K, V>| match stored {
            Stored::Plain(entry) => in_place && query.matches(&entry.key),
            Stored::Foreign(_) => !in_place,
        };
        let (held, fresh) = match self.order {
            Order::Adaptive => {
                let Some(found) = reading.find(hash, is) else { return Lending::Absent };
                let held = reading.hold(&found, Stored::entry);
                let fresh = held.is_some() && self.hit(&found).is_some();
                if fresh {
                    found.mark();
                }
                (held, fresh)
            }
            // In order of use only what is compared under the lock, where it is moved, too.
            Order::Lru if in_place => {
                let mut shard = self.lock(hash);
                let Some(found) = shard.find(hash, is) else { return Lending::Absent };
                let held = reading.hold(&found, Stored::entry);
                let fresh = held.is_some() && self.hit(&found).is_some();
                let slot = found.id();
                if fresh {
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
            // Plain entries are no answer to a query that is not: equal keys are of one kind.
            let first = shard.find(hash, is_foreign)?;
            let mut count = 0;
            let second = |stored: &_| {
                count += usize::from(is_foreign(stored));
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
            let hit = shard.find(hash, is_hit).filter(|found| self.hit(found).is_some());
            let slot = hit.map(|hit| hit.id());
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
        match self.part.raw.read(hash) {
            Some(reading) => reading.find(hash, plain(is)).and_then(value),
            None => self.lock(hash).find(hash, plain(is)).and_then(value),
        }
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
        let home = self.part.raw.home(hash);
        let fits = self.bound.capacity.is_none_or(|capacity| weight <= capacity);
        let mut held = 0;
        if fits {
            self.bound.top_up(&mut held, weight);
        }
        loop {
            let mut shard = self.part.raw.lock(home);
            let found = match stored {
                Some(Stored::Plain(new)) => Ok(shard.find(hash, plain(|key| *key == new.key))),
                _ => Self::foreign(&shard, hash, known),
            };
            let found = match found {
                Ok(found) => found.map(|found| (found.id(), found.expires())),
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
        self.part.tell(displaced);
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
        let found = match shard.find(hash, plain(|key| query.matches(key))) {
            Some(found) => Some(found),
            None => Self::foreign(&shard, hash, known)?,
        };
        let Some((slot, ends)) = found.map(|found| (found.id(), found.expires())) else {
            return Ok(displaced);
        };
        let told = self.part.listener.is_some();
        let expired = told && self.is_expired(ends);
        let causes = [RemovalCause::Invalidated, RemovalCause::Expired];
        let weight = shard.remove(slot, causes[usize::from(expired)]);
        settle(&mut shard, home, &mut displaced);
        drop(shard);
        self.bound.give_back(weight);
        Ok(displaced)
    }

    /// The entry, if it is fresh.
    #[inline(always)]
    fn fresh<'f>(&self, found: &Found<'f, Stored<K, V>>) -> Option<&'f Entry<K, V>> {
        (!self.is_expired(found.expires())).then(|| found.content().entry())
    }

    /// The same, asked for: that may put its end off.
    #[inline(always)]
    fn hit<'f>(&self, found: &Found<'f, Stored<K, V>>) -> Option<&'f Entry<K, V>> {
        let expires = found.expires();
        if expires != NEVER {
            let look = self.clock().before(expires)?;
            found.put_off(look, self.clock());
        }
        Some(found.content().entry())
    }

    /// The slot that `known` found, if the shard still holds the foreign entries that it saw.
    fn foreign<'s>(
        shard: &'s Locked<'_, K, V>,
        hash: u64,
        known: &Seen<K, V>,
    ) -> Result<Option<FoundIn<'s, K, V>>, Seen<K, V>> {
        let same = shard.same_hash(hash);
        let now = || same.iter().filter_map(|found| found.content().foreign());
        if !known.still_holds(now()) {
            return Err(Snapshot::of(now().cloned().collect()));
        }
        let is_known =
            |entry: &Arc<_>| known.found().is_some_and(|known| Arc::ptr_eq(entry, known));
        Ok(same.into_iter().find(|found| found.content().foreign().is_some_and(is_known)))
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
    pub(super) fn is_fresh(&self, found: &Found<'_, Stored<K, V>>) -> bool {
        !self.is_expired(found.expires())
    }

    #[inline(always)] // a hit of an entry that never expires must not even call
    fn is_expired(&self, expires: Nanos) -> bool {
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
                let Entry { key, value } = found.content().entry();
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

fn is_foreign<K, V>(stored: &Stored<K, V>) -> bool {
    stored.foreign().is_some()
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
        let part = &self.table.part;
        let home = part.raw.home(self.hash);
        if part.raw.waits(home) {
            let mut displaced = Displaced::nothing();
            settle(&mut part.raw.lock(home), home, &mut displaced);
            part.tell(displaced);
        }
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
    #[inline]
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
