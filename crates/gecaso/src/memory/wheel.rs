//! Which slots of a shard come due next: a hierarchical timer wheel (Varghese and Lauck, "Hashed
//! and Hierarchical Timing Wheels", SOSP 1987), to the nanosecond.
//!
//! ```text
//!   level 0: 64 buckets of one nanosecond | level 1: 64 of 64 ns | level 2: 64 of 4096 ns | ...
//!
//!   a slot is filed in the lowest level whose span it shares with the wheel's own time; when the
//!   wheel gets to its bucket, it is due, or filed again further down
//! ```
//!
//! Filing and forgetting are a step each, whatever is filed; what comes due is found without
//! looking at what does not. Used by `lifetimes` alone; knows slots and moments, no entry.

use super::policy::SlotId;
use crate::time::Nanos;

/// No slot.
const NIL: SlotId = SlotId::MAX;
/// The bits of a moment that one level tells apart.
const BITS: u32 = 6;
const BUCKETS: usize = 1 << BITS;
/// Enough for all 64 bits.
const LEVELS: usize = (Nanos::BITS as usize).div_ceil(BITS as usize);
/// The bucket of a slot that is not filed.
const NOWHERE: u16 = u16::MAX;

#[derive(Clone, Copy)]
struct Links {
    next: SlotId,
    previous: SlotId,
    bucket: u16,
}

impl Links {
    const NONE: Links = Links { next: NIL, previous: NIL, bucket: NOWHERE };
}

pub(super) struct Wheel {
    /// Nothing that is filed was due before. Moments in the same bucket as this one are filed
    /// further down.
    time: Nanos,
    /// Which buckets of a level hold slots.
    occupied: [u64; LEVELS],
    /// The first slot of each bucket.
    heads: Box<[SlotId]>,
    links: Vec<Links>,
    /// The bucket that the wheel has got to, and has not emptied yet.
    current: Option<usize>,
    filed: usize,
}

impl Wheel {
    pub(super) fn new() -> Self {
        Wheel {
            time: 0,
            occupied: [0; LEVELS],
            heads: vec![NIL; LEVELS * BUCKETS].into_boxed_slice(),
            links: Vec::new(),
            current: None,
            filed: 0,
        }
    }

    /// Slots that are filed.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.filed
    }

    /// Files a slot that is not filed under the moment it comes due at.
    pub(super) fn file(&mut self, slot: SlotId, due: Nanos) {
        let due = due.max(self.time);
        let differs = (self.time ^ due) | (BUCKETS as u64 - 1);
        let level = ((Nanos::BITS - 1 - differs.leading_zeros()) / BITS) as usize;
        let index = (due >> (level as u32 * BITS)) as usize % BUCKETS;
        let bucket = level * BUCKETS + index;
        let at = slot as usize;
        if at >= self.links.len() {
            self.links.resize(at + 1, Links::NONE);
        }
        let next = std::mem::replace(&mut self.heads[bucket], slot);
        self.links[at] = Links { next, previous: NIL, bucket: bucket as u16 };
        if next != NIL {
            self.links[next as usize].previous = slot;
        }
        self.occupied[level] |= 1 << index;
        self.filed += 1;
    }

    /// Takes a slot out, if it is filed.
    pub(super) fn forget(&mut self, slot: SlotId) {
        let Some(links) = self.links.get_mut(slot as usize) else { return };
        let Links { next, previous, bucket } = *links;
        if bucket == NOWHERE {
            return;
        }
        links.bucket = NOWHERE;
        if next != NIL {
            self.links[next as usize].previous = previous;
        }
        match previous {
            NIL => self.heads[usize::from(bucket)] = next,
            previous => self.links[previous as usize].next = next,
        }
        let (level, index) = (usize::from(bucket) / BUCKETS, usize::from(bucket) % BUCKETS);
        if self.heads[usize::from(bucket)] == NIL {
            self.occupied[level] &= !(1 << index);
        }
        self.filed -= 1;
    }

    /// Takes out a slot that is due, by the moment that `due` says now: it may have been put off
    /// since it was filed. Looks at so many slots at most, and counts them down.
    pub(super) fn pop(
        &mut self,
        now: Nanos,
        looks: &mut usize,
        due: impl Fn(SlotId) -> Nanos,
    ) -> Option<SlotId> {
        while *looks > 0 {
            let bucket = match self.current {
                Some(bucket) => bucket,
                None => self.turn(now)?,
            };
            let slot = self.heads[bucket];
            if slot == NIL {
                self.current = None;
                continue;
            }
            *looks -= 1;
            self.forget(slot);
            match due(slot) {
                due if due <= now => return Some(slot),
                due => self.file(slot, due),
            }
        }
        None
    }

    /// Goes on to the next bucket that holds slots, if its time has come.
    fn turn(&mut self, now: Nanos) -> Option<usize> {
        // Lower levels come first: all they hold is within the present bucket of the higher ones.
        let level = self.occupied.iter().position(|&occupied| occupied != 0)?;
        let index = self.occupied[level].trailing_zeros() as usize;
        let shift = level as u32 * BITS;
        // The moment the bucket begins at: the wheel's own time above the level, then the index.
        let above = self.time.checked_shr(shift + BITS).unwrap_or(0);
        let begins = above.checked_shl(shift + BITS).unwrap_or(0) | (index as u64) << shift;
        if begins > now {
            return None;
        }
        self.time = self.time.max(begins);
        self.current = Some(level * BUCKETS + index);
        self.current
    }

    /// Slots have got other numbers, below this many.
    pub(super) fn remap(&mut self, slots: usize, to: impl Fn(SlotId) -> SlotId) {
        let to = |slot| if slot == NIL { NIL } else { to(slot) };
        let filed = self.links.iter().zip(0..).filter(|(links, _)| links.bucket != NOWHERE);
        let mut links = vec![Links::NONE; slots];
        for (&Links { next, previous, bucket }, slot) in filed {
            links[to(slot) as usize] = Links { next: to(next), previous: to(previous), bucket };
        }
        self.links = links;
        self.heads.iter_mut().for_each(|head| *head = to(*head));
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;
    use crate::time::NEVER;
    use proptest::prelude::*;
    use std::collections::BTreeMap;

    /// Everything that is due, in the order it comes out.
    fn drain(wheel: &mut Wheel, now: Nanos, dues: &BTreeMap<SlotId, Nanos>) -> Vec<SlotId> {
        let mut steps = usize::MAX;
        let pop = || wheel.pop(now, &mut steps, |slot| dues[&slot]);
        std::iter::from_fn(pop).collect()
    }

    #[test]
    fn slots_come_due_at_their_nanosecond_and_not_before() {
        let moments = [0, 1, 63, 64, 65, 4_095, 4_096, 1_000_000_007, 1 << 40, 1 << 63, NEVER - 1];
        for due in moments {
            let mut wheel = Wheel::new();
            wheel.file(3, due);
            let dues = BTreeMap::from([(3, due)]);
            if due > 0 {
                assert_eq!(drain(&mut wheel, due - 1, &dues), [], "{due}");
            }
            assert_eq!(drain(&mut wheel, due, &dues), [3], "{due}");
            assert_eq!(wheel.len(), 0);
        }
    }

    #[test]
    fn what_was_put_off_is_filed_again() {
        let mut wheel = Wheel::new();
        wheel.file(0, 1_000);
        let mut dues = BTreeMap::from([(0, 5_000)]);
        assert_eq!(drain(&mut wheel, 4_999, &dues), []);
        dues.insert(0, 90_000);
        assert_eq!(drain(&mut wheel, 89_999, &dues), []);
        assert_eq!(drain(&mut wheel, 90_000, &dues), [0]);
    }

    #[test]
    fn a_look_has_its_price_and_what_is_left_comes_next_time() {
        let mut wheel = Wheel::new();
        let dues: BTreeMap<SlotId, Nanos> = (0..100).map(|slot| (slot, 1_000_000)).collect();
        dues.iter().for_each(|(&slot, &due)| wheel.file(slot, due));
        let mut rounds = 0;
        let mut popped = Vec::new();
        while wheel.len() > 0 {
            let mut looks = 7;
            while let Some(slot) = wheel.pop(2_000_000, &mut looks, |slot| dues[&slot]) {
                popped.push(slot);
            }
            rounds += 1;
        }
        popped.sort_unstable();
        assert_eq!(popped, (0..100).collect::<Vec<_>>());
        assert_eq!(rounds, 100_usize.div_ceil(7), "what is due needs no second look");
    }

    proptest! {
        /// Beside a map that is searched from end to end.
        #[test]
        fn a_wheel_is_a_map_by_moment(steps in proptest::collection::vec(
            (0..12_u32, 0..6_u8, any::<u64>(), 0..50_u32), 1..300,
        )) {
            let (mut wheel, mut now) = (Wheel::new(), 0_u64);
            let mut dues: BTreeMap<SlotId, Nanos> = BTreeMap::new();
            for (slot, step, random, shift) in steps {
                let span = random >> (14 + shift);
                match step {
                    0 => {
                        wheel.forget(slot);
                        dues.remove(&slot);
                    }
                    1 => {
                        let to = |old: SlotId| (old + slot) % 12;
                        wheel.remap(12, to);
                        dues = dues.into_iter().map(|(old, due)| (to(old), due)).collect();
                    }
                    2 => {
                        // Put off without a word to the wheel.
                        if let Some(due) = dues.get_mut(&slot) {
                            *due = due.saturating_add(span);
                        }
                    }
                    3 => {
                        now = now.saturating_add(span);
                        let mut popped = drain(&mut wheel, now, &dues);
                        popped.sort_unstable();
                        let is_due = |due: &Nanos| *due <= now;
                        let wanted: Vec<SlotId> =
                            dues.iter().filter(|(_, due)| is_due(due)).map(|(at, _)| *at).collect();
                        prop_assert_eq!(popped, wanted);
                        dues.retain(|_, due| !is_due(due));
                    }
                    _ => {
                        wheel.forget(slot);
                        wheel.file(slot, now.saturating_add(span));
                        dues.insert(slot, now.saturating_add(span));
                    }
                }
                prop_assert_eq!(wheel.len(), dues.len());
            }
        }
    }
}
