//! What may go wrong with an operation: the probabilities, the plan that is drawn from them for
//! each operation, and the counts of what was done.
//!
//! Used by `chaos` alone. Knows no storage and no bytes.

use std::ops::RangeInclusive;
use std::time::Duration;

/// What a storage is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Operation {
    /// A look-up.
    Get,
    /// An entry to keep.
    Set,
    /// Keys to forget.
    Remove,
}

/// How probable each fault is, from 0 to 1.
#[derive(Debug, Clone)]
pub(super) struct Faults {
    pub(super) errors: f64,
    pub(super) delays: f64,
    pub(super) delay: RangeInclusive<Duration>,
    pub(super) stalls: f64,
    pub(super) panics: f64,
    pub(super) corruption: f64,
    pub(super) old_values: f64,
    pub(super) lost_sets: f64,
    pub(super) late_sets: f64,
    pub(super) lost_removes: f64,
    /// Which operations they strike; empty: all.
    pub(super) only: Vec<Operation>,
}

impl Default for Faults {
    fn default() -> Self {
        Faults {
            errors: 0.0,
            delays: 0.0,
            delay: Duration::ZERO..=Duration::ZERO,
            stalls: 0.0,
            panics: 0.0,
            corruption: 0.0,
            old_values: 0.0,
            lost_sets: 0.0,
            late_sets: 0.0,
            lost_removes: 0.0,
            only: Vec::new(),
        }
    }
}

/// When something strikes.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Moment {
    /// Before the storage is asked.
    Before,
    /// After it has done its work.
    After,
}

/// What ends or stops an operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Blow {
    Stall,
    Panic,
    Error,
}

/// What a storage says, and does not do.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Lie {
    /// Another value than was found: not what was ever set under this key.
    Corrupt,
    /// A value that was set under this key, and is not any more.
    Old,
    /// Says `Ok`, and does nothing.
    Lost,
    /// Says `Ok`, and does it later.
    Late,
}

/// What will happen to one operation.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Plan {
    pub(super) delay: Option<(Moment, Duration)>,
    pub(super) blow: Option<(Moment, Blow)>,
    pub(super) lie: Option<Lie>,
    /// Chooses how to corrupt, which old value, how late.
    pub(super) choice: u64,
}

impl Plan {
    /// Draws it. Each fault has its own rolls, made whether or not it is probable, so that raising
    /// one probability leaves the others where they were.
    pub(super) fn draw(faults: &Faults, operation: Operation, mut dice: Dice) -> Plan {
        let stall = dice.chance(faults.stalls);
        let panic = dice.chance(faults.panics);
        let error = dice.chance(faults.errors);
        let blow_at = dice.moment();
        let delay = dice.chance(faults.delays);
        let delay_at = dice.moment();
        let delay_for = dice.between(&faults.delay);
        let (first, second) = (dice.next(), dice.next());
        let choice = dice.next();
        if !faults.only.is_empty() && !faults.only.contains(&operation) {
            return Plan::default();
        }
        let blows = [(stall, Blow::Stall), (panic, Blow::Panic), (error, Blow::Error)];
        let blow = blows.into_iter().find_map(|(strikes, blow)| strikes.then_some(blow));
        let lies = match operation {
            Operation::Get => [(faults.corruption, Lie::Corrupt), (faults.old_values, Lie::Old)],
            Operation::Set => [(faults.lost_sets, Lie::Lost), (faults.late_sets, Lie::Late)],
            Operation::Remove => [(faults.lost_removes, Lie::Lost), (0.0, Lie::Late)],
        };
        let lie = [first, second]
            .into_iter()
            .zip(lies)
            .find_map(|(roll, (probability, lie))| is_below(roll, probability).then_some(lie));
        Plan {
            delay: delay.then_some((delay_at, delay_for)),
            blow: blow.map(|blow| (blow_at, blow)),
            // Who fails tells no lies: a set that was lost has said `Ok`.
            lie: lie.filter(|_| !matches!(blow, Some(Blow::Panic | Blow::Error))),
            choice,
        }
    }
}

/// What a [`Chaos`](crate::testing::Chaos) has done so far: so that a test can tell that its
/// faults really happened.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ChaosCounts {
    /// Look-ups asked for.
    pub gets: u64,
    /// Sets asked for.
    pub sets: u64,
    /// Removals asked for, each of one key or many.
    pub removes: u64,
    /// Operations that failed.
    pub errors: u64,
    /// Operations that took longer.
    pub delays: u64,
    /// Operations that stopped until healed or dropped.
    pub stalls: u64,
    /// Operations that panicked.
    pub panics: u64,
    /// Look-ups answered with something that was never set under the key.
    pub corrupted: u64,
    /// Look-ups answered with a value that had been replaced or removed.
    pub old_values: u64,
    /// Sets that said `Ok` and kept nothing.
    pub lost_sets: u64,
    /// Sets that said `Ok` and took effect later, or not yet.
    pub late_sets: u64,
    /// Removals that said `Ok` and removed nothing.
    pub lost_removes: u64,
}

impl ChaosCounts {
    /// Operations asked for.
    pub fn operations(&self) -> u64 {
        self.gets + self.sets + self.removes
    }

    /// Faults of every kind; delays are none.
    pub fn faults(&self) -> u64 {
        let failed = self.errors + self.stalls + self.panics;
        let lied = self.corrupted + self.old_values;
        failed + lied + self.lost_sets + self.late_sets + self.lost_removes
    }
}

/// A small generator of numbers: splitmix64.
#[derive(Debug, Clone)]
pub(super) struct Dice(u64);

impl Dice {
    /// The generator for the `number`th operation under this seed.
    pub(super) fn of(seed: u64, number: u64) -> Dice {
        let spread = Dice(seed).next();
        Dice(spread ^ Dice(number).next())
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `n`, or 0 if there is nothing below it.
    pub(super) fn below(&mut self, n: usize) -> usize {
        (self.next() % (n as u64).max(1)) as usize
    }

    fn chance(&mut self, probability: f64) -> bool {
        is_below(self.next(), probability)
    }

    fn moment(&mut self) -> Moment {
        if self.next() & 1 == 0 { Moment::Before } else { Moment::After }
    }

    fn between(&mut self, range: &RangeInclusive<Duration>) -> Duration {
        let span = range.end().saturating_sub(*range.start());
        let part = self.next() as f64 / u64::MAX as f64;
        range.start().saturating_add(Duration::from_secs_f64(span.as_secs_f64() * part).min(span))
    }
}

/// Whether a roll, as a number from 0 up to but not 1, is below this probability.
fn is_below(roll: u64, probability: f64) -> bool {
    const STEPS: u64 = 1 << 53; // what an f64 tells apart
    ((roll >> 11) as f64) < probability * STEPS as f64
}
