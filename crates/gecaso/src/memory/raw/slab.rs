//! Slots that never move: many read some while one fills others.
//!
//! Slots lie in chunks of equal size, found by a directory that is replaced when it is full. What
//! seldom is needed of a slot (its expiry, its stamp) lies in chunks of its own, made when it is.
//!
//! Used by `shard`, which says who may touch what. Knows no policy and no key.

#![allow(unsafe_code)]

use super::super::lifetimes::{Life, put_off};
use super::super::policy::{MOST_HITS, SlotId};
use crate::sync::atomic::{AtomicPtr, AtomicU64, Ordering, Ordering::Relaxed};
use crate::sync::tally;
use crate::time::{Clock, Look, NEVER, Nanos};
use std::cell::UnsafeCell;
use std::mem::MaybeUninit;
use std::ptr;

/// Slots of a chunk, as a power of two: of the smallest, and of the largest.
const FEWEST: u32 = 4;
const LARGEST: u32 = 12;
/// Chunks that those who expect so many entries are to have, as a power of two.
const CHUNKS: u32 = 4;
/// The same where nobody knows how many there will be.
const USUAL: u32 = 8;
/// Slots there can be.
const MOST_SLOTS: usize = 1 << 30;

/// The bits of a slot's word that are not of its hash.
const FLAGS: u64 = 0b1111;
/// Hits since the policy last asked. Written by readers, and only when it changes; of two at once
/// one may be lost.
const HITS: u64 = 0b0011;
/// Whether the slot has something in `Rare`.
const IS_RARE: u64 = 0b0100;

const _: () = assert!(MOST_HITS as u64 == HITS);

/// A hash as slots keep it: without its lowest bits.
#[inline]
pub(super) fn kept(hash: u64) -> u64 {
    hash & !FLAGS
}

pub(super) struct Slot<T> {
    /// The hash, and in its lowest bits hits and flags.
    word: AtomicU64,
    content: UnsafeCell<MaybeUninit<T>>,
}

/// What few slots have.
struct Rare {
    /// Put off by readers, where a hit does that.
    ends: AtomicU64,
    /// The rest of a `Life`.
    until: AtomicU64,
    idle: AtomicU64,
    /// When it came in (or, in LRU order, was last used), in a storage that several functions
    /// share.
    stamp: AtomicU64,
}

/// Slots by their numbers.
pub(super) struct Slab<T> {
    slots: Chunks<Slot<T>>,
    rare: Chunks<Rare>,
}

/// Things by number. One thread at a time makes more, whoever has the lock.
struct Chunks<C> {
    /// Two to this power are in one chunk.
    shift: u32,
    /// The chunks: null, or pointed to by where number 0 would be, so that a pointer and a number
    /// make an address.
    directory: AtomicPtr<AtomicPtr<C>>,
    /// The directory, after those that it replaced: somebody may still read these.
    owned: UnsafeCell<Vec<Directory<C>>>,
}

type Directory<C> = Box<[AtomicPtr<C>]>;

// SAFETY: contents are sent in, shared between readers, and sent out again by whoever has the lock
// of the shard, which alone looks into `owned`; everything else is atomic.
unsafe impl<C: Send + Sync> Send for Chunks<C> {}
// SAFETY: as above.
unsafe impl<C: Send + Sync> Sync for Chunks<C> {}
// SAFETY: as above; a word, and a content.
unsafe impl<T: Send + Sync> Sync for Slot<T> {}

impl<C> Chunks<C> {
    fn new(shift: u32) -> Self {
        let (directory, owned) = (AtomicPtr::new(ptr::null_mut()), UnsafeCell::new(Vec::new()));
        Chunks { shift, directory, owned }
    }

    /// # Safety
    ///
    /// It was made, and what made the caller know of it happened after that.
    #[inline]
    unsafe fn at(&self, number: SlotId) -> &C {
        let directory = self.directory.load(Ordering::Acquire);
        let number = number as usize;
        // SAFETY: what was made is in a chunk of the directory that was current then, and of all
        // that came after it. Both are freed by `free` alone.
        unsafe {
            &*(*directory.add(number >> self.shift)).load(Ordering::Acquire).wrapping_add(number)
        }
    }

    /// Makes it, if it is not there.
    ///
    /// # Safety
    ///
    /// The caller has the lock.
    unsafe fn make(&self, number: SlotId, new: impl Fn() -> C) {
        // SAFETY: the lock.
        let owned = unsafe { &mut *self.owned.get() };
        let number = number as usize;
        let chunk = number >> self.shift;
        let chunks = owned.last().map_or(0, |directory| directory.len());
        if chunk >= chunks {
            let old = |at: usize| {
                let chunk = owned.last().and_then(|directory| directory.get(at));
                chunk.map_or(ptr::null_mut(), |chunk| chunk.load(Relaxed))
            };
            let room = (2 * chunks).max(1 << CHUNKS).max(chunk + 1);
            let larger = (0..room).map(|at| AtomicPtr::new(old(at))).collect();
            owned.push(larger);
            let current: *const AtomicPtr<C> = owned[owned.len() - 1].as_ptr();
            self.directory.store(current.cast_mut(), Ordering::Release);
        }
        let at = &owned[owned.len() - 1][chunk];
        if at.load(Relaxed).is_null() {
            let slots: Box<[C]> = (0..1_usize << self.shift).map(|_| new()).collect();
            let slots: *mut C = Box::into_raw(slots).cast();
            at.store(slots.wrapping_sub(chunk << self.shift), Ordering::Release);
        }
    }

    /// Gives the memory of chunks back in which no number is below this one.
    ///
    /// # Safety
    ///
    /// The caller has the lock; nothing there is borrowed, and nobody else can reach it.
    unsafe fn truncate(&self, numbers: usize) {
        // SAFETY: the lock.
        let owned = unsafe { &*self.owned.get() };
        let first = numbers.div_ceil(1 << self.shift);
        for (chunk, at) in owned.last().into_iter().flatten().enumerate().skip(first) {
            // SAFETY: the contract above.
            unsafe { self.unmake(chunk, at) };
        }
    }

    /// # Safety
    ///
    /// As `truncate`, of this chunk.
    unsafe fn unmake(&self, chunk: usize, at: &AtomicPtr<C>) {
        let biased = at.swap(ptr::null_mut(), Relaxed);
        if !biased.is_null() {
            let first = biased.wrapping_add(chunk << self.shift);
            let slots = ptr::slice_from_raw_parts_mut(first, 1 << self.shift);
            // SAFETY: leaked by `make`, with this size.
            drop(unsafe { Box::from_raw(slots) });
        }
    }

    /// Gives all memory back.
    ///
    /// # Safety
    ///
    /// The caller has the lock; nothing is borrowed, and nobody else can reach anything.
    unsafe fn free(&self) {
        self.directory.store(ptr::null_mut(), Relaxed);
        // SAFETY: the lock.
        let owned = std::mem::take(unsafe { &mut *self.owned.get() });
        for (chunk, at) in owned.last().into_iter().flatten().enumerate() {
            // SAFETY: the contract above.
            unsafe { self.unmake(chunk, at) };
        }
    }
}

impl<T> Slab<T> {
    /// For about so many slots; 0: nobody knows.
    pub(super) fn new(expected: usize) -> Self {
        let shift = match expected.checked_ilog2() {
            None => USUAL,
            Some(bits) => bits.saturating_sub(CHUNKS).clamp(FEWEST, LARGEST),
        };
        Slab { slots: Chunks::new(shift), rare: Chunks::new(shift) }
    }

    /// A slot.
    ///
    /// # Safety
    ///
    /// The slot was prepared, as one that an index leads to was; what made the caller know of it
    /// happened after that. It is not freed for as long as it is used.
    #[inline]
    pub(super) unsafe fn slot(&self, slot: SlotId) -> &Slot<T> {
        // SAFETY: the contract of this function.
        unsafe { self.slots.at(slot) }
    }

    /// Makes sure that there is such a slot.
    ///
    /// # Safety
    ///
    /// The caller has the lock.
    pub(super) unsafe fn prepare(&self, slot: SlotId) {
        assert!((slot as usize) < MOST_SLOTS, "a shard has under 2^30 slots");
        // SAFETY: the lock.
        unsafe {
            self.slots.make(slot, || Slot {
                word: AtomicU64::new(0),
                content: UnsafeCell::new(MaybeUninit::uninit()),
            });
        }
    }

    /// The rest of a slot, made now if it is not there.
    ///
    /// # Safety
    ///
    /// The caller has the lock.
    unsafe fn rare(&self, slot: SlotId) -> &Rare {
        let never = || AtomicU64::new(NEVER);
        let new =
            || Rare { ends: never(), until: never(), idle: never(), stamp: AtomicU64::new(0) };
        // SAFETY: the lock, and made just now.
        unsafe {
            self.rare.make(slot, new);
            self.rare.at(slot)
        }
    }

    /// When the entry of a slot expires.
    ///
    /// # Safety
    ///
    /// `slot` is this slot, and full.
    #[inline]
    pub(super) unsafe fn expires(&self, id: SlotId, slot: &Slot<T>) -> Nanos {
        if slot.word.load(Relaxed) & IS_RARE == 0 {
            return NEVER;
        }
        // SAFETY: `fill` made it before anybody could find the slot.
        unsafe { self.rare.at(id) }.ends.load(Relaxed)
    }

    /// Notes that an entry that ends was asked for when the clock was looked at.
    ///
    /// # Safety
    ///
    /// As `expires`.
    pub(super) unsafe fn put_off(&self, id: SlotId, slot: &Slot<T>, look: Look, clock: &Clock) {
        if slot.word.load(Relaxed) & IS_RARE == 0 {
            return;
        }
        // SAFETY: as in `expires`.
        let rare = unsafe { self.rare.at(id) };
        let (until, idle) = (rare.until.load(Relaxed), rare.idle.load(Relaxed));
        if let Some(new) = put_off(until, idle, rare.ends.load(Relaxed), look, clock) {
            tally::add(tally::Kind::Atomic);
            // Of two at once the later end stands.
            rare.ends.fetch_max(new, Relaxed);
        }
    }

    /// When the entry of a slot ends, all of it.
    ///
    /// # Safety
    ///
    /// As `expires`.
    pub(super) unsafe fn life(&self, id: SlotId, slot: &Slot<T>) -> Life {
        if slot.word.load(Relaxed) & IS_RARE == 0 {
            return Life::ENDLESS;
        }
        // SAFETY: as in `expires`.
        let rare = unsafe { self.rare.at(id) };
        let (until, idle) = (rare.until.load(Relaxed), rare.idle.load(Relaxed));
        Life { ends: rare.ends.load(Relaxed), until, idle }
    }

    /// # Safety
    ///
    /// As `expires`.
    pub(super) unsafe fn stamp(&self, id: SlotId, slot: &Slot<T>) -> u64 {
        if slot.word.load(Relaxed) & IS_RARE == 0 {
            return 0;
        }
        // SAFETY: as in `expires`, or `set_stamp` made it.
        unsafe { self.rare.at(id) }.stamp.load(Relaxed)
    }

    /// # Safety
    ///
    /// As `expires`; the caller has the lock, and no reader marks hits meanwhile: one that did so
    /// would forget that there is a stamp.
    pub(super) unsafe fn set_stamp(&self, id: SlotId, slot: &Slot<T>, stamp: u64) {
        if stamp != 0 {
            // SAFETY: the lock.
            unsafe { self.rare(id) }.stamp.store(stamp, Relaxed);
            slot.word.store(slot.word.load(Relaxed) | IS_RARE, Relaxed);
        }
    }

    /// Fills a slot.
    ///
    /// # Safety
    ///
    /// The slot was prepared, is empty, and nobody else can reach it. The caller has the lock.
    #[inline]
    pub(super) unsafe fn fill(&self, slot: SlotId, hash: u64, life: Life, stamp: u64, content: T) {
        let rare = life.ends != NEVER || stamp != 0;
        if rare {
            // SAFETY: the lock.
            let rare = unsafe { self.rare(slot) };
            rare.ends.store(life.ends, Relaxed);
            rare.until.store(life.until, Relaxed);
            rare.idle.store(life.idle, Relaxed);
            rare.stamp.store(stamp, Relaxed);
        }
        // SAFETY: prepared.
        let here = unsafe { self.slot(slot) };
        here.word.store(kept(hash) | if rare { IS_RARE } else { 0 }, Relaxed);
        // SAFETY: nobody else can reach the slot, and there is nothing in it to be dropped.
        unsafe { (*here.content.get()).write(content) };
    }

    /// Takes the content out.
    ///
    /// # Safety
    ///
    /// The slot is full, nobody reads it, and nobody can reach it any more. It is empty afterwards.
    #[inline]
    pub(super) unsafe fn take(&self, slot: SlotId) -> T {
        // SAFETY: the contract above; full slots were prepared.
        unsafe { (*self.slot(slot).content.get()).assume_init_read() }
    }

    /// Gives memory back; slots from this one on may be gone.
    ///
    /// # Safety
    ///
    /// The caller has the lock; those slots are empty, none is borrowed, and nobody can reach any.
    pub(super) unsafe fn truncate(&self, slots: usize) {
        // SAFETY: the contract above.
        unsafe {
            self.slots.truncate(slots);
            self.rare.truncate(slots);
        }
    }

    /// Gives all memory back.
    ///
    /// # Safety
    ///
    /// The caller has the lock; all slots are empty, none is borrowed, and nobody can reach any.
    pub(super) unsafe fn free(&self) {
        // SAFETY: the contract above.
        unsafe {
            self.slots.free();
            self.rare.free();
        }
    }
}

impl<T> Drop for Slab<T> {
    fn drop(&mut self) {
        // SAFETY: the only reference. Contents are dropped before, by the shard; what was forgotten
        // there leaks.
        unsafe { self.free() };
    }
}

impl<T> Slot<T> {
    #[inline]
    pub(super) fn hash(&self) -> u64 {
        kept(self.word.load(Relaxed))
    }

    /// The content.
    ///
    /// # Safety
    ///
    /// The slot is full, and stays so for as long as the reference is used.
    #[inline]
    pub(super) unsafe fn content(&self) -> &T {
        // SAFETY: the contract above; contents are only written while nobody can reach the slot.
        unsafe { (*self.content.get()).assume_init_ref() }
    }

    /// Notes a hit.
    #[inline]
    pub(super) fn mark(&self) {
        let word = self.word.load(Relaxed);
        if word & HITS < HITS {
            tally::add(tally::Kind::Atomic);
            self.word.store(word + 1, Relaxed);
        }
    }

    #[inline]
    pub(super) fn take_hits(&self) -> u8 {
        let word = self.word.load(Relaxed);
        if word & HITS != 0 {
            self.word.store(word & !HITS, Relaxed);
        }
        (word & HITS) as u8
    }

    #[inline]
    pub(super) fn put_back(&self, hits: u8) {
        let word = self.word.load(Relaxed);
        self.word.store(word & !HITS | u64::from(hits), Relaxed);
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    #[test]
    fn every_slot_has_a_place_of_its_own() {
        for expected in [0, 1, 100, 1_000, 1_000_000] {
            let slab: Slab<u32> = Slab::new(expected);
            // SAFETY: one thread; each slot is prepared and filled once, and read while it is full.
            unsafe {
                let life = |id: SlotId| Life {
                    ends: if id % 3 == 0 { u64::from(id) } else { NEVER },
                    ..Life::ENDLESS
                };
                for id in 0..10_000 {
                    slab.prepare(id);
                    slab.fill(id, u64::from(id) << 8, life(id), 0, id);
                }
                for id in 0..10_000 {
                    let slot = slab.slot(id);
                    assert_eq!((slot.hash() >> 8, *slot.content()), (id.into(), id));
                    assert_eq!(slab.life(id, slot), life(id));
                }
                slab.truncate(5_000);
                assert_eq!(*slab.slot(4_999).content(), 4_999);
                slab.prepare(7_000);
                slab.free();
            }
        }
    }
}
