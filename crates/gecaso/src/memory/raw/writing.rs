//! What happens to a shard under its lock.
//!
//! Called by `table` and `walk`. Nothing here runs foreign code: what leaves is handed out.

#![allow(unsafe_code)]

use super::super::lifetimes::{Life, Lifetimes};
#[cfg(all(test, shuttle))]
use super::super::policy::AnyPolicy;
use super::super::policy::{Policy, Rule, SlotId, Slots};
use super::super::removal::RemovalCause;
use super::super::weights::Weights;
use super::index::Index;
use super::shard::{Core, Found, Part, Shard};
use super::slab::{Slab, Slot, kept};
use crate::sync::MutexGuard;
use crate::sync::atomic::Ordering;
use crate::time::{NEVER, Nanos};
use std::ptr;

/// Where dropping is nobody's business: so many slots wait until somebody looks whether they are
/// read.
const BATCH: usize = if cfg!(shuttle) { 2 } else { 64 };
/// Entries that the first index of a shard has room for.
const FIRST_ROOM: usize = 10;
/// Slots below which a shard that has lost entries gives no memory back.
const FEWEST: usize = if cfg!(shuttle) { 2 } else { 64 };
/// It does so when one of so many slots is still full.
const SPARSE: usize = 4;

/// A shard under its lock.
pub(in super::super) struct Writing<'a, T> {
    pub(super) core: MutexGuard<'a, Core>,
    pub(super) shard: &'a Shard<T>,
    pub(super) part: &'a Part<T>,
}

/// The slots of a shard, as its policy sees them, under the lock.
struct Prepared<'a, T> {
    slab: &'a Slab<T>,
    /// So many.
    count: SlotId,
}

impl<'a, T> Prepared<'a, T> {
    #[inline]
    fn slot(&self, slot: SlotId) -> &'a Slot<T> {
        assert!(slot < self.count, "a slot that was never used");
        // SAFETY: all below `count` were prepared, by those who had the lock.
        unsafe { self.slab.slot(slot) }
    }

    /// When what is in a slot ends, or was in it when it was last full.
    #[inline]
    fn expires(&self, slot: SlotId) -> Nanos {
        // SAFETY: what it has there was made when it was last filled.
        unsafe { self.slab.expires(slot, self.slot(slot)) }
    }
}

impl<T> Slots for Prepared<'_, T> {
    #[inline]
    fn hash(&self, slot: SlotId) -> u64 {
        self.slot(slot).hash()
    }

    #[inline]
    fn take_hits(&mut self, slot: SlotId) -> u8 {
        self.slot(slot).take_hits()
    }

    #[inline]
    fn put_back(&mut self, slot: SlotId, hits: u8) {
        self.slot(slot).put_back(hits);
    }
}

impl<'a, T> Writing<'a, T> {
    #[inline]
    fn slots(&self) -> Prepared<'a, T> {
        Prepared { slab: &self.shard.slab, count: self.core.next }
    }

    #[inline]
    fn slot(&self, slot: SlotId) -> &'a Slot<T> {
        self.slots().slot(slot)
    }

    #[inline]
    fn index(&self) -> Option<&'a Index> {
        // SAFETY: this has the lock, and no use of an index here outlasts its replacement: that
        // is freed in `settle_now` alone, which uses none.
        unsafe { self.shard.index() }
    }

    /// As `Reading::find`.
    #[inline]
    pub(in super::super) fn find(
        &self,
        hash: u64,
        is: impl FnMut(&T) -> bool,
    ) -> Option<Found<'_, T>> {
        // SAFETY: this has the lock for as long as it is borrowed, and who changes it borrows it
        // alone.
        unsafe { self.shard.find(hash, is) }
    }

    fn found(&self, id: SlotId) -> Found<'_, T> {
        Found { shard: self.shard, id, slot: self.slot(id) }
    }

    /// Every slot with this hash.
    pub(in super::super) fn same_hash(&self, hash: u64) -> Vec<Found<'_, T>> {
        let mut slots = Vec::new();
        let Some(index) = self.index() else { return slots };
        index.each(kept(hash), |id| {
            let found = self.found(id);
            if found.slot.hash() == kept(hash) {
                slots.push(found);
            }
        });
        slots
    }

    /// What is in a few buckets, from this one on. A key stays in its bucket until `moves` grows.
    pub(in super::super) fn occupied(
        &self,
        from: usize,
        most: usize,
    ) -> impl Iterator<Item = Found<'_, T>> {
        let slots =
            self.index().into_iter().flat_map(move |index| index.slots_of(from..from + most));
        slots.map(|id| self.found(id))
    }

    pub(in super::super) fn buckets(&self) -> usize {
        self.index().map_or(0, Index::buckets)
    }

    /// How often entries have got other places.
    pub(in super::super) fn moves(&self) -> u64 {
        self.core.moves
    }

    pub(in super::super) fn puts(&self) -> u64 {
        self.shard.puts.load(Ordering::Relaxed)
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

    /// Notes a hit.
    #[inline]
    pub(in super::super) fn mark(&self, slot: SlotId) {
        self.slot(slot).mark();
    }

    /// Notes a hit in a policy whose hits move things.
    #[inline]
    pub(in super::super) fn touch(&mut self, slot: SlotId, stamp: u64) {
        // SAFETY: a slot that was found, and the lock. Policies that move things mark nothing.
        unsafe { self.shard.slab.set_stamp(slot, self.slot(slot), stamp) };
        self.core.policy.touch(slot);
    }

    /// The stamp of the entry that is next to go.
    pub(in super::super) fn oldest(&self) -> Option<u64> {
        let slot = self.core.policy.candidate()?;
        // SAFETY: policies order full slots.
        Some(unsafe { self.shard.slab.stamp(slot, self.slot(slot)) })
    }

    /// Puts an entry into a slot of its own. How many have been put so far.
    #[inline]
    pub(in super::super) fn insert(
        &mut self,
        hash: u64,
        life: Life,
        weight: usize,
        stamp: u64,
        content: T,
    ) -> u64 {
        let hash = kept(hash);
        let slot = self.filled(hash, life, stamp, content);
        self.reserve().insert(hash, slot);
        self.core.len += 1;
        let puts = self.count_put();
        let mut slots = self.slots();
        self.core.policy.insert(slot, hash, &mut slots);
        self.begin(slot, life, weight);
        puts
    }

    /// Exchanges an entry, which counts as a hit. Whoever looks for it meanwhile finds the old one
    /// or the new one.
    pub(in super::super) fn replace(
        &mut self,
        old: SlotId,
        life: Life,
        weight: usize,
        stamp: u64,
        content: T,
        cause: RemovalCause,
    ) -> u64 {
        let before = self.slot(old);
        let (hash, hits) = (before.hash(), before.take_hits());
        let new = self.filled(hash, life, stamp, content);
        let slot = self.slot(new);
        slot.put_back(hits);
        slot.mark();
        self.relink(hash, old, new);
        let puts = self.count_put();
        self.core.policy.renumber(old, new);
        self.core.policy.touch(new);
        self.end(old);
        self.begin(new, life, weight);
        self.core.limbo.push((old, Some(cause)));
        puts
    }

    /// Another slot stands for an entry from now on.
    fn relink(&self, hash: u64, old: SlotId, new: SlotId) {
        let index = self.index().expect("there are entries");
        index.replace(index.place(hash, old).expect("an entry is in the index"), new);
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
        if self.core.lifetimes.is_some() && self.slots().expires(slot) != NEVER {
            self.core.lifetimes.as_mut().expect("looked").end(slot);
        }
        self.weigh(slot, 0)
    }

    /// Removes the entry of a slot; what it weighed.
    pub(in super::super) fn remove(&mut self, slot: SlotId, cause: RemovalCause) -> usize {
        self.core.policy.remove(slot);
        self.unlink(slot, cause)
    }

    /// Makes room by the policy's choice; what that weighed, or `None` if the shard is empty.
    pub(in super::super) fn evict(&mut self) -> Option<usize> {
        let mut slots = self.slots();
        let slot = self.core.policy.evict(&mut slots)?;
        self.core.evictions += 1;
        Some(self.unlink(slot, RemovalCause::Evicted))
    }

    /// Removes an entry that has expired, and counts down how many slots it may look at for that;
    /// what it weighed.
    pub(in super::super) fn expire(&mut self, now: Nanos, looks: &mut usize) -> Option<usize> {
        let slots = self.slots();
        let slot = self.core.lifetimes.as_mut()?.pop(now, looks, |slot| slots.expires(slot))?;
        self.core.expirations += 1;
        Some(self.remove(slot, RemovalCause::Expired))
    }

    /// Takes a slot out of the index, that the policy has already forgotten; what it weighed.
    #[inline]
    fn unlink(&mut self, slot: SlotId, cause: RemovalCause) -> usize {
        let hash = self.slot(slot).hash();
        let weight = self.end(slot);
        if let Some(index) = self.index()
            && let Some(place) = index.place(hash, slot)
        {
            index.remove(hash, place);
            self.core.len -= 1;
            self.core.limbo.push((slot, Some(cause)));
        }
        weight
    }

    /// Takes everything out, and gives the memory back as soon as nobody reads. As `settle`.
    pub(in super::super) fn clear(&mut self, to: &mut impl FnMut(T, Option<RemovalCause>)) -> bool {
        self.drop_index(Some(RemovalCause::Cleared));
        self.core.policy.clear();
        self.core.lifetimes = None;
        if let Some(weights) = &mut self.core.weights {
            **weights = Weights::default();
        }
        self.settle_now(to) || !self.part.about.drops
    }

    /// Nothing is found any more.
    fn drop_index(&mut self, cause: Option<RemovalCause>) {
        let index = self.shard.index.swap(ptr::null_mut(), Ordering::AcqRel);
        if !index.is_null() {
            // SAFETY: from `Box::into_raw`, and owned by the shard until now; those inside may read
            // it, as they may any in `replaced`.
            let index = unsafe { Box::from_raw(index) };
            self.core.limbo.extend(index.slots().map(|slot| (slot, cause)));
            self.core.replaced.push(index);
        }
        self.core.len = 0;
        self.core.moves += 1;
    }

    /// Hands out what nobody reads any more, when it is time to look; false if something is left
    /// that ought not to wait, since somebody was inside.
    #[inline]
    pub(in super::super) fn settle(
        &mut self,
        to: &mut impl FnMut(T, Option<RemovalCause>),
    ) -> bool {
        let core = &self.core;
        let drops = self.part.about.drops;
        let due = if drops { !core.limbo.is_empty() } else { core.limbo.len() >= BATCH };
        let sparse = core.next as usize > FEWEST && core.len < core.next as usize / SPARSE;
        if !(due || sparse || !core.replaced.is_empty()) {
            return true;
        }
        let settled = self.settle_now(to);
        if sparse && settled && self.core.limbo.is_empty() {
            self.shrink(to);
        }
        settled || !drops
    }

    /// As `settle`, at once.
    fn settle_now(&mut self, to: &mut impl FnMut(T, Option<RemovalCause>)) -> bool {
        let drops = self.part.about.drops;
        // Before the look at the holds: who lets go of one after that look sees this.
        self.shard.waits.store(drops, Ordering::SeqCst);
        if !self.part.lanes.all_left() {
            return false;
        }
        let held: Vec<usize> = self.part.lanes.held().collect();
        let slots = self.slots();
        let core = &mut *self.core;
        core.limbo.retain(|&(id, cause)| {
            if held.contains(&ptr::from_ref(slots.slot(id)).addr()) {
                return true;
            }
            // SAFETY: full, since it is in limbo; out of the index since before all left, and not
            // held.
            let content = unsafe { self.shard.slab.take(id) };
            core.free.push(id);
            if drops {
                to(content, cause);
            } // else its drop runs no code of a user's: here, under the lock
            false
        });
        core.replaced.clear();
        if core.limbo.is_empty() {
            self.shard.waits.store(false, Ordering::SeqCst);
            if self.shard.index.load(Ordering::Relaxed).is_null() {
                // SAFETY: there are no entries; every slot was taken out and emptied. Whoever is
                // inside now came after that, when the index led nowhere.
                unsafe { self.shard.slab.free() };
                core.free = Vec::new();
                core.limbo = Vec::new();
                core.next = 0;
            }
        }
        true
    }

    /// A shard that has lost most of its entries gives their memory back: copies from the last
    /// slots go into empty ones, all at once. As dear as growing to that size was, and at most once
    /// for each time that three in four entries have gone.
    #[cold]
    fn shrink(&mut self, to: &mut impl FnMut(T, Option<RemovalCause>)) {
        let left = self.core.len;
        if left == 0 {
            self.drop_index(None);
            self.core.policy.truncate(0);
            self.core.lifetimes = None;
        } else {
            self.crowd(left);
            self.rebuild(left);
        }
        if !self.settle_now(to) || !self.core.limbo.is_empty() || left == 0 {
            return; // later, if somebody reads
        }
        // SAFETY: every slot from `left` on is empty, and nobody can reach any.
        unsafe { self.shard.slab.truncate(left) };
        let core = &mut *self.core;
        core.next = left as SlotId;
        core.free = Vec::new();
        core.limbo = Vec::new();
        core.policy.truncate(left);
        if let Some(lifetimes) = &mut core.lifetimes {
            lifetimes.truncate(left);
        }
        if let Some(weights) = &mut core.weights {
            weights.truncate(left);
        }
    }

    /// Moves entries until they fill the first slots.
    fn crowd(&mut self, left: usize) {
        let Some(index) = self.index() else { return };
        let mut full = vec![false; left];
        let mut beyond = Vec::new();
        for slot in index.slots() {
            match full.get_mut(slot as usize) {
                Some(full) => *full = true,
                None => beyond.push(slot),
            }
        }
        self.core.free.retain(|&slot| slot as usize >= left);
        let empty = (0..).zip(&full).filter(|(_, full)| !**full).map(|(slot, _)| slot);
        for (from, to) in beyond.into_iter().zip(empty) {
            self.renumber(from, to);
        }
    }

    /// A copy of the entry of one slot goes into another, which is empty, and stands for it.
    fn renumber(&mut self, from: SlotId, to: SlotId) {
        let slot = self.slot(from);
        let (hash, hits) = (slot.hash(), slot.take_hits());
        // SAFETY: full, since it is in the index; under the lock. Empty, and out of the free list.
        unsafe {
            let (slab, content) = (&self.shard.slab, (self.part.about.copy)(slot.content()));
            slab.fill(to, hash, slab.life(from, slot), slab.stamp(from, slot), content);
        }
        self.slot(to).put_back(hits);
        self.relink(hash, from, to);
        self.core.policy.renumber(from, to);
        if let Some(lifetimes) = &mut self.core.lifetimes {
            lifetimes.renumber(from, to);
        }
        let weight = self.weigh(from, 0);
        self.weigh(to, weight);
        self.core.limbo.push((from, None));
    }

    /// A slot, filled.
    #[inline]
    fn filled(&mut self, hash: u64, life: Life, stamp: u64, content: T) -> SlotId {
        let slot = match self.core.free.pop() {
            Some(slot) => slot,
            None => {
                let slot = self.core.next;
                // SAFETY: the lock.
                unsafe { self.shard.slab.prepare(slot) };
                self.core.next += 1;
                slot
            }
        };
        // SAFETY: from the free list (emptied in `settle_now`, or never used) and not in the index.
        unsafe { self.shard.slab.fill(slot, hash, life, stamp, content) };
        slot
    }

    /// The index, with room for one more.
    #[inline]
    fn reserve(&mut self) -> &'a Index {
        match self.index() {
            Some(index) if self.core.len < index.room() => index,
            _ => self.grow(),
        }
    }

    #[cold]
    fn grow(&mut self) -> &'a Index {
        let (len, expected) = (self.core.len, self.part.about.expected);
        let all = expected + expected / 16;
        let twice = (2 * len).max(FIRST_ROOM);
        self.rebuild(if len < all { twice.min(all) } else { twice }.max(len + 1))
    }

    fn rebuild(&mut self, room: usize) -> &'a Index {
        let index = Box::new(Index::new(room));
        if let Some(old) = self.index() {
            for slot in old.slots() {
                index.insert(self.slot(slot).hash(), slot);
            }
        }
        let old = self.shard.index.swap(Box::into_raw(index), Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: as in `drop_index`.
            self.core.replaced.push(unsafe { Box::from_raw(old) });
        }
        self.core.moves += 1;
        self.index().expect("made just now")
    }

    /// Counts a put. After it can be found: who looks for it in vain has read the count before.
    /// Only under the lock, so no step of its own is needed.
    #[inline]
    fn count_put(&self) -> u64 {
        let now = self.puts().wrapping_add(1);
        self.shard.puts.store(now, Ordering::Release);
        now
    }
}

#[cfg(all(test, shuttle))]
impl<T> Writing<'_, T> {
    /// Checks that index, slots, free list and policy agree. Empties the shard.
    pub(in super::super) fn check(&mut self) {
        assert!(self.settle_now(&mut |_, _| ()), "nobody reads any more");
        let indexed: Vec<_> = self.index().into_iter().flat_map(Index::slots).collect();
        assert_eq!(indexed.len(), self.core.len, "full slots are indexed");
        let core = &self.core;
        let known = core.len + core.free.len() + core.limbo.len();
        assert_eq!(known, core.next as usize, "no slot is lost");
        assert!(core.limbo.is_empty(), "nobody holds anything any more");
        let ending = indexed.iter().filter(|&&slot| self.slots().expires(slot) != NEVER).count();
        let timed = core.lifetimes.as_ref().map_or(0, |lifetimes| lifetimes.len());
        assert_eq!(ending, timed, "what ends is filed, and nothing else");
        let weighed = indexed.iter().map(|&slot| self.weight(slot)).sum::<usize>();
        assert_eq!(weighed, self.total_weight(), "the sum of the weights");
        for &slot in &indexed {
            let hash = self.slot(slot).hash();
            let place = self.index().and_then(|index| index.place(hash, slot));
            assert!(place.is_some(), "a slot is indexed under its own hash");
        }
        if !matches!(self.core.policy, AnyPolicy::None) {
            let mut evicted = 0;
            while self.evict().is_some() {
                evicted += 1;
            }
            assert_eq!(evicted, indexed.len(), "the policy knows every entry once");
        }
    }
}
