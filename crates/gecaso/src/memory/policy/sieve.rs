//! SIEVE (Zhang et al., "SIEVE is Simpler than LRU", NSDI 2024): a hit only marks its entry; a hand
//! moves from the oldest to the newest and evicts the first entry without a mark.
//!
//! Hits need no exclusive lock. Not for workloads that loop over a little more than fits, and no
//! true order of use: take [`Lru`](super::Lru) where the order matters.

use super::list::List;
use super::{Policy, SlotId};

#[derive(Default)]
pub(in super::super) struct Sieve {
    list: List,
    /// Where the hand goes on; none: from the oldest.
    hand: Option<SlotId>,
}

impl Policy for Sieve {
    fn insert(&mut self, slot: SlotId) {
        self.list.push_front(slot);
    }

    fn touch(&mut self, _: SlotId) {}

    fn remove(&mut self, slot: SlotId) {
        if self.hand == Some(slot) {
            self.hand = self.list.newer_than(slot);
        }
        self.list.unlink(slot);
    }

    fn candidate(&self) -> Option<SlotId> {
        self.hand.or(self.list.back())
    }

    fn evict(&mut self, mut take_mark: impl FnMut(SlotId) -> bool) -> Option<SlotId> {
        // Every step clears a mark, and no hit can set one meanwhile: at most one round.
        let mut slot = self.candidate()?;
        while take_mark(slot) {
            slot = self.list.newer_than(slot).or(self.list.back())?;
        }
        self.hand = Some(slot);
        self.remove(slot);
        Some(slot)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    fn evict(sieve: &mut Sieve, marked: &mut HashSet<SlotId>) -> Option<SlotId> {
        sieve.evict(|slot| marked.remove(&slot))
    }

    #[test]
    fn the_hand_spares_what_was_hit_once_and_goes_on_from_where_it_stood() {
        let mut sieve = Sieve::default();
        for slot in 0..5 {
            sieve.insert(slot);
        }
        let mut marked = HashSet::from([0, 1, 3]);
        assert_eq!(evict(&mut sieve, &mut marked), Some(2));
        sieve.insert(5);
        assert_eq!(evict(&mut sieve, &mut marked), Some(4), "3 was marked, 5 is newer than 4");
        assert_eq!(evict(&mut sieve, &mut marked), Some(5), "the hand does not start over");
        assert_eq!(evict(&mut sieve, &mut marked), Some(0), "round the end");
        sieve.remove(1);
        assert_eq!(evict(&mut sieve, &mut marked), Some(3), "the hand's own slot was removed");
        assert_eq!(evict(&mut sieve, &mut marked), None);
    }

    #[test]
    fn all_marked_ends_after_one_round() {
        let mut sieve = Sieve::default();
        for slot in 0..3 {
            sieve.insert(slot);
        }
        let mut marked = HashSet::from([0, 1, 2]);
        assert_eq!(evict(&mut sieve, &mut marked), Some(0));
        assert!(marked.is_empty());
    }
}
