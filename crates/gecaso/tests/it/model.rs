//! Random sequences of calls over two caches on one storage, beside an obvious model of them.
//!
//! A run prints its seed if it fails; `GECASO_SEED=n` runs it again.

use crate::event::rounds;
use crate::storages::Storage;
use gecaso::{Cache, LruStorage, ManualClock, MemoryStorage};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestRng, TestRunner};
use std::collections::HashMap;
use std::time::Duration;

const TTL: u64 = 10;

#[derive(Clone, Copy, Debug)]
enum Step {
    Get,
    GetWith,
    GetWithAsync,
    TryGetWith {
        fails: bool,
    },
    Insert,
    Refresh,
    Invalidate,
    Clear,
    Peek,
    /// Moves the clock by so many nanoseconds.
    Advance(u64),
}

/// Which of two caches, which key, what.
type Call = (bool, u8, Step);

fn calls() -> impl Strategy<Value = Vec<Call>> {
    let step = prop_oneof![
        4 => Just(Step::Get),
        6 => Just(Step::GetWith),
        2 => Just(Step::GetWithAsync),
        2 => any::<bool>().prop_map(|fails| Step::TryGetWith { fails }),
        3 => Just(Step::Insert),
        2 => Just(Step::Refresh),
        3 => Just(Step::Invalidate),
        1 => Just(Step::Clear),
        2 => Just(Step::Peek),
        3 => (1..=TTL).prop_map(Step::Advance),
    ];
    vec((any::<bool>(), 0..8_u8, step), 1..150)
}

/// An entry, as the model has it.
#[derive(Clone, Debug)]
struct Entry {
    owner: bool,
    key: u8,
    value: u32,
    /// When it ends; `None`: never.
    ends: Option<u64>,
}

/// Both caches as one list, the least recently used first.
struct Model {
    capacity: usize,
    entries: Vec<Entry>,
    now: u64,
    next: u32,
}

impl Model {
    fn at(&self, owner: bool, key: u8) -> Option<usize> {
        self.entries.iter().position(|entry| entry.owner == owner && entry.key == key)
    }

    fn peek(&self, owner: bool, key: u8) -> Option<u32> {
        let entry = &self.entries[self.at(owner, key)?];
        entry.ends.is_none_or(|ends| self.now < ends).then_some(entry.value)
    }

    fn get(&mut self, owner: bool, key: u8) -> Option<u32> {
        let value = self.peek(owner, key)?;
        let at = self.at(owner, key)?;
        let entry = self.entries.remove(at);
        self.entries.push(entry);
        Some(value)
    }

    fn insert(&mut self, owner: bool, key: u8, value: u32, ttl: Option<u64>) {
        match self.at(owner, key) {
            Some(at) => drop(self.entries.remove(at)),
            None if self.entries.len() == self.capacity => drop(self.entries.remove(0)),
            None => {}
        }
        let ends = ttl.map(|ttl| self.now + ttl);
        self.entries.push(Entry { owner, key, value, ends });
    }
}

/// What may be expected of a storage.
#[derive(Clone, Copy, PartialEq)]
enum Promise {
    /// Exactly what the model has.
    Exact,
    /// What the model has, or nothing: the order of eviction is the storage's own.
    MayForget,
}

fn check(
    storage: &Storage,
    clock: &ManualClock,
    capacity: usize,
    ttl: Option<u64>,
    promise: Promise,
    calls: &[Call],
) -> Result<(), TestCaseError> {
    let build = || -> Cache<u8, u32> {
        match ttl {
            Some(ttl) => storage.builder().ttl(Duration::from_nanos(ttl)).build(),
            None => storage.cache(),
        }
    };
    let caches = [build(), build()];
    let capacity = if promise == Promise::Exact { capacity } else { usize::MAX };
    let mut model = Model { capacity, entries: Vec::new(), now: 0, next: 0 };
    let mut stored: HashMap<(bool, u8), u32> = HashMap::new();
    for &(owner, key, step) in calls {
        let cache = &caches[usize::from(owner)];
        model.next += 1;
        let new = model.next;
        // What a look-up found is right if the model has it too, or if the storage may forget.
        let may_be = |found: Option<u32>, wanted: Option<u32>| {
            found == wanted || (promise == Promise::MayForget && found.is_none())
        };
        match step {
            Step::Get => {
                let (found, wanted) = (cache.get(&key), model.get(owner, key));
                prop_assert!(may_be(found, wanted), "{found:?}, not {wanted:?}");
            }
            Step::Peek => {
                let (found, wanted) = (cache.peek(&key), model.peek(owner, key));
                prop_assert!(may_be(found, wanted), "{found:?}, not {wanted:?}");
            }
            Step::GetWith | Step::GetWithAsync | Step::TryGetWith { .. } => {
                let fails = matches!(step, Step::TryGetWith { fails: true });
                let returned = match step {
                    Step::GetWith => Ok(cache.get_with(&key, || new)),
                    Step::GetWithAsync => {
                        Ok(pollster::block_on(cache.get_with_async(&key, async { new })))
                    }
                    _ => cache.try_get_with(&key, || if fails { Err(new) } else { Ok(new) }),
                };
                let ran = returned == Ok(new) || returned == Err(new);
                let found = returned.ok().filter(|_| !ran);
                let wanted = model.get(owner, key);
                prop_assert!(may_be(found, wanted), "{found:?}, not {wanted:?}");
                if ran && !fails {
                    model.insert(owner, key, new, ttl);
                }
            }
            Step::Insert => {
                cache.insert(key, new);
                model.insert(owner, key, new, ttl);
            }
            Step::Refresh => {
                prop_assert_eq!(cache.refresh(&key, || new), new);
                model.insert(owner, key, new, ttl);
            }
            Step::Invalidate => {
                cache.invalidate(&key);
                model.entries.retain(|entry| (entry.owner, entry.key) != (owner, key));
            }
            Step::Clear => {
                cache.clear();
                model.entries.retain(|entry| entry.owner != owner);
            }
            Step::Advance(by) => {
                clock.advance(Duration::from_nanos(by));
                model.now += by;
            }
        }
        let entries: u64 = caches.iter().map(|cache| cache.stats().entries).sum();
        prop_assert_eq!(entries as usize, storage.len());
        if ttl.is_none() && promise == Promise::Exact {
            prop_assert_eq!(storage.len(), model.entries.len());
        }
        if matches!(step, Step::Insert | Step::Refresh) && storage.len() > 0 {
            stored.insert((owner, key), new);
            let fresh = ttl != Some(0);
            prop_assert_eq!(cache.peek(&key), fresh.then_some(new), "stored before it returned");
        }
    }
    Ok(())
}

fn run(
    build: impl Fn(&ManualClock, usize) -> Storage,
    capacity: std::ops::Range<usize>,
    ttl: Option<u64>,
    promise: Promise,
) {
    let seed = match std::env::var("GECASO_SEED") {
        Ok(seed) => seed.parse().expect("GECASO_SEED is a number"),
        Err(_) => rand_seed(),
    };
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&u64::to_le_bytes(seed));
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &bytes);
    let config =
        Config { cases: rounds(50) as u32, failure_persistence: None, ..Config::default() };
    let result =
        TestRunner::new_with_rng(config, rng).run(&(capacity, calls()), |(capacity, calls)| {
            let clock = ManualClock::new();
            check(&build(&clock, capacity), &clock, capacity, ttl, promise, &calls)
        });
    if let Err(failure) = result {
        panic!("GECASO_SEED={seed}: {failure}");
    }
}

/// Another seed for each run.
fn rand_seed() -> u64 {
    use std::hash::{BuildHasher, RandomState};
    RandomState::new().hash_one(0)
}

fn lru(clock: &ManualClock, capacity: usize) -> Storage {
    Storage::Lru(LruStorage::new(capacity).with_clock(clock))
}

fn memory(clock: &ManualClock, capacity: usize) -> Storage {
    Storage::Memory(MemoryStorage::bounded(capacity).with_clock(clock))
}

#[test]
fn a_small_lru_storage_is_the_model() {
    run(lru, 1..10, None, Promise::Exact);
}

#[test]
fn a_small_lru_storage_with_ttl_never_returns_what_the_model_has_not() {
    run(lru, 1..10, Some(TTL), Promise::MayForget);
}

#[test]
fn a_large_lru_storage_with_ttl_is_the_model() {
    run(lru, 16..17, Some(TTL), Promise::Exact);
}

#[test]
fn a_small_memory_storage_never_returns_what_the_model_has_not() {
    run(memory, 1..10, None, Promise::MayForget);
    run(memory, 1..10, Some(TTL), Promise::MayForget);
}

#[test]
fn a_large_memory_storage_is_the_model() {
    run(memory, 16..17, None, Promise::Exact);
    run(memory, 4_096..4_097, None, Promise::Exact);
    run(memory, 16..17, Some(TTL), Promise::Exact);
    run(
        |clock, _| Storage::Memory(MemoryStorage::unbounded().with_clock(clock)),
        99..100,
        Some(TTL),
        Promise::Exact,
    );
}

#[test]
fn without_a_place_nothing_is_stored() {
    run(lru, 0..1, None, Promise::MayForget);
    run(memory, 0..1, Some(TTL), Promise::MayForget);
    run(memory, 16..17, Some(0), Promise::Exact);
}
