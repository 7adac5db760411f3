//! `N` queues over one set of slot numbers: a slot is in one of them or in none.
//!
//! The numbers lie one after the other in memory, so that a step touches the ends of queues, which
//! are in the processor's caches, and no neighbours somewhere else. What is taken out of the middle
//! leaves a stale number behind. Used by `segments` alone; knows no rule.

use super::SlotId;

/// The upper bits of an element and the lower bits of a state: which of a slot's elements is meant.
const GENERATION_BITS: u32 = 6;
const GENERATION: u8 = (1 << GENERATION_BITS) - 1;
const SLOT_BITS: u32 = SlotId::BITS - GENERATION_BITS;
const SLOT: SlotId = SlotId::MAX >> GENERATION_BITS;

/// In no queue.
const OUT: u8 = !GENERATION;

/// Stale elements that are never worth a compaction.
const FEWEST_STALE: usize = if cfg!(test) { 4 } else { 64 };
/// One comes when there are more than live ones, and than one for so many states.
const STATES_PER_STALE: usize = 8;

/// Slots in `N` orders.
pub(super) struct Queues<const N: usize> {
    /// For each slot, in which queue it is, and the generation of its element there. A generation
    /// comes again after 64 pushes of a slot, and a stale element may look like the slot's own
    /// then: it is taken for that, too early, and the slot's own is stale from then on.
    states: Vec<u8>,
    pool: Pool,
    queues: [Queue; N],
    /// Slots in all queues together.
    total: usize,
}

/// Elements in a block. With the link, it is four cache lines.
const BLOCK: u32 = 63;

#[derive(Clone, Copy)]
struct Block {
    elements: [u32; BLOCK as usize],
    /// The next one of its queue, if it is not the last, or of those that are free.
    next: u32,
}

/// No block.
const NIL: u32 = u32::MAX;

/// The blocks of all queues: one may grow by what another one gives up.
struct Pool {
    blocks: Vec<Block>,
    free: u32,
}

impl Pool {
    fn take(&mut self) -> u32 {
        if self.free != NIL {
            let block = self.free;
            self.free = self.blocks[block as usize].next;
            return block;
        }
        let count = self.blocks.len();
        if count == self.blocks.capacity() {
            self.blocks.reserve_exact(count / 8 + 1);
        }
        self.blocks.push(Block { elements: [0; BLOCK as usize], next: NIL });
        count as u32
    }

    fn give_back(&mut self, block: u32) {
        self.blocks[block as usize].next = self.free;
        self.free = block;
    }
}

/// Elements, oldest first: slots with generations.
struct Queue {
    /// The blocks with the oldest and with the newest; one may be both.
    first: u32,
    last: u32,
    /// Where in the first block the oldest is, and where in the last one the newest ends.
    start: u32,
    end: u32,
    /// Elements, stale ones too.
    filled: u32,
    /// Slots that are in this queue. Each has an element here that has its generation.
    live: u32,
}

impl Queue {
    /// Without blocks.
    const NONE: Queue =
        Queue { first: NIL, last: NIL, start: BLOCK, end: BLOCK, filled: 0, live: 0 };

    /// The oldest, of which there is one.
    #[inline]
    fn oldest(&self, pool: &Pool) -> u32 {
        pool.blocks[self.first as usize].elements[self.start as usize]
    }

    /// What comes so many places after it; fewer than a block has.
    #[inline]
    fn ahead(&self, pool: &Pool, places: u32) -> Option<u32> {
        if places >= self.filled {
            return None;
        }
        let (first, at) = (&pool.blocks[self.first as usize], self.start + places);
        Some(match first.elements.get(at as usize) {
            Some(&element) => element,
            None => pool.blocks[first.next as usize].elements[(at - BLOCK) as usize],
        })
    }

    #[inline]
    fn push(&mut self, pool: &mut Pool, element: u32) {
        if self.end == BLOCK {
            self.lengthen(pool);
        }
        pool.blocks[self.last as usize].elements[self.end as usize] = element;
        self.end += 1;
        self.filled += 1;
    }

    #[cold]
    #[inline(never)]
    fn lengthen(&mut self, pool: &mut Pool) {
        let block = pool.take();
        match self.filled {
            0 => (self.first, self.start) = (block, 0),
            _ => pool.blocks[self.last as usize].next = block,
        }
        (self.last, self.end) = (block, 0);
    }

    /// Forgets the oldest, of which there is one.
    #[inline]
    fn drop_oldest(&mut self, pool: &mut Pool) {
        self.start += 1;
        self.filled -= 1;
        if self.start == BLOCK {
            self.shorten(pool);
        }
    }

    #[cold]
    #[inline(never)]
    fn shorten(&mut self, pool: &mut Pool) {
        let next = pool.blocks[self.first as usize].next;
        pool.give_back(self.first);
        match self.filled {
            0 => *self = Queue { live: self.live, ..Queue::NONE },
            _ => (self.first, self.start) = (next, 0),
        }
    }

    fn elements(&self, pool: &Pool) -> impl Iterator<Item = u32> {
        let (mut block, mut at) = (self.first, self.start);
        (0..self.filled).map(move |_| {
            if at == BLOCK {
                (block, at) = (pool.blocks[block as usize].next, 0);
            }
            at += 1;
            pool.blocks[block as usize].elements[at as usize - 1]
        })
    }
}

#[inline]
fn slot_of(element: u32) -> SlotId {
    element & SLOT
}

impl<const N: usize> Default for Queues<N> {
    fn default() -> Self {
        const { assert!(N <= (OUT >> GENERATION_BITS) as usize) }
        let pool = Pool { blocks: Vec::new(), free: NIL };
        Queues { states: Vec::new(), pool, queues: [const { Queue::NONE }; N], total: 0 }
    }
}

impl<const N: usize> Queues<N> {
    /// A slot that is in no queue becomes the newest of this one.
    #[inline]
    pub(super) fn push(&mut self, queue: usize, slot: SlotId) {
        let at = slot as usize;
        if at >= self.states.len() {
            self.hold(slot);
        }
        let generation = self.states[at].wrapping_add(1) & GENERATION;
        self.states[at] = (queue as u8) << GENERATION_BITS | generation;
        let queue = &mut self.queues[queue];
        queue.push(&mut self.pool, slot | u32::from(generation) << SLOT_BITS);
        queue.live += 1;
        self.total += 1;
    }

    /// Makes sure that there is a state for a slot.
    #[cold]
    #[inline(never)]
    fn hold(&mut self, slot: SlotId) {
        assert!(slot <= SLOT, "a shard has at most 2^26 slots");
        self.states.resize(slot as usize + 1, OUT);
    }

    /// Whether an element of this queue stands for its slot.
    #[inline]
    fn is_live(&self, queue: usize, element: u32) -> bool {
        let state = (queue as u8) << GENERATION_BITS | (element >> SLOT_BITS) as u8;
        self.states[slot_of(element) as usize] == state
    }

    /// The oldest slot of a queue.
    #[inline]
    pub(super) fn oldest(&mut self, queue: usize) -> Option<SlotId> {
        let ends = &self.queues[queue];
        // As many elements as slots: none is stale, and no state needs to be read.
        if ends.filled != ends.live {
            self.drop_stale(queue);
        }
        let ends = &self.queues[queue];
        (ends.filled > 0).then(|| slot_of(ends.oldest(&self.pool)))
    }

    /// Forgets what is stale at the end of a queue.
    #[inline(never)]
    fn drop_stale(&mut self, queue: usize) {
        while self.queues[queue].filled > 0 {
            let element = self.queues[queue].oldest(&self.pool);
            if self.is_live(queue, element) {
                return;
            }
            self.queues[queue].drop_oldest(&mut self.pool);
        }
    }

    /// The same, where nothing can be forgotten.
    pub(super) fn peek(&self, queue: usize) -> Option<SlotId> {
        let mut elements = self.queues[queue].elements(&self.pool);
        elements.find(|&element| self.is_live(queue, element)).map(slot_of)
    }

    /// What comes so many places after the oldest, few; it may be stale.
    #[inline]
    pub(super) fn ahead(&self, queue: usize, places: u32) -> Option<SlotId> {
        self.queues[queue].ahead(&self.pool, places).map(slot_of)
    }

    /// Takes out the oldest slot of a queue, as `oldest` has just named it.
    #[inline]
    pub(super) fn take_oldest(&mut self, queue: usize, slot: SlotId) {
        debug_assert_eq!(self.oldest(queue), Some(slot));
        self.states[slot as usize] |= OUT;
        self.queues[queue].drop_oldest(&mut self.pool);
        self.queues[queue].live -= 1;
        self.total -= 1;
    }

    /// The same, and makes it the newest of another one, or of its own.
    #[inline]
    pub(super) fn advance(&mut self, queue: usize, slot: SlotId, to: usize) {
        self.take_oldest(queue, slot);
        self.push(to, slot);
    }

    /// Takes out a slot, wherever it is; which queue it was in.
    #[inline]
    pub(super) fn remove(&mut self, slot: SlotId) -> Option<usize> {
        let queue = self.forget(slot)?;
        if self.stale() > self.most_stale() {
            self.remap(self.states.len(), |slot| slot);
        }
        Some(queue)
    }

    /// The same, but what is stale stays.
    #[inline]
    fn forget(&mut self, slot: SlotId) -> Option<usize> {
        let state = self.states.get_mut(slot as usize)?;
        let queue = usize::from(*state >> GENERATION_BITS);
        self.queues.get_mut(queue)?.live -= 1;
        self.total -= 1;
        *state |= OUT;
        Some(queue)
    }

    /// Every slot has got another number, below `slots`: keeps the orders, and nothing stale.
    pub(super) fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId) {
        let mut next = Self { states: vec![OUT; slots], ..Self::default() };
        for (at, queue) in self.queues.iter().enumerate() {
            for element in queue.elements(&self.pool) {
                let state = &mut self.states[slot_of(element) as usize];
                if *state == (at as u8) << GENERATION_BITS | (element >> SLOT_BITS) as u8 {
                    *state |= OUT; // another element that looks like this one is stale
                    next.push(at, new(slot_of(element)));
                }
            }
        }
        *self = next;
    }

    #[inline]
    pub(super) fn len(&self, queue: usize) -> usize {
        self.queues[queue].live as usize
    }

    /// Slots in all queues together.
    #[inline]
    pub(super) fn total(&self) -> usize {
        self.total
    }

    fn stale(&self) -> usize {
        self.queues.iter().map(|queue| (queue.filled - queue.live) as usize).sum()
    }

    /// Compaction looks at every element and state: it waits until that is little for each slot
    /// that left something stale.
    fn most_stale(&self) -> usize {
        self.total().max(self.states.len() / STATES_PER_STALE) + FEWEST_STALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::VecDeque;

    impl<const N: usize> Queues<N> {
        /// The slots of a queue, newest first.
        pub(in super::super) fn dump(&self, queue: usize) -> Vec<SlotId> {
            let elements = self.queues[queue].elements(&self.pool);
            let mut slots: Vec<_> =
                elements.filter(|&element| self.is_live(queue, element)).map(slot_of).collect();
            slots.reverse();
            assert_eq!(slots.len(), self.len(queue));
            slots
        }

        pub(in super::super) fn bytes(&self) -> usize {
            self.states.capacity() + self.pool.blocks.capacity() * size_of::<Block>()
        }

        fn take(&mut self, queue: usize) -> Option<SlotId> {
            let slot = self.oldest(queue)?;
            self.take_oldest(queue, slot);
            Some(slot)
        }
    }

    #[test]
    fn a_stale_element_whose_generation_comes_again_is_taken_once() {
        let mut queues = Queues::<2>::default();
        queues.push(0, 1);
        queues.push(0, 2);
        queues.forget(1);
        for _ in 0..GENERATION {
            queues.push(1, 1);
            queues.forget(1);
        }
        queues.push(0, 1);
        assert_eq!((queues.take(0), queues.total()), (Some(1), 1), "too early");
        assert_eq!((queues.take(0), queues.take(0), queues.total()), (Some(2), None, 0));
    }

    const SLOTS: SlotId = 200;

    #[derive(Clone, Debug)]
    enum Step {
        Push(usize, SlotId),
        Take(usize),
        Advance(usize, usize),
        Remove(SlotId),
        /// Rotates the numbers.
        Remap(SlotId),
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            60 => (0..3usize, 0..SLOTS).prop_map(|(queue, slot)| Step::Push(queue, slot)),
            8 => (0..3usize).prop_map(Step::Take),
            8 => (0..3usize, 0..3usize).prop_map(|(queue, to)| Step::Advance(queue, to)),
            60 => (0..SLOTS).prop_map(Step::Remove),
            1 => (0..SLOTS).prop_map(Step::Remap),
        ]
    }

    proptest! {
        // Too short for a generation to come again.
        #[test]
        fn queues_are_lists_from_which_slots_are_struck(
            steps in proptest::collection::vec(step(), 1..1000)
        ) {
            let mut queues = Queues::<3>::default();
            let mut model: [VecDeque<SlotId>; 3] = Default::default();
            let mut most = 0;
            for step in steps {
                match step {
                    Step::Push(queue, slot) => {
                        if !model.iter().any(|queue| queue.contains(&slot)) {
                            queues.push(queue, slot);
                            model[queue].push_back(slot);
                        }
                    }
                    Step::Take(queue) => {
                        prop_assert_eq!(queues.take(queue), model[queue].pop_front());
                    }
                    Step::Advance(queue, to) => {
                        if let Some(slot) = model[queue].pop_front() {
                            prop_assert_eq!(queues.oldest(queue), Some(slot));
                            queues.advance(queue, slot, to);
                            model[to].push_back(slot);
                        }
                    }
                    Step::Remove(slot) => {
                        let queue = model.iter().position(|queue| queue.contains(&slot));
                        prop_assert_eq!(queues.remove(slot), queue);
                        model.iter_mut().for_each(|queue| queue.retain(|&other| other != slot));
                    }
                    Step::Remap(by) => {
                        let new = |slot| (slot + by) % SLOTS;
                        queues.remap(SLOTS as usize, new);
                        model.iter_mut().flatten().for_each(|slot| *slot = new(*slot));
                        prop_assert_eq!((queues.stale(), queues.states.len()), (0, SLOTS as usize));
                    }
                }
                for (at, model) in model.iter().enumerate() {
                    prop_assert_eq!(queues.peek(at), model.front().copied());
                    prop_assert_eq!(queues.len(at), model.len());
                }
                prop_assert!(queues.stale() <= queues.most_stale());
                most = most.max(queues.total() + queues.stale());
                prop_assert!(queues.pool.blocks.len() <= most / BLOCK as usize + 2 * 3);
            }
            for (at, model) in model.iter().enumerate() {
                prop_assert_eq!(queues.dump(at), model.iter().rev().copied().collect::<Vec<_>>());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(32))]

        /// Few slots, ends that are seldom looked at, and no compaction: many stale elements look
        /// live.
        #[test]
        fn no_slot_is_lost_or_counted_twice_when_generations_come_again(
            steps in proptest::collection::vec((0..500u16, 0..3usize, 0..4 as SlotId), 6000)
        ) {
            let mut queues = Queues::<3>::default();
            let mut model: [Option<usize>; 4] = [None; 4];
            let held = |model: &[Option<usize>], queue| {
                model.iter().filter(|&&held| held == Some(queue)).count()
            };
            for (step, queue, slot) in steps {
                match (step, model[slot as usize]) {
                    (0, _) => {
                        match queues.take(queue) {
                            Some(slot) => prop_assert_eq!(model[slot as usize].take(), Some(queue)),
                            None => prop_assert_eq!(held(&model, queue), 0),
                        }
                    }
                    (_, None) => {
                        queues.push(queue, slot);
                        model[slot as usize] = Some(queue);
                    }
                    (_, was) => {
                        prop_assert_eq!(queues.forget(slot), was);
                        model[slot as usize] = None;
                    }
                }
                let lens = [0, 1, 2].map(|queue| held(&model, queue));
                prop_assert_eq!([0, 1, 2].map(|queue| queues.len(queue)), lens);
            }
            queues.remap(4, |slot| slot);
            for queue in 0..3 {
                prop_assert_eq!(queues.dump(queue).len(), held(&model, queue));
            }
        }
    }
}
