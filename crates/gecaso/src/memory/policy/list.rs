//! `N` doubly linked lists over one set of slot numbers: a slot is in one of them or in none.
//!
//! Links are indices, nothing is allocated per move. Used by the policies alone.

use super::SlotId;

/// No slot. The bits above are used for the number of a list.
const NIL: SlotId = SlotId::MAX >> LIST_BITS;
const LIST_BITS: u32 = 2;

#[derive(Clone, Copy)]
struct Links {
    /// Towards the front.
    newer: SlotId,
    /// Towards the back; in the highest bits, which list the slot is in. A line of memory of its
    /// own for that would make every move slower.
    older: SlotId,
}

impl Links {
    const NONE: Links = Links { newer: NIL, older: NIL };

    #[inline]
    fn new(list: usize, newer: SlotId, older: SlotId) -> Self {
        Links { newer, older: older | (list as SlotId) << (SlotId::BITS - LIST_BITS) }
    }

    #[inline]
    fn older(self) -> SlotId {
        self.older & NIL
    }

    #[inline]
    fn list(self) -> usize {
        (self.older >> (SlotId::BITS - LIST_BITS)) as usize
    }
}

/// Slots in `N` orders; the front is the newest.
pub(super) struct Lists<const N: usize> {
    links: Vec<Links>,
    ends: [Ends; N],
}

#[derive(Clone, Copy)]
struct Ends {
    front: SlotId,
    back: SlotId,
    len: usize,
}

impl<const N: usize> Default for Lists<N> {
    fn default() -> Self {
        let empty = Ends { front: NIL, back: NIL, len: 0 };
        Lists { links: Vec::new(), ends: [empty; N] }
    }
}

impl<const N: usize> Lists<N> {
    #[inline]
    pub(super) fn push_front(&mut self, list: usize, slot: SlotId) {
        const { assert!(N <= 1 << LIST_BITS) }
        self.hold(slot);
        let ends = &mut self.ends[list];
        self.links[slot as usize] = Links::new(list, NIL, ends.front);
        match ends.front {
            NIL => ends.back = slot,
            front => self.links[front as usize].newer = slot,
        }
        ends.front = slot;
        ends.len += 1;
    }

    /// Takes out a slot that is in one of the lists.
    #[inline]
    pub(super) fn unlink(&mut self, slot: SlotId) {
        let links = self.links[slot as usize];
        let (list, newer, older) = (links.list(), links.newer, links.older());
        let ends = &mut self.ends[list];
        match newer {
            NIL => ends.front = older,
            newer => {
                let newer = &mut self.links[newer as usize];
                *newer = Links::new(list, newer.newer, older);
            }
        }
        match older {
            NIL => ends.back = newer,
            older => self.links[older as usize].newer = newer,
        }
        ends.len -= 1;
    }

    #[inline]
    pub(super) fn move_to_front(&mut self, list: usize, slot: SlotId) {
        self.unlink(slot);
        self.push_front(list, slot);
    }

    /// Makes sure that there are links for a slot.
    #[inline]
    fn hold(&mut self, slot: SlotId) {
        let at = slot as usize;
        if at >= self.links.len() {
            assert!(slot < NIL, "a shard has under 2^30 slots");
            self.links.resize(at + 1, Links::NONE);
        }
    }

    /// Slots have got other numbers, below this many.
    pub(super) fn remap(&mut self, slots: usize, to: impl Fn(SlotId) -> SlotId) {
        let to = |slot| if slot == NIL { NIL } else { to(slot) };
        let mut links = vec![Links::NONE; slots];
        for (list, ends) in self.ends.iter_mut().enumerate() {
            let mut next = ends.front;
            while next != NIL {
                let old = self.links[next as usize];
                links[to(next) as usize] = Links::new(list, to(old.newer), to(old.older()));
                next = old.older();
            }
            (ends.front, ends.back) = (to(ends.front), to(ends.back));
        }
        self.links = links;
    }

    #[inline]
    pub(super) fn front(&self, list: usize) -> Option<SlotId> {
        Some(self.ends[list].front).filter(|&slot| slot != NIL)
    }

    #[inline]
    pub(super) fn back(&self, list: usize) -> Option<SlotId> {
        Some(self.ends[list].back).filter(|&slot| slot != NIL)
    }

    #[inline]
    pub(super) fn len(&self, list: usize) -> usize {
        self.ends[list].len
    }

    /// Slots in all lists together.
    #[inline]
    pub(super) fn total(&self) -> usize {
        self.ends.iter().map(|ends| ends.len).sum()
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    impl<const N: usize> Lists<N> {
        /// The slots, newest first.
        pub(crate) fn dump(&self, list: usize) -> Vec<SlotId> {
            let mut slots = Vec::new();
            let mut next = self.front(list);
            while let Some(slot) = next {
                slots.push(slot);
                next = Some(self.links[slot as usize].older()).filter(|&slot| slot != NIL);
            }
            let mut back = self.back(list);
            for &slot in slots.iter().rev() {
                assert_eq!(back, Some(slot), "both directions agree");
                back = Some(self.links[slot as usize].newer).filter(|&slot| slot != NIL);
            }
            assert_eq!(slots.len(), self.len(list));
            slots
        }
    }

    #[test]
    fn pushes_and_unlinks_anywhere() {
        let mut list = Lists::<1>::default();
        assert_eq!(list.dump(0), []);
        for slot in [0, 1, 2, 3] {
            list.push_front(0, slot);
        }
        assert_eq!(list.dump(0), [3, 2, 1, 0]);
        list.unlink(0);
        list.unlink(3);
        assert_eq!(list.dump(0), [2, 1]);
        list.push_front(0, 0);
        list.unlink(1);
        list.unlink(0);
        list.unlink(2);
        assert_eq!(list.dump(0), []);
        list.push_front(0, 3);
        assert_eq!((list.dump(0), list.back(0)), (vec![3], Some(3)));
    }

    #[test]
    fn a_slot_moves_between_lists() {
        let mut lists = Lists::<3>::default();
        for slot in 0..4 {
            lists.push_front(0, slot);
        }
        lists.move_to_front(2, 1);
        lists.move_to_front(2, 3);
        lists.move_to_front(1, 1);
        lists.move_to_front(0, 0);
        assert_eq!([0, 1, 2].map(|list| lists.dump(list)), [vec![0, 2], vec![1], vec![3]]);
        lists.unlink(2);
        assert_eq!((lists.total(), lists.len(0)), (3, 1));
    }
}
