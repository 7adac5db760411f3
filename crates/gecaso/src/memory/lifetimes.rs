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
use crate::time::{Clock, Look, NEVER, Nanos, after};
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

    /// When it ends if it was asked for when the clock was looked at, if that is to be noted. Only
    /// where the end may have to be put off the clock is looked at again, if that look was not
    /// precise.
    #[inline]
    pub(super) fn put_off(self, look: Look, clock: &Clock) -> Option<Nanos> {
        let Life { ends, until, idle } = self;
        if idle == NEVER {
            return None;
        }
        let new = |now: Nanos| until.min(now.saturating_add(idle));
        let is_due = |now| new(now).saturating_sub(ends) > idle >> STEP;
        if !is_due(look.at.saturating_add(look.lag)) {
            return None;
        }
        let now = if look.lag == 0 { look.at } else { clock.now() };
        // What has ended meanwhile does not begin anew: somebody may have seen the end.
        (now < ends && is_due(now)).then(|| new(now))
    }
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

    /// Entries have got other slots, of which there are so many.
    pub(super) fn remap(&mut self, slots: usize, to: impl Fn(SlotId) -> SlotId) {
        self.wheel.remap(slots, to);
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

    fn life(until: Nanos, idle: Nanos, ends: Nanos) -> Life {
        Life { ends, until, idle }
    }
    use crate::time::ManualClock;

    #[test]
    fn an_end_is_put_off_by_the_precise_time_however_old_the_first_look_is() {
        let manual = ManualClock::new();
        let clock = Clock::Manual(manual.clone());
        let lag = 100_000_000;
        for idle in [1_000, 1_000_000, lag, 10 * lag, 1_000 * lag] {
            manual.advance(Duration::from_nanos(idle));
            let now = clock.now();
            for behind in [0, 1, lag / 2, lag].into_iter().filter(|behind| *behind < now) {
                let look = Look { at: now - behind, lag: if behind == 0 { 0 } else { lag } };
                // One that ends a step and a moment before the new end is put off; one that ends a
                // step before it is not worth it.
                let (new, step) = (now + idle, idle >> STEP);
                assert_eq!(life(NEVER, idle, new - step - 1).put_off(look, &clock), Some(new));
                assert_eq!(life(NEVER, idle, new - step).put_off(look, &clock), None);
                assert_eq!(life(new - 1, idle, new - step - 1).put_off(look, &clock), None);
            }
            let look = Look { at: now - 1, lag };
            assert_eq!(
                life(NEVER, idle, now).put_off(look, &clock),
                None,
                "it has ended meanwhile"
            );
        }
        let look = Look { at: 0, lag };
        assert_eq!(life(NEVER, NEVER, 5).put_off(look, &clock), None, "no idle time, no other end");
    }
}
