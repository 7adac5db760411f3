//! Shards: an array of entries and their order, read by many while whoever has the lock writes.
//!
//! Called by `table`; `writing` has what happens under the lock. What is removed is handed out, to
//! be dropped where no lock is held; if somebody may read it at this moment, it waits in *limbo*.

#![allow(unsafe_code)]

use super::super::entry::{Entry, Stored};
use super::super::lifetimes::Lifetimes;
use super::super::policy::{AnyPolicy, SlotId};
use super::super::removal::RemovalCause;
use super::super::weights::Weights;
use super::array::{Array, First, Found, Torn};
use super::barrier::Barrier;
use super::lanes::{Hold, Inside, Lanes};
use super::writing::Writing;
use crate::sync::atomic::{AtomicBool, AtomicPtr, Ordering};
use crate::sync::{self, Mutex};
use std::ptr;

/// The shards of a table, and who reads them.
pub(in super::super) struct Part<K, V> {
    pub(super) lanes: Lanes,
    /// The array of each shard, apart from what every change writes. Null: no entries.
    arrays: Box<[Head<K, V>]>,
    shards: Box<[Shard<K, V>]>,
    /// Shards but one: a power of two.
    mask: usize,
    pub(super) about: About,
}

/// What is known of all shards of a table.
pub(in super::super) struct About {
    /// Whether anybody can tell when an entry is taken out.
    pub(in super::super) drops: bool,
    /// About how many entries each shard will have; 0: nobody knows.
    pub(in super::super) expected: usize,
    /// Whether entries are weighed.
    pub(in super::super) weighs: bool,
}

/// Where the array of a shard is.
pub(super) type Head<K, V> = AtomicPtr<Array<K, V>>;

/// A shard on cache lines of its own.
#[repr(align(128))]
pub(super) struct Shard<K, V> {
    /// Somebody waits for who holds an entry.
    pub(super) waits: AtomicBool,
    pub(super) core: Mutex<Core<K, V>>,
}

pub(super) struct Core<K, V> {
    pub(super) policy: AnyPolicy,
    /// Made for the first entry that ends.
    pub(super) lifetimes: Option<Box<Lifetimes>>,
    /// `None`: every entry weighs 1.
    pub(super) weights: Option<Box<Weights>>,
    /// By slot, when it came in (or, in LRU order, was last used), in a storage that several
    /// functions share. Empty until then.
    pub(super) stamps: Vec<u64>,
    /// Entries.
    pub(super) len: usize,
    /// With fewer it gives memory back.
    pub(super) fewest: usize,
    /// What nobody can find any more, but may still read, and why it has left.
    pub(super) limbo: Vec<(Stored<K, V>, RemovalCause)>,
    /// Arrays that somebody may still read, each where it always was.
    #[allow(clippy::vec_box)] // moved out of its box, it would move under its readers
    pub(super) replaced: Vec<Box<Array<K, V>>>,
    /// Entries put in so far.
    pub(super) puts: u64,
    /// How often entries have got other places.
    pub(super) moves: u64,
    /// Hits under the lock.
    pub(super) hits: u64,
    pub(super) evictions: u64,
    pub(super) expirations: u64,
}

// SAFETY: entries are sent in, shared between readers, and sent out again.
unsafe impl<K: Send + Sync, V: Send + Sync> Send for Part<K, V> {}
// SAFETY: as above.
unsafe impl<K: Send + Sync, V: Send + Sync> Sync for Part<K, V> {}

impl<K, V> Part<K, V> {
    pub(in super::super) fn new(
        shards: usize,
        about: About,
        policy: impl Fn() -> AnyPolicy,
    ) -> Self {
        assert!(shards.is_power_of_two());
        let barrier = if about.drops { Barrier::Own } else { Barrier::of_writers() };
        let core = || Core {
            policy: policy(),
            lifetimes: None,
            weights: about.weighs.then(Box::default),
            stamps: Vec::new(),
            len: 0,
            fewest: 0,
            limbo: Vec::new(),
            replaced: Vec::new(),
            puts: 0,
            moves: 0,
            hits: 0,
            evictions: 0,
            expirations: 0,
        };
        let shard = |_| Shard { waits: AtomicBool::new(false), core: Mutex::new(core()) };
        Part {
            lanes: Lanes::new(barrier),
            arrays: (0..shards).map(|_| AtomicPtr::new(ptr::null_mut())).collect(),
            shards: (0..shards).map(shard).collect(),
            mask: shards - 1,
            about,
        }
    }

    pub(in super::super) fn shards(&self) -> usize {
        self.shards.len()
    }

    /// The shard of a hash: by bits that neither homes nor tags use.
    #[inline]
    pub(in super::super) fn home(&self, hash: u64) -> usize {
        (hash >> 32) as usize & self.mask
    }

    #[inline]
    fn head(&self, hash: u64) -> &Head<K, V> {
        // SAFETY: there is at least one shard, and `home` is below their count, a power of two.
        unsafe { self.arrays.get_unchecked(self.home(hash)) }
    }

    /// Reads the shard of a hash without a lock; not if this thread must not (see `Lanes::enter`).
    #[inline]
    pub(in super::super) fn read(&self, hash: u64) -> Option<Reading<'_, K, V>> {
        Some(Reading { inside: self.lanes.enter()?, head: self.head(hash) })
    }

    /// The same; not if this thread has not read anything yet.
    #[inline]
    pub(in super::super) fn read_at_once(&self, hash: u64) -> Option<Reading<'_, K, V>> {
        Some(Reading { inside: self.lanes.enter_known()?, head: self.head(hash) })
    }

    /// Counts a hit that was not counted while reading.
    pub(in super::super) fn count_hit(&self) {
        self.lanes.count_hit();
    }

    /// Hits without a lock so far.
    pub(in super::super) fn hits(&self) -> u64 {
        self.lanes.hits()
    }

    /// In a child process: nobody else reads.
    #[cfg(not(shuttle))]
    pub(in super::super) fn after_fork(&self) {
        self.lanes.after_fork();
    }

    pub(in super::super) fn lock(&self, shard: usize) -> Writing<'_, K, V> {
        let (head, shard) = (&self.arrays[shard], &self.shards[shard]);
        Writing { core: sync::lock(&shard.core), head, shard, part: self }
    }

    pub(in super::super) fn try_lock(&self, shard: usize) -> Option<Writing<'_, K, V>> {
        let (head, shard) = (&self.arrays[shard], &self.shards[shard]);
        Some(Writing { core: sync::try_lock(&shard.core)?, head, shard, part: self })
    }

    /// Whether something waits in a shard for those who held it. Asked by who has just let go.
    #[inline]
    pub(in super::super) fn waits(&self, shard: usize) -> bool {
        self.shards[shard].waits.load(Ordering::SeqCst)
    }
}

/// The array of a shard.
///
/// # Safety
///
/// The caller is inside, or has the lock, for as long as it uses the array.
#[inline]
pub(super) unsafe fn array<K, V>(head: &Head<K, V>) -> Option<&Array<K, V>> {
    // SAFETY: null or from `Box::into_raw`; freed when it was replaced and all who were inside then
    // have left, by whoever has the lock.
    unsafe { head.load(Ordering::Acquire).as_ref() }
}

/// A shard that is read without a lock.
pub(in super::super) struct Reading<'a, K, V> {
    inside: Inside<'a>,
    head: &'a Head<K, V>,
}

impl<'a, K, V> Reading<'a, K, V> {
    /// This was a hit.
    #[inline]
    pub(in super::super) fn count_hit(self) {
        self.inside.leave_with_hit();
    }

    /// See `Array::first`.
    #[inline(always)] // the hit path
    pub(in super::super) fn first(
        &self,
        hash: u64,
        inline: bool,
        may_end: bool,
        is: impl FnOnce(&Entry<K, V>) -> bool,
    ) -> First<'_, K, V> {
        // SAFETY: inside for as long as this is borrowed.
        match unsafe { array(self.head) } {
            // SAFETY: as above.
            Some(array) => unsafe { array.first(hash, inline, may_end, is) },
            None => First::Absent,
        }
    }

    /// Notes a hit of the entry that was in a slot a moment ago: a hint, it may be another's now.
    #[inline]
    pub(in super::super) fn mark(&self, slot: SlotId) {
        // SAFETY: inside for as long as this is borrowed.
        let array = unsafe { array(self.head) };
        if let Some(array) = array.filter(|array| (slot as usize) < array.places()) {
            array.mark(slot);
        }
    }

    /// See `Array::lacks`.
    #[inline]
    pub(in super::super) fn lacks(&self, hash: u64, inline: bool) -> bool {
        // SAFETY: inside for as long as this is borrowed.
        unsafe { array(self.head) }.is_none_or(|array| array.lacks(hash, inline))
    }

    /// The entry with this hash, and lying `inline` or not, that `is` the wanted one. `whole`: with
    /// all of the hash that is kept. Fails if somebody writes there all the time.
    pub(in super::super) fn find(
        &self,
        hash: u64,
        inline: bool,
        whole: bool,
        is: impl FnMut(&Found<'_, K, V>) -> bool,
    ) -> Result<Option<Found<'_, K, V>>, Torn> {
        // SAFETY: inside for as long as this is borrowed.
        match unsafe { array(self.head) } {
            // SAFETY: as above.
            Some(array) => unsafe { array.find(hash, inline, whole, is) },
            None => Ok(None),
        }
    }

    /// Holds an entry that was found here, or in the same shard under the lock, beyond this; not if
    /// it lies inline, or too much is held already.
    pub(in super::super) fn hold(&self, found: &Found<'_, K, V>) -> Option<Held<'a, K, V>> {
        let entry = found.shared()?;
        let hold = self.inside.hold(entry.addr())?;
        Some(Held { entry, _hold: hold })
    }
}

/// An entry that is read beyond the stay inside.
pub(in super::super) struct Held<'a, K, V> {
    entry: *const Entry<K, V>,
    _hold: Hold<'a>,
}

impl<K, V> std::ops::Deref for Held<'_, K, V> {
    type Target = Entry<K, V>;

    fn deref(&self) -> &Entry<K, V> {
        // SAFETY: it could be found when it was held, by somebody inside; it is dropped when nobody
        // is inside and nobody holds it.
        unsafe { &*self.entry }
    }
}

impl<K, V> Drop for Part<K, V> {
    fn drop(&mut self) {
        for head in &self.arrays {
            let array = head.load(Ordering::Relaxed);
            if !array.is_null() {
                // SAFETY: as in `array`; nobody else is left.
                let array = unsafe { Box::from_raw(array) };
                let full: Vec<_> = array.slots_of(0..array.count()).collect();
                full.into_iter().for_each(|id| drop(array.remove(id)));
            }
        }
    }
}
