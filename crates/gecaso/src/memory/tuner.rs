//! One for each storage: which rule its shards follow, found by shadows that see a sample of the
//! requests.
//!
//! Hits leave a note as long as there is room, and misses collect the notes: so hits lock nothing,
//! and as soon as nothing is missed any more they write nothing either. Everything here is a hint.
//! A note that is lost, seen late or seen twice costs a little of the hit ratio. Called by `table`;
//! knows no entry, and takes no lock but its own.

use super::policy::{Rule, Shadows, sampled_bits};
use crate::sync::{self, Mutex, tally};
use std::sync::atomic::{AtomicU8, AtomicU64, AtomicUsize, Ordering::Relaxed};

/// Room for this many notes. A miss in the sample collects at most so many.
const NOTES: usize = 64;
/// Where in a hash the bits are that decide on the sample: neither the shard nor the index of a
/// table uses these.
const FROM_BIT: u32 = 44;

pub(super) struct Tuner {
    /// These bits of a hash are zero if it is in the sample. All: nothing is sampled now.
    sampled: AtomicU64,
    /// Misses until sampling begins again.
    rest: AtomicUsize,
    /// The number of the rule to follow.
    rule: AtomicU8,
    /// Notes taken, or that found no room.
    noted: AtomicUsize,
    /// Hashes of requests that hit; 0 for none.
    notes: [AtomicU64; NOTES],
    shadows: Mutex<Option<Box<Shadows>>>,
}

impl Tuner {
    pub(super) fn new() -> Self {
        Tuner {
            sampled: AtomicU64::new(u64::MAX),
            rest: AtomicUsize::new(0),
            rule: AtomicU8::new(Rule::FIRST.number()),
            noted: AtomicUsize::new(0),
            notes: [const { AtomicU64::new(0) }; NOTES],
            shadows: Mutex::new(None),
        }
    }

    /// The rule to follow now.
    #[inline]
    pub(super) fn rule(&self) -> Rule {
        Rule::numbered(self.rule.load(Relaxed))
    }

    #[inline]
    fn is_sampled(&self, hash: u64) -> bool {
        hash & self.sampled.load(Relaxed) == 0
    }

    /// A request was a hit.
    #[inline]
    pub(super) fn hit(&self, hash: u64) {
        if self.notes(hash) {
            self.note(hash);
        }
    }

    /// Whether a hit leaves a note.
    #[inline]
    pub(super) fn notes(&self, hash: u64) -> bool {
        self.is_sampled(hash) && self.noted.load(Relaxed) < NOTES
    }

    #[cold]
    fn note(&self, hash: u64) {
        tally::add(tally::Kind::Atomic);
        if let Some(note) = self.notes.get(self.noted.fetch_add(1, Relaxed)) {
            note.store(hash, Relaxed);
        }
    }

    /// A request was a miss, in a storage of this capacity. Begins to sample when the storage
    /// fills.
    #[inline]
    pub(super) fn miss(&self, hash: u64, capacity: usize, fills: impl Fn() -> bool) {
        if self.is_sampled(hash) {
            self.simulate(hash, capacity);
        } else if self.sampled.load(Relaxed) == u64::MAX {
            match self.rest.load(Relaxed) {
                0 if fills() => {
                    let mask = (1_u64 << sampled_bits(capacity)) - 1;
                    self.sampled.store(mask << FROM_BIT, Relaxed);
                }
                // Two threads may count as one: a longer rest.
                rest => self.rest.store(rest.saturating_sub(1), Relaxed),
            }
        }
    }

    /// Shows the shadows this request and those noted before. If another thread does so at this
    /// moment, this one is left out.
    #[cold]
    fn simulate(&self, hash: u64, capacity: usize) {
        let Some(mut shadows) = sync::try_lock(&self.shadows) else { return };
        let shadows = shadows.get_or_insert_with(|| Box::new(Shadows::new(capacity)));
        let noted = self.noted.load(Relaxed).min(NOTES);
        let notes = self.notes[..noted].iter().map(|note| note.swap(0, Relaxed));
        for hash in notes.filter(|&hash| hash != 0).chain([hash]) {
            if let Some(rule) = shadows.request(hash) {
                self.rule.store(rule.number(), Relaxed);
            }
        }
        if noted > 0 {
            self.noted.store(0, Relaxed);
        }
        if let Some(misses) = shadows.rest() {
            self.rest.store(misses, Relaxed);
            self.sampled.store(u64::MAX, Relaxed);
        }
    }
}

#[cfg(all(test, not(shuttle)))]
mod tests {
    use super::*;

    fn noted(tuner: &Tuner) -> usize {
        tuner.notes.iter().filter(|note| note.load(Relaxed) != 0).count()
    }

    #[test]
    fn nothing_is_sampled_before_the_storage_fills() {
        let tuner = Tuner::new();
        tuner.miss(1, 100, || false);
        tuner.hit(1);
        assert_eq!(noted(&tuner), 0);
        tuner.miss(1, 100, || true);
        tuner.hit(1);
        assert_eq!(noted(&tuner), 1);
    }

    #[test]
    fn hits_leave_notes_until_there_is_no_room_and_a_miss_collects_them() {
        let tuner = Tuner::new();
        tuner.miss(1, 100, || true);
        let writes = |hits: u64| tally::of(|| (1..=hits).for_each(|hash| tuner.hit(hash)));
        assert_eq!(writes(NOTES as u64), (0, 0, NOTES as u32));
        assert_eq!(writes(1000), (0, 0, 0), "no room: nothing is written");
        tuner.miss(7, 100, || unreachable!("sampling has begun"));
        assert_eq!(noted(&tuner), 0);
        assert_eq!(writes(1), (0, 0, 1));
    }

    #[test]
    fn while_the_shadows_rest_hits_leave_no_notes() {
        let tuner = Tuner::new();
        let is_resting = |tuner: &Tuner| tuner.rest.load(Relaxed) > 0;
        (0..1_000_000).find(|n| {
            tuner.miss(n % 20 + 1, 10, || true);
            is_resting(&tuner)
        });
        assert!(is_resting(&tuner));
        assert_eq!(tally::of(|| tuner.hit(1)), (0, 0, 0));
        while is_resting(&tuner) {
            tuner.miss(1, 10, || true);
        }
        tuner.miss(1, 10, || true);
        assert_eq!(tally::of(|| tuner.hit(1)), (0, 0, 1));
    }

    #[test]
    fn of_a_large_storage_few_keys_are_sampled() {
        let tuner = Tuner::new();
        tuner.miss(1, 100_000, || true);
        let sampled = (0..1 << 11).filter(|n| tuner.is_sampled(n << FROM_BIT)).count();
        assert_eq!(sampled, 1);
    }

    #[test]
    fn the_rule_follows_what_the_shadows_find() {
        let tuner = Tuner::new();
        tuner.miss(1, 100, || true);
        assert_eq!(tuner.rule(), Rule::FIRST);
        for n in 0..50_000_u64 {
            tuner.miss((n % 200 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15), 100, || true);
        }
        assert_ne!(tuner.rule(), Rule::FIRST);
    }
}
