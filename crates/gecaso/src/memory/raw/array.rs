//! From a hash to an entry: the buckets of one shard, as they are between two times that it grows.
//!
//! A hash has a home bucket; an entry that finds it full lies in the next that is not, and is
//! counted in each bucket that it passed. (Tags as in Google's and Facebook's tables: Bronson and
//! Shi, "Open-sourcing F14", 2019.) Nothing ever moves: an entry that is there all the time is
//! found, whatever else comes and goes meanwhile. To grow is to make another array.
//!
//! What is read while somebody writes is checked by the version of its bucket (Lameter, "Effective
//! Synchronization on Linux/NUMA Systems", 2005; Boehm, "Can Seqlocks Get Along With Programming
//! Language Memory Models?", MSPC 2012).
//!
//! Used by `shard`, which lets one thread write at a time. Knows no policy and no clock.

#![allow(unsafe_code)]

use super::super::entry::{Entry, Stored};
use super::super::lifetimes::Life;
use super::super::policy::{MOST_HITS, SlotId};
use super::buckets::{Buckets, Cell, Header, PLACES, may_lie_inline};
use crate::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering, Ordering::Relaxed, fence};
use crate::sync::{tally, thread};
use crate::time::{NEVER, Nanos};
use std::mem::MaybeUninit;
use std::ptr;

/// Entries for each bucket, on average, at most. Beyond it too many are not at home.
const MOST: usize = 6;
/// Where in the tags the count of those that passed is.
const PASSED: u32 = 56;
/// Of so many it is not known any more how many they are.
const LOST_COUNT: u64 = 255;
const EACH: u64 = 0x00_01_01_01_01_01_01_01;
/// The tags of what does not lie inline have this bit.
const SHARED: u64 = 0x80;
/// Tries to read a bucket that somebody writes to, before asking for the lock.
const PATIENCE: usize = if cfg!(shuttle) { 2 } else { 64 };
/// Slots there can be.
const MOST_SLOTS: usize = 1 << 30;

pub(super) struct Array<K, V> {
    buckets: Buckets<K, V>,
    /// The lower half of each entry's hash, by slot.
    hashes: Box<[AtomicU32]>,
    /// When entries end, by slot; null: no entry here ever did.
    ends: BySlot<AtomicU64>,
    /// The rest of their lifetimes; null: no hit puts an end off.
    idle: BySlot<Idle>,
}

/// See `Life`.
struct Idle {
    until: AtomicU64,
    idle: AtomicU64,
}

/// What few shards need: one for each slot, made for the first.
struct BySlot<A> {
    first: AtomicPtr<A>,
    slots: usize,
}

/// An entry that was found: a copy of what is in its place.
pub(in super::super) struct Found<'a, K, V> {
    cell: Cell<K, V>,
    inline: bool,
    id: SlotId,
    life: Life,
    array: &'a Array<K, V>,
}

/// Somebody wrote each time that this was read.
pub(in super::super) struct Torn;

/// The tag of a hash: never 0, which says that a place is free, and never one apart from that in
/// the lowest bit alone (see `matches`).
#[inline]
pub(super) fn tag(hash: u64, inline: bool) -> u64 {
    if inline { (hash >> 57).max(2) } else { hash >> 57 | SHARED }
}

/// The highest bit of each byte of `tags` that is `tag`; now and then of one above it that is not,
/// but differs from it in the lowest bit alone.
#[inline]
fn matches(tags: u64, tag: u64) -> u64 {
    let differ = tags ^ (tag * EACH);
    differ.wrapping_sub(EACH) & !differ & (EACH << 7)
}

#[inline]
fn split(slot: SlotId) -> (usize, usize) {
    (slot as usize / PLACES, slot as usize % PLACES)
}

#[inline]
fn joined(bucket: usize, at: usize) -> SlotId {
    (bucket * PLACES + at) as SlotId
}

impl<K, V> Array<K, V> {
    /// With room for so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let buckets = entries.div_ceil(MOST).max(1);
        assert!(buckets < MOST_SLOTS / PLACES, "a shard has under 2^30 slots");
        let hashes = (0..buckets * PLACES).map(|_| AtomicU32::new(0)).collect();
        let slots = buckets * PLACES;
        let (ends, idle) = (BySlot::new(slots), BySlot::new(slots));
        Array { buckets: Buckets::new(buckets), hashes, ends, idle }
    }

    pub(super) fn count(&self) -> usize {
        self.buckets.count()
    }

    /// How many entries there is room for.
    pub(super) fn room(&self) -> usize {
        self.count() * MOST
    }

    pub(super) fn places(&self) -> usize {
        self.count() * PLACES
    }

    /// The home of a hash: scales its lower half to the number of buckets.
    #[inline]
    fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.count() as u64) >> 32) as usize
    }

    #[inline]
    fn next(&self, bucket: usize) -> usize {
        if bucket + 1 < self.count() { bucket + 1 } else { 0 }
    }

    #[inline]
    fn header(&self, bucket: usize) -> &Header {
        assert!(bucket < self.count(), "a slot of another array");
        // SAFETY: looked just now.
        unsafe { self.buckets.header(bucket) }
    }

    /// The entry with this hash and kind that `is` the wanted one. `whole`: only what has all of
    /// the hash is shown, else much of it is enough. Fails only without the lock.
    ///
    /// # Safety
    ///
    /// For as long as what is found is used, nothing is dropped that could be found when this began
    /// or later: the caller is inside (`lanes`), or has the lock.
    #[inline]
    pub(super) unsafe fn find<'a>(
        &'a self,
        hash: u64,
        inline: bool,
        whole: bool,
        mut is: impl FnMut(&Found<'a, K, V>) -> bool,
    ) -> Result<Option<Found<'a, K, V>>, Torn> {
        if inline && const { !may_lie_inline::<K, V>() } {
            return Ok(None);
        }
        let tag = tag(hash, inline);
        let mut bucket = self.home(hash as u32);
        let mut patience = PATIENCE;
        for _ in 0..self.count() {
            // SAFETY: `home` and `next` give numbers below the count.
            let header = unsafe { self.buckets.header(bucket) };
            let mut passed;
            'again: loop {
                // Acquire: what is read below is as new as this says.
                let version = header.version.load(Ordering::Acquire);
                let tags = header.tags.load(Ordering::Acquire);
                passed = tags >> PASSED;
                let mut found = matches(tags, tag);
                while found != 0 {
                    let at = found.trailing_zeros() as usize / 8;
                    found &= found - 1;
                    let id = joined(bucket, at);
                    let differs = whole && self.hashes[id as usize].load(Relaxed) != hash as u32;
                    // SAFETY: as above; `matches` looks at as many tags as there are places.
                    let cell = unsafe { self.buckets.load(bucket, at) };
                    let life = self.life(id);
                    fence(Ordering::Acquire); // who has seen what was written sees its version
                    if version & 1 == 1 || header.version.load(Relaxed) != version {
                        patience -= 1;
                        if patience == 0 {
                            return Err(Torn);
                        }
                        if cfg!(shuttle) { thread::yield_now() } else { std::hint::spin_loop() }
                        continue 'again;
                    }
                    // SAFETY: nobody wrote while it was read, and its tag says that it is full and
                    // how it lies.
                    let cell = unsafe { cell.assume_init() };
                    let found = Found { cell, inline, id, life, array: self };
                    if !differs && is(&found) {
                        return Ok(Some(found));
                    }
                }
                break;
            }
            if passed == 0 {
                return Ok(None);
            }
            bucket = self.next(bucket);
        }
        Ok(None)
    }

    /// What is in a slot.
    ///
    /// # Safety
    ///
    /// The slot is full; the caller has the lock, for as long as what is found is used.
    pub(super) unsafe fn at(&self, id: SlotId) -> Found<'_, K, V> {
        let (bucket, at) = split(id);
        let inline = self.lies_inline(id);
        // SAFETY: full, and nobody else writes.
        let cell = unsafe { self.load(bucket, at).assume_init() };
        Found { cell, inline, id, life: self.life(id), array: self }
    }

    fn load(&self, bucket: usize, at: usize) -> MaybeUninit<Cell<K, V>> {
        assert!(bucket < self.count() && at < PLACES, "a slot of another array");
        // SAFETY: looked just now.
        unsafe { self.buckets.load(bucket, at) }
    }

    #[inline]
    fn tag_of(&self, id: SlotId) -> u64 {
        let (bucket, at) = split(id);
        self.header(bucket).tags.load(Relaxed) >> (8 * at) & 0xFF
    }

    pub(super) fn lies_inline(&self, id: SlotId) -> bool {
        self.tag_of(id) & SHARED == 0
    }

    /// What slots keep of a hash.
    #[inline]
    pub(super) fn hash(&self, id: SlotId) -> u32 {
        self.hashes[id as usize].load(Relaxed)
    }

    /// When the entry in a slot ends.
    #[inline]
    pub(super) fn ends(&self, id: SlotId) -> Nanos {
        self.ends.get(id).map_or(NEVER, |ends| ends.load(Relaxed))
    }

    /// The same, and what a hit makes of it.
    #[inline]
    fn life(&self, id: SlotId) -> Life {
        match self.ends(id) {
            NEVER => Life::ENDLESS,
            ends => self.life_until(id, ends),
        }
    }

    #[inline(never)]
    fn life_until(&self, id: SlotId, ends: Nanos) -> Life {
        let load = |idle: &Idle| (idle.until.load(Relaxed), idle.idle.load(Relaxed));
        let (until, idle) = self.idle.get(id).map_or((ends, NEVER), load);
        Life { ends, until, idle }
    }

    /// The end of the entry in a slot is put off. Only under the lock.
    pub(super) fn put_off(&self, id: SlotId, ends: Nanos) {
        self.ends.made(|| AtomicU64::new(NEVER), id).store(ends, Relaxed);
    }

    #[inline]
    fn set_life(&self, id: SlotId, life: Life) {
        if life.ends != NEVER || self.ends.get(id).is_some() {
            self.set_ending(id, life);
        }
    }

    #[inline(never)]
    fn set_ending(&self, id: SlotId, life: Life) {
        self.put_off(id, life.ends);
        if life.idle != NEVER || self.idle.get(id).is_some() {
            let never = || Idle { until: AtomicU64::new(NEVER), idle: AtomicU64::new(NEVER) };
            let idle = self.idle.made(never, id);
            idle.until.store(life.until, Relaxed);
            idle.idle.store(life.idle, Relaxed);
        }
    }

    #[inline]
    fn pass(&self, bucket: usize, by: i64) {
        let tags = &self.header(bucket).tags;
        let before = tags.load(Relaxed);
        let passed = before >> PASSED;
        if passed < LOST_COUNT {
            let passed = passed.wrapping_add_signed(by);
            tags.store(before & !(LOST_COUNT << PASSED) | passed << PASSED, Ordering::Release);
        }
    }

    /// Puts an entry in, which nobody looks for yet. Only under the lock; there is room.
    #[inline]
    pub(super) fn insert(&self, hash: u32, tag: u64, cell: Cell<K, V>, life: Life) -> SlotId {
        let mut bucket = self.home(hash);
        loop {
            let header = self.header(bucket);
            let tags = header.tags.load(Relaxed);
            let free = matches(tags, 0);
            if free == 0 {
                // Before the entry is there: who looks for it then goes on.
                self.pass(bucket, 1);
                bucket = self.next(bucket);
                continue;
            }
            let at = free.trailing_zeros() as usize / 8;
            let id = joined(bucket, at);
            // Who reads what is written below, and an older tag, sees the version of the removal.
            fence(Ordering::Release);
            self.hashes[id as usize].store(hash, Relaxed);
            self.set_life(id, life);
            self.set_hits(id, 0);
            // SAFETY: `header` has looked at the bucket, and `matches` at as many as there are.
            unsafe { self.buckets.store(bucket, at, cell) };
            header.tags.store(tags | tag << (8 * at), Ordering::Release);
            return id;
        }
    }

    /// Exchanges the entry in a slot; the old one comes out, but may still be read. Only under the
    /// lock.
    pub(super) fn replace(&self, id: SlotId, stored: Stored<K, V>, life: Life) -> Stored<K, V> {
        let (bucket, at) = split(id);
        let header = self.header(bucket);
        let tags = header.tags.load(Relaxed);
        let before = tags >> (8 * at) & 0xFF;
        assert!(before != 0, "an entry is replaced");
        let old = self.load(bucket, at);
        let (cell, inline) = Cell::new(stored);
        let new = if inline { before & !SHARED } else { before | SHARED };
        let version = header.version.load(Relaxed);
        header.version.store(version.wrapping_add(1), Relaxed);
        // Who reads what is written below sees that version, or a later one.
        fence(Ordering::Release);
        // SAFETY: `header` and `split`.
        unsafe { self.buckets.store(bucket, at, cell) };
        self.set_life(id, life);
        header.tags.store(tags ^ (before ^ new) << (8 * at), Ordering::Release);
        header.version.store(version.wrapping_add(2), Ordering::Release);
        // SAFETY: it was full, and what was in it is in no array any more.
        unsafe { old.assume_init().into_stored(before & SHARED == 0) }
    }

    /// Empties a slot; what was in it may still be read. Only under the lock.
    pub(super) fn remove(&self, id: SlotId) -> Stored<K, V> {
        let (bucket, at) = split(id);
        let header = self.header(bucket);
        let tags = header.tags.load(Relaxed);
        let tag = tags >> (8 * at) & 0xFF;
        assert!(tag != 0, "an entry is removed");
        let old = self.load(bucket, at);
        header.tags.store(tags & !(0xFF << (8 * at)), Ordering::Release);
        let version = header.version.load(Relaxed);
        header.version.store(version.wrapping_add(2), Ordering::Release);
        let mut passed = self.home(self.hash(id));
        while passed != bucket {
            self.pass(passed, -1);
            passed = self.next(passed);
        }
        // SAFETY: as in `replace`.
        unsafe { old.assume_init().into_stored(tag & SHARED == 0) }
    }

    /// Puts everything into an empty array, and tells which slot became which. What is in both must
    /// not be taken out of this one any more.
    pub(super) fn copy_into(&self, new: &Self) -> Box<[SlotId]> {
        let mut slots = vec![SlotId::MAX; self.places()].into_boxed_slice();
        for id in self.slots_of(0..self.count()) {
            let (bucket, at) = split(id);
            // SAFETY: full, and only read; who copies has the lock.
            let cell = unsafe { self.load(bucket, at).assume_init() };
            let to = new.insert(self.hash(id), self.tag_of(id), cell, self.life(id));
            new.set_hits(to, self.hits(id));
            slots[id as usize] = to;
        }
        slots
    }

    /// The full slots of some buckets.
    pub(super) fn slots_of(&self, buckets: std::ops::Range<usize>) -> impl Iterator<Item = SlotId> {
        (buckets.start..buckets.end.min(self.count())).flat_map(|bucket| {
            let tags = self.header(bucket).tags.load(Relaxed);
            let full = (0..PLACES).filter(move |at| tags >> (8 * at) & 0xFF != 0);
            full.map(move |at| joined(bucket, at))
        })
    }

    /// Notes a hit.
    #[inline]
    pub(super) fn mark(&self, id: SlotId) {
        let hits = self.hits(id);
        if hits < MOST_HITS {
            tally::add(tally::Kind::Atomic);
            self.set_hits(id, hits + 1);
        }
    }

    #[inline]
    pub(super) fn hits(&self, id: SlotId) -> u8 {
        let (bucket, at) = split(id);
        (self.header(bucket).hits.load(Relaxed) >> (2 * at)) as u8 & MOST_HITS
    }

    #[inline]
    pub(super) fn set_hits(&self, id: SlotId, hits: u8) {
        let (bucket, at) = split(id);
        let all = &self.header(bucket).hits;
        let others = all.load(Relaxed) & !(u32::from(MOST_HITS) << (2 * at));
        all.store(others | u32::from(hits) << (2 * at), Relaxed);
    }

    #[inline]
    pub(super) fn prefetch(&self, id: SlotId) {
        self.buckets.prefetch(split(id).0);
    }
}

impl<A> BySlot<A> {
    fn new(slots: usize) -> Self {
        BySlot { first: AtomicPtr::new(ptr::null_mut()), slots }
    }

    #[inline]
    fn get(&self, id: SlotId) -> Option<&A> {
        // Acquire: they were made before.
        let first = self.first.load(Ordering::Acquire);
        if first.is_null() {
            return None;
        }
        assert!((id as usize) < self.slots, "a slot of another array");
        // SAFETY: one for each slot; kept as long as this.
        Some(unsafe { &*first.add(id as usize) })
    }

    /// Makes them, if they are not there. Only under the lock.
    #[cold]
    fn made(&self, new: impl Fn() -> A, id: SlotId) -> &A {
        if self.first.load(Relaxed).is_null() {
            let all: Box<[A]> = (0..self.slots).map(|_| new()).collect();
            self.first.store(Box::into_raw(all).cast(), Ordering::Release);
        }
        self.get(id).expect("made just now")
    }
}

impl<A> Drop for BySlot<A> {
    fn drop(&mut self) {
        let first = *self.first.get_mut();
        if !first.is_null() {
            // SAFETY: leaked by `made`, with this length.
            drop(unsafe { Box::from_raw(ptr::slice_from_raw_parts_mut(first, self.slots)) });
        }
    }
}

impl<'a, K, V> Found<'a, K, V> {
    #[inline]
    pub(in super::super) fn entry(&self) -> &Entry<K, V> {
        // SAFETY: what was found is not dropped, as `find` and `at` say.
        unsafe { self.cell.entry(self.inline) }
    }

    /// The entry that does not lie inline.
    pub(super) fn shared(&self) -> Option<*const Entry<K, V>> {
        // SAFETY: it does not.
        (!self.inline).then(|| unsafe { self.cell.shared() })
    }

    #[inline]
    pub(in super::super) fn lies_inline(&self) -> bool {
        self.inline
    }

    /// What its slot keeps of its hash: enough to find it in its shard. Only under the lock.
    pub(in super::super) fn hash(&self) -> u64 {
        u64::from(self.array.hash(self.id)) | (self.array.tag_of(self.id) & !SHARED) << 57
    }

    /// Another one for the same entry.
    pub(in super::super) fn copy(&self) -> Stored<K, V> {
        // SAFETY: as `entry`; the copy of what does not lie inline is counted, and the copy of what
        // does has nothing to drop.
        unsafe {
            match self.shared() {
                Some(entry) => {
                    std::sync::Arc::increment_strong_count(entry);
                    Stored::Shared(std::sync::Arc::from_raw(entry))
                }
                None => ptr::read(&self.cell).into_stored(true),
            }
        }
    }

    #[inline]
    pub(in super::super) fn expires(&self) -> Nanos {
        self.life.ends
    }

    /// When it ends that is asked for now, if that is to be noted.
    pub(in super::super) fn put_off(&self, now: Nanos) -> Option<Nanos> {
        self.life.put_off(now)
    }

    /// Notes a hit.
    #[inline]
    pub(in super::super) fn mark(&self) {
        self.array.mark(self.id);
    }

    #[inline]
    pub(in super::super) fn id(&self) -> SlotId {
        self.id
    }

}

#[cfg(all(test, shuttle))]
impl<K, V> Array<K, V> {
    /// Checks that every entry can be reached from its home, and who passed was counted.
    pub(super) fn check(&self) {
        let mut passed = vec![0; self.count()];
        for id in self.slots_of(0..self.count()) {
            let (mut bucket, home) = (self.home(self.hash(id)), split(id).0);
            while bucket != home {
                passed[bucket] += 1;
                bucket = self.next(bucket);
            }
        }
        for (bucket, passed) in passed.into_iter().enumerate() {
            let counted = self.header(bucket).tags.load(Relaxed) >> PASSED;
            assert_eq!(counted, passed, "who passed was counted");
        }
    }
}
