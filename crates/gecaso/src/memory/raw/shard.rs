//! Shards: an index, slots and their order, read by many while whoever has the lock writes.
//!
//! Called by `table`. What is removed is handed out, to be dropped where no lock is held; if
//! somebody reads it at this moment, it waits in *limbo*.

#![allow(unsafe_code)]

use super::super::policy::{AnyPolicy, Policy, Rule, SlotId, Slots};
use super::barrier::Barrier;
use super::index::Index;
use super::lanes::{Hold, Inside, Lanes};
use super::slab::{Slab, Slot, kept};
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::{self, Mutex, MutexGuard};
use crate::time::Nanos;
use std::ptr;

/// Where dropping is nobody's business: so many slots wait until somebody looks whether they are
/// read.
const BATCH: usize = if cfg!(shuttle) { 2 } else { 64 };
/// Entries that the first index of a shard has room for.
const FIRST_ROOM: usize = 10;

/// The shards of a table, and who reads them.
pub(in super::super) struct Part<T> {
    lanes: Lanes,
    shards: Box<[Shard<T>]>,
    /// Whether anybody can tell when a content is dropped.
    drops: bool,
}

/// What readers look at, and the rest behind a lock; on cache lines of their own.
#[repr(align(128))]
struct Shard<T> {
    /// Null: no entries.
    index: AtomicPtr<Index>,
    slab: Slab<T>,
    /// Entries put in so far: tells a call whether anything came in since it looked.
    puts: AtomicU64,
    /// Somebody waits for who holds an entry.
    waits: AtomicBool,
    core: Mutex<Core>,
}

struct Core {
    policy: AnyPolicy,
    /// Entries.
    len: usize,
    /// About how many there will be; 0: unknown.
    expected: usize,
    /// Empty slots.
    free: Vec<SlotId>,
    /// Slots from here on were never used.
    next: SlotId,
    /// Full slots that nobody can find any more, but may still read.
    limbo: Vec<SlotId>,
    /// The same of indexes.
    replaced: Vec<Box<Index>>,
    /// Where the search for expired entries goes on.
    sweep: SlotId,
    evictions: u64,
    expirations: u64,
}

/// What was taken out: dropped when no lock is held.
pub(in super::super) struct Gone<T> {
    first: Option<T>,
    more: Vec<T>,
}

impl<T> Gone<T> {
    pub(in super::super) fn nothing() -> Self {
        Gone { first: None, more: Vec::new() }
    }

    fn push(&mut self, content: T) {
        match self.first {
            None => self.first = Some(content),
            Some(_) => self.more.push(content),
        }
    }
}

impl<T> Part<T> {
    /// `drops`: whether anybody can tell when a content is dropped. `expected`: how many entries
    /// each shard will have, if that is known.
    pub(in super::super) fn new(
        shards: usize,
        drops: bool,
        expected: usize,
        policy: impl Fn() -> AnyPolicy,
    ) -> Self {
        assert!(shards.is_power_of_two());
        let barrier = if drops { Barrier::Own } else { Barrier::of_writers() };
        let core = || Core {
            policy: policy(),
            len: 0,
            expected,
            free: Vec::new(),
            next: 0,
            limbo: Vec::new(),
            replaced: Vec::new(),
            sweep: 0,
            evictions: 0,
            expirations: 0,
        };
        let shard = |_| Shard {
            index: AtomicPtr::new(ptr::null_mut()),
            slab: Slab::new(expected),
            puts: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            core: Mutex::new(core()),
        };
        Part { lanes: Lanes::new(barrier), shards: (0..shards).map(shard).collect(), drops }
    }

    pub(in super::super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The shard of a hash: by bits that neither its index nor its tags use most.
    #[inline]
    pub(in super::super) fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & (self.shards.len() - 1)
    }

    #[inline]
    fn shard(&self, hash: u64) -> &Shard<T> {
        // SAFETY: there is at least one shard, and `home` is below their count, a power of two.
        unsafe { self.shards.get_unchecked(self.home(hash)) }
    }

    /// Entries put so far where this hash belongs.
    #[inline]
    pub(in super::super) fn puts(&self, hash: u64) -> u64 {
        self.shard(hash).puts.load(Ordering::Acquire)
    }

    /// Reads the shard of a hash without a lock; not if this thread must not (see `Lanes::enter`).
    #[inline]
    pub(in super::super) fn read(&self, hash: u64) -> Option<Reading<'_, T>> {
        let shard = self.shard(hash);
        Some(Reading { inside: self.lanes.enter()?, shard })
    }

    pub(in super::super) fn lock(&self, shard: usize) -> Writing<'_, T> {
        let shard = &self.shards[shard];
        Writing { core: sync::lock(&shard.core), shard, part: self }
    }

    /// Whether something waits in a shard for those who held it. Asked by who has just let go.
    #[inline]
    pub(in super::super) fn waits(&self, shard: usize) -> bool {
        self.shards[shard].waits.load(Ordering::SeqCst)
    }
}

impl<T> Shard<T> {
    /// The index.
    ///
    /// # Safety
    ///
    /// The caller is inside, or has the lock, for as long as it uses the index.
    #[inline]
    unsafe fn index(&self) -> Option<&Index> {
        // SAFETY: null or from `Box::into_raw`; freed when it was replaced and all who were inside
        // then have left, by whoever has the lock.
        unsafe { self.index.load(Ordering::Acquire).as_ref() }
    }

    /// # Safety
    ///
    /// As `index`, for as long as what is found is used.
    #[inline]
    unsafe fn find(&self, hash: u64, mut is: impl FnMut(&T) -> bool) -> Option<Found<'_, T>> {
        let hash = kept(hash);
        // SAFETY: the contract of this function.
        let index = unsafe { self.index() }?;
        index.find(hash, |id| {
            // SAFETY: the index led here, so the slot is full, and not emptied before the caller is
            // outside, or lets go of the lock.
            let found = unsafe { Found { shard: self, id, slot: self.slab.slot(id) } };
            (found.slot.hash() == hash && is(found.content())).then_some(found)
        })
    }
}

/// A shard that is read without a lock.
pub(in super::super) struct Reading<'a, T> {
    inside: Inside<'a>,
    shard: &'a Shard<T>,
}

/// A slot that is full, and stays so for `'r`: the lock, or the stay inside, that it was found in.
pub(in super::super) struct Found<'r, T> {
    shard: &'r Shard<T>,
    id: SlotId,
    slot: &'r Slot<T>,
}

impl<'r, T> Found<'r, T> {
    #[inline]
    pub(in super::super) fn content(&self) -> &'r T {
        // SAFETY: as this type says.
        unsafe { self.slot.content() }
    }

    #[inline]
    pub(in super::super) fn expires(&self) -> Nanos {
        // SAFETY: as this type says.
        unsafe { self.shard.slab.expires(self.id, self.slot) }
    }

    /// Notes a hit.
    #[inline]
    pub(in super::super) fn mark(&self) {
        self.slot.mark();
    }

    #[inline]
    pub(in super::super) fn id(&self) -> SlotId {
        self.id
    }
}

impl<'a, T> Reading<'a, T> {
    /// The slot with this hash whose content `is` the wanted one.
    #[inline]
    pub(in super::super) fn find(
        &self,
        hash: u64,
        is: impl FnMut(&T) -> bool,
    ) -> Option<Found<'_, T>> {
        // SAFETY: inside for as long as this is borrowed.
        unsafe { self.shard.find(hash, is) }
    }

    /// Holds what `pick` finds in the slot, beyond this; not if too much is held already. The slot
    /// was found in this shard, here or under the lock.
    pub(in super::super) fn hold<R: ?Sized>(
        &self,
        found: &Found<'_, T>,
        pick: impl FnOnce(&T) -> &R,
    ) -> Option<Held<'a, R>> {
        let hold = self.inside.hold(ptr::from_ref(found.slot).addr())?;
        let content: *const R = pick(found.content());
        Some(Held { content, _hold: hold })
    }
}

/// An entry that is read beyond the stay inside.
pub(in super::super) struct Held<'a, R: ?Sized> {
    content: *const R,
    _hold: Hold<'a>,
}

impl<R: ?Sized> std::ops::Deref for Held<'_, R> {
    type Target = R;

    fn deref(&self) -> &R {
        // SAFETY: the slot was full when it was held, by somebody inside; it is emptied when nobody
        // is inside and nobody holds it.
        unsafe { &*self.content }
    }
}

/// A shard under its lock.
pub(in super::super) struct Writing<'a, T> {
    core: MutexGuard<'a, Core>,
    shard: &'a Shard<T>,
    part: &'a Part<T>,
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

    fn index(&self) -> Option<&'a Index> {
        // SAFETY: this has the lock, and no use of an index here outlasts its replacement: that
        // is freed in `settle` alone, which uses none.
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

    /// Every slot with this hash.
    pub(in super::super) fn same_hash(&self, hash: u64) -> Vec<Found<'_, T>> {
        let mut slots = Vec::new();
        let Some(index) = self.index() else { return slots };
        index.each(kept(hash), |id| {
            let found = Found { shard: self.shard, id, slot: self.slot(id) };
            if found.slot.hash() == kept(hash) {
                slots.push(found);
            }
        });
        slots
    }

    pub(in super::super) fn len(&self) -> usize {
        self.core.len
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

    /// Puts an entry into a slot of its own.
    #[inline]
    pub(in super::super) fn insert(&mut self, hash: u64, expires: Nanos, stamp: u64, content: T) {
        let hash = kept(hash);
        let slot = self.filled(hash, expires, stamp, content);
        self.reserve().insert(hash, slot);
        self.count_put();
        self.core.len += 1;
        let mut slots = self.slots();
        self.core.policy.insert(slot, &mut slots);
    }

    /// Exchanges an entry, which counts as a hit. Whoever looks for it meanwhile finds the old one
    /// or the new one.
    pub(in super::super) fn replace(
        &mut self,
        old: SlotId,
        expires: Nanos,
        stamp: u64,
        content: T,
    ) {
        let before = self.slot(old);
        let (hash, hits) = (before.hash(), before.take_hits());
        let new = self.filled(hash, expires, stamp, content);
        let slot = self.slot(new);
        slot.put_back(hits);
        slot.mark();
        if let Some(index) = self.index()
            && let Some(place) = index.place(hash, old)
        {
            index.replace(place, new);
            self.count_put();
            self.core.policy.exchange(old, new);
            self.core.policy.touch(new);
            self.core.limbo.push(old);
        }
    }

    pub(in super::super) fn remove(&mut self, slot: SlotId) {
        self.core.policy.remove(slot);
        self.unlink(slot);
    }

    /// Makes room by the policy's choice; false if the shard is empty.
    pub(in super::super) fn evict(&mut self) -> bool {
        let mut slots = self.slots();
        let Some(slot) = self.core.policy.evict(&mut slots) else { return false };
        self.core.evictions += 1;
        self.unlink(slot);
        true
    }

    /// Looks at the next slot in turn and removes its entry if that has expired. Called once or
    /// twice per insertion, this bounds the expired entries that nobody asks for without ever
    /// scanning.
    pub(in super::super) fn sweep(&mut self, now: Nanos) -> bool {
        let slot = if self.core.sweep + 1 < self.core.next { self.core.sweep + 1 } else { 0 };
        self.core.sweep = slot;
        if slot >= self.core.next {
            return false;
        }
        let there = self.slot(slot);
        // SAFETY: what it has there was made when it was last filled, full or not.
        if unsafe { self.shard.slab.expires(slot, there) } > now {
            return false;
        }
        // An empty slot, or one in limbo, may have expired, too: it is not in the index.
        let hash = there.hash();
        let here = self.index().and_then(|index| index.place(hash, slot)).is_some();
        if here {
            self.core.expirations += 1;
            self.remove(slot);
        }
        here
    }

    /// Takes everything out, and gives the memory back as soon as nobody reads. As `settle`.
    pub(in super::super) fn clear(&mut self, gone: &mut Gone<T>) -> bool {
        let index = self.shard.index.swap(ptr::null_mut(), Ordering::AcqRel);
        if !index.is_null() {
            // SAFETY: from `Box::into_raw`, and owned by the shard until now; those inside may read
            // it, as they may any in `replaced`.
            let index = unsafe { Box::from_raw(index) };
            self.core.limbo.extend(index.slots());
            self.core.replaced.push(index);
        }
        self.core.len = 0;
        self.core.policy.clear();
        !self.settle_now(gone) && self.part.drops
    }

    /// Takes out what nobody reads any more, when it is time to look. Whether something is left
    /// that ought not to wait, since somebody was inside.
    pub(in super::super) fn settle(&mut self, gone: &mut Gone<T>) -> bool {
        let core = &self.core;
        let due = if self.part.drops { !core.limbo.is_empty() } else { core.limbo.len() >= BATCH };
        let settled = !(due || !core.replaced.is_empty()) || self.settle_now(gone);
        !settled && self.part.drops
    }

    /// As `settle`, at once; false if somebody was inside.
    fn settle_now(&mut self, gone: &mut Gone<T>) -> bool {
        // Before the look at the holds: who lets go of one after that look sees this.
        self.shard.waits.store(self.part.drops, Ordering::SeqCst);
        if !self.part.lanes.all_left() {
            return false;
        }
        let held: Vec<usize> = self.part.lanes.held().collect();
        let slots = self.slots();
        let core = &mut *self.core;
        core.limbo.retain(|&id| {
            let slot = slots.slot(id);
            if held.contains(&ptr::from_ref(slot).addr()) {
                return true;
            }
            // SAFETY: full, since it is in limbo; out of the index since before all left, and not
            // held.
            let content = unsafe { self.shard.slab.take(id) };
            core.free.push(id);
            if self.part.drops {
                gone.push(content);
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

    /// A slot, filled.
    #[inline]
    fn filled(&mut self, hash: u64, expires: Nanos, stamp: u64, content: T) -> SlotId {
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
        unsafe { self.shard.slab.fill(slot, hash, expires, stamp, content) };
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
        let len = self.core.len;
        let all = self.core.expected + self.core.expected / 16;
        let twice = (2 * len).max(FIRST_ROOM);
        let room = if len < all { twice.min(all) } else { twice };
        let index = Box::new(Index::new(room.max(len + 1)));
        if let Some(old) = self.index() {
            for slot in old.slots() {
                index.insert(self.slot(slot).hash(), slot);
            }
        }
        let old = self.shard.index.swap(Box::into_raw(index), Ordering::AcqRel);
        if !old.is_null() {
            // SAFETY: as in `clear`.
            self.core.replaced.push(unsafe { Box::from_raw(old) });
        }
        self.index().expect("made just now")
    }

    /// Takes a slot out of the index, that the policy has already forgotten.
    #[inline]
    fn unlink(&mut self, slot: SlotId) {
        let hash = self.slot(slot).hash();
        if let Some(index) = self.index()
            && let Some(place) = index.place(hash, slot)
        {
            index.remove(hash, place);
            self.core.len -= 1;
            self.core.limbo.push(slot);
        }
    }

    /// Counts a put. After it can be found: who looks for it in vain has read the count before.
    /// Only under the lock, so no step of its own is needed.
    #[inline]
    fn count_put(&self) {
        let puts = &self.shard.puts;
        puts.store(puts.load(Ordering::Relaxed).wrapping_add(1), Ordering::Release);
    }
}

impl<T> Drop for Shard<T> {
    fn drop(&mut self) {
        let index = *self.index.get_mut();
        let mut full = Vec::new();
        if !index.is_null() {
            // SAFETY: as in `Writing::clear`; nobody else is left.
            let index = unsafe { Box::from_raw(index) };
            full.extend(index.slots());
        }
        let core = self.core.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner);
        full.append(&mut core.limbo);
        // SAFETY: full, and nobody else is left to read them.
        let contents: Vec<T> = full.iter().map(|&id| unsafe { self.slab.take(id) }).collect();
        drop(contents);
    }
}

#[cfg(all(test, shuttle))]
impl<T> Writing<'_, T> {
    /// Checks that index, slots, free list and policy agree. Empties the shard.
    pub(in super::super) fn check(&mut self) {
        let mut gone = Gone::nothing();
        self.settle_now(&mut gone);
        let indexed: Vec<_> = self.index().into_iter().flat_map(Index::slots).collect();
        assert_eq!(indexed.len(), self.core.len, "full slots are indexed");
        let core = &self.core;
        let known = core.len + core.free.len() + core.limbo.len();
        assert_eq!(known, core.next as usize, "no slot is lost");
        assert!(core.limbo.is_empty(), "nobody reads any more");
        for &slot in &indexed {
            let hash = self.slot(slot).hash();
            let place = self.index().and_then(|index| index.place(hash, slot));
            assert!(place.is_some(), "a slot is indexed under its own hash");
        }
        if !matches!(self.core.policy, AnyPolicy::None) {
            let mut evicted = 0;
            while self.evict() {
                evicted += 1;
            }
            assert_eq!(evicted, indexed.len(), "the policy knows every entry once");
        }
    }
}
