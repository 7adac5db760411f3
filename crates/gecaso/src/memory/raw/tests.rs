//! A shard beside a map: whatever comes, changes and goes, of few hashes or of many, lying in
//! places or not, both have the same.
//!
//! `GECASO_SEED=n` runs one seed alone. Threads are in `tests/it/torn.rs` and in the model checks.

use super::super::entry::{Entry, Stored};
use super::super::lifetimes::Life;
use super::super::policy::{Adaptive, AnyPolicy};
use super::super::removal::RemovalCause;
use super::{About, Found, Part, Writing, may_lie_inline};
use crate::time::NEVER;
use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::Arc;

/// A value that can be told by the number of its key and of its change.
trait Told: Clone + PartialEq + Debug {
    fn tell(key: u16, change: u64) -> Self;
}

impl Told for () {
    fn tell(_: u16, _: u64) {}
}

impl Told for bool {
    fn tell(key: u16, change: u64) -> bool {
        (u64::from(key) + change).is_multiple_of(3)
    }
}

impl Told for Option<u64> {
    fn tell(key: u16, change: u64) -> Option<u64> {
        bool::tell(key, change).then_some(change)
    }
}

impl Told for u128 {
    fn tell(key: u16, change: u64) -> u128 {
        u128::from(key) << 64 | u128::from(change)
    }
}

impl Told for [u8; 32] {
    fn tell(key: u16, change: u64) -> [u8; 32] {
        [(u64::from(key) ^ change) as u8; 32]
    }
}

impl Told for String {
    fn tell(key: u16, change: u64) -> String {
        format!("{key} {change}")
    }
}

/// A random step's numbers (xorshift64*; Vigna, 2016).
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 16) % sides
    }
}

/// Of so many keys some hash alike: all of them, those of a few groups, or none.
fn hash(key: u16, groups: u64) -> u64 {
    let group = u64::from(key) % groups;
    // All bits, and those that tags are made of are 0 and 1 for some.
    group.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ group << 56
}

const KEYS: u64 = 600;
/// Steps between two looks at every place.
const CHECKED: u64 = 16;

struct Model<V> {
    part: Part<u16, V>,
    map: HashMap<u16, V>,
    groups: u64,
    /// Entries go to places, if their types may.
    plain: bool,
}

impl<V: Told> Model<V> {
    fn inline(&self) -> bool {
        self.plain && may_lie_inline::<u16, V>()
    }

    fn stored(&self, key: u16, value: &V) -> Stored<u16, V> {
        Stored::new(key, value.clone(), self.plain)
    }

    /// What is found of a key under the lock and without: the same, as long as nobody writes.
    fn look(&self, key: u16) {
        let hash = hash(key, self.groups);
        let is = |found: &Found<'_, u16, V>| found.entry().key == key;
        let value = |found: Found<'_, u16, V>| found.entry().value.clone();
        // Other tests may have all the lanes there are.
        let Some(reading) = self.part.read(hash) else { return };
        for whole in [false, true] {
            let found = reading.find(hash, self.inline(), whole, is);
            let found = found.unwrap_or_else(|_| panic!("nobody writes")).map(value);
            assert_eq!(found.as_ref(), self.map.get(&key));
        }
        let is = |entry: &Entry<u16, V>| entry.key == key;
        match reading.first(hash, self.inline(), true, is) {
            super::First::Found(found) => assert_eq!(Some(&value(found)), self.map.get(&key)),
            super::First::Absent => assert_eq!(None, self.map.get(&key)),
            super::First::Unsure => {}
        }
    }

    fn step(&mut self, dice: &mut Dice, filling: bool, change: u64) {
        let key = dice.roll(KEYS) as u16;
        let (hash, inline) = (hash(key, self.groups), self.inline());
        let is = |found: &Found<'_, u16, V>| found.entry().key == key;
        let new = V::tell(key, change);
        let life = match dice.roll(3) {
            0 => Life { ends: change + 1, until: NEVER, idle: change },
            1 => Life { ends: change + 1, until: NEVER, idle: NEVER },
            _ => Life::ENDLESS,
        };
        let stored = self.stored(key, &new);
        let mut shard = self.part.lock(0);
        let mut told = Vec::new();
        let mut tell = |stored: Stored<u16, V>, cause| told.push((stored, cause));
        let found = shard.find(hash, inline, false, is).map(|found| found.id());
        assert_eq!(found.is_some(), self.map.contains_key(&key));
        let mut evicted = None;
        match (found, dice.roll(100)) {
            (_, 0) if dice.roll(10) == 0 => {
                assert!(shard.clear(&mut tell));
                self.map.clear();
            }
            (Some(_), 1) => {
                let len = shard.len();
                if shard.evict().is_some() {
                    evicted = Some(len - 1);
                }
            }
            (Some(slot), 2..40) => {
                shard.replace(slot, life, 1, change, stored, RemovalCause::Replaced);
                self.map.insert(key, new);
            }
            (Some(slot), roll) if roll >= if filling { 90 } else { 40 } => {
                shard.remove(slot, RemovalCause::Invalidated);
                self.map.remove(&key);
            }
            (None, roll) if filling || roll < 30 => {
                shard.insert(hash, life, 1, change, stored);
                self.map.insert(key, new);
            }
            _ => {}
        }
        // Which entry has gone by choice, what is left tells.
        if let Some(left) = evicted {
            let (map, groups) = (&mut self.map, self.groups);
            map.retain(|&key, _| {
                let is = |found: &Found<'_, u16, V>| found.entry().key == key;
                shard.find(super::tests::hash(key, groups), inline, true, is).is_some()
            });
            assert_eq!(map.len(), left);
        }
        assert_eq!(shard.len(), self.map.len());
        assert!(shard.settle(&mut tell), "nobody reads");
        if change.is_multiple_of(CHECKED) {
            shard.check_places();
        }
        drop(shard);
        for (stored, _) in told {
            let entry = stored.entry();
            if let Stored::Shared(entry) = &stored {
                assert_eq!(Arc::strong_count(entry), 1, "nobody else has it");
            }
            assert!(u64::from(entry.key) < KEYS);
        }
    }
}

/// Goes through many steps: the shard fills, and is emptied, again and again.
fn run<V: Told>(plain: bool) {
    let one = std::env::var("GECASO_SEED").ok().map(|seed| seed.parse::<u64>().unwrap());
    for seed in one.map_or(1..11, |seed| seed..seed + 1) {
        println!("GECASO_SEED={seed}");
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let policy = || match seed % 2 {
            0 => AnyPolicy::None,
            _ => AnyPolicy::Adaptive(Adaptive::new(KEYS as usize, 1)),
        };
        let drops = !may_lie_inline::<u16, V>() || seed.is_multiple_of(3);
        let about = About { drops, expected: 0, weighs: false };
        let part = Part::new(1, about, policy);
        let groups = [1, 2, 5, 40, 1 << 16][seed as usize % 5];
        let mut model = Model { part, map: HashMap::<u16, V>::new(), groups, plain };
        for change in 0..2_000_u64 {
            model.step(&mut dice, (change / 500).is_multiple_of(2), change);
            model.look(dice.roll(KEYS) as u16);
        }
        (0..KEYS as u16).for_each(|key| model.look(key));
    }
}

#[test]
fn a_shard_of_entries_in_places_is_a_map() {
    run::<u128>(true);
    run::<[u8; 32]>(true);
    run::<Option<u64>>(true);
    run::<bool>(true);
    run::<()>(true);
}

#[test]
fn a_shard_of_entries_elsewhere_is_a_map() {
    run::<String>(true);
    run::<u128>(false);
    run::<()>(false);
}

/// More than can be counted pass a bucket: all that are left are found all the same.
#[test]
fn who_passes_beyond_count_is_found() {
    let about = About { drops: false, expected: 0, weighs: false };
    let part: Part<u16, u64> = Part::new(1, about, || AnyPolicy::None);
    let find = |shard: &Writing<'_, u16, u64>, key: u16| {
        let is = |found: &Found<'_, u16, u64>| found.entry().key == key;
        shard.find(0, true, true, is).map(|found| (found.id(), found.entry().value))
    };
    let mut shard = part.lock(0);
    for key in 0..2_000 {
        shard.insert(0, Life::ENDLESS, 1, 0, Stored::new(key, u64::from(key), true));
    }
    for key in (0..1_990).rev() {
        let (slot, value) = find(&shard, key).expect("it is there");
        assert_eq!(value, u64::from(key));
        shard.remove(slot, RemovalCause::Invalidated);
        if key.is_multiple_of(100) {
            shard.check_places();
        }
    }
    for key in 0..2_000 {
        assert_eq!(find(&shard, key).is_some(), key >= 1_990);
    }
}
