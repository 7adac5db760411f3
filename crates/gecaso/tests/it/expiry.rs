//! Time: how long entries are fresh, to the nanosecond, on a clock that only the test moves.

use crate::event::{Count, Driven};
use crate::storages::Storage;
use gecaso::{Cache, ManualClock, MemoryStorage};
use std::sync::Arc;
use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
const NANO: Duration = Duration::from_nanos(1);

#[test]
fn an_entry_is_fresh_until_just_before_its_ttl_and_no_longer() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = storage.builder().ttl(SECOND).build();
        cache.get_with(&1, || 10);
        cache.insert(2, 20);
        pollster::block_on(cache.get_with_async(&3, async { 30 }));
        clock.advance(SECOND - NANO);
        for key in [1, 2, 3] {
            assert_eq!(cache.get(&key), Some(key * 10), "{storage:?}");
            assert_eq!(cache.peek(&key), Some(key * 10));
            assert_eq!(cache.get_with(&key, || unreachable!()), key * 10);
        }
        clock.advance(NANO);
        for key in [1, 2, 3] {
            assert_eq!((cache.get(&key), cache.peek(&key)), (None, None), "{storage:?}");
            assert_eq!(cache.get_with(&key, || key * 10 + 1), key * 10 + 1);
            assert_eq!(cache.get(&key), Some(key * 10 + 1));
        }
        assert_eq!(storage.len(), 3, "the new entries took the places of the old ones");
    }
}

#[test]
fn a_hit_does_not_prolong_an_entry_and_a_replacement_does() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = storage.builder().ttl(SECOND).build();
        for key in [1, 2, 3] {
            cache.insert(key, key);
        }
        clock.advance(SECOND / 2);
        cache.get(&1);
        cache.insert(2, 22);
        cache.refresh(&3, || 33);
        clock.advance(SECOND / 2);
        assert_eq!([cache.get(&1), cache.get(&2), cache.get(&3)], [None, Some(22), Some(33)]);
    }
}

#[test]
fn the_ttl_counts_from_when_the_value_was_there() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = storage.builder().ttl(SECOND).build();
        let body = || {
            clock.advance(10 * SECOND);
            1
        };
        cache.get_with(&1, body);
        clock.advance(SECOND - NANO);
        assert_eq!(cache.get(&1), Some(1), "a slow load does not use its time up");
    }
}

#[test]
fn a_ttl_of_zero_stores_nothing_and_still_shares() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 2) {
        let bystander: Cache<u8, u8> = storage.cache();
        bystander.insert(8, 8);
        bystander.insert(9, 9);
        let cache: Cache<u8, u8> = storage.builder().ttl(Duration::ZERO).build();
        let runs = Count::new();
        for _ in 0..3 {
            cache.get_with(&1, || {
                runs.up();
                1
            });
            cache.insert(1, 2);
            cache.refresh(&1, || 3);
            assert_eq!((cache.get(&1), cache.peek(&1)), (None, None));
        }
        assert_eq!(runs.now(), 3);
        assert_eq!(cache.stats().entries, 0, "{storage:?}");
        assert_eq!([bystander.peek(&8), bystander.peek(&9)], [Some(8), Some(9)], "{storage:?}");

        let go_on = Count::new();
        let mut leader = Driven::new(cache.get_with_async(&1, async {
            go_on.reaches(1).await;
            10
        }));
        let mut waiter = Driven::new(cache.get_with_async(&1, async { unreachable!() }));
        leader.pends();
        waiter.pends();
        go_on.up();
        assert_eq!((leader.ready(), waiter.ready()), (10, 10));
    }
}

#[test]
fn a_ttl_of_ages_never_ends_and_never_overflows() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let forever: Cache<u8, u8> = storage.builder().ttl(Duration::MAX).build();
        let long: Cache<u8, u8> = storage.builder().ttl(Duration::from_nanos(u64::MAX - 1)).build();
        forever.insert(1, 1);
        long.insert(1, 1);
        clock.advance(Duration::from_secs(86_400 * 365 * 100));
        assert_eq!((forever.get(&1), long.get(&1)), (Some(1), Some(1)));
        long.insert(2, 2);
        forever.insert(2, 2);
        clock.advance(Duration::MAX);
        assert_eq!((forever.get(&1), forever.get(&2)), (Some(1), Some(2)));
        forever.insert(3, 3);
        assert_eq!(forever.get(&3), Some(3), "at the end of time, too");
    }
}

#[test]
fn a_cache_without_ttl_never_forgets_beside_one_that_does() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let plain: Cache<u8, u8> = storage.cache();
        let short: Cache<u8, u8> = storage.builder().ttl(SECOND).build();
        plain.insert(1, 1);
        short.insert(1, 2);
        clock.advance(1_000 * SECOND);
        assert_eq!((plain.get(&1), short.get(&1)), (Some(1), None));
    }
}

#[test]
fn clones_of_a_clock_are_one_clock_and_storages_may_share_it() {
    let clock = ManualClock::new();
    let caches = Storage::each_on(&clock, 8)
        .map(|storage| -> Cache<u8, u8> { storage.builder().ttl(SECOND).build() });
    caches.iter().for_each(|cache| drop(cache.insert(1, 1)));
    clock.clone().advance(SECOND);
    assert!(caches.iter().all(|cache| cache.get(&1).is_none()));
}

#[test]
fn an_expired_entry_is_replaced_by_one_load_for_all() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 8) {
        let cache: Cache<u8, u8> = storage.builder().ttl(SECOND).build();
        cache.insert(1, 1);
        clock.advance(SECOND);
        let go_on = Count::new();
        let call = || {
            Driven::new(cache.get_with_async(&1, async {
                go_on.reaches(1).await;
                2
            }))
        };
        let mut callers = [call(), call(), call()];
        callers.iter_mut().for_each(Driven::pends);
        go_on.up();
        assert!(callers.iter_mut().all(|caller| caller.ready() == 2));
        assert_eq!(cache.stats().loads, 1);
    }
}

#[test]
fn expired_entries_that_nobody_reads_are_reclaimed_by_insertions() {
    let clock = ManualClock::new();
    let unbounded = MemoryStorage::unbounded().with_clock(&clock);
    let [memory, lru] = Storage::each_on(&clock, 10_000);
    for storage in [memory, lru, Storage::Memory(unbounded)] {
        let token = Arc::new(());
        let cache: Cache<u32, Arc<()>> = storage.builder().ttl(SECOND).build();
        for key in 0..1_000 {
            cache.insert(key, token.clone());
        }
        clock.advance(SECOND);
        assert_eq!(storage.len(), 1_000);
        for key in 1_000..2_000 {
            cache.insert(key, token.clone());
        }
        assert!(storage.len() <= 1_100, "{} of 2000 are still held, {storage:?}", storage.len());
        assert_eq!(Arc::strong_count(&token), 1 + storage.len(), "their values are dropped");
        assert!((1_000..2_000).all(|key| cache.peek(&key).is_some()), "no fresh one went");
        assert_eq!(cache.stats().evictions, 0);
        assert_eq!(cache.stats().expirations + cache.stats().entries, 2_000);
    }
}

#[test]
fn a_full_storage_lets_the_expired_go_before_the_fresh() {
    let clock = ManualClock::new();
    for storage in Storage::each_on(&clock, 4) {
        let cache: Cache<u32, u32> = storage.builder().ttl(SECOND).build();
        for key in 0..4 {
            cache.insert(key, key);
        }
        clock.advance(SECOND);
        for key in 4..8 {
            cache.insert(key, key);
            assert!(storage.len() <= 4);
        }
        assert!((4..8).all(|key| cache.get(&key) == Some(key)), "{storage:?}");
    }
}
