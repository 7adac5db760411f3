//! What a `Chaos` knows and has done: plain data behind one lock, and its steps.
//!
//! Used by `chaos` and its attempts, who lock it, and never across an await. Runs no foreign code.

use super::faults::{ChaosCounts, Dice, Faults, Lie, Operation, Plan};
use super::past::Past;
use crate::params::Params;
use crate::signal::Signal;
use crate::time::Clock;
use std::mem;
use std::sync::Arc;

/// A late set takes effect at the latest behind so many later operations.
const LATEST: usize = 16;

pub(super) struct State {
    pub(super) seed: u64,
    pub(super) clock: Clock,
    pub(super) faults: Faults,
    pub(super) healthy: bool,
    pub(super) stalled: usize,
    pub(super) counts: ChaosCounts,
    pub(super) past: Past,
    /// Said when it is healed. A new one each time: who stalls holds the one of his time.
    healed: Arc<Signal<()>>,
    /// Sets that were answered with `Ok` and have not taken effect yet.
    late: Vec<Late>,
}

/// A set that comes late.
pub(super) struct Late {
    /// The operation behind which it takes effect, at the latest.
    due: u64,
    pub(super) key: String,
    pub(super) value: Vec<u8>,
    pub(super) params: Params,
}

impl Default for State {
    fn default() -> Self {
        State {
            seed: 0,
            clock: Clock::System,
            faults: Faults::default(),
            healthy: false,
            stalled: 0,
            counts: ChaosCounts::default(),
            past: Past::default(),
            healed: Arc::new(Signal::new()),
            late: Vec::new(),
        }
    }
}

impl State {
    /// Counts an operation and draws what will happen to it; with the late sets that come before
    /// it, as they do once the storage is healed.
    pub(super) fn begin(&mut self, operation: Operation) -> (u64, Plan, Vec<Late>) {
        let number = self.counts.operations();
        match operation {
            Operation::Get => self.counts.gets += 1,
            Operation::Set => self.counts.sets += 1,
            Operation::Remove => self.counts.removes += 1,
        }
        if self.healthy {
            return (number, Plan::default(), mem::take(&mut self.late));
        }
        let plan = Plan::draw(&self.faults, operation, Dice::of(self.seed, number));
        (number, plan, Vec::new())
    }

    /// What the storage says to a look-up that found this.
    pub(super) fn answer(
        &mut self,
        plan: &Plan,
        key: &str,
        found: Option<Vec<u8>>,
    ) -> Option<Vec<u8>> {
        let (lie, count) = match plan.lie {
            Some(Lie::Corrupt) => {
                let lie = self.past.corrupt(key, found.as_deref(), plan.choice);
                (lie, &mut self.counts.corrupted)
            }
            Some(Lie::Old) => {
                let lie = self.past.older(key, found.as_deref(), plan.choice);
                (lie, &mut self.counts.old_values)
            }
            _ => return found,
        };
        *count += u64::from(lie.is_some());
        lie.or(found)
    }

    /// The `number`th operation was a set that comes late.
    pub(super) fn delay(
        &mut self,
        number: u64,
        plan: &Plan,
        key: &str,
        value: &[u8],
        params: &Params,
    ) {
        self.counts.late_sets += 1;
        let due = number + 1 + Dice::of(plan.choice, 0).below(LATEST) as u64;
        let (key, value, params) = (key.to_owned(), value.to_vec(), params.clone());
        self.late.push(Late { due, key, value, params });
    }

    /// The late sets that come behind the `number`th operation, which changed these keys.
    pub(super) fn due(&mut self, number: u64, changed: &[&str]) -> Vec<Late> {
        let is_due = |late: &mut Late| late.due <= number || changed.contains(&late.key.as_str());
        self.late.extract_if(.., is_due).collect()
    }

    /// One more stalls; what it waits for.
    pub(super) fn stall(&mut self) -> Arc<Signal<()>> {
        self.counts.stalls += 1;
        self.stalled += 1;
        self.healed.clone()
    }

    /// Ends the faults; who stalls waits for the signal that is returned.
    pub(super) fn heal(&mut self) -> Arc<Signal<()>> {
        self.healthy = true;
        mem::replace(&mut self.healed, Arc::new(Signal::new()))
    }
}
