//! From a hash to the slots that may have it: a table that many read while one writes.
//!
//! ```text
//!   bucket, 32 bytes   | tag 0 .. tag 5, -, passed | slot 0 | .. | slot 5 |
//! ```
//!
//! A hash has a home bucket; an entry that finds it full lies in the next that is not, and is
//! counted in each bucket that it passed. (Buckets of tags as in Google's and Facebook's tables:
//! Bronson and Shi, "Open-sourcing F14", 2019.) Nothing ever moves: an entry that is there all the
//! time is found, whatever else comes and goes meanwhile. To grow is to make another index.
//!
//! Used by `shard`, which lets one thread write at a time. Knows no entry.

#![allow(unsafe_code)]

use super::super::policy::SlotId;
use crate::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::ops::Range;

/// Places in a bucket.
const PLACES: usize = 6;
/// Entries for each bucket, on average, at most. Beyond it too many are not at home.
const MOST: usize = 5;
/// Where in the tags the count of those that passed is.
const PASSED: u32 = 56;
/// Of so many it is not known any more how many they are.
const LOST_COUNT: u64 = 255;
const EACH: u64 = 0x0000_0101_0101_0101;

#[repr(align(32))]
#[derive(Default)]
struct Bucket {
    tags: AtomicU64,
    slots: [AtomicU32; PLACES],
}

/// Where an entry is in the index.
#[derive(Clone, Copy)]
pub(super) struct Place {
    bucket: usize,
    at: usize,
}

#[derive(Default)]
pub(super) struct Index {
    buckets: Box<[Bucket]>,
}

/// The tag of a hash: never 0, which says that a place is free.
#[inline]
fn tag(hash: u64) -> u64 {
    hash >> 57 | 0x80
}

/// The highest bit of each byte of `tags` that is `tag`; now and then of one above it that is not.
#[inline]
fn matches(tags: u64, tag: u64) -> u64 {
    let differ = tags ^ (tag * EACH);
    differ.wrapping_sub(EACH) & !differ & (EACH << 7)
}

impl Index {
    /// With room for so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let buckets = entries.div_ceil(MOST);
        Index { buckets: (0..buckets).map(|_| Bucket::default()).collect() }
    }

    /// How many entries there is room for.
    pub(super) fn room(&self) -> usize {
        self.buckets.len() * MOST
    }

    /// The home of a hash: scales its lower half to the number of buckets.
    #[inline]
    fn home(&self, hash: u64) -> usize {
        ((u64::from(hash as u32) * self.buckets.len() as u64) >> 32) as usize
    }

    /// What `pick` makes of the slots that may have this hash, the first that it makes something
    /// of.
    #[inline]
    pub(super) fn find<R>(
        &self,
        hash: u64,
        mut pick: impl FnMut(SlotId) -> Option<R>,
    ) -> Option<R> {
        self.search(hash, |slot, _| pick(slot))
    }

    /// Where a slot is.
    pub(super) fn place(&self, hash: u64, wanted: SlotId) -> Option<Place> {
        self.search(hash, |slot, place| (slot == wanted).then_some(place))
    }

    /// Every slot that may have this hash.
    pub(super) fn each(&self, hash: u64, mut each: impl FnMut(SlotId)) {
        self.search(hash, |slot, _| {
            each(slot);
            None::<()>
        });
    }

    #[inline]
    fn search<R>(&self, hash: u64, mut pick: impl FnMut(SlotId, Place) -> Option<R>) -> Option<R> {
        let tag = tag(hash);
        let mut bucket = self.home(hash);
        for _ in 0..self.buckets.len() {
            // SAFETY: there are buckets, or this loop ends before. `home` and `next` give numbers
            // below their count.
            let here = unsafe { self.buckets.get_unchecked(bucket) };
            // Acquire: a tag is set after its slot, which is filled before.
            let tags = here.tags.load(Ordering::Acquire);
            let mut found = matches(tags, tag);
            while found != 0 {
                let at = found.trailing_zeros() as usize / 8;
                // Acquire: another entry may have come into this place since.
                // SAFETY: `matches` looks at as many tags as there are places.
                let slot = unsafe { here.slots.get_unchecked(at) }.load(Ordering::Acquire);
                if let Some(picked) = pick(slot, Place { bucket, at }) {
                    return Some(picked);
                }
                found &= found - 1;
            }
            if tags >> PASSED == 0 {
                return None;
            }
            bucket = self.next(bucket);
        }
        None
    }

    #[inline]
    fn next(&self, bucket: usize) -> usize {
        if bucket + 1 < self.buckets.len() { bucket + 1 } else { 0 }
    }

    /// Puts a slot in. There is room.
    pub(super) fn insert(&self, hash: u64, slot: SlotId) {
        let mut bucket = self.home(hash);
        loop {
            let here = &self.buckets[bucket];
            let tags = here.tags.load(Ordering::Relaxed);
            let free = matches(tags, 0);
            if free == 0 {
                // Before the entry is there: who looks for it then goes on.
                self.pass(bucket, 1);
                bucket = self.next(bucket);
                continue;
            }
            let at = free.trailing_zeros() / 8;
            here.slots[at as usize].store(slot, Ordering::Release);
            here.tags.store(tags | tag(hash) << (8 * at), Ordering::Release);
            return;
        }
    }

    /// Exchanges the slot of an entry, which is there all the time.
    pub(super) fn replace(&self, place: Place, slot: SlotId) {
        self.buckets[place.bucket].slots[place.at].store(slot, Ordering::Release);
    }

    pub(super) fn remove(&self, hash: u64, place: Place) {
        let here = &self.buckets[place.bucket].tags;
        let tags = here.load(Ordering::Relaxed) & !(0xFF << (8 * place.at));
        here.store(tags, Ordering::Release);
        let mut bucket = self.home(hash);
        while bucket != place.bucket {
            self.pass(bucket, -1);
            bucket = self.next(bucket);
        }
    }

    /// Counts one entry more or less that lies behind this bucket.
    fn pass(&self, bucket: usize, by: i64) {
        let tags = &self.buckets[bucket].tags;
        let before = tags.load(Ordering::Relaxed);
        if before >> PASSED < LOST_COUNT {
            let step = (by as u64) << PASSED;
            tags.store(before.wrapping_add(step), Ordering::Release);
        }
    }

    pub(super) fn buckets(&self) -> usize {
        self.buckets.len()
    }

    /// Every slot in a few buckets.
    pub(super) fn slots_of(&self, buckets: Range<usize>) -> impl Iterator<Item = SlotId> {
        let buckets = self.buckets.get(buckets.start..buckets.end.min(self.buckets.len()));
        buckets.into_iter().flatten().flat_map(|bucket| {
            let tags = bucket.tags.load(Ordering::Relaxed);
            let full = (0..PLACES).filter(move |at| tags >> (8 * at) & 0xFF != 0);
            full.map(|at| bucket.slots[at].load(Ordering::Relaxed))
        })
    }

    /// Every slot.
    pub(super) fn slots(&self) -> impl Iterator<Item = SlotId> {
        self.slots_of(0..self.buckets.len())
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn hash(n: u64) -> u64 {
        (n + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(29).wrapping_mul(0xD6E8_FEB8_6659)
    }

    fn find(index: &Index, n: u64) -> Option<SlotId> {
        index.find(hash(n), |slot| (u64::from(slot) == n).then_some(slot))
    }

    #[test]
    fn what_is_in_is_found_and_nothing_else_however_much_comes_and_goes() {
        let (index, mut next) = (Index::new(500), 0..);
        let mut there = std::collections::VecDeque::new();
        for round in 0..20_000 {
            if there.len() < index.room() {
                let n: u64 = next.next().unwrap();
                index.insert(hash(n), n as SlotId);
                there.push_back(n);
            }
            if there.len() > 400 + round % 100 {
                let gone = there.pop_front().unwrap();
                index.remove(hash(gone), index.place(hash(gone), gone as SlotId).unwrap());
                assert_eq!(find(&index, gone), None);
            }
            let oldest = there[0];
            assert_eq!(find(&index, oldest), Some(oldest as SlotId));
        }
        assert!(there.iter().all(|&n| find(&index, n).is_some()));
        assert_eq!(index.slots().count(), there.len());
    }

    #[test]
    fn entries_that_all_have_one_hash_are_told_apart() {
        let index = Index::new(100);
        (0..100).for_each(|slot| index.insert(7, slot));
        let mut seen = Vec::new();
        index.each(7, |slot| seen.push(slot));
        seen.sort_unstable();
        assert_eq!(seen, (0..100).collect::<Vec<_>>());
        for slot in 0..100 {
            index.remove(7, index.place(7, slot).unwrap());
        }
        assert_eq!(index.slots().count(), 0);
    }
}
