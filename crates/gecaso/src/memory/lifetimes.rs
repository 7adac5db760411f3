//! When the entries of one shard end: those that ever do, in the order they will.
//!
//! ```text
//!   ends = the earlier of   until   the end of its time to live
//!                           idle    since it was last asked for, in steps of a 128th
//! ```
//!
//! Made by `shard` for the first entry that ends, so that functions without lifetimes have none of
//! it. A hit may put an end off under a lock that it shares; the wheel learns of that when the old
//! end has come. Reads no clock.

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
    until: Nanos,
    /// How long it stays without being asked for; `NEVER`: that does not matter.
    idle: Nanos,
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

/// See `Life`.
#[derive(Clone, Copy)]
struct Put {
    until: Nanos,
    idle: Nanos,
}

pub(super) struct Lifetimes {
    wheel: Wheel,
    /// By slot, of those that end when nobody asks for them. Empty until there is one.
    put_off: Vec<Put>,
}

impl Lifetimes {
    pub(super) fn new() -> Self {
        Lifetimes { wheel: Wheel::new(), put_off: Vec::new() }
    }

    /// A slot has got an entry that ends.
    pub(super) fn begin(&mut self, slot: SlotId, life: Life) {
        self.wheel.file(slot, life.ends);
        let at = slot as usize;
        if life.idle != NEVER || at < self.put_off.len() {
            if at >= self.put_off.len() {
                self.put_off.resize(at + 1, Put { until: NEVER, idle: NEVER });
            }
            self.put_off[at] = Put { until: life.until, idle: life.idle };
        }
    }

    /// A slot has lost its entry.
    pub(super) fn end(&mut self, slot: SlotId) {
        self.wheel.forget(slot);
    }

    /// Whether there may be entries whose end a hit puts off.
    pub(super) fn puts_off(&self) -> bool {
        !self.put_off.is_empty()
    }

    /// The new end of an entry that ended at `ends` and was asked for now, if it is to be noted.
    #[inline]
    pub(super) fn put_off(&self, slot: SlotId, ends: Nanos, now: Nanos) -> Option<Nanos> {
        let &Put { until, idle } = self.put_off.get(slot as usize)?;
        if idle == NEVER {
            return None;
        }
        let new = until.min(now.saturating_add(idle));
        (new.saturating_sub(ends) > idle >> STEP).then_some(new)
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
        if let Some(&put) = self.put_off.get(from as usize) {
            self.put_off[to as usize] = put;
        } else if let Some(put) = self.put_off.get_mut(to as usize) {
            *put = Put { until: NEVER, idle: NEVER };
        }
    }

    /// No slot has a number from this one on any more: gives their memory back.
    pub(super) fn truncate(&mut self, slots: usize) {
        self.wheel.truncate(slots);
        self.put_off.truncate(slots);
        self.put_off.shrink_to_fit();
    }

    /// Entries that end.
    #[cfg(all(test, shuttle))]
    pub(super) fn len(&self) -> usize {
        self.wheel.len()
    }
}
