//! What comes into a table, and what leaves it: the last step of a miss, and making room for it.
//!
//! Called by `call` and `cache`. Runs no foreign code under a lock: foreign keys are compared over
//! snapshots, and what leaves is handed out, to be told and dropped where no lock is held.

use super::bound::Limit;
use super::entry::{Entry, Stored};
use super::lifetimes::Life;
use super::policy::SlotId;
use super::raw::{First, Found, may_lie_inline};
use super::removal::{Displaced, RemovalCause};
use super::table::{Locked, Table, settle};
use crate::key::{NearKey, Query};
use crate::outcome::Value;
use crate::snapshot::Snapshot;
use crate::sync::thread;
use crate::time::{NEVER, Nanos};
use std::sync::Arc;

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

const ONCE: &str = "an entry goes in once";

impl<K: NearKey, V: Value> Table<K, V> {
    /// Whether this storage has places at all. If not, nothing may be put.
    pub(crate) fn has_places(&self) -> bool {
        self.bound.capacity != Some(0)
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
            let found = Self::predecessor(&shard, hash, plain, absent, stored.as_ref(), known);
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

    /// Where the entry is that the new one replaces, and when it ends.
    #[inline]
    fn predecessor(
        shard: &Locked<'_, K, V>,
        hash: u64,
        plain: bool,
        absent: bool,
        new: Option<&Stored<K, V>>,
        known: &Seen<K, V>,
    ) -> Result<Option<(SlotId, Nanos)>, Seen<K, V>> {
        let (true, Some(new)) = (plain, new) else {
            return if absent { Ok(None) } else { Self::foreign(shard, hash, known) };
        };
        let inline = matches!(new, Stored::Inline(_));
        let is = |entry: &Entry<K, V>| entry.key == new.entry().key;
        let find = || shard.find(hash, inline, false, |found| is(found.entry()));
        if absent {
            debug_assert!(find().is_none(), "it is not absent");
            return Ok(None);
        }
        let found = match shard.first(hash, inline, is) {
            First::Absent => None,
            First::Found(found) => Some(found),
            First::Unsure => find(),
        };
        Ok(found.map(|found| (found.id(), found.expires())))
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
}
