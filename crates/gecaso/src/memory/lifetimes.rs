//! When the entries of one shard end: those that ever do, in the order they will.
//!
//! ```text
//!   ends = the earlier of   until   the end of its time to live
//!                           idle    since it was last asked for, in steps of a 128th
//! ```
//!
//! Made by `shard` for the first entry that ends, so that functions without lifetimes have none of
//! it. A hit may put an end off without a lock; the wheel learns of that when the old end has come.
//! Reads no clock.

use super::policy::SlotId;
use super::wheel::Wheel;
use crate::time::{NEVER, Nanos, after};
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

    /// When it ends if it was asked for now, if that is to be noted.
    #[inline]
    pub(super) fn put_off(self, now: Nanos) -> Option<Nanos> {
        if self.idle == NEVER {
            return None;
        }
        let new = self.until.min(now.saturating_add(self.idle));
        (new.saturating_sub(self.ends) > self.idle >> STEP).then_some(new)
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
