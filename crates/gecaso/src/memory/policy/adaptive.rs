//! W-TinyLFU or S3-FIFO, whichever fits (see [`segments`](super::segments)): one shard's slots, by
//! the rule that its storage's [`shadows`](super::shadows) found best. What `MemoryStorage` uses.
//!
//! Hits need no exclusive lock: they are counted in the slot, and the sketch learns of them when
//! the slot's turn comes. No true order of use: take [`Lru`](super::Lru) where the order matters.

use super::segments::{Counted, Rule, Segments};
use super::sketch::Sketch;
use super::{FILLING, Policy, SlotId, Slots};

pub(in super::super) struct Adaptive {
    segments: Segments,
    sketch: Sketch,
    /// The slots that the sketch is made for; 0: nothing had to go yet, and there is none.
    counted: usize,
    /// Shards of the storage: each has its part of what a storage needs at least.
    parts: usize,
    /// How many slots are to be expected, if the storage belongs to one function.
    expected: usize,
}

impl Adaptive {
    /// For one of so many shards of a storage.
    pub(in super::super) fn new(capacity: usize, parts: usize) -> Self {
        let segments = Segments::new(Rule::FIRST);
        let expected = capacity / parts;
        Adaptive { segments, sketch: Sketch::default(), counted: 0, parts, expected }
    }

    /// Counting begins while the shard fills: what is there when the first must go should have been
    /// counted, and a storage that never fills needs no sketch.
    #[inline]
    fn size_sketch(&mut self, keys: usize) {
        if keys > 2 * self.counted {
            self.counted = keys;
            self.sketch = Sketch::new(keys, self.parts);
        }
    }

    pub(super) fn clear(&mut self) {
        let rule = self.segments.rule();
        *self = Self::new(self.expected * self.parts, self.parts);
        self.follow(rule);
    }

    #[inline]
    pub(super) fn follow(&mut self, rule: Rule) {
        self.segments.follow(rule);
    }
}

impl Policy for Adaptive {
    #[inline]
    fn insert(&mut self, slot: SlotId, hash: u64, slots: &mut impl Slots) {
        if self.segments.len() >= self.expected / FILLING {
            self.size_sketch(self.expected);
        }
        self.sketch.add(hash, 1);
        self.segments.insert(slot, hash, &mut Folding { slots, sketch: &mut self.sketch });
    }

    fn touch(&mut self, _: SlotId) {}

    #[inline]
    fn remove(&mut self, slot: SlotId) {
        self.segments.remove(slot);
    }

    fn candidate(&self) -> Option<SlotId> {
        self.segments.candidate()
    }

    #[inline]
    fn evict(&mut self, slots: &mut impl Slots) -> Option<SlotId> {
        self.size_sketch(self.segments.len());
        self.segments.evict(&mut Folding { slots, sketch: &mut self.sketch })
    }

    fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId) {
        self.segments.remap(slots, new);
    }
}

/// A shard's slots; hits that are taken go into the sketch.
struct Folding<'a, S> {
    slots: &'a mut S,
    sketch: &'a mut Sketch,
}

impl<S: Slots> Slots for Folding<'_, S> {
    #[inline]
    fn hash(&self, slot: SlotId) -> u64 {
        self.slots.hash(slot)
    }

    #[inline]
    fn take_hits(&mut self, slot: SlotId) -> u8 {
        let hits = self.slots.take_hits(slot);
        if hits > 0 {
            self.sketch.add(self.slots.hash(slot), hits);
        }
        hits
    }

    #[inline]
    fn put_back(&mut self, slot: SlotId, hits: u8) {
        self.slots.put_back(slot, hits);
    }

    #[inline]
    fn soon(&self, slot: SlotId) {
        self.slots.soon(slot);
    }
}

impl<S: Slots> Counted for Folding<'_, S> {
    #[inline]
    fn frequency(&self, hash: u64) -> u8 {
        self.sketch.count(hash)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Unhit;

    impl Slots for Unhit {
        fn hash(&self, slot: SlotId) -> u64 {
            u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15)
        }

        fn take_hits(&mut self, _: SlotId) -> u8 {
            0
        }

        fn put_back(&mut self, _: SlotId, _: u8) {}
    }

    #[test]
    fn an_entry_costs_nine_bytes() {
        const FULL: usize = 125_000;
        for rule in Rule::ALL {
            let mut adaptive = Adaptive::new(FULL, 1);
            adaptive.follow(rule);
            let mut free: Vec<_> = (0..FULL as SlotId).rev().collect();
            for _ in 0..3 * FULL {
                let slot = free.pop().or_else(|| adaptive.evict(&mut Unhit)).expect("it is full");
                adaptive.insert(slot, Unhit.hash(slot), &mut Unhit);
            }
            let bytes = adaptive.segments.bytes() + adaptive.sketch.bytes();
            assert!(bytes <= 9 * FULL, "{bytes} bytes by {rule:?}");
        }
    }
}
