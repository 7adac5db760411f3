//! Bounds of weight: exact at every moment, whatever entries weigh, and one that is too heavy
//! disturbs nobody.

use crate::event::{Dice, rounds};
use crate::storages::Storage;
use gecaso::{Cache, CacheBuilder, LruStorage, MemoryStorage, NearKey};
use proptest::prelude::*;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};

/// One of each kind, bounded by weight.
fn each(max_weight: usize) -> [Storage; 2] {
    [
        Storage::Memory(MemoryStorage::weighted(max_weight)),
        Storage::Lru(LruStorage::weighted(max_weight)),
    ]
}

/// A cache whose values say what they weigh.
fn by_value<K: NearKey>(storage: &Storage) -> CacheBuilder<K, usize> {
    storage.builder().weigher(|_, value| *value)
}

#[test]
fn entries_weigh_at_most_the_bound_together() {
    for storage in each(100) {
        let cache: Cache<u32, usize> = by_value(&storage).build();
        for step in 0..1_000 {
            let (key, weight) = (step * 7 % 41, (step * 31 % 60) as usize);
            cache.insert(key, weight);
            assert_eq!(cache.peek(&key), Some(weight), "what came last is there, {storage:?}");
            assert!(storage.weight() <= 100, "{} of 100, {storage:?}", storage.weight());
            let sum: usize = cache.iter().map(|(_, weight)| weight.max(1)).sum();
            assert_eq!((sum, cache.weight(), cache.len()), (storage.weight(), sum, storage.len()));
        }
    }
}

#[test]
fn an_entry_that_is_too_heavy_is_not_stored_and_pushes_nothing_out() {
    for storage in each(100) {
        let cache: Cache<u8, usize> = by_value(&storage).build();
        for key in 0..10 {
            cache.insert(key, 10);
        }
        assert_eq!(cache.get_with(&20, || 101), 101, "it answers, all the same");
        cache.insert(21, 1_000);
        assert_eq!((cache.peek(&20), cache.peek(&21)), (None, None));
        assert!((0..10).all(|key| cache.peek(&key) == Some(10)), "{storage:?}");
        assert_eq!((storage.weight(), cache.stats().evictions), (100, 0));
        cache.insert(3, 101);
        assert_eq!((cache.peek(&3), storage.weight()), (None, 90), "the old value is not true now");
        cache.refresh(&4, || 101);
        assert_eq!((cache.peek(&4), storage.weight()), (None, 80));
        cache.insert(30, 100);
        assert_eq!((cache.peek(&30), storage.len()), (Some(100), 1), "this one just fits");
    }
}

#[test]
fn a_weight_of_nothing_counts_as_one() {
    for storage in each(10) {
        let cache: Cache<u32, usize> = by_value(&storage).build();
        (0..100).for_each(|key| drop(cache.insert(key, 0)));
        assert_eq!((storage.len(), storage.weight()), (10, 10), "{storage:?}");
    }
}

#[test]
fn nothing_is_stored_where_no_weight_is_allowed() {
    for storage in each(0) {
        let cache: Cache<u32, usize> = by_value(&storage).build();
        assert_eq!((cache.get_with(&1, || 0), cache.get(&1)), (0, None));
        cache.insert(1, 1);
        assert_eq!(storage.len(), 0);
    }
}

#[test]
fn functions_that_share_a_storage_share_its_weight() {
    let storage = LruStorage::weighted(100);
    let numbers: Cache<u8, usize> =
        Cache::builder().storage(&storage).weigher(|_, value| *value).build();
    let texts: Cache<u8, String> =
        Cache::builder().storage(&storage).weigher(|_, text: &String| text.len()).build();
    numbers.insert(1, 40);
    texts.insert(1, "x".repeat(40));
    numbers.insert(2, 20);
    numbers.get(&1);
    texts.insert(2, "x".repeat(30));
    assert_eq!((numbers.peek(&1), numbers.peek(&2)), (Some(40), Some(20)));
    assert_eq!(texts.peek(&1), None, "the least recently used of both");
    texts.insert(3, "x".repeat(100));
    assert_eq!((numbers.len(), texts.len(), storage.weight()), (0, 1, 100));
    drop(texts);
    assert_eq!((storage.len(), storage.weight()), (0, 0));
    numbers.insert(1, 100);
    assert_eq!(storage.weight(), 100, "all places are there again");
}

#[test]
fn who_weighs_and_who_bounds_must_agree() {
    let says = |build: &dyn Fn() -> Cache<u8, u8>| {
        let panic = catch_unwind(AssertUnwindSafe(|| drop(build()))).expect_err("a panic");
        panic.downcast_ref::<&str>().map(|text| (*text).to_owned()).expect("a text")
    };
    for (storage, bounded) in each(8).iter().zip(&Storage::each(8)) {
        let unweighed = says(&|| storage.cache());
        assert!(unweighed.contains("needs to be told what an entry weighs"), "{unweighed}");
        let unbounded = says(&|| bounded.builder().weigher(|_, _| 1).build());
        assert!(unbounded.contains("`MemoryStorage::weighted(..)`"), "{unbounded}");
    }
    let unbounded = Storage::Memory(MemoryStorage::unbounded());
    assert!(says(&|| unbounded.builder().weigher(|_, _| 1).build()).contains("a weigher needs"));
}

#[test]
fn storages_say_how_they_are_bounded() {
    let (memory, lru) = (MemoryStorage::weighted(5), LruStorage::weighted(6));
    assert_eq!((memory.max_weight(), memory.capacity()), (Some(5), None));
    assert_eq!((lru.max_weight(), lru.capacity()), (Some(6), usize::MAX));
    assert_eq!(
        (MemoryStorage::bounded(7).max_weight(), LruStorage::new(8).max_weight()),
        (None, None)
    );
    assert!(format!("{memory:?}").contains("max_weight: Some(5)"));
}

/// In a storage with several shards, room is made where there is most of it.
#[test]
fn a_heavy_entry_does_not_empty_a_light_part_of_the_storage() {
    let storage = MemoryStorage::weighted(64 << 20);
    let cache: Cache<u32, usize> = by_value(&Storage::Memory(storage.clone())).build();
    (0..10_000).for_each(|key| drop(cache.insert(key, 1 << 12)));
    let light = cache.len();
    for key in 0..100 {
        cache.insert(1_000_000 + key, 30 << 20);
        assert!(cache.peek(&(1_000_000 + key)).is_some());
        assert!(storage.weight() <= 64 << 20);
    }
    assert!(cache.len() <= light);
}

/// What is asked for often stays, however large the bound's numbers are: the policy counts entries.
/// With fewer places for each shard it would depend on the hasher's seed how many of the ten share
/// one.
#[test]
fn a_scan_of_weighed_entries_does_not_push_out_what_is_asked_for_often() {
    let cache: Cache<u32, usize> =
        by_value(&Storage::Memory(MemoryStorage::weighted(400 << 20))).build();
    for key in 0..10 {
        cache.insert(key, 1 << 20);
    }
    for scanned in 100..20_000 {
        if scanned % 10 == 0 {
            (0..10).for_each(|key| assert!(cache.get(&key).is_some(), "{key} after {scanned}"));
        }
        cache.insert(scanned, 1 << 20);
    }
}

/// Eight threads insert, replace and remove entries of all weights; a ninth looks all the time.
#[test]
fn an_observer_never_sees_more_than_the_bound() {
    for max_weight in [10, 1_000, 5 << 20] {
        for storage in each(max_weight) {
            let numbers: Cache<u64, usize> = by_value(&storage).build();
            let foreign: Cache<u64, Arc<usize>> =
                storage.builder().weigher(|_, value: &Arc<usize>| **value).build();
            let busy = AtomicUsize::new(8);
            std::thread::scope(|scope| {
                for seed in 0..8 {
                    let (numbers, foreign, busy) = (&numbers, &foreign, &busy);
                    scope.spawn(move || {
                        let mut dice = Dice(seed);
                        for _ in 0..rounds(2_000) {
                            let key = dice.roll(24);
                            let weight = dice.roll(max_weight as u64 * 5 / 4) as usize;
                            match dice.roll(8) {
                                0 => drop(numbers.invalidate(&key)),
                                1 => drop(foreign.invalidate(&key)),
                                2..5 => drop(foreign.insert(key, Arc::new(weight))),
                                5 => drop(numbers.get_with(&key, || weight)),
                                _ => drop(numbers.insert(key, weight)),
                            }
                        }
                        busy.fetch_sub(1, SeqCst);
                    });
                }
                while busy.load(SeqCst) > 0 {
                    let seen = storage.weight();
                    assert!(seen <= max_weight, "{seen} in {storage:?}");
                }
            });
            let sum = numbers.iter().map(|(_, weight)| weight.max(1)).sum::<usize>()
                + foreign.iter().map(|(_, weight)| (*weight).max(1)).sum::<usize>();
            assert_eq!((sum, numbers.weight() + foreign.weight()), (storage.weight(), sum));
            numbers.clear();
            foreign.clear();
            assert_eq!(storage.weight(), 0);
            numbers.insert(1, max_weight);
            assert_eq!(storage.weight(), max_weight, "no place was lost");
        }
    }
}

/// What is alive, in the unit of the bound: the real thing, not the books.
#[test]
fn what_is_alive_never_weighs_more_than_the_bound_and_what_is_in_hand() {
    struct Alive(usize);
    static ALIVE: AtomicUsize = AtomicUsize::new(0);
    impl Alive {
        fn new(weight: usize) -> Arc<Self> {
            ALIVE.fetch_add(weight, SeqCst);
            Arc::new(Alive(weight))
        }
    }
    impl Drop for Alive {
        fn drop(&mut self) {
            ALIVE.fetch_sub(self.0, SeqCst);
        }
    }
    const BOUND: usize = 1_000;
    for storage in each(BOUND) {
        let cache: Cache<u64, Arc<Alive>> =
            storage.builder().weigher(|_, alive: &Arc<Alive>| alive.0).build();
        let mut dice = Dice(7);
        for _ in 0..rounds(5_000) {
            let weight = 1 + dice.roll(BOUND as u64) as usize;
            cache.insert(dice.roll(50), Alive::new(weight));
            assert!(ALIVE.load(SeqCst) <= BOUND, "{} are alive", ALIVE.load(SeqCst));
        }
        drop(cache);
        assert_eq!(ALIVE.load(SeqCst), 0);
    }
}

/// The obvious LRU by weight: a list, the least recently used first.
struct Model {
    bound: usize,
    entries: Vec<(u8, usize)>,
}

impl Model {
    fn take(&mut self, key: u8) -> Option<usize> {
        let at = self.entries.iter().position(|(other, _)| *other == key)?;
        Some(self.entries.remove(at).1)
    }

    fn insert(&mut self, key: u8, weight: usize) {
        self.take(key);
        if weight > self.bound {
            return;
        }
        let weighs = |entries: &[(u8, usize)]| entries.iter().map(|(_, w)| w).sum::<usize>();
        while weighs(&self.entries) + weight > self.bound {
            self.entries.remove(0);
        }
        self.entries.push((key, weight));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: rounds(120) as u32, failure_persistence: None, ..Default::default()
    })]

    #[test]
    fn lru_storage_makes_just_the_room_that_is_needed(
        bound in 1..40_usize,
        steps in proptest::collection::vec((0..10_u8, 1..30_usize, 0..5_u8), 1..200),
    ) {
        let storage = Storage::Lru(LruStorage::weighted(bound));
        let cache: Cache<u8, usize> = by_value(&storage).build();
        let mut model = Model { bound, entries: Vec::new() };
        for (key, weight, step) in steps {
            match step {
                0 => {
                    let found = model.take(key);
                    model.entries.extend(found.map(|weight| (key, weight)));
                    prop_assert_eq!(cache.get(&key), found);
                }
                1 => {
                    cache.invalidate(&key);
                    model.take(key);
                }
                _ => {
                    cache.insert(key, weight);
                    model.insert(key, weight);
                }
            }
            let (mut there, mut wanted) = (cache.iter().collect::<Vec<_>>(), model.entries.clone());
            there.sort_unstable();
            wanted.sort_unstable();
            prop_assert_eq!(there, wanted);
        }
    }
}
