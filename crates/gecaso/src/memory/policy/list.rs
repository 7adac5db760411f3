//! A doubly linked list of slot numbers: an exact order in which any slot can move.
//!
//! Links are indices, nothing is allocated per move. Used by `lru` alone.

use super::SlotId;

/// No slot.
const NIL: SlotId = SlotId::MAX;

#[derive(Clone, Copy)]
struct Links {
    /// Towards the front.
    newer: SlotId,
    /// Towards the back.
    older: SlotId,
}

/// Slots in an order; the front is the newest.
pub(super) struct List {
    links: Vec<Links>,
    front: SlotId,
    back: SlotId,
}

impl Default for List {
    fn default() -> Self {
        List { links: Vec::new(), front: NIL, back: NIL }
    }
}

impl List {
    #[inline]
    pub(super) fn push_front(&mut self, slot: SlotId) {
        let front = self.front;
        self.hold(slot);
        self.join(slot, front);
        self.join(NIL, slot);
    }

    /// Takes out a slot that is in the list.
    #[inline]
    pub(super) fn unlink(&mut self, slot: SlotId) {
        let Links { newer, older } = self.links[slot as usize];
        self.join(newer, older);
    }

    /// Moves a slot that is in the list.
    #[inline]
    pub(super) fn move_to_front(&mut self, slot: SlotId) {
        if self.front != slot {
            let front = self.front;
            self.unlink(slot);
            self.join(slot, front);
            self.join(NIL, slot);
        }
    }

    /// Every slot has got another number, below `slots`.
    pub(super) fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId) {
        let mut list = List::default();
        list.links.reserve_exact(slots);
        let mut next = self.back;
        while next != NIL {
            list.push_front(new(next));
            next = self.links[next as usize].newer;
        }
        *self = list;
    }

    /// Makes two slots neighbours; beyond the ends is `NIL`.
    #[inline]
    fn join(&mut self, newer: SlotId, older: SlotId) {
        match newer {
            NIL => self.front = older,
            newer => self.links[newer as usize].older = older,
        }
        match older {
            NIL => self.back = newer,
            older => self.links[older as usize].newer = newer,
        }
    }

    /// Makes sure that there are links for a slot.
    #[inline]
    fn hold(&mut self, slot: SlotId) {
        let at = slot as usize;
        if at >= self.links.len() {
            assert!(slot < NIL, "a shard has under 2^32 slots");
            self.links.resize(at + 1, Links { newer: NIL, older: NIL });
        }
    }

    #[cfg(test)]
    fn front(&self) -> Option<SlotId> {
        Some(self.front).filter(|&slot| slot != NIL)
    }

    #[inline]
    pub(super) fn back(&self) -> Option<SlotId> {
        Some(self.back).filter(|&slot| slot != NIL)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl List {
        /// The slots, newest first.
        pub(crate) fn dump(&self) -> Vec<SlotId> {
            let mut slots = Vec::new();
            let mut next = self.front();
            while let Some(slot) = next {
                slots.push(slot);
                next = Some(self.links[slot as usize].older).filter(|&slot| slot != NIL);
            }
            let mut back = self.back();
            for &slot in slots.iter().rev() {
                assert_eq!(back, Some(slot), "both directions agree");
                back = Some(self.links[slot as usize].newer).filter(|&slot| slot != NIL);
            }
            slots
        }
    }

    #[test]
    fn pushes_and_unlinks_anywhere() {
        let mut list = List::default();
        assert_eq!(list.dump(), []);
        for slot in [0, 1, 2, 3] {
            list.push_front(slot);
        }
        assert_eq!(list.dump(), [3, 2, 1, 0]);
        list.unlink(0);
        list.unlink(3);
        assert_eq!(list.dump(), [2, 1]);
        list.push_front(0);
        list.unlink(1);
        list.unlink(0);
        list.unlink(2);
        assert_eq!(list.dump(), []);
        list.push_front(3);
        assert_eq!((list.dump(), list.back()), (vec![3], Some(3)));
    }

    #[test]
    fn all_slots_get_other_numbers_at_once() {
        let mut list = List::default();
        for slot in [70, 3, 200, 0] {
            list.push_front(slot);
        }
        list.remap(4, |slot| match slot {
            70 => 0,
            3 => 3,
            200 => 1,
            _ => 2,
        });
        assert_eq!((list.dump(), list.links.len()), (vec![2, 1, 3, 0], 4));
    }
}
