//! When the entries of one shard end: those that ever do, in the order they will.
//!
//! ```text
//!   ends = the earlier of   until   the end of its time to live
//!                           idle    since it was last asked for, in steps of a 128th
//! ```
//!
//! Made by `shard` for the first entry that ends, so that functions without lifetimes have none of
//! it. A hit may put an end off without a lock; the wheel learns of that when the old end has come.
//! Reads no clock but for that.

use super::policy::SlotId;
use super::wheel::Wheel;
use crate::time::{Clock, LAG, NEVER, Nanos, after};
use std::time::Duration;

/// When an entry ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Life {
    /// As things stand.
    pub(crate) ends: Nanos,
    /// However often it is asked for.
    pub(super) until: Nanos,
    /// How long it stays without being asked for; `NEVER`: that does not matter.
    pub(super) idle: Nanos,
}

/// A hit puts the end off if that gains at least so much of the idle time: a hot entry is written
/// to now and then, and not by each hit.
const STEP: u32 = 7; // a 128th

impl Life {
    /// For ever.
    pub(crate) const ENDLESS: Life = Life { ends: NEVER, until: NEVER, idle: NEVER };

    /// From now on.
    pub(crate) fn new(now: Nanos, ttl: Option<Duration>, tti: Option<Duration>) -> Self {
        let until = ttl.map_or(NEVER, |ttl| after(now, ttl));
        let idle = tti.map_or(NEVER, |tti| after(0, tti));
        Life { ends: until.min(now.saturating_add(idle)), until, idle }
    }
}

/// The new end of an entry that ended at `ends` and was asked for now, if it is to be noted.
/// `until` and `idle` as in [`Life`]; `about` is what [`Clock::before`] has told. Only where the
/// end may have to be put off is it asked for more.
#[inline]
pub(super) fn put_off(
    until: Nanos,
    idle: Nanos,
    ends: Nanos,
    about: Nanos,
    clock: &Clock,
) -> Option<Nanos> {
    if idle == NEVER {
        return None;
    }
    let new = |now: Nanos| until.min(now.saturating_add(idle));
    let is_due = |now| new(now).saturating_sub(ends) > idle >> STEP;
    if !is_due(about.saturating_add(LAG)) {
        return None;
    }
    let now = clock.now();
    is_due(now).then(|| new(now))
}

pub(super) struct Lifetimes {
    wheel: Wheel,
}

impl Lifetimes {
    pub(super) fn new() -> Self {
        Lifetimes { wheel: Wheel::new() }
    }

    /// A slot has got an entry that ends.
    pub(super) fn begin(&mut self, slot: SlotId, ends: Nanos) {
        self.wheel.file(slot, ends);
    }

    /// A slot has lost its entry.
    pub(super) fn end(&mut self, slot: SlotId) {
        self.wheel.forget(slot);
    }

    /// Takes out a slot whose entry has ended; see `Wheel::pop`.
    pub(super) fn pop(
        &mut self,
        now: Nanos,
        looks: &mut usize,
        ends: impl Fn(SlotId) -> Nanos,
    ) -> Option<SlotId> {
        self.wheel.pop(now, looks, ends)
    }

    /// The entry of a slot that is filed has got another slot.
    pub(super) fn renumber(&mut self, from: SlotId, to: SlotId) {
        self.wheel.renumber(from, to);
    }

    /// No slot has a number from this one on any more: gives their memory back.
    pub(super) fn truncate(&mut self, slots: usize) {
        self.wheel.truncate(slots);
    }

    /// Entries that end.
    #[cfg(all(test, shuttle))]
    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::ManualClock;

    #[test]
    fn an_end_is_put_off_by_the_precise_time_however_old_the_first_look_is() {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        for idle in [1_000, 1_000_000, LAG, 10 * LAG, 1_000 * LAG] {
            let now = clock.now() + idle / 2;
            manual.advance(Duration::from_nanos(idle / 2));
            for behind in [0, 1, LAG / 2, LAG] {
                let about = now.saturating_sub(behind);
                // One that ended a step and a moment before the new end is put off; one that ended
                // a step before it is not worth it.
                let (new, step) = (now + idle, idle >> STEP);
                assert_eq!(put_off(NEVER, idle, new - step - 1, about, &clock), Some(new));
                assert_eq!(put_off(NEVER, idle, new - step, about, &clock), None);
                assert_eq!(put_off(new - 1, idle, new - step - 1, about, &clock), None);
            }
        }
        assert_eq!(put_off(NEVER, NEVER, 5, 0, &clock), None, "no idle time, no other end");
    }
}
