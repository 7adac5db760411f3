//! Looking at all entries: `iter` and `invalidate_if`, while others store, remove and load.

use crate::event::{Count, Dice, Driven, rounds};
use crate::storages::Storage;
use gecaso::{Cache, ManualClock, MemoryStorage};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::time::Duration;

/// A value whose clone is foreign code.
type Foreign = Arc<Box<u32>>;

fn storages(capacity: usize) -> [Storage; 3] {
    let [memory, lru] = Storage::each(capacity);
    [memory, lru, Storage::Memory(MemoryStorage::unbounded())]
}

#[test]
fn every_fresh_entry_is_met_once() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 5_000) {
        let cache: Cache<u32, u32> = storage.cache();
        let foreign: Cache<String, Foreign> = storage.cache();
        let brief: Cache<u32, u32> = storage.builder().ttl(Duration::from_secs(1)).build();
        assert_eq!((cache.iter().count(), cache.len()), (0, 0));
        for key in 0..1_000 {
            cache.insert(key, key * 2);
            foreign.insert(key.to_string(), Arc::new(Box::new(key)));
            brief.insert(key, key);
        }
        let met: BTreeSet<(u32, u32)> = cache.iter().collect();
        assert_eq!((met.len(), cache.iter().count()), (1_000, 1_000), "{storage:?}");
        assert!(met.iter().all(|(key, value)| key * 2 == *value));
        assert!(foreign.iter().all(|(key, value)| key == value.to_string()));
        assert_eq!((&foreign).into_iter().count(), 1_000);
        assert_eq!(brief.iter().count(), 1_000);
        clock.advance(Duration::from_secs(1));
        assert_eq!((brief.iter().count(), brief.len()), (0, 1_000), "they are not fresh any more");
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses), (0, 0), "nothing is counted");
    }
}

#[test]
fn what_is_there_all_the_time_is_met_while_others_come_and_go() {
    for storage in storages(100_000) {
        let cache: Cache<u64, u64> = storage.cache();
        (0..2_000).for_each(|key| drop(cache.insert(key, key)));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            for thread in 1..3 {
                let (cache, over) = (&cache, &over);
                scope.spawn(move || {
                    let mut dice = Dice(thread);
                    while !over.load(SeqCst) {
                        // Grows and shrinks, so that entries move.
                        let first = thread * 1_000_000 + dice.roll(20_000);
                        (first..first + 3_000).for_each(|key| drop(cache.insert(key, key)));
                        (first..first + 3_000).for_each(|key| drop(cache.invalidate(&key)));
                    }
                });
            }
            for _ in 0..rounds(20) {
                let met: BTreeSet<u64> =
                    cache.iter().map(|(key, _)| key).filter(|key| *key < 2_000).collect();
                assert_eq!(met.len(), 2_000, "{storage:?}");
            }
            over.store(true, SeqCst);
        });
    }
}

#[test]
fn what_the_predicate_chooses_goes_and_nothing_else() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 10_000) {
        let cache: Cache<u32, u32> = storage.cache();
        let foreign: Cache<u32, Foreign> = storage.cache();
        for key in 0..1_000 {
            cache.insert(key, key % 7);
            foreign.insert(key, Arc::new(Box::new(key % 5)));
        }
        cache.invalidate_if(|key, value| *key < 500 && *value == 0).wait().unwrap();
        foreign.invalidate_if(|_, value| ***value == 0);
        for key in 0..1_000 {
            let goes = key < 500 && key % 7 == 0;
            assert_eq!(cache.peek(&key).is_none(), goes, "{key}, {storage:?}");
            assert_eq!(foreign.peek(&key).is_none(), key % 5 == 0, "{key}, {storage:?}");
        }
        assert_eq!(storage.len(), cache.len() + foreign.len(), "places come back");
        cache.invalidate_if(|_, _| true);
        assert_eq!((cache.len(), foreign.len()), (0, 800));
        let stats = cache.stats();
        assert_eq!((stats.evictions, stats.expirations), (0, 0));
    }
}

#[test]
fn a_load_that_began_before_is_neither_stored_nor_joined_by_later_calls() {
    for storage in Storage::each(8) {
        let cache: Cache<u8, u8> = storage.cache();
        let go_on = Count::new();
        let mut leader = Driven::new(cache.get_with_async(&1, async {
            go_on.reaches(1).await;
            10
        }));
        let mut waiter = Driven::new(cache.get_with_async(&1, async { unreachable!() }));
        leader.pends();
        waiter.pends();
        cache.invalidate_if(|_, value| *value == 10);
        assert_eq!(cache.get_with(&1, || 11), 11, "a later call does not join it");
        go_on.up();
        assert_eq!((leader.ready(), waiter.ready()), (10, 10), "those who waited are answered");
        assert_eq!(cache.get(&1), Some(11), "it is not stored, {storage:?}");
    }
}

/// One thread raises a version and invalidates what is older; the others load the version of now.
#[test]
fn no_caller_sees_what_was_there_before_an_invalidate_if() {
    for storage in storages(64) {
        for foreign in [false, true] {
            let version = AtomicU64::new(0);
            let plain: Cache<u64, u64> = storage.cache();
            let shared: Cache<u64, Arc<Box<u64>>> = storage.cache();
            let load = |key: &u64| match foreign {
                true => **shared.get_with(key, || Arc::new(Box::new(version.load(SeqCst)))),
                false => plain.get_with(key, || version.load(SeqCst)),
            };
            let floor = AtomicU64::new(0);
            std::thread::scope(|scope| {
                for seed in 0..3 {
                    let (load, floor) = (&load, &floor);
                    scope.spawn(move || {
                        let mut dice = Dice(seed);
                        for _ in 0..rounds(10_000) {
                            let least = floor.load(SeqCst);
                            let got = load(&dice.roll(100));
                            assert!(got >= least, "{got} was removed, {least} is the least");
                        }
                    });
                }
                for new in 1..rounds(300) as u64 {
                    version.store(new, SeqCst);
                    match foreign {
                        true => drop(shared.invalidate_if(|_, old| **old.as_ref() < new)),
                        false => drop(plain.invalidate_if(|_, old| *old < new)),
                    }
                    floor.store(new, SeqCst);
                }
            });
        }
    }
}

/// A value that does not match is never removed, also when it takes the place of one that does
/// while the predicate looks at that.
#[test]
fn a_newer_value_that_is_not_meant_stays() {
    for storage in Storage::each(8) {
        let cache: Cache<u8, u8> = storage.cache();
        cache.insert(1, 10);
        cache.invalidate_if(|key, value| {
            if *value == 10 {
                cache.insert(*key, 11);
            }
            *value == 10
        });
        assert_eq!(cache.get(&1), Some(11), "{storage:?}");
    }
}

#[test]
fn a_predicate_may_use_the_cache_and_may_panic() {
    for storage in Storage::each(100) {
        let cache: Cache<u32, u32> = storage.cache();
        (0..100).for_each(|key| drop(cache.insert(key, key)));
        cache.invalidate_if(|key, _| {
            cache.get_with(key, || *key);
            cache.invalidate(&(key + 1));
            if *key == 50 {
                cache.invalidate_if(|_, value| *value > 90);
            }
            false
        });
        let panics =
            || cache.invalidate_if(|_, _| std::panic::resume_unwind(Box::new("no report")));
        assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(panics)).is_err());
        assert_eq!(cache.get_with(&7_000, || 7), 7);
        cache.clear();
        assert_eq!(storage.len(), 0);
    }
}

#[cfg(feature = "far")]
#[test]
fn a_far_storage_says_that_it_cannot_be_searched() {
    let storage = gecaso::Far::new(crate::scripted::Scripted::new());
    let cache: Cache<u8, u8> = Cache::builder().storage(storage).name("walks").build();
    let error = cache.invalidate_if(|_, _| true).wait().expect_err("it cannot");
    assert!(error.to_string().contains("`clear`"), "{error}");
}
