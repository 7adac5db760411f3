//! Figures: every call is counted once, as what it was.

use crate::event::{Count, Driven};
use crate::storages::Storage;
use gecaso::{Cache, ManualClock, Stats};
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use std::time::Duration;

#[test]
fn calls_are_hits_or_misses_and_bodies_are_loads() {
    for storage in Storage::each(8) {
        let cache: Cache<u8, u8> = storage.cache();
        assert_eq!(cache.stats(), Stats::default());
        cache.get_with(&1, || 1); // miss, load
        cache.get_with(&1, || 1); // hit
        cache.get(&1); // hit
        cache.get(&2); // miss
        cache.peek(&1);
        cache.peek(&2);
        cache.insert(3, 3);
        cache.invalidate(&4);
        let _ = cache.try_get_with(&2, || Err::<u8, ()>(())); // miss, load
        cache.refresh(&1, || 5); // load
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (2, 2 + 1, 3), "{storage:?}");
        assert_eq!((stats.entries, stats.evictions, stats.expirations), (2, 0, 0));
        assert_eq!(stats.hit_ratio(), 2.0 / 5.0);
        cache.clear();
        let stats = cache.stats();
        assert_eq!((stats.entries, stats.evictions), (0, 0), "what was cleared was not evicted");
        assert_eq!(stats.hits, 2, "clear does not forget the past");
    }
}

#[test]
fn those_who_wait_are_misses_without_a_load() {
    for storage in Storage::each(8) {
        let cache: Cache<u8, u8> = storage.cache();
        let go_on = Count::new();
        let call = || {
            Driven::new(cache.get_with_async(&1, async {
                go_on.reaches(1).await;
                1
            }))
        };
        let mut calls: Vec<_> = (0..10).map(|_| call()).collect();
        calls.iter_mut().for_each(Driven::pends);
        go_on.up();
        calls.iter_mut().for_each(|call| assert_eq!(call.ready(), 1));
        let stats = cache.stats();
        assert_eq!((stats.hits, stats.misses, stats.loads), (0, 10, 1));
    }
}

#[test]
fn evictions_and_expirations_are_booked_on_the_cache_that_lost_the_entry() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 4) {
        let old: Cache<u8, u8> = storage.cache();
        let new: Cache<u8, u8> = storage.builder().ttl(Duration::from_secs(1)).build();
        (0..4).for_each(|key| drop(old.insert(key, key)));
        (0..4).for_each(|key| drop(new.insert(key, key)));
        assert_eq!((old.stats().entries, old.stats().evictions), (0, 4), "{storage:?}");
        assert_eq!((new.stats().entries, new.stats().evictions), (4, 0));
        clock.advance(Duration::from_secs(1));
        new.get_with(&0, || 9);
        let stats = new.stats();
        assert!(stats.expirations >= 1);
        assert_eq!(stats.entries + stats.expirations, 5, "each is held or gone: {stats:?}");
        assert_eq!(stats.evictions, 0);
    }
}

#[test]
fn load_time_is_the_time_in_bodies() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 64) {
        let cache: Cache<u8, u8> = storage.cache();
        for key in 0..50 {
            cache.get_with(&key, || {
                clock.advance(Duration::from_millis(20));
                key
            });
            cache.get_with(&key, || unreachable!());
        }
        assert_eq!(cache.stats().load_time, Duration::from_secs(1));
    }
}

#[test]
fn counts_of_many_threads_add_up() {
    const THREADS: u64 = 12; // more than there are stripes
    const CALLS: u64 = 2_000;
    for storage in Storage::each(256) {
        let cache: Cache<u64, u64> = storage.cache();
        std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for n in 0..CALLS {
                        cache.get_with(&(n % 100), || n);
                    }
                });
            }
        });
        let stats = cache.stats();
        assert_eq!(stats.hits + stats.misses, THREADS * CALLS);
        assert!((100..=100 * THREADS).contains(&stats.misses));
        assert_eq!((stats.loads, stats.entries), (100, 100));
    }
}

/// Figures are read while threads store and remove: none may ever be absurd.
#[test]
fn entries_are_never_absurd_while_threads_store_and_remove() {
    const CAPACITY: u64 = 4;
    for storage in Storage::each(CAPACITY as usize) {
        let caches: [Cache<u64, u64>; 2] = [storage.cache(), storage.cache()];
        let over = AtomicBool::new(false);
        let most = std::thread::scope(|scope| {
            for thread in 0..4 {
                let (caches, over) = (&caches, &over);
                scope.spawn(move || {
                    let cache = &caches[thread % 2];
                    let mut key = 0;
                    while !over.load(SeqCst) {
                        key = (key + 1) % 8;
                        cache.insert(key, key);
                        cache.invalidate(&key);
                    }
                });
            }
            let mut most = 0;
            for _ in 0..crate::event::rounds(20_000) {
                most = caches.iter().map(|cache| cache.stats().entries).fold(most, u64::max);
            }
            over.store(true, SeqCst);
            most
        });
        assert!(most <= CAPACITY, "{most} entries were seen in a storage of {CAPACITY}");
        let entries: u64 = caches.iter().map(|cache| cache.stats().entries).sum();
        assert_eq!(entries as usize, storage.len());
    }
}
