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
use super::buckets::{Bucket, Buckets, Cell, Header, PLACES, may_lie_inline, prefetch};
use super::by_slot::BySlot;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering, Ordering::Relaxed, fence};
use crate::sync::{MODEL, tally, thread};
use crate::time::{Clock, Look, NEVER, Nanos};
use std::mem::MaybeUninit;
use std::{hint, ptr};

/// Entries for every ten buckets on average, at most: of seventy places, since nothing ever moves
/// to where it would be at home. With 40, one in twelve is not at home; with 54, two in seven.
const MOST: usize = 40;
/// The same in large arrays, where memory counts for more.
const MOST_IN_LARGE: usize = 54;
const LARGE: usize = 4096;
/// Where in the tags the count of those that passed is.
pub(super) const PASSED: u32 = 56;
/// Of so many that passed it is not known any more how many they are.
pub(super) const LOST_COUNT: u64 = 255;
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
const EACH: u64 = 0x00_01_01_01_01_01_01_01;
#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
const EACH_PLACE: u64 = (1 << PLACES) - 1;
/// Tries to read a bucket that somebody writes to, before asking for the lock.
const PATIENCE: usize = if MODEL { 2 } else { 64 };
/// Slots there can be.
const MOST_SLOTS: usize = 1 << 30;

pub(super) struct Array<K, V> {
    /// How many entries there is room for.
    room: usize,
    pub(super) buckets: Buckets<K, V>,
    /// The lower half of each entry's hash, by slot.
    pub(super) hashes: Box<[AtomicU32]>,
    /// When entries end, by slot; null: no entry here ever did.
    pub(super) ends: BySlot<AtomicU64>,
    /// The rest of their lifetimes; null: no hit puts an end off.
    pub(super) idle: BySlot<Idle>,
}

/// See `Life`.
pub(super) struct Idle {
    pub(super) until: AtomicU64,
    pub(super) idle: AtomicU64,
}

/// An entry that was found: a copy of what is in its place.
pub(in super::super) struct Found<'a, K, V> {
    cell: Cell<K, V>,
    inline: bool,
    /// Where it is.
    bucket: usize,
    at: usize,
    header: &'a Header,
    ends: Nanos,
    array: &'a Array<K, V>,
}

/// What a first look tells.
pub(in super::super) enum First<'a, K, V> {
    Found(Found<'a, K, V>),
    Absent,
    /// It takes a longer one.
    Unsure,
}

/// Somebody wrote each time that this was read.
pub(in super::super) struct Torn;

/// The tag of a hash: never 0, which says that a place is free. Odd if the entry lies inline.
#[inline]
pub(super) fn tag(hash: u64, inline: bool) -> u64 {
    let tag = hash >> 56;
    if inline { tag | 1 } else { (tag & !1).max(2) }
}

#[inline]
pub(super) fn lies_inline(tag: u64) -> bool {
    tag & 1 == 1
}

/// The places whose tags are `tag`, of which [`lowest`] tells the first. Above that there may be
/// one that is not, but differs from it in the lowest bit alone.
#[cfg(not(all(target_arch = "x86_64", target_feature = "sse2", not(miri))))]
#[inline]
pub(super) fn matches(tags: u64, tag: u64) -> u64 {
    let differ = tags ^ (tag * EACH);
    differ.wrapping_sub(EACH) & !differ & (EACH << 7)
}

/// The same in fewer registers, and exactly.
#[cfg(all(target_arch = "x86_64", target_feature = "sse2", not(miri)))]
#[inline]
pub(super) fn matches(tags: u64, tag: u64) -> u64 {
    use std::arch::x86_64::{_mm_cmpeq_epi8, _mm_cvtsi64_si128, _mm_movemask_epi8, _mm_set1_epi8};
    // SAFETY: the processor has these instructions.
    let equal = unsafe {
        let equal = _mm_cmpeq_epi8(_mm_cvtsi64_si128(tags as i64), _mm_set1_epi8(tag as i8));
        _mm_movemask_epi8(equal)
    };
    equal as u64 & EACH_PLACE
}

/// The first of the places that match; there is one.
#[inline]
pub(super) fn lowest(matches: u64) -> usize {
    let each =
        if cfg!(all(target_arch = "x86_64", target_feature = "sse2", not(miri))) { 1 } else { 8 };
    matches.trailing_zeros() as usize / each
}

#[inline]
pub(super) fn split(slot: SlotId) -> (usize, usize) {
    (slot as usize / PLACES, slot as usize % PLACES)
}

#[inline]
pub(super) fn joined(bucket: usize, at: usize) -> SlotId {
    (bucket * PLACES + at) as SlotId
}

impl<K, V> Array<K, V> {
    /// With room for so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let most = if entries < LARGE { MOST } else { MOST_IN_LARGE };
        let buckets = (10 * entries).div_ceil(most).max(1);
        assert!(buckets < MOST_SLOTS / PLACES, "a shard has under 2^30 slots");
        let hashes = (0..buckets * PLACES).map(|_| AtomicU32::new(0)).collect();
        let slots = buckets * PLACES;
        let (ends, idle) = (BySlot::new(slots), BySlot::new(slots));
        Array { room: buckets * most / 10, buckets: Buckets::new(buckets), hashes, ends, idle }
    }

    pub(super) fn count(&self) -> usize {
        self.buckets.count()
    }

    /// How many entries there is room for.
    pub(super) fn room(&self) -> usize {
        self.room
    }

    pub(super) fn places(&self) -> usize {
        self.count() * PLACES
    }

    /// The home of a hash: scales its lower half to the number of buckets.
    #[inline]
    pub(super) fn home(&self, hash: u32) -> usize {
        ((u64::from(hash) * self.count() as u64) >> 32) as usize
    }

    /// Where an entry with this hash goes that finds a bucket full: from its home to one that only
    /// some of those at home there go to, and on from there.
    #[inline]
    pub(super) fn next(&self, bucket: usize, hash: u32, from_home: bool) -> usize {
        let others = self.count() as u64 - 1;
        let jump = if from_home { (u64::from(hash as u16) * others) >> 16 } else { 0 };
        let next = bucket + 1 + jump as usize;
        if next < self.count() { next } else { next - self.count() }
    }

    #[inline]
    pub(super) fn header(&self, bucket: usize) -> &Header {
        assert!(bucket < self.count(), "a slot of another array");
        // SAFETY: looked just now.
        unsafe { self.buckets.bucket(bucket).header() }
    }

    /// What the first look tells of the entry with this hash, lying `inline` or not, that `is` the
    /// wanted one: nearly always all. Unless it `may_end`, nothing where any entry ever did.
    ///
    /// # Safety
    ///
    /// As [`find`](Self::find).
    #[inline(always)] // the hit path
    pub(super) unsafe fn first<'a>(
        &'a self,
        hash: u64,
        inline: bool,
        may_end: bool,
        is: impl FnOnce(&Entry<K, V>) -> bool,
    ) -> First<'a, K, V> {
        if inline && const { !may_lie_inline::<K, V>() } {
            return First::Absent;
        }
        let number = self.home(hash as u32);
        // SAFETY: `home` is below the count.
        let bucket = unsafe { self.buckets.bucket(number) };
        let header = bucket.header();
        // Acquire: what is read below is as new as this says.
        let version = header.version.load(Ordering::Acquire);
        let tags = header.tags.load(Ordering::Acquire);
        // After the tags: before one of them says that an entry is there that ends, this is told.
        if !may_end && !self.ends.is_unused() {
            return First::Unsure;
        }
        let found = matches(tags, tag(hash, inline));
        if found == 0 {
            return if tags >> PASSED == 0 { First::Absent } else { First::Unsure };
        }
        let at = lowest(found);
        // SAFETY: `matches` looks at as many tags as there are places.
        match unsafe { self.copy(number, bucket, at, version, inline, may_end) } {
            Some(found) if is(found.entry()) => First::Found(found),
            _ => First::Unsure,
        }
    }

    /// Whether no entry has this hash, lying `inline` or not: told by its home, and only if that is
    /// plain to see.
    #[inline]
    pub(super) fn lacks(&self, hash: u64, inline: bool) -> bool {
        // SAFETY: `home` is below the count.
        let bucket = unsafe { self.buckets.bucket(self.home(hash as u32)) };
        let tags = bucket.header().tags.load(Ordering::Acquire);
        tags >> PASSED == 0 && matches(tags, tag(hash, inline)) == 0
    }

    /// The entry with this hash, lying `inline` or not, that `is` the wanted one. `whole`: only
    /// what has all of the hash that is kept, else much of it is enough. Fails only without the
    /// lock.
    ///
    /// # Safety
    ///
    /// For as long as what is found is used, nothing is dropped that could be found when this began
    /// or later: the caller is inside (`lanes`), or has the lock.
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
        let (mut number, wanted) = (self.home(hash as u32), tag(hash, inline));
        let (mut looks, mut patience) = (0, PATIENCE);
        loop {
            // SAFETY: `home` and `next` give numbers below the count.
            let bucket = unsafe { self.buckets.bucket(number) };
            let header = bucket.header();
            // Acquire: what is read below is as new as this says.
            let version = header.version.load(Ordering::Acquire);
            let tags = header.tags.load(Ordering::Acquire);
            let mut found = matches(tags, wanted);
            let mut torn = false;
            while found != 0 && !torn {
                let at = lowest(found);
                found &= found - 1;
                let differs = tags >> (8 * at) & 0xFF != wanted
                    || whole && self.hash(joined(number, at)) != hash as u32;
                if !differs {
                    // SAFETY: as in `first`.
                    match unsafe { self.copy(number, bucket, at, version, inline, true) } {
                        Some(found) if is(&found) => return Ok(Some(found)),
                        Some(_) => {}
                        None => torn = true,
                    }
                }
            }
            if torn {
                patience -= 1;
                if patience == 0 {
                    return Err(Torn);
                }
                if MODEL {
                    thread::yield_now()
                } else {
                    hint::spin_loop()
                }
                continue;
            }
            if tags >> PASSED == 0 || looks == self.count() {
                return Ok(None);
            }
            number = self.next(number, hash as u32, looks == 0);
            looks += 1;
        }
    }

    /// What is in a place, if nobody has written to its bucket since that had this version.
    ///
    /// # Safety
    ///
    /// The bucket is the one of that number, `at` is below `PLACES`; by tags that were read after
    /// that version, the place is full, and its entry lies `inline` or does not. Unless it
    /// `may_end`, no entry did when the tags were read.
    #[inline(always)]
    unsafe fn copy<'a>(
        &'a self,
        number: usize,
        bucket: Bucket<'a, K, V>,
        at: usize,
        version: u32,
        inline: bool,
        may_end: bool,
    ) -> Option<Found<'a, K, V>> {
        // SAFETY: the contract above.
        let cell = unsafe { bucket.load(at) };
        let ends = if may_end { self.ends(joined(number, at)) } else { NEVER };
        fence(Ordering::Acquire); // who has seen something of what was written sees its version
        let header = bucket.header();
        if header.version.load(Relaxed) != version & !1 {
            return None; // or it was odd: somebody was writing
        }
        // SAFETY: nobody wrote while it was read, and so it is what the tags say.
        let cell = unsafe { cell.assume_init() };
        Some(Found { cell, inline, bucket: number, at, header, ends, array: self })
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
        let header = self.header(bucket);
        Found { cell, inline, bucket, at, header, ends: self.ends(id), array: self }
    }

    pub(super) fn load(&self, bucket: usize, at: usize) -> MaybeUninit<Cell<K, V>> {
        assert!(bucket < self.count() && at < PLACES, "a slot of another array");
        // SAFETY: looked just now.
        unsafe { self.buckets.bucket(bucket).load(at) }
    }

    #[inline]
    pub(super) fn tag_of(&self, id: SlotId) -> u64 {
        let (bucket, at) = split(id);
        self.header(bucket).tags.load(Relaxed) >> (8 * at) & 0xFF
    }

    pub(super) fn lies_inline(&self, id: SlotId) -> bool {
        lies_inline(self.tag_of(id))
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
    pub(super) fn life(&self, id: SlotId) -> Life {
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
        let (bucket, at) = split(id);
        self.header(bucket).mark(at);
    }

    #[inline]
    pub(super) fn hits(&self, id: SlotId) -> u8 {
        let (bucket, at) = split(id);
        self.header(bucket).hits(at)
    }

    #[inline]
    pub(super) fn set_hits(&self, id: SlotId, hits: u8) {
        let (bucket, at) = split(id);
        self.header(bucket).set_hits(at, hits);
    }

    #[inline]
    pub(super) fn prefetch(&self, id: SlotId) {
        self.buckets.prefetch(split(id).0);
        if let Some(hash) = self.hashes.get(id as usize) {
            prefetch(hash);
        }
    }
}

impl Header {
    #[inline]
    fn hits(&self, at: usize) -> u8 {
        (self.hits.load(Relaxed) >> (2 * at)) as u8 & MOST_HITS
    }

    #[inline]
    fn set_hits(&self, at: usize, hits: u8) {
        let others = self.hits.load(Relaxed) & !(u32::from(MOST_HITS) << (2 * at));
        self.hits.store(others | u32::from(hits) << (2 * at), Relaxed);
    }

    /// Notes a hit.
    #[inline]
    fn mark(&self, at: usize) {
        let hits = self.hits(at);
        if hits < MOST_HITS {
            tally::add(tally::Kind::Atomic);
            self.set_hits(at, hits + 1);
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
        u64::from(self.array.hash(self.id())) | self.array.tag_of(self.id()) << 56
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
        self.ends
    }

    /// Whether there may be something to note when it is asked for.
    #[inline]
    pub(in super::super) fn may_be_put_off(&self) -> bool {
        !self.array.idle.is_unused()
    }

    /// When it ends that was asked for when the clock was looked at, if that is to be noted.
    /// Without the lock it may be that of the next entry in that place.
    pub(in super::super) fn put_off(&self, look: Look, clock: &Clock) -> Option<Nanos> {
        self.array.life_until(self.id(), self.ends).put_off(look, clock)
    }

    /// Notes a hit.
    #[inline]
    pub(in super::super) fn mark(&self) {
        self.header.mark(self.at);
    }

    #[inline]
    pub(in super::super) fn id(&self) -> SlotId {
        joined(self.bucket, self.at)
    }
}

#[cfg(test)]
impl<K, V> Array<K, V> {
    /// Checks that every entry can be reached from its home, and who passed was counted.
    pub(super) fn check(&self) {
        let mut passed = vec![0; self.count()];
        for id in self.slots_of(0..self.count()) {
            let (hash, last) = (self.hash(id), split(id).0);
            let (mut bucket, mut from_home) = (self.home(hash), true);
            while bucket != last {
                passed[bucket] += 1;
                bucket = self.next(bucket, hash, std::mem::take(&mut from_home));
            }
        }
        for (bucket, passed) in passed.into_iter().enumerate() {
            let counted = self.header(bucket).tags.load(Relaxed) >> PASSED;
            assert!(counted == passed || counted == LOST_COUNT, "{passed} passed, not {counted}");
        }
    }
}
