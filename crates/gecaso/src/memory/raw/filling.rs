//! What happens to an array under the lock of its shard: entries come, change and go, while others
//! read.
//!
//! Called by `writing`. A place is written before its tag says that it is full; a change of what
//! others may be reading goes between two versions.

#![allow(unsafe_code)]

use super::super::entry::Stored;
use super::super::lifetimes::Life;
use super::super::policy::SlotId;
use super::array::{Array, Idle, LOST_COUNT, PASSED, joined, lies_inline, lowest, matches, split};
use super::buckets::Cell;
use crate::sync::atomic::{AtomicU64, Ordering, Ordering::Relaxed, fence};
use crate::time::{NEVER, Nanos};

impl<K, V> Array<K, V> {
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
        let (mut bucket, mut from_home) = (self.home(hash), true);
        loop {
            let header = self.header(bucket);
            let tags = header.tags.load(Relaxed);
            let free = matches(tags, 0);
            if free == 0 {
                // Before the entry is there: who looks for it then goes on.
                self.pass(bucket, 1);
                bucket = self.next(bucket, hash, std::mem::take(&mut from_home));
                continue;
            }
            let at = lowest(free);
            let id = joined(bucket, at);
            // Who reads what is written below, and an older tag, sees the version of the removal.
            fence(Ordering::Release);
            self.hashes[id as usize].store(hash, Relaxed);
            self.set_life(id, life);
            self.set_hits(id, 0);
            // SAFETY: `header` has looked at the bucket, and `matches` at as many as there are.
            unsafe { self.buckets.bucket(bucket).store(at, cell) };
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
        // A tag of one kind does not tell that of the other: the entry would not be found again.
        assert!(lies_inline(before) == inline, "who lies inline stays so");
        let version = header.version.load(Relaxed);
        header.version.store(version.wrapping_add(1), Relaxed);
        // Who reads what is written below sees that version, or a later one.
        fence(Ordering::Release);
        // SAFETY: `header` and `split`.
        unsafe { self.buckets.bucket(bucket).store(at, cell) };
        self.set_life(id, life);
        header.version.store(version.wrapping_add(2), Ordering::Release);
        // SAFETY: it was full, and what was in it is in no array any more.
        unsafe { old.assume_init().into_stored(lies_inline(before)) }
    }

    /// Empties a slot; what was in it may still be read. Only under the lock.
    #[inline]
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
        let hash = self.hash(id);
        let (mut passed, mut from_home) = (self.home(hash), true);
        while passed != bucket {
            self.pass(passed, -1);
            passed = self.next(passed, hash, std::mem::take(&mut from_home));
        }
        // SAFETY: as in `replace`.
        unsafe { old.assume_init().into_stored(lies_inline(tag)) }
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
}
