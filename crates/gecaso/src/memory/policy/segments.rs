//! A window before a segmented main part, in the manner of W-TinyLFU (Einziger, Friedman and Manes,
//! "TinyLFU: A Highly Efficient Cache Admission Policy", ACM ToS 2017) or of S3-FIFO (Yang et al.,
//! "FIFO queues are all you need for cache eviction", SOSP 2023): the rule says which.
//!
//! ```text
//!                  hit: stays, or up           hit: another round
//!               ,---------------.---------------------------.
//!               v               |                           v
//!   new -> [ window ] -> [ probation ] -- hit --> [ protected ]
//!               |   judged      |  ^ ___ not hit ___________|
//!               v               v
//!              gone            gone        -> history -> protected, if it comes back in time
//! ```
//!
//! All three are queues: a hit is only counted, and seen when its slot reaches the end of a queue.
//! `adaptive` keeps a shard's slots in it, and `shadows` those of a simulation. By one rule alone
//! it is poor at some workload: which rule, others decide.

use super::history::History;
use super::queues::Queues;
use super::{SlotId, Slots};

const WINDOW: usize = 0;
const PROBATION: usize = 1;
const PROTECTED: usize = 2;

/// What of the main part is protected at most, in percent.
const MOST_PROTECTED: usize = 80;
/// How many slots an insertion takes out of a window that is too large.
const MOVES: usize = 4;
/// So many steps of its queue before a slot is looked at, it is announced: they take about as
/// long as its way from memory.
const AHEAD: u32 = 3;
/// A newcomer that was asked for so often lately is warm.
const WARM: u8 = 6;
/// One in so many refused warm newcomers gets in.
const REFUSED_OF_WARM: u32 = 128;

/// How a slot gets from the window into the main part: one of [`SHAPES`], by its number.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(in super::super) struct Rule(u8);

#[derive(Clone, Copy)]
struct Shape {
    /// The window's share of all slots, in percent.
    window: u8,
    /// Hit in the window, it goes on to the main part; otherwise it takes another round.
    moves_up: bool,
    /// Not hit in the window, it goes, and is protected if it comes back while the history knows
    /// it; otherwise it stays if the sketch says that it is asked for more often than the slot
    /// that would go instead.
    must_return: bool,
}

/// What can be chosen from: recency to frequency by the size of a window that the sketch guards,
/// and two that nothing enters on its first visit, against scans. Found on ten traces and on their
/// parts; `docs/decisions/0010` has what was tried.
const SHAPES: [Shape; 5] = [
    Shape { window: 15, moves_up: false, must_return: false },
    Shape { window: 1, moves_up: false, must_return: false },
    Shape { window: 65, moves_up: true, must_return: false },
    Shape { window: 10, moves_up: true, must_return: true },
    Shape { window: 30, moves_up: true, must_return: true },
];

impl Rule {
    pub(super) const ALL: [Rule; SHAPES.len()] = [Rule(0), Rule(1), Rule(2), Rule(3), Rule(4)];

    /// Where everybody begins: the best for an unknown workload.
    pub(in super::super) const FIRST: Rule = Rule(0);

    /// Its number, for [`numbered`](Self::numbered).
    #[inline]
    pub(in super::super) fn number(self) -> u8 {
        self.0
    }

    #[inline]
    pub(in super::super) fn numbered(number: u8) -> Rule {
        if usize::from(number) < SHAPES.len() { Rule(number) } else { Self::FIRST }
    }
}

impl Shape {
    /// How many of so many slots the window may hold.
    fn window_of(self, slots: usize) -> usize {
        (slots * usize::from(self.window)).div_ceil(100).max(1)
    }
}

/// Slots of keys whose frequency is known.
pub(super) trait Counted: Slots {
    /// How often the key with this hash was asked for lately, about.
    fn frequency(&self, hash: u64) -> u8;
}

pub(super) struct Segments {
    queues: Queues<3>,
    history: History,
    /// The slots that the history is made for; 0: none yet.
    remembered: usize,
    /// Warm newcomers refused so far.
    refused: u32,
    rule: Rule,
    shape: Shape,
    /// With so many slots in order, so many of them may be in the window.
    window: (usize, usize),
}

impl Segments {
    pub(super) fn new(rule: Rule) -> Self {
        let history = History::default();
        let queues = Queues::default();
        let shape = SHAPES[usize::from(rule.0)];
        Segments { queues, history, remembered: 0, refused: 0, rule, shape, window: (0, 1) }
    }

    pub(super) fn rule(&self) -> Rule {
        self.rule
    }

    #[inline]
    pub(super) fn follow(&mut self, rule: Rule) {
        if self.rule != rule {
            self.change(rule);
        }
    }

    #[cold]
    fn change(&mut self, rule: Rule) {
        (self.rule, self.shape) = (rule, SHAPES[usize::from(rule.0)]);
        self.size_window();
    }

    /// Slots in order.
    pub(super) fn len(&self) -> usize {
        self.queues.total()
    }

    /// What the window may hold now: worked out when the number of slots has changed, which in a
    /// full storage is the same before each eviction and after each insertion.
    #[inline]
    fn most_in_window(&mut self) -> usize {
        if self.len() != self.window.0 {
            self.size_window();
        }
        self.window.1
    }

    #[inline(never)]
    fn size_window(&mut self) {
        self.window = (self.len(), self.shape.window_of(self.len()));
    }

    fn most_protected(&mut self) -> usize {
        self.len().saturating_sub(self.most_in_window()) * MOST_PROTECTED / 100
    }

    #[inline]
    pub(super) fn insert(&mut self, slot: SlotId, hash: u64, slots: &mut impl Counted) {
        if self.shape.must_return && self.history.take(hash) {
            self.queues.push(PROTECTED, slot);
            return self.demote(slots);
        }
        self.queues.push(WINDOW, slot);
        if !self.shape.must_return && self.queues.len(WINDOW) > self.most_in_window() {
            self.shrink_window(slots);
        }
    }

    /// While there are free places, or after a change of rule, the window hands on what it has too
    /// much. A little with each insertion: none waits for many moves.
    #[inline(never)] // seldom in a full storage
    fn shrink_window(&mut self, slots: &mut impl Counted) {
        for _ in 0..MOVES {
            if self.queues.len(WINDOW) <= self.most_in_window() {
                return;
            }
            let Some(oldest) = self.queues.oldest(WINDOW) else { return };
            match slots.take_hits(oldest) {
                0 => self.advance(WINDOW, oldest, PROBATION, slots),
                _ => self.keep(oldest, slots),
            }
        }
    }

    /// The end of the window was hit.
    #[inline]
    fn keep(&mut self, slot: SlotId, slots: &mut impl Counted) {
        let to = if self.shape.moves_up { PROBATION } else { WINDOW };
        self.advance(WINDOW, slot, to, slots);
    }

    /// The end of a queue becomes the newest of another one, or of its own.
    #[inline]
    fn advance(&mut self, queue: usize, slot: SlotId, to: usize, slots: &mut impl Counted) {
        self.queues.advance(queue, slot, to);
        self.look_ahead(queue, slots);
    }

    /// The end of a queue goes.
    #[inline]
    fn take(&mut self, queue: usize, slot: SlotId, slots: &mut impl Counted) -> SlotId {
        self.queues.take_oldest(queue, slot);
        self.look_ahead(queue, slots);
        slot
    }

    /// A queue has lost its end: one more of its slots comes near.
    #[inline]
    fn look_ahead(&self, queue: usize, slots: &mut impl Counted) {
        if let Some(soon) = self.queues.ahead(queue, AHEAD) {
            slots.soon(soon);
        }
    }

    pub(super) fn remove(&mut self, slot: SlotId) {
        self.queues.remove(slot);
    }

    pub(super) fn remap(&mut self, slots: usize, new: impl Fn(SlotId) -> SlotId) {
        self.queues.remap(slots, new);
    }

    pub(super) fn candidate(&self) -> Option<SlotId> {
        let [window, probation, protected] = [0, 1, 2].map(|queue| self.queues.peek(queue));
        let window_is_full = self.queues.len(WINDOW) >= self.shape.window_of(self.len());
        let main = probation.or(protected);
        if window_is_full { window.or(main) } else { main.or(window) }
    }

    /// Picks a slot and forgets it. Ends, because each step takes hits away, and nobody can add any
    /// meanwhile.
    #[inline]
    pub(super) fn evict(&mut self, slots: &mut impl Counted) -> Option<SlotId> {
        if self.len() > 2 * self.remembered {
            self.remembered = self.len();
            self.history = History::new(self.remembered);
        }
        let (slot, hash) = self.choose(slots)?;
        self.history.push(hash);
        Some(slot)
    }

    /// Takes out the slot that is to go; with its hash.
    #[inline]
    fn choose(&mut self, slots: &mut impl Counted) -> Option<(SlotId, u64)> {
        while self.queues.len(WINDOW) >= self.most_in_window() {
            let newcomer = self.queues.oldest(WINDOW)?;
            if slots.take_hits(newcomer) > 0 {
                self.keep(newcomer, slots);
                continue;
            }
            let hash = slots.hash(newcomer);
            if !self.shape.must_return
                && let Some((queue, old)) = self.oldest_in_main(slots)
            {
                let old_hash = slots.hash(old);
                if self.admits(slots.frequency(hash), slots.frequency(old_hash)) {
                    self.take(queue, old, slots);
                    self.advance(WINDOW, newcomer, PROBATION, slots);
                    return Some((old, old_hash));
                }
            }
            return Some((self.take(WINDOW, newcomer, slots), hash));
        }
        let (queue, slot) = match self.oldest_in_main(slots) {
            Some(found) => found,
            None => (WINDOW, self.queues.oldest(WINDOW)?),
        };
        Some((self.take(queue, slot, slots), slots.hash(slot)))
    }

    /// Whether a newcomer is asked for more often than the old one that would go for it. Now and
    /// then a warm one gets in although it is not: the sketch may take the old one for another.
    fn admits(&mut self, newcomer: u8, old: u8) -> bool {
        if newcomer > old {
            return true;
        }
        self.refused = self.refused.wrapping_add(u32::from(newcomer >= WARM));
        newcomer >= WARM && self.refused.is_multiple_of(REFUSED_OF_WARM)
    }

    /// The next of the main part that was not hit, and its queue.
    #[inline]
    fn oldest_in_main(&mut self, slots: &mut impl Counted) -> Option<(usize, SlotId)> {
        while let Some(oldest) = self.queues.oldest(PROBATION) {
            if slots.take_hits(oldest) == 0 {
                return Some((PROBATION, oldest));
            }
            self.advance(PROBATION, oldest, PROTECTED, slots);
            self.demote(slots);
        }
        loop {
            let oldest = self.queues.oldest(PROTECTED)?;
            if !self.spare(oldest, slots) {
                return Some((PROTECTED, oldest));
            }
        }
    }

    /// Sends what is too much in the protected part, and was not hit, back to probation.
    #[inline(never)] // only what was hit leads here
    fn demote(&mut self, slots: &mut impl Counted) {
        let most = self.most_protected();
        while self.queues.len(PROTECTED) > most {
            let Some(oldest) = self.queues.oldest(PROTECTED) else { return };
            if !self.spare(oldest, slots) {
                self.advance(PROTECTED, oldest, PROBATION, slots);
            }
        }
    }

    /// Whether the end of the protected part was hit: then it takes another round, for one hit.
    fn spare(&mut self, oldest: SlotId, slots: &mut impl Counted) -> bool {
        let hits = slots.take_hits(oldest);
        if hits > 0 {
            slots.put_back(oldest, hits - 1);
            self.advance(PROTECTED, oldest, PROTECTED, slots);
        }
        hits > 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::cell::RefCell;
    use std::collections::HashMap;

    fn hash(slot: SlotId) -> u64 {
        u64::from(slot).wrapping_mul(0x9E37_79B9_7F4A_7C15)
    }

    impl Segments {
        pub(in super::super) fn bytes(&self) -> usize {
            self.queues.bytes() + self.history.bytes()
        }
    }

    /// Slots whose hash is made of their own number, with hits and frequencies as a test sets them.
    #[derive(Default)]
    struct Fake {
        hits: HashMap<SlotId, u8>,
        frequent: HashMap<u64, u8>,
        soon: RefCell<Vec<SlotId>>,
    }

    impl Slots for Fake {
        fn hash(&self, slot: SlotId) -> u64 {
            hash(slot)
        }

        fn take_hits(&mut self, slot: SlotId) -> u8 {
            self.hits.remove(&slot).unwrap_or(0)
        }

        fn put_back(&mut self, slot: SlotId, hits: u8) {
            self.hits.insert(slot, hits);
        }

        fn soon(&self, slot: SlotId) {
            self.soon.borrow_mut().push(slot);
        }
    }

    impl Counted for Fake {
        fn frequency(&self, hash: u64) -> u8 {
            self.frequent.get(&hash).copied().unwrap_or(0)
        }
    }

    fn full(rule: Rule, slots: &mut Fake) -> Segments {
        let mut segments = Segments::new(rule);
        for slot in 0..10 {
            segments.insert(slot, hash(slot), slots);
        }
        segments
    }

    fn dump(segments: &Segments) -> [Vec<SlotId>; 3] {
        [WINDOW, PROBATION, PROTECTED].map(|queue| segments.queues.dump(queue))
    }

    #[test]
    fn a_newcomer_stays_only_if_it_is_asked_for_more_often() {
        let mut slots = Fake::default();
        let mut segments = full(Rule::ALL[1], &mut slots);
        assert_eq!(dump(&segments), [vec![9], (0..9).rev().collect(), vec![]]);
        assert_eq!(segments.candidate(), Some(9));
        assert_eq!(segments.evict(&mut slots), Some(9), "as rare as 0, which was there before");
        segments.insert(9, hash(9), &mut slots);
        slots.frequent.insert(hash(9), 2);
        slots.frequent.insert(hash(0), 1);
        assert_eq!(segments.evict(&mut slots), Some(0));
        segments.insert(0, hash(0), &mut slots);
        assert_eq!(dump(&segments)[..2], [vec![0], vec![9, 8, 7, 6, 5, 4, 3, 2, 1]]);
    }

    #[test]
    fn now_and_then_a_warm_newcomer_gets_in_although_it_is_refused() {
        let mut segments = Segments::new(Rule::FIRST);
        let refused = (0..REFUSED_OF_WARM).filter(|_| !segments.admits(WARM, 15)).count();
        assert_eq!(refused, REFUSED_OF_WARM as usize - 1);
        assert!((0..1000).all(|_| !segments.admits(WARM - 1, 15)));
    }

    #[test]
    fn a_hit_in_probation_protects_and_the_protected_are_at_most_their_share() {
        let mut slots = Fake::default();
        let mut segments = full(Rule::ALL[1], &mut slots);
        slots.hits = (0..9).map(|slot| (slot, 1)).collect();
        slots.frequent.insert(hash(9), 1);
        // All of probation was hit: it goes up, and the first to come down again is the one to go.
        assert_eq!(segments.evict(&mut slots), Some(0));
        assert!(segments.queues.len(PROTECTED) <= segments.most_protected().max(7));
        assert!(slots.hits.is_empty(), "{:?}", slots.hits);
    }

    #[test]
    fn what_must_return_is_protected_when_it_does() {
        let mut slots = Fake::default();
        let mut segments = full(Rule::ALL[3], &mut slots);
        slots.hits.insert(1, 1);
        assert_eq!(segments.evict(&mut slots), Some(0), "not hit");
        segments.insert(10, hash(10), &mut slots);
        assert_eq!(segments.evict(&mut slots), Some(2), "1 was hit, and is in the main part now");
        segments.insert(0, hash(0), &mut slots);
        assert_eq!(segments.queues.dump(PROTECTED), [0], "it came back");
        assert_eq!(segments.queues.dump(PROBATION), [1]);
    }

    #[test]
    fn what_comes_to_the_end_of_a_queue_is_announced() {
        let mut slots = Fake::default();
        let mut segments = full(Rule::ALL[3], &mut slots);
        let gone = [0, 1, 2].map(|_| segments.evict(&mut slots));
        assert_eq!(gone, [Some(0), Some(1), Some(2)]);
        assert_eq!(slots.soon.take(), [4, 5, 6]);
        let rest: Vec<_> = std::iter::from_fn(|| segments.evict(&mut slots)).collect();
        assert_eq!((rest, slots.soon.take()), ((3..10).collect(), vec![7, 8, 9]));
    }

    #[test]
    fn slots_may_get_other_numbers() {
        let mut slots = Fake::default();
        let mut segments = full(Rule::ALL[1], &mut slots);
        segments.remove(3);
        segments.remap(9, |slot| match slot {
            8 => 4, // where 3 would be
            9 => 8,
            slot => 7 - slot,
        });
        assert_eq!(dump(&segments)[..2], [vec![8], vec![4, 0, 1, 2, 3, 5, 6, 7]]);
    }

    #[test]
    fn every_rule_gives_out_each_slot_once() {
        for rule in Rule::ALL {
            let mut slots = Fake::default();
            let mut segments = full(rule, &mut slots);
            slots.hits = (0..10).map(|slot| (slot, 3)).collect();
            segments.remove(4);
            let mut gone: Vec<_> = std::iter::from_fn(|| segments.evict(&mut slots)).collect();
            gone.sort_unstable();
            assert_eq!(gone, [0, 1, 2, 3, 5, 6, 7, 8, 9], "{rule:?}");
            assert_eq!(segments.len(), 0);
            assert_eq!(Rule::numbered(rule.number()), rule);
        }
    }
}
