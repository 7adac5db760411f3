//! Least recently used: the entry that was not asked for the longest goes first.
//!
//! The classic (Mattson et al., "Evaluation techniques for storage hierarchies", IBM Systems
//! Journal 1970). True order, so every hit moves its entry, under the exclusive lock. Not for
//! scans: one pass over more entries than fit throws everything out.

use super::list::List;
use super::{Policy, SlotId, Slots};

#[derive(Default)]
pub(in super::super) struct Lru {
    list: List,
}

impl Policy for Lru {
    fn insert(&mut self, slot: SlotId, _: u64, _: &mut impl Slots) {
        self.list.push_front(slot);
    }

    #[inline]
    fn touch(&mut self, slot: SlotId) {
        self.list.move_to_front(slot);
    }

    fn remove(&mut self, slot: SlotId) {
        self.list.unlink(slot);
    }

    fn candidate(&self) -> Option<SlotId> {
        self.list.back()
    }

    fn evict(&mut self, _: &mut impl Slots) -> Option<SlotId> {
        let slot = self.list.back()?;
        self.list.unlink(slot);
        Some(slot)
    }

    fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId) {
        self.list.remap(slots, new);
    }
}

#[cfg(test)]
mod tests {
    use super::super::NoSlots;
    use super::*;

    #[test]
    fn the_least_recently_touched_goes_first() {
        let mut lru = Lru::default();
        for slot in 0..4 {
            lru.insert(slot, 0, &mut NoSlots);
        }
        lru.touch(0);
        lru.touch(2);
        lru.touch(2);
        assert_eq!(lru.list.dump(), [2, 0, 3, 1]);
        lru.remove(3);
        let mut order = Vec::new();
        while let Some(slot) = lru.evict(&mut NoSlots) {
            order.push(slot);
        }
        assert_eq!(order, [1, 0, 2]);
    }
}
