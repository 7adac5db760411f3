//! Shards: an index, slots and their order, read by many while whoever has the lock writes.
//!
//! Called by `table`; `writing` has what happens under the lock. What is removed is handed out, to
//! be dropped where no lock is held; if somebody reads it at this moment, it waits in *limbo*.

#![allow(unsafe_code)]

use super::super::lifetimes::Lifetimes;
use super::super::policy::{AnyPolicy, SlotId};
use super::super::removal::RemovalCause;
use super::super::weights::Weights;
use super::barrier::Barrier;
use super::index::Index;
use super::lanes::{Hold, Inside, Lanes};
use super::slab::{Slab, Slot, kept};
use super::writing::Writing;
use crate::sync::atomic::{AtomicBool, AtomicPtr, AtomicU64, Ordering};
use crate::sync::{self, Mutex};
use crate::time::{Clock, Look, Nanos};
use std::ptr;

/// The shards of a table, and who reads them.
pub(in super::super) struct Part<T> {
    pub(super) lanes: Lanes,
    shards: Box<[Shard<T>]>,
    pub(super) about: About<T>,
}

/// What is known of all shards of a table.
pub(in super::super) struct About<T> {
    /// Whether anybody can tell when a content is dropped.
    pub(in super::super) drops: bool,
    /// About how many entries each shard will have; 0: nobody knows.
    pub(in super::super) expected: usize,
    /// Whether entries are weighed.
    pub(in super::super) weighs: bool,
    /// Makes another content that stands for the same entry. Runs no foreign code.
    pub(in super::super) copy: fn(&T) -> T,
}

/// What readers look at, and the rest behind a lock; on cache lines of their own.
#[repr(align(128))]
pub(super) struct Shard<T> {
    /// Null: no entries.
    pub(super) index: AtomicPtr<Index>,
    pub(super) slab: Slab<T>,
    /// Entries put in so far: tells a call whether anything came in since it looked.
    pub(super) puts: AtomicU64,
    /// Somebody waits for who holds an entry.
    pub(super) waits: AtomicBool,
    pub(super) core: Mutex<Core>,
}

pub(super) struct Core {
    pub(super) policy: AnyPolicy,
    /// Made for the first entry that ends.
    pub(super) lifetimes: Option<Box<Lifetimes>>,
    /// `None`: every entry weighs 1.
    pub(super) weights: Option<Box<Weights>>,
    /// Entries.
    pub(super) len: usize,
    /// Empty slots.
    pub(super) free: Vec<SlotId>,
    /// Slots from here on were never used.
    pub(super) next: SlotId,
    /// Full slots that nobody can find any more, but may still read, and why their entries have
    /// left; `None`: they have not, another slot stands for them.
    pub(super) limbo: Vec<(SlotId, Option<RemovalCause>)>,
    /// Indexes that somebody may still read, each where it always was.
    #[allow(clippy::vec_box)] // moved out of its box, it would move under its readers
    pub(super) replaced: Vec<Box<Index>>,
    /// How often entries have got other places.
    pub(super) moves: u64,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
}

impl<T> Part<T> {
    pub(in super::super) fn new(
        shards: usize,
        about: About<T>,
        policy: impl Fn() -> AnyPolicy,
    ) -> Self {
        assert!(shards.is_power_of_two());
        let barrier = if about.drops { Barrier::Own } else { Barrier::of_writers() };
        let core = || Core {
            policy: policy(),
            lifetimes: None,
            weights: about.weighs.then(Box::default),
            len: 0,
            free: Vec::new(),
            next: 0,
            limbo: Vec::new(),
            replaced: Vec::new(),
            moves: 0,
            evictions: 0,
            expirations: 0,
        };
        let shard = |_| Shard {
            index: AtomicPtr::new(ptr::null_mut()),
            slab: Slab::new(about.expected),
            puts: AtomicU64::new(0),
            waits: AtomicBool::new(false),
            core: Mutex::new(core()),
        };
        Part { lanes: Lanes::new(barrier), shards: (0..shards).map(shard).collect(), about }
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

    pub(in super::super) fn try_lock(&self, shard: usize) -> Option<Writing<'_, T>> {
        let shard = &self.shards[shard];
        Some(Writing { core: sync::try_lock(&shard.core)?, shard, part: self })
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
    pub(super) unsafe fn index(&self) -> Option<&Index> {
        // SAFETY: null or from `Box::into_raw`; freed when it was replaced and all who were inside
        // then have left, by whoever has the lock.
        unsafe { self.index.load(Ordering::Acquire).as_ref() }
    }

    /// # Safety
    ///
    /// As `index`, for as long as what is found is used.
    #[inline]
    pub(super) unsafe fn find(
        &self,
        hash: u64,
        mut is: impl FnMut(&T) -> bool,
    ) -> Option<Found<'_, T>> {
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
    pub(super) shard: &'r Shard<T>,
    pub(super) id: SlotId,
    pub(super) slot: &'r Slot<T>,
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

    /// Notes that an entry that ends was asked for when the clock was looked at.
    pub(in super::super) fn put_off(&self, look: Look, clock: &Clock) {
        // SAFETY: as this type says.
        unsafe { self.shard.slab.put_off(self.id, self.slot, look, clock) }
    }

    #[inline]
    pub(in super::super) fn hash(&self) -> u64 {
        self.slot.hash()
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
        full.extend(core.limbo.drain(..).map(|(slot, _)| slot));
        // SAFETY: full, and nobody else is left to read them.
        let contents: Vec<T> = full.iter().map(|&id| unsafe { self.slab.take(id) }).collect();
        drop(contents);
    }
}
