//! What happens to a shard under its lock.
//!
//! Called by `table` and `walk`. Nothing here runs foreign code: what leaves is handed out.

#![allow(unsafe_code)]

use super::super::entry::{Entry, Stored};
use super::super::lifetimes::{Life, Lifetimes};
#[cfg(all(test, shuttle))]
use super::super::policy::AnyPolicy;
use super::super::policy::{Policy, Rule, SlotId, Slots};
use super::super::removal::RemovalCause;
use super::super::weights::Weights;
use super::array::{Array, First, Found, tag};
use super::buckets::Cell;
use super::shard::{Core, Head, Part, Shard, array};
use crate::sync::atomic::{Ordering, fence};
use crate::sync::{MODEL, MutexGuard};
use crate::time::{NEVER, Nanos};
use std::ptr;
use std::sync::Arc;

/// Where nobody can tell, so many entries wait until somebody looks whether they are read.
const BATCH: usize = if MODEL { 2 } else { 64 };
/// Entries that the first array of a shard has room for.
const FIRST_ROOM: usize = if cfg!(gecaso_loom) { 1 } else { 12 };
/// Places below which a shard that has lost entries gives no memory back.
const FEWEST: usize = if MODEL { 8 } else { 64 };
/// It does so when one of so many places is still full.
const SPARSE: usize = 5;

/// There is more than one, or none.
pub(in super::super) struct Several;

/// A slot, when its entry ends, and the entry.
type Same<K, V> = (SlotId, Nanos, Arc<Entry<K, V>>);

/// A shard under its lock.
pub(in super::super) struct Writing<'a, K, V> {
    pub(super) core: MutexGuard<'a, Core<K, V>>,
    pub(super) head: &'a Head<K, V>,
    pub(super) shard: &'a Shard<K, V>,
    pub(super) part: &'a Part<K, V>,
}

/// The half of a hash that is kept, over all bits.
#[inline]
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

/// The slots of a shard, as its policy sees them, under the lock.
struct Ordered<'a, K, V>(&'a Array<K, V>);

impl<K, V> Slots for Ordered<'_, K, V> {
    #[inline]
    fn hash(&self, slot: SlotId) -> u64 {
        spread(self.0.hash(slot))
    }

    #[inline]
    fn soon(&self, slot: SlotId) {
        self.0.prefetch(slot);
    }

    #[inline]
    fn take_hits(&mut self, slot: SlotId) -> u8 {
        let hits = self.0.hits(slot);
        if hits > 0 {
            self.0.set_hits(slot, 0);
        }
        hits
    }

    #[inline]
    fn put_back(&mut self, slot: SlotId, hits: u8) {
        self.0.set_hits(slot, hits);
    }
}

impl<'a, K, V> Writing<'a, K, V> {
    #[inline]
    fn array(&self) -> Option<&'a Array<K, V>> {
        // SAFETY: this has the lock, and no use of an array here outlasts its replacement: that is
        // freed in `settle_now` alone, which uses none.
        unsafe { array(self.head) }
    }

    /// The array; there are entries, and so there is one.
    fn full(&self) -> &'a Array<K, V> {
        self.array().expect("a shard with entries has an array")
    }

    /// As `Reading::first`.
    #[inline]
    pub(in super::super) fn first(
        &self,
        hash: u64,
        inline: bool,
        is: impl FnOnce(&Entry<K, V>) -> bool,
    ) -> First<'_, K, V> {
        match self.array() {
            // SAFETY: as in `find`.
            Some(array) => unsafe { array.first(hash, inline, true, is) },
            None => First::Absent,
        }
    }

    /// As `Reading::find`.
    #[inline]
    pub(in super::super) fn find(
        &self,
        hash: u64,
        inline: bool,
        whole: bool,
        is: impl FnMut(&Found<'_, K, V>) -> bool,
    ) -> Option<Found<'_, K, V>> {
        // SAFETY: this has the lock for as long as it is borrowed, and who changes it borrows it
        // alone.
        let found = unsafe { self.array()?.find(hash, inline, whole, is) };
        match found {
            Ok(found) => found,
            Err(_) => unreachable!("nobody else writes"),
        }
    }

    /// The only entry with this hash that does not lie inline; or that there are several, or none.
    pub(in super::super) fn alone(&self, hash: u64) -> Result<Same<K, V>, Several> {
        let mut first = None;
        let second = self.find(hash, false, true, |found| {
            if first.is_some() {
                return true;
            }
            if let Stored::Shared(entry) = found.copy() {
                first = Some((found.id(), found.expires(), entry));
            }
            false
        });
        first.filter(|_| second.is_none()).ok_or(Several)
    }

    /// Every entry with this hash that does not lie inline.
    pub(in super::super) fn same_hash(&self, hash: u64) -> Vec<Same<K, V>> {
        let mut same = Vec::new();
        self.find(hash, false, true, |found| {
            if let Stored::Shared(entry) = found.copy() {
                same.push((found.id(), found.expires(), entry));
            }
            false
        });
        same
    }

    /// What is in a few buckets, from this one on. A key stays in its bucket until `moves` grows.
    pub(in super::super) fn occupied(
        &self,
        from: usize,
        most: usize,
    ) -> impl Iterator<Item = Found<'_, K, V>> {
        let array = self.array().into_iter();
        array.flat_map(move |array| {
            array.slots_of(from..from + most).map(|id| {
                // SAFETY: a full slot; the lock, for as long as this is borrowed.
                unsafe { array.at(id) }
            })
        })
    }

    pub(in super::super) fn buckets(&self) -> usize {
        self.array().map_or(0, Array::count)
    }

    /// How often entries have got other places.
    pub(in super::super) fn moves(&self) -> u64 {
        self.core.moves
    }

    /// Entries put so far.
    pub(in super::super) fn puts(&self) -> u64 {
        self.core.puts
    }

    pub(in super::super) fn len(&self) -> usize {
        self.core.len
    }

    /// What all entries weigh together.
    pub(in super::super) fn total_weight(&self) -> usize {
        self.core.weights.as_ref().map_or(self.core.len, |weights| weights.total())
    }

    /// What the entry in a slot weighs.
    #[inline]
    pub(in super::super) fn weight(&self, slot: SlotId) -> usize {
        self.core.weights.as_ref().map_or(1, |weights| weights.of(slot))
    }

    /// A slot has got an entry of this weight, or lost it: 0. What it weighed before.
    #[inline]
    fn weigh(&mut self, slot: SlotId, weight: usize) -> usize {
        self.core.weights.as_mut().map_or(1, |weights| weights.set(slot, weight))
    }

    /// Entries evicted so far, and expired.
    pub(in super::super) fn removed(&self) -> (u64, u64) {
        (self.core.evictions, self.core.expirations)
    }

    pub(in super::super) fn count_expired(&mut self) {
        self.core.expirations += 1;
    }

    /// The policy goes on by this rule.
    #[inline]
    pub(in super::super) fn follow(&mut self, rule: Rule) {
        self.core.policy.follow(rule);
    }

    /// Counts a hit under the lock.
    #[inline]
    pub(in super::super) fn count_hit(&mut self) {
        self.core.hits += 1;
    }

    /// Hits under the lock so far.
    pub(in super::super) fn hits(&self) -> u64 {
        self.core.hits
    }

    /// Notes a hit.
    #[inline]
    pub(in super::super) fn mark(&self, slot: SlotId) {
        self.full().mark(slot);
    }

    /// Notes a hit in a policy whose hits move things.
    #[inline]
    pub(in super::super) fn touch(&mut self, slot: SlotId, stamp: u64) {
        self.stamp(slot, stamp);
        self.core.policy.touch(slot);
    }

    #[inline]
    fn stamp(&mut self, slot: SlotId, stamp: u64) {
        let at = slot as usize;
        match self.core.stamps.get_mut(at) {
            Some(place) => *place = stamp,
            None if stamp == 0 => {}
            None => self.first_stamp(at, stamp),
        }
    }

    #[cold]
    fn first_stamp(&mut self, at: usize, stamp: u64) {
        let places = self.full().places();
        self.core.stamps.resize(places, 0);
        self.core.stamps[at] = stamp;
    }

    /// The stamp of the entry that is next to go.
    pub(in super::super) fn oldest(&self) -> Option<u64> {
        let slot = self.core.policy.candidate()?;
        Some(self.core.stamps.get(slot as usize).copied().unwrap_or(0))
    }

    /// The end of an entry is put off, since it was asked for.
    pub(in super::super) fn put_off(&mut self, slot: SlotId, ends: Nanos) {
        self.full().put_off(slot, ends);
    }

    /// Puts an entry in. How many have been put so far.
    #[inline]
    pub(in super::super) fn insert(
        &mut self,
        hash: u64,
        life: Life,
        weight: usize,
        stamp: u64,
        stored: Stored<K, V>,
    ) -> u64 {
        let array = match self.array() {
            Some(array) if self.core.len < array.room() => array,
            _ => self.grow(),
        };
        let (cell, inline) = Cell::new(stored);
        let slot = array.insert(hash as u32, tag(hash, inline), cell, life);
        self.core.len += 1;
        self.core.puts += 1;
        self.stamp(slot, stamp);
        self.core.policy.insert(slot, spread(hash as u32), &mut Ordered(array));
        self.begin(slot, life, weight);
        self.core.puts
    }

    /// Exchanges an entry, which counts as a hit. Whoever looks for it meanwhile finds the old one
    /// or the new one.
    pub(in super::super) fn replace(
        &mut self,
        slot: SlotId,
        life: Life,
        weight: usize,
        stamp: u64,
        stored: Stored<K, V>,
        cause: RemovalCause,
    ) -> u64 {
        let array = self.full();
        self.end(slot);
        let old = array.replace(slot, stored, life);
        self.core.puts += 1;
        array.mark(slot);
        self.touch(slot, stamp);
        self.begin(slot, life, weight);
        self.leave(old, cause);
        self.core.puts
    }

    /// A slot has got an entry.
    #[inline]
    fn begin(&mut self, slot: SlotId, life: Life, weight: usize) {
        if life.ends != NEVER {
            let new = || Box::new(Lifetimes::new());
            self.core.lifetimes.get_or_insert_with(new).begin(slot, life.ends);
        }
        self.weigh(slot, weight);
    }

    /// A slot has lost its entry; what that weighed.
    #[inline]
    fn end(&mut self, slot: SlotId) -> usize {
        if let Some(lifetimes) = &mut self.core.lifetimes {
            lifetimes.end(slot);
        }
        self.weigh(slot, 0)
    }

    /// Removes the entry of a slot; what it weighed.
    pub(in super::super) fn remove(&mut self, slot: SlotId, cause: RemovalCause) -> usize {
        self.core.policy.remove(slot);
        self.take(slot, cause)
    }

    /// Makes room by the policy's choice; what that weighed, or `None` if the shard is empty.
    #[inline]
    pub(in super::super) fn evict(&mut self) -> Option<usize> {
        let array = self.array()?;
        let slot = self.core.policy.evict(&mut Ordered(array))?;
        self.core.evictions += 1;
        Some(self.take(slot, RemovalCause::Evicted))
    }

    /// Removes an entry that has expired, and counts down how many slots it may look at for that;
    /// what it weighed.
    pub(in super::super) fn expire(&mut self, now: Nanos, looks: &mut usize) -> Option<usize> {
        let array = self.array()?;
        let slot = self.core.lifetimes.as_mut()?.pop(now, looks, |slot| array.ends(slot))?;
        self.core.expirations += 1;
        Some(self.remove(slot, RemovalCause::Expired))
    }

    /// Empties a slot that the policy has already forgotten; what its entry weighed.
    #[inline(always)]
    fn take(&mut self, slot: SlotId, cause: RemovalCause) -> usize {
        let weight = self.end(slot);
        let old = self.full().remove(slot);
        self.core.len -= 1;
        self.leave(old, cause);
        weight
    }

    /// Nobody finds this any more. What lay inline nobody reads any more either: who is just
    /// reading it finds out that it was changed.
    #[inline]
    fn leave(&mut self, old: Stored<K, V>, cause: RemovalCause) {
        if self.part.about.drops || matches!(old, Stored::Shared(_)) {
            self.core.limbo.push((old, cause));
        }
    }

    /// Takes everything out, and gives the memory back as soon as nobody reads. As `settle`.
    pub(in super::super) fn clear(
        &mut self,
        to: &mut impl FnMut(Stored<K, V>, RemovalCause),
    ) -> bool {
        let core = &mut *self.core;
        let array = self.head.swap(ptr::null_mut(), Ordering::AcqRel);
        if !array.is_null() {
            // SAFETY: from `Box::into_raw`, and owned by the shard until now; those inside may read
            // it, as they may any in `replaced`.
            let array = unsafe { Box::from_raw(array) };
            for id in array.slots_of(0..array.count()) {
                if self.part.about.drops || !array.lies_inline(id) {
                    core.limbo.push((array.remove(id), RemovalCause::Cleared));
                }
            }
            core.replaced.push(array);
        }
        core.len = 0;
        core.fewest = 0;
        core.moves += 1;
        core.policy.clear();
        core.lifetimes = None;
        core.stamps = Vec::new();
        if let Some(weights) = &mut core.weights {
            **weights = Weights::default();
        }
        self.settle_now(to) || !self.part.about.drops
    }

    /// Hands out what nobody reads any more, when it is time to look; false if something is left
    /// that ought not to wait, since somebody was inside.
    #[inline]
    pub(in super::super) fn settle(
        &mut self,
        to: &mut impl FnMut(Stored<K, V>, RemovalCause),
    ) -> bool {
        let core = &self.core;
        let most = if self.part.about.drops { 0 } else { BATCH - 1 };
        let nothing = core.limbo.len() <= most && core.replaced.is_empty();
        nothing && core.len >= core.fewest || self.settle_some(nothing, to)
    }

    #[inline(never)]
    fn settle_some(
        &mut self,
        nothing: bool,
        to: &mut impl FnMut(Stored<K, V>, RemovalCause),
    ) -> bool {
        (nothing || self.settle_now(to) || !self.part.about.drops) && self.shrink(to)
    }

    /// As `settle`, at once.
    fn settle_now(&mut self, to: &mut impl FnMut(Stored<K, V>, RemovalCause)) -> bool {
        let drops = self.part.about.drops;
        if !self.part.lanes.all_left() {
            // Somebody may hold some of it; who lets go of that comes back.
            self.shard.waits.store(drops, Ordering::SeqCst);
            return false;
        }
        self.core.replaced.clear();
        if self.part.lanes.holds_any() {
            self.keep_held(to);
            return true;
        }
        for (stored, cause) in self.core.limbo.drain(..) {
            if drops {
                to(stored, cause);
            } // else its drop runs no code of a user's: here, under the lock
        }
        if self.core.len == 0 {
            self.core.limbo = Vec::new();
        }
        if self.shard.waits.load(Ordering::Relaxed) {
            self.shard.waits.store(false, Ordering::SeqCst);
        }
        true
    }

    /// Hands out what nobody holds. All who were inside have left.
    #[cold]
    fn keep_held(&mut self, to: &mut impl FnMut(Stored<K, V>, RemovalCause)) {
        let drops = self.part.about.drops;
        // Before the look at the holds: who lets go of one after that look sees this. A fence, as
        // there: no order of a store keeps it before the loads of other places that follow.
        self.shard.waits.store(drops, Ordering::SeqCst);
        fence(Ordering::SeqCst);
        let held: Vec<usize> = self.part.lanes.held().collect();
        let is_held = |stored: &Stored<K, V>| match stored {
            Stored::Inline(_) => false,
            Stored::Shared(entry) => held.contains(&Arc::as_ptr(entry).addr()),
        };
        let mut stays = Vec::new();
        for (stored, cause) in self.core.limbo.drain(..) {
            if is_held(&stored) {
                stays.push((stored, cause));
            } else if drops {
                to(stored, cause);
            } // else as above
        }
        if stays.is_empty() {
            self.shard.waits.store(false, Ordering::SeqCst);
        }
        self.core.limbo = stays;
    }

    /// Gives memory back if most places are empty: what is left goes into a smaller array, all at
    /// once. As dear as growing to that size was, and at most once for each time that four in five
    /// entries have gone.
    fn shrink(&mut self, to: &mut impl FnMut(Stored<K, V>, RemovalCause)) -> bool {
        let len = self.core.len;
        if len >= self.core.fewest || !self.core.replaced.is_empty() {
            return true;
        }
        self.rebuild(len + len / 4);
        if len == 0 {
            self.core.lifetimes = None;
        }
        self.settle_now(to) || !self.part.about.drops
    }

    #[cold]
    fn grow(&mut self) -> &'a Array<K, V> {
        let (len, expected) = (self.core.len, self.part.about.expected);
        // Shards differ by chance: nearly all by less than this.
        let all = expected + 3 * expected.isqrt();
        let twice = (2 * len).max(FIRST_ROOM);
        self.rebuild(if len < all { twice.min(all) } else { len + len / 4 }.max(len + 1))
    }

    /// Another array, with room for so many.
    fn rebuild(&mut self, room: usize) -> &'a Array<K, V> {
        let new = Box::new(Array::new(room));
        let places = new.places();
        self.core.fewest = if places > FEWEST { places / SPARSE } else { 0 };
        if let Some(old) = self.array() {
            let slots = old.copy_into(&new);
            let core = &mut *self.core;
            let to = |slot: SlotId| slots[slot as usize];
            core.policy.remap(places, to);
            if let Some(lifetimes) = &mut core.lifetimes {
                lifetimes.remap(places, to);
            }
            if let Some(weights) = &mut core.weights {
                weights.remap(places, to);
            }
            if !core.stamps.is_empty() {
                let mut stamps = vec![0; places];
                for (&to, &stamp) in slots.iter().zip(&core.stamps) {
                    if let Some(place) = stamps.get_mut(to as usize) {
                        *place = stamp;
                    }
                }
                core.stamps = stamps;
            }
        }
        let old = self.head.swap(Box::into_raw(new), Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: as in `clear`. What is in it is in the new one, too, and leaves from there.
            self.core.replaced.push(unsafe { Box::from_raw(old) });
        }
        self.core.moves += 1;
        self.full()
    }
}

#[cfg(test)]
impl<K, V> Writing<'_, K, V> {
    /// Checks the array; its full slots.
    pub(in super::super) fn check_places(&self) -> Vec<SlotId> {
        let full = self.array().map_or(Vec::new(), |array| {
            array.check();
            array.slots_of(0..array.count()).collect()
        });
        assert_eq!(full.len(), self.core.len, "entries are counted");
        full
    }
}

#[cfg(all(test, shuttle))]
impl<K, V> Writing<'_, K, V> {
    /// Checks that array, order, lifetimes and weights agree. Empties the shard.
    pub(in super::super) fn check(&mut self) {
        assert!(self.settle_now(&mut |_, _| ()), "nobody reads any more");
        assert!(self.core.limbo.is_empty(), "nobody holds anything any more");
        let full = self.check_places();
        let ends = |slot: &&SlotId| self.full().ends(**slot) != NEVER;
        let timed = self.core.lifetimes.as_ref().map_or(0, |lifetimes| lifetimes.len());
        assert_eq!(full.iter().filter(ends).count(), timed, "what ends is filed, and nothing else");
        let weighed = full.iter().map(|&slot| self.weight(slot)).sum::<usize>();
        assert_eq!(weighed, self.total_weight(), "the sum of the weights");
        if !matches!(self.core.policy, AnyPolicy::None) {
            let mut evicted = 0;
            while self.evict().is_some() {
                evicted += 1;
            }
            assert_eq!(evicted, full.len(), "the policy knows every entry once");
        }
    }
}
